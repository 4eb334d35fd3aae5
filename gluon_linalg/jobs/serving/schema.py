"""The OpenAPI description of a model's own columns."""

import json

from ..data import JsonSeries
from .formats import CSV, JSON, WRITERS, instances_of, kinds_of, table_of

KINDS = {
    "number": {"type": "number"},
    "date": {
        "anyOf": [{"type": "string"}, {"type": "number"}],
        "description": "A date such as 1958-03 or 1958-03-01, or a number.",
    },
    "text": {"type": "string"},
}
ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
}
REFUSALS = {
    400: "The body is not JSON, CSV or UTF-8.",
    406: "Accept names neither format.",
    408: "The body did not arrive in time.",
    413: "The body has too many bytes or rows.",
    415: "The body has another format.",
    422: "A row is wrong; the error says which, where and why.",
    503: "The server is busy, or the answer took too long.",
}


def refusals(*statuses):
    """The `responses` of a FastAPI route for these statuses."""
    content = {JSON: {"schema": ERROR}}
    return {status: {"description": REFUSALS[status], "content": content} for status in statuses}


def answers(service):
    """The `responses` of the route that a `Service` answers."""
    answer = {"description": f"{service.model.predictor.what}.", "content": _answer(service)}
    return {200: answer, **refusals(*REFUSALS)}


def add_request(document, service):
    """Puts the request into the finished document: FastAPI would drop the nulls of its example."""
    operation = document["paths"]["/invocations"]["post"]
    operation["requestBody"] = {"required": True, "content": _request(service)}


def _request(service):
    columns = service.columns
    example = {"instances": instances_of(service.example, columns)}
    row = _object({column.name: _column(column) for column in columns})
    if isinstance(service.example, JsonSeries):
        # Its features are in no table.
        return {JSON: {"schema": _listed("instances", _series(service)), "example": example}}
    if service.takes_series:
        row = {"anyOf": [row, _series(service)]}
    _, header = service.example.rows[0]
    return {
        JSON: {"schema": _listed("instances", row), "example": example},
        CSV: {
            "schema": {"type": "string", "description": f"A header with {', '.join(header)}."},
            "example": table_of(service.example, columns, service.model.predictor.format),
        },
    }


def _answer(service):
    table = service.example_answer
    examples = {kind: write(table, service.columns).decode() for kind, write in WRITERS.items()}
    names = [name for name, _ in table]
    kinds = [KINDS[kind] for kind in kinds_of(table, service.columns)]
    return {
        JSON: {
            "schema": _listed("predictions", _object(dict(zip(names, kinds)))),
            "example": json.loads(examples[JSON]),
        },
        CSV: {
            "schema": {"type": "string", "description": f"A header with {', '.join(names)}."},
            "example": examples[CSV],
        },
    }


def _column(column):
    kind = KINDS[column.kind]
    if not column.may_be_empty:
        return kind
    return {"anyOf": [kind, {"type": "null"}], "description": "null for a missing value."}


def _series(service):
    """A whole series, as GluonTS's JSON lines have it."""
    number, missing = {"type": "number"}, {"anyOf": [{"type": "number"}, {"type": "null"}]}
    features = {
        name: _array(number if name != "feat_dynamic_real" else _array(number))
        for name in service.model.predictor.features
    }
    series = _object({"start": {"type": "string"}, "target": _array(missing), **features})
    series["properties"]["item_id"] = {"type": "string"}
    return {**series, "description": "A whole series from the time start on."}


def _array(items):
    return {"type": "array", "items": items, "minItems": 1}


def _object(properties):
    """An object with all of the properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _listed(key, row):
    """{key: [{...}, ...]}"""
    return {
        "type": "object",
        "properties": {key: _array(row)},
        "required": [key],
    }
