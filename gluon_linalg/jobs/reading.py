"""Reads a job file: YAML or JSON text to a validated `Job`."""

import json
import os
import reprlib

import yaml
from pydantic import ValidationError

from .errors import JobError, reason, suggestion
from .kinds import DEFAULT, NAMES, kind_of

MESSAGES = {
    "missing": "missing; add this key",
    "model_type": "expected keys and values below it",
    "list_type": "expected a list, written [a, b]",
    "dict_type": "expected keys and values below it",
    "string_type": "expected text",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "finite_number": "expected a finite number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "int_parsing_size": "expected a smaller whole number",
    "recursion_loop": "nested too deeply",
}


def read_job(path, overrides=None):
    """The job in the file `path`, with its paths made absolute.

    `overrides` replace keys, written with dots, unless they are None.
    """
    document = _parse(path, _read_text(path))
    if not isinstance(document, dict):
        raise JobError(f"{path}: expected keys and values, such as task: {DEFAULT}")
    for key, value in (overrides or {}).items():
        if value is not None:
            document = _with(document, key.split("."), value)
    job = validate(path, document)
    data = job.data.model_copy(update={"path": _beside(path, job.data.path)})
    return job.model_copy(update={"data": data, "output": os.path.abspath(job.output)})


def _with(document, keys, value):
    """The document with a value at these keys, if what is above it are keys and values."""
    first, *others = keys
    if others:
        below = document.get(first, {})
        if not isinstance(below, dict):
            return document
        value = _with(below, others, value)
    return {**document, first: value}


def validate(path, document):
    """The job of a document; JobError for the first thing wrong with it."""
    task = document.get("task", DEFAULT) if isinstance(document, dict) else DEFAULT
    if task not in NAMES:
        raise JobError(f"{path}: task: {_value(task)}: unknown task; {suggestion(task, NAMES)}")
    try:
        job = kind_of(task).sections.model_validate(document)
    except ValidationError as error:
        raise JobError(f"{path}: {_first(error, document)}") from None
    except RecursionError:
        raise JobError(f"{path}: nested too deeply") from None
    problem = job.problem()
    if problem is not None:
        keys, message = problem
        raise JobError(f"{path}: {_shown(keys, document)}: {message}")
    return job


def _read_text(path):
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise JobError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except FileNotFoundError:
        raise JobError(f"{path}: there is no such job file") from None
    except (OSError, ValueError) as error:
        raise JobError(f"{path}: cannot be read: {reason(error)}") from None


def _parse(path, text):
    try:
        if str(path).endswith(".json"):
            return json.loads(text, object_pairs_hook=_without_duplicates)
        return yaml.load(text, Loader=PlainLoader)  # noqa: S506 - a subclass of BaseLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise JobError(f"{path}: {line}not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise JobError(f"{path}: not YAML: {error}") from None
    except json.JSONDecodeError as error:
        raise JobError(f"{path}: line {error.lineno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise JobError(f"{path}: nested too deeply") from None
    except ValueError as error:
        raise JobError(f"{path}: {error}") from None


class PlainLoader(yaml.BaseLoader):
    """YAML whose scalars are text or null; each key converts its own.

    So 1e-6 is a number where one is expected, and a column may be called `no` or 1958-03.
    """

    def construct_scalar(self, node):
        is_plain = isinstance(node, yaml.ScalarNode) and node.style is None
        if is_plain and node.value in ("", "~", "null", "none"):
            return None
        return super().construct_scalar(node)

    def construct_mapping(self, node, deep=False):
        pairs = [(self.construct_object(key, deep=True), key) for key, _ in node.value]
        seen = set()
        for key, key_node in pairs:
            if isinstance(key, (list, dict)):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a word", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' occurs twice; keep one", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _without_duplicates(pairs):
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a key occurs twice in the same braces; keep one")
    return document


def _first(error, document):
    details = error.errors(include_url=False)
    # An unknown key is often the misspelling of one that is reported as missing.
    details.sort(key=lambda detail: detail["type"] != "unknown_key")
    detail = details[0]
    keys = detail["loc"]
    if detail["type"] == "unknown_key":
        return f"{_shown(keys + (detail['ctx']['key'],), document)}: {detail['msg']}"
    if detail["type"] == "value_error":
        message = str(detail["ctx"]["error"])
    else:
        message = MESSAGES.get(detail["type"], detail["msg"].replace("Input should", "should"))
    if detail["type"] == "missing" or isinstance(detail["input"], (dict, list)):
        return f"{_shown(keys, document)}: {message}"
    return f"{_shown(keys, document)}: {_value(detail['input'])}: {message}"


def _shown(keys, document):
    """The keys as they are written in the document, joined by dots."""
    shown = []
    for position, key in enumerate(keys):
        if isinstance(document, list):
            inside = isinstance(key, int) and key < len(document)
        else:
            inside = isinstance(document, dict) and key in document
        # A validator's own steps, such as the branch of a union, are in no document.
        if inside:
            document = document[key]
            shown.append(str(key))
        elif position == len(keys) - 1 and isinstance(document, dict):
            shown.append(str(key))
    return ".".join(shown) or "the file"


def _value(value):
    return "nothing" if value is None else reprlib.repr(value)


def _beside(job_path, path):
    return os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(job_path)), path))
