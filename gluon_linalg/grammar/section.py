"""The base of all sections of a description, and the types of their values."""

from typing import Any, ClassVar, Dict, List, Tuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from typing_extensions import Annotated, Self

from ..errors import suggestion
from .json_schema import ShownAs


class Section(BaseModel):
    """A mapping of known keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
    # Keys that are seldom needed, which messages name last.
    seldom: ClassVar[Tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def refuse_unknown_keys(cls, value: Any) -> Any:
        if isinstance(value, dict):
            known = sorted(cls.model_fields, key=lambda name: name in cls.seldom)
            for key in value:
                if key not in cls.model_fields:
                    raise PydanticCustomError(
                        "unknown_key",
                        "unknown key; {advice}",
                        {"key": str(key), "advice": suggestion(key, known)},
                    )
        return value


class OneOf(Section):
    """A choice: exactly one of the keys, with a section or a list of such choices."""

    # Not a discriminated union of pydantic: its callable discriminators came with 2.5, and each
    # choice would need a model around its section, whose name would then be in every message.
    noun: ClassVar[str]
    advice: ClassVar[str]

    @model_validator(mode="after")
    def one_key(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            found = ", ".join(given) if given else "none"
            raise ValueError(f"expected one {self.noun}, found {found}; {self.advice}")
        return self

    @model_serializer
    def only_the_given(self) -> Dict[str, Any]:
        name, value = self.chosen()
        if isinstance(value, list):
            return {name: [part.only_the_given() for part in value]}
        return {name: value.model_dump()}

    def chosen(self) -> Tuple[str, Any]:
        """The key that is given and its section, or its list."""
        for name in type(self).model_fields:
            if getattr(self, name) is not None:
                return name, getattr(self, name)
        raise AssertionError("a validated choice has one key")

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> Dict[str, Any]:
        """One property, which is not null."""
        reference = handler(schema)
        own = handler.resolve_ref_schema(reference)
        own.update(title=cls.noun, minProperties=1, maxProperties=1)
        for described in own.get("properties", {}).values():
            described.pop("default")
            described.update(described.pop("anyOf")[0])
        return reference


class Fixable(Section):
    """A section with parameters, of which the key `fixed` names those that are not trained."""

    @classmethod
    def fixable(cls) -> Tuple[str, ...]:
        """The names that can be in `fixed`."""
        raise NotImplementedError

    @field_validator("fixed", check_fields=False)
    @classmethod
    def fixed_names_are_parameters(cls, names: List[str]) -> List[str]:
        """ValueError for a name that is no parameter."""
        for name in names:
            if name not in cls.fixable():
                advice = suggestion(name, cls.fixable())
                raise ValueError(f"'{name}' is no parameter to fix; {advice}")
        return names

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> Dict[str, Any]:
        reference = handler(schema)
        own = handler.resolve_ref_schema(reference)
        own["properties"]["fixed"]["items"] = {"enum": list(cls.fixable())}
        return reference


class OneOrMore:
    """Marks a list for which one value stands, too: the list of this value."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_as_list, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> Dict[str, Any]:
        several = handler(schema)
        return {"anyOf": [several["items"], several]}


def _refuse_truth(value):
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


def _refuse_not_positive(value):
    if value <= 0:
        raise ValueError("expected a positive number")
    return value


def _as_list(value):
    return value if isinstance(value, (list, tuple)) else [value]


def _as_written(values):
    return values[0] if len(values) == 1 else list(values)


Number = Annotated[float, BeforeValidator(_refuse_truth), Field(allow_inf_nan=False)]
Positive = Annotated[
    Number,
    AfterValidator(_refuse_not_positive),
    ShownAs({"type": "number", "exclusiveMinimum": 0}),
]
# One number, or one for each column.
Positives = Annotated[
    List[Positive], Field(min_length=1), OneOrMore(), PlainSerializer(_as_written)
]
Name = Annotated[str, Field(min_length=1)]
Names = Annotated[List[Name], Field(min_length=1)]
# The name of a column.
Column = Annotated[Name, ShownAs({"type": "string", "minLength": 1, "title": "column"})]
Columns = Annotated[List[Column], Field(min_length=1)]
