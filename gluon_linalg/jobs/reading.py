"""Reads a job file: YAML or JSON text to a validated `Job`."""

import json
import os
from contextlib import suppress
from typing import Any, Dict, Mapping, Optional

import yaml
from pydantic import ValidationError

from ..grammar.messages import first_problem, shown_keys, shown_value
from .config import Job
from .errors import JobError, reason, suggestion
from .kinds import DEFAULT, NAMES, kind_of


def read_job(path: str, overrides: Optional[Mapping[str, Any]] = None) -> Job:
    """The job in the file `path`, with its paths made absolute.

    `overrides` replace keys, written with dots, unless they are None.
    """
    document = _parse(path, _read_text(path))
    if not isinstance(document, dict):
        raise JobError(f"{path}: expected keys and values, such as task: {DEFAULT}")
    for key, value in (overrides or {}).items():
        if value is not None:
            # What stands there instead of a section is told when the job is checked.
            with suppress(ValueError):
                document = with_key(document, key, value)
    job = validate(path, document)
    data: Any = job.data
    data = data.model_copy(update={"path": _beside(path, data.path)})
    return job.model_copy(
        update={"data": data, "output": os.path.abspath(os.path.expanduser(job.output))}
    )


def with_key(document: Dict[str, Any], key: str, value: Any) -> Dict[str, Any]:
    """A copy with a value at a key, written with dots; ValueError where no section can have it."""
    *above, last = key.split(".")
    copy = part = dict(document)
    for depth, name in enumerate(above, start=1):
        below = part.get(name, {})
        if not isinstance(below, dict):
            raise ValueError(f"{'.'.join(above[:depth])} is no section")
        part[name] = dict(below)
        part = part[name]
    part[last] = value
    return copy


def validate(path: str, document: Any) -> Job:
    """The job of a document; JobError for the first thing wrong with it."""
    task = document.get("task", DEFAULT) if isinstance(document, dict) else DEFAULT
    if task not in NAMES:
        raise JobError(
            f"{path}: task: {shown_value(task)}: unknown task; {suggestion(task, NAMES)}"
        )
    try:
        job = kind_of(task).sections.model_validate(document)
    except ValidationError as error:
        raise JobError(f"{path}: {first_problem(error, document)}") from None
    except RecursionError:
        raise JobError(f"{path}: nested too deeply") from None
    problem = job.problem()
    if problem is not None:
        keys, message = problem
        raise JobError(f"{path}: {shown_keys(keys, document)}: {message}")
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

    def construct_scalar(self, node: yaml.Node) -> Any:
        is_plain = isinstance(node, yaml.ScalarNode) and node.style is None
        if is_plain and node.value in ("", "~", "null", "none"):
            return None
        return super().construct_scalar(node)

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> Dict[Any, Any]:
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


def _beside(job_path, path):
    folder = os.path.dirname(os.path.abspath(job_path))
    return os.path.abspath(os.path.join(folder, os.path.expanduser(path)))
