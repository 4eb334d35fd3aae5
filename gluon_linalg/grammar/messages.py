"""The first thing wrong with a description, in one line that says where."""

import reprlib
from typing import Any, Sequence

from pydantic import ValidationError

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


def first_problem(error: ValidationError, document: Any, root: str = "the file") -> str:
    """Where in the document, what was given, and what was expected; root: what it is called."""
    details = error.errors(include_url=False)
    # An unknown key is often the misspelling of one that is reported as missing.
    details.sort(key=lambda detail: detail["type"] != "unknown_key")
    detail = details[0]
    keys = detail["loc"]
    if detail["type"] == "unknown_key":
        return f"{shown_keys(keys + (detail['ctx']['key'],), document)}: {detail['msg']}"
    where = shown_keys(keys, document, root)
    if detail["type"] == "value_error":
        message = str(detail["ctx"]["error"])
    else:
        message = MESSAGES.get(detail["type"], detail["msg"].replace("Input should", "should"))
    if detail["type"] == "missing" or isinstance(detail["input"], (dict, list)):
        return f"{where}: {message}"
    return f"{where}: {shown_value(detail['input'])}: {message}"


def shown_keys(keys: Sequence[Any], document: Any, root: str = "the file") -> str:
    """The keys as they are written in the document, joined by dots; without any, the root."""
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
    return ".".join(shown) or root


def shown_value(value: Any) -> str:
    """A value in a message."""
    return "nothing" if value is None else reprlib.repr(value)
