"""The JSON schema of job files, by which editors complete and check them as they are written."""

from typing import Any, Dict, Type

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaValue

from ..grammar.json_schema import UntitledSchema
from .kinds import DEFAULT, all_kinds

# The version that all editors know.
DIALECT = "http://json-schema.org/draft-07/schema#"
# What YAML makes of names such as 1958 and `true`.
TEXT = ["string", "number", "boolean"]
# A job file may also write it `none`.
NULL = {"enum": [None, "none"]}
BOUNDS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
}


def job_schema() -> Dict[str, Any]:
    """The schema of a job file of any task, as JSON values."""
    inputs = [
        (kind.name, "validation", TypeAdapter(kind.sections).core_schema) for kind in all_kinds()
    ]
    sections, definitions = YamlSchema().generate_definitions(inputs)
    return {
        "$schema": DIALECT,
        "title": "A job file of gluon-linalg",
        "type": "object",
        "properties": {
            "task": {
                "enum": [kind.name for kind in all_kinds()],
                "default": DEFAULT,
                "description": "The kind of model: "
                + "; ".join(f"{kind.name}, {kind.title}" for kind in all_kinds())
                + ".",
            }
        },
        "allOf": [_of_task(kind.name, sections[kind.name, "validation"]) for kind in all_kinds()],
        "$defs": definitions,
    }


def section_schema(section: Type[BaseModel]) -> Dict[str, Any]:
    """The schema of one section, and under `$defs` of those in it."""
    return section.model_json_schema(schema_generator=YamlSchema)


def _of_task(name, sections):
    is_task: Dict[str, Any] = {"properties": {"task": {"const": name}}}
    if name != DEFAULT:
        is_task["required"] = ["task"]
    return {"if": is_task, "then": sections}


class YamlSchema(UntitledSchema):
    """The schema of what YAML makes of a section."""

    def generate(self, schema: Any, mode: Any = "validation") -> JsonSchemaValue:
        return _as_yaml(super().generate(schema, mode))

    def generate_definitions(self, inputs: Any) -> Any:
        found, definitions = super().generate_definitions(inputs)
        return found, {name: _as_yaml(own) for name, own in definitions.items()}


def _as_yaml(schema):
    """A schema and all in it: text may look like a number, and null may be a word."""
    schema = {BOUNDS.get(key, key): value for key, value in schema.items()}
    for key in ("properties", "$defs"):
        if key in schema:
            schema[key] = {name: _as_yaml(inner) for name, inner in schema[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = _as_yaml(schema[key])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            schema[key] = [_as_yaml(inner) for inner in schema[key]]
    if schema.get("type") == "string" and not {"enum", "const", "pattern"} & set(schema):
        schema["type"] = TEXT
    return dict(NULL) if schema == {"type": "null"} else schema
