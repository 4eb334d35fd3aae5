"""The JSON bodies of requests and answers as pydantic models of a model's own columns.

Of the same classes requests are checked and the OpenAPI description is made.
"""

from functools import lru_cache, partial
from typing import Any, Dict, Generic, List, Optional, Sequence, Tuple, Type, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticCustomError
from typing_extensions import Annotated

from ...grammar.json_schema import ShownAs
from ..data import Column
from ..errors import suggestion
from .refused import Refused

Item = TypeVar("Item")
KINDS: Dict[str, Dict[str, Any]] = {
    "number": {"type": "number"},
    "date": {
        "anyOf": [{"type": "string"}, {"type": "number"}],
        "description": "A date such as 1958-03 or 1958-03-01, or a number.",
    },
    "text": {"type": "string"},
}
EXPECTED = {
    "number": "a number (1 for true, 0 for false)",
    "date": "a date in quotes, or a number",
    "text": "text",
}
UNKNOWN_KEYS = "unknown keys beside instances; remove them"
PROBLEMS = {
    "model_type": 'expected {"instances": [{...}, ...]}, a row in each pair of braces',
    "missing": 'expected {"instances": [{...}, ...]}, a row in each pair of braces',
    "list_type": "instances: expected a list of rows, at least one",
    "too_short": "instances: expected a list of rows, at least one",
}
# The features of a series that are lists of lists.
OF_EACH_STEP = ("feat_dynamic_real",)


class Error(BaseModel):
    """Why a request is not answered."""

    error: str


class Instances(BaseModel, Generic[Item]):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid")

    instances: Annotated[List[Item], Field(min_length=1)]


class Predictions(BaseModel, Generic[Item]):
    """The body of an answer."""

    predictions: Annotated[List[Item], Field(min_length=1)]


class Digits(str):
    """A number of JSON as it is written, so that it is read as that of a table is."""


def read_instances(document: Any) -> List[Any]:
    """The instances of a request, whatever they are; `Refused` where there are none."""
    try:
        return Instances[Any].model_validate(document).instances
    except ValidationError as error:
        raise Refused(422, PROBLEMS.get(error.errors()[0]["type"], UNKNOWN_KEYS)) from None


def read_rows(instances: List[Any], columns: Sequence[Column]) -> List[List[str]]:
    """The cells of each row, in the order of the columns; what else it has is not looked at."""
    try:
        rows = _rows_model(tuple(columns)).model_validate({"instances": instances}).instances
    except ValidationError as error:
        raise Refused(422, _problem(error.errors()[0], instances)) from None
    return [list(row.__dict__.values()) for row in rows]


def _problem(detail, instances):
    _, row, *column = detail["loc"]
    if not column:
        return f"row {row + 1}: expected {{column: value, ...}}"
    (name,) = column
    if detail["type"] == "missing":
        advice = suggestion(name, instances[row])
        return f"row {row + 1}: there is no column '{name}'; {advice}"
    return f"row {row + 1}, column '{name}': {detail['msg']}"


@lru_cache(maxsize=8)
def _rows_model(columns):
    # Kept, for pydantic keeps no class of a generic model.
    return Instances[row_model(columns)]


@lru_cache(maxsize=8)
def row_model(columns: Tuple[Column, ...]) -> Type[BaseModel]:
    """A row of a request: of each column a cell, a text as that of a table."""
    return _object("Row", {column.name: _cell(column) for column in columns})


def series_model(features: Sequence[str]) -> Type[BaseModel]:
    """A whole series, as a line of GluonTS's JSON has it; it is checked as such a line is."""
    row = Annotated[List[float], Field(min_length=1)]
    rows = Annotated[List[row], Field(min_length=1)]
    description = "A whole series from the time start on."
    fields: Dict[str, Any] = {
        "start": (str, ...),
        "target": (Annotated[List[Optional[float]], Field(min_length=1)], ...),
        **{name: (rows if name in OF_EACH_STEP else row, ...) for name in features},
        "item_id": (str, Field(default_factory=str)),
    }
    config = ConfigDict(json_schema_extra={"description": description})
    return create_model("Series", __config__=config, **fields)


def answer_model(names: Sequence[str], kinds: Sequence[str]) -> Type[BaseModel]:
    """A row of predictions."""
    cells = {n: Annotated[Any, ShownAs(KINDS[kind])] for n, kind in zip(names, kinds)}
    return _object("Prediction", cells)


def _object(title, cells):
    # Columns may be called as no attribute can be.
    fields = {f"column_{i}": (t, Field(..., alias=n)) for i, (n, t) in enumerate(cells.items())}
    return create_model(title, **fields)


def _cell(column):
    schema = KINDS[column.kind]
    if column.may_be_empty:
        nothing = {"type": "null"}
        schema = {"anyOf": [schema, nothing], "description": "null for a missing value."}
    return Annotated[Any, PlainValidator(partial(_text, column.kind)), ShownAs(schema)]


def _text(kind, value):
    """The text of a cell; null is an empty one, which is refused where a value is needed."""
    if value is None:
        return ""
    if isinstance(value, Digits):
        return value
    if isinstance(value, str) and kind != "number" and _is_text(value):
        return value
    raise PydanticCustomError("cell", "expected {what}", {"what": EXPECTED[kind]})


def _is_text(value):
    """False for half of a surrogate pair, which JSON can write but no answer could repeat."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
