"""The OpenAPI description of a model's own columns."""

from .formats import CSV, JSON, kinds_of, value_of, write_csv

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
    columns, (header, *rows) = service.columns, [cells for _, cells in service.example.rows]
    example = [{c.name: value_of(t, c.kind) for c, t in zip(columns, cells)} for cells in rows]
    return {
        JSON: {
            "schema": _listed("instances", {column.name: _column(column) for column in columns}),
            "example": {"instances": example},
        },
        CSV: {
            "schema": {"type": "string", "description": f"A header with {', '.join(header)}."},
            "example": write_csv(list(zip(header, map(list, zip(*rows)))), columns).decode(),
        },
    }


def _answer(service):
    table = service.example_answer
    names = [name for name, _ in table]
    kinds = [KINDS[kind] for kind in kinds_of(table, service.columns)]
    return {
        JSON: {"schema": _listed("predictions", dict(zip(names, kinds)))},
        CSV: {"schema": {"type": "string", "description": f"A header with {', '.join(names)}."}},
    }


def _column(column):
    kind = KINDS[column.kind]
    if not column.may_be_empty:
        return kind
    return {"anyOf": [kind, {"type": "null"}], "description": "null for a missing value."}


def _listed(key, properties):
    """{key: [{...}, ...]}, each with all of the properties."""
    row = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        "type": "object",
        "properties": {key: {"type": "array", "items": row, "minItems": 1}},
        "required": [key],
    }
