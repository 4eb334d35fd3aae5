"""The OpenAPI description of a model's own columns, made of the classes of `bodies`."""

import json
from typing import Any, Dict, Type, Union

from fastapi import FastAPI
from pydantic import BaseModel

from ...grammar.json_schema import UntitledSchema
from ..data import JsonSeries
from .bodies import Error, Instances, Predictions, answer_model, row_model, series_model
from .formats import CSV, JSON, WRITERS, instances_of, kinds_of, table_of
from .service import Service

REFUSALS = {
    400: "The body is not JSON, CSV or UTF-8.",
    404: "There is no such series.",
    406: "Accept names neither format.",
    408: "The body did not arrive in time.",
    409: "The state of the series is that of another model.",
    413: "The body has too many bytes or rows.",
    415: "The body has another format.",
    422: "A row is wrong; the error says which, where and why.",
    503: "The server is busy, or the answer took too long.",
}


def refusals(*statuses: int) -> Dict[Union[int, str], Dict[str, Any]]:
    """The `responses` of a FastAPI route for these statuses."""
    return {status: {"description": REFUSALS[status], "model": Error} for status in statuses}


def answers(service: Service) -> Dict[Union[int, str], Dict[str, Any]]:
    """The `responses` of the route that a `Service` answers."""
    answer = {"description": f"{service.model.predictor.what}.", "content": _answer(service)}
    return {200: answer, **refusals(*(set(REFUSALS) - {404, 409}))}


def add_request(app: FastAPI, service: Service) -> None:
    """Puts the request into the document: FastAPI would read the body itself, as JSON alone."""
    operation = app.openapi()["paths"]["/invocations"]["post"]
    operation["requestBody"] = {"required": True, "content": _request(service)}


def _request(service):
    columns, predictor = service.columns, service.model.predictor
    example = {"instances": instances_of(service.example, columns)}
    row, series = row_model(tuple(columns)), series_model(predictor.features)
    if isinstance(service.example, JsonSeries):
        # Its features are in no table.
        return {JSON: {"schema": _schema(Instances[series]), "example": example}}
    instance = Union[row, series] if predictor.takes_series else row
    _, header = service.example.rows[0]
    return {
        JSON: {"schema": _schema(Instances[instance]), "example": example},
        CSV: {
            "schema": _table(header),
            "example": table_of(service.example, columns, predictor.format),
        },
    }


def _answer(service):
    table = service.example_answer
    examples = {kind: write(table, service.columns).decode() for kind, write in WRITERS.items()}
    names = [name for name, _ in table]
    row = answer_model(names, kinds_of(table, service.columns))
    return {
        JSON: {"schema": _schema(Predictions[row]), "example": json.loads(examples[JSON])},
        CSV: {"schema": _table(names), "example": examples[CSV]},
    }


def _table(names):
    return {"type": "string", "description": f"A header with {', '.join(names)}."}


def _schema(model: Type[BaseModel]) -> Dict[str, Any]:
    """The schema of a body in one piece, as it is read."""
    schema = model.model_json_schema(schema_generator=UntitledSchema)
    return _inlined(schema, schema.pop("$defs", {}))


def _inlined(part, definitions):
    if isinstance(part, list):
        return [_inlined(inner, definitions) for inner in part]
    if not isinstance(part, dict):
        return part
    # A column may have this name, too.
    if isinstance(part.get("$ref"), str):
        return _inlined(definitions[part["$ref"].split("/")[-1]], definitions)
    return {key: _inlined(inner, definitions) for key, inner in part.items()}
