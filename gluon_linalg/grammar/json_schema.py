"""JSON schemas without the titles that pydantic makes up."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema


class UntitledSchema(GenerateJsonSchema):
    """A schema whose properties have the titles that their types have, or none."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False
