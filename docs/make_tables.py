"""Writes the tables of job files into docs/jobs.md and docs/jobs/: python docs/make_tables.py

A table stands between a comment such as `<!-- table: gp data.holdout -->`, which names a task and
the keys of a section, and `<!-- end -->`. Where the section is a choice, the table has its keys,
and `<!-- chapters: gp model.kernel ### -->` stands for a chapter about each.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, Type

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typing_extensions import get_args

from gluon_linalg.grammar.section import OneOf
from gluon_linalg.jobs.job_schema import section_schema
from gluon_linalg.jobs.kinds import DEFAULT, kind_of

DOCS = Path(__file__).resolve().parent
PAGES = [DOCS / "jobs.md", *sorted(DOCS.glob("jobs/*.md"))]
MARKED = re.compile(
    r"(<!-- (table|chapters): (\w+) ?([\w.]*) ?(#*) -->\n).*?(<!-- end -->)", re.DOTALL
)
HEAD = "| key | type | default | meaning |\n|---|---|---|---|\n"
# Of all tasks; described with the first.
COMMON = ("training", "context", "output", "seed", "devices")
# A longer list of words is described in a sentence of the page.
MOST_WORDS = 8
# From here on an upper bound keeps the machine from harm, and limits nobody.
HUGE = 10**5
TYPES = {"integer": "whole number", "number": "number"}


def fill(page: str) -> str:
    """The page with all its tables as the sections are."""
    return MARKED.sub(_filled, page)


def _filled(found):
    begin, what, task, keys, level, end = found.groups()
    return f"{begin}\n{_content(what, task, keys, level)}\n{end}"


def _content(what, task, keys, level):
    section = kind_of(task).sections
    for key in keys.split(".") if keys else ():
        section = _section_of(section.model_fields[key].annotation)
    if what == "chapters":
        return "\n".join(_chapters(section, level))
    if issubclass(section, OneOf):
        return _choices(section)
    return _table(section, f"{keys}." if keys else "", _names(section, task, keys))


def _names(section, task, keys):
    """The keys that a table describes; what is the same for all tasks, the first has described."""
    if task == DEFAULT or keys not in ("", "training"):
        return list(section.model_fields)
    own = section.__annotations__ if keys else section.model_fields
    return [name for name in own if keys or name not in COMMON]


def _table(section: Type[BaseModel], prefix: str, names: Any) -> str:
    root = section_schema(section)
    # Of a section that has itself among those in it.
    schema = _resolved(root, root) if "$ref" in root else root
    rows = []

    def place(name):
        is_first = section.model_fields[name].is_required() or "const" in schema["properties"][name]
        return name in section.seldom, not is_first

    for name in sorted(names, key=place):
        field, own = section.model_fields[name], schema["properties"][name]
        cells = (f"`{prefix}{name}`", _words(own, root), _default(field), field.description)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    return HEAD + "".join(rows)


def _choices(section: Type[OneOf]) -> str:
    noun = section.noun.split()[-1]
    rows = [f"| `{name}` | {field.description} |\n" for name, field in section.model_fields.items()]
    return f"| {noun} | meaning |\n|---|---|\n" + "".join(rows)


def _chapters(section: Type[OneOf], level: str) -> Iterator[str]:
    """A heading, an equation or sentence and a table for each choice that is no list of others."""
    for name, field in section.model_fields.items():
        own = _section_of(field.annotation)
        if own is section:
            continue
        text = " ".join(own.__doc__.split()).rstrip(".")
        is_sentence = "`" in text or re.match("[A-Z][a-z]+ ", text)
        yield f"{level} {name}\n\n" + (f"{text}." if is_sentence else f"`{text}`") + "\n"
        if own.model_fields:
            yield _table(own, f"{name}.", own.model_fields)


def _section_of(annotation):
    """The section of an annotation such as Optional[List[Section]]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section_of, get_args(annotation))), None)


def _default(field):
    if field.default_factory is not None:
        return "its defaults"
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) else json.dumps(value)


def _words(schema: Dict[str, Any], root: Dict[str, Any]) -> str:
    """The type of a value, in words."""
    options = schema.get("anyOf")
    if options is None:
        return _one(schema, root)
    words = []
    for option in options:
        is_several = option.get("type") == "array" and option.get("items") in options
        words.append("list of such" if is_several else _one(option, root))
    return ", ".join(words[:-1]) + " or " + words[-1]


def _one(schema, root):
    if "allOf" in schema:
        schema = schema["allOf"][0]
    if "$ref" in schema:
        schema = _resolved(schema, root)
        return schema["title"].split()[-1] if schema.get("maxProperties") == 1 else "section"
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return _listed(schema)
    kind = schema["type"]
    if kind == "array":
        if schema.get("minItems") == schema.get("maxItems") == 2:
            return "a pair"
        inner = _words(schema["items"], root)
        if "enum" in schema["items"]:
            return f"list of {inner}" if inner else "empty list"
        return "list" if inner == "text" else f"list of {_several(inner)}"
    if kind == "boolean":
        return "true, false"
    if kind == "object":
        inner = schema.get("additionalProperties", True)
        return "names and values" if inner is True else f"names and {_several(_one(inner, root))}"
    if isinstance(kind, list):
        return schema.get("title", "text")
    return TYPES.get(kind, schema.get("title", "text")) + _range(schema, kind == "integer")


def _resolved(schema, root):
    return root["$defs"][schema["$ref"].split("/")[-1]]


def _listed(schema):
    words = schema["enum"]
    if None in words:
        return "null"
    if len(words) > MOST_WORDS:
        return schema["title"]
    return ", ".join(word if word.isidentifier() else f'"{word}"' for word in words)


def _several(words):
    """columns; whole numbers >= 1"""
    return re.sub(r"^[a-z ]*?[a-z](?= ?(?:in [\[(]|[^a-z ]|$))", r"\g<0>s", words)


def _range(schema, is_whole):
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None:
        return ""
    if high is None or high >= HUGE:
        return f" {'>=' if 'minimum' in schema else '>'} {low:g}"
    if is_whole:
        return f", {low} to {high}"
    left, right = "[" if "minimum" in schema else "(", "]" if "maximum" in schema else ")"
    return f" in {left}{low:g}, {high:g}{right}"


def main(arguments: Any = None) -> int:
    """Fills the pages in; with --check they are only compared. The exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    pages = {path: path.read_text(encoding="utf-8") for path in PAGES}
    if arguments == ["--check"]:
        return int(any(fill(page) != page for page in pages.values()))
    for path, page in pages.items():
        path.write_text(fill(page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
