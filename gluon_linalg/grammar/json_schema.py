"""JSON schemas of sections: without the titles that pydantic makes up, and of types of our own."""

import copy
from typing import Any, Dict

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema


class UntitledSchema(GenerateJsonSchema):
    """A schema whose properties have the titles that their types have, or none."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class ShownAs:
    """Marks a type whose JSON schema is this one.

    Unlike pydantic.WithJsonSchema, of which all fields of the type share one dict: versions before
    2.11 write the default of each field into it.
    """

    def __init__(self, schema: Dict[str, Any]) -> None:
        self.schema = schema

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> Dict[str, Any]:
        return copy.deepcopy(self.schema)
