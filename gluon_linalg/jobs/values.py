"""Numbers, truth values and missing values as tables write them."""

import math
import re
from typing import Callable, Collection, Iterable, Optional, TypeVar, Union

from .moments import FORMS, RESEMBLES, is_time

NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
WITH_COMMA = re.compile(r"[-+]?([0-9]+,[0-9]*|,[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
# A comma that may also stand between thousands.
GROUPED = re.compile(r"[-+]?[1-9][0-9]{0,2},[0-9]{3}", re.ASCII)
# pandas writes True, R and spreadsheets TRUE.
TRUTHS = {"True": 1.0, "TRUE": 1.0, "False": 0.0, "FALSE": 0.0}
# What stands for a missing value: NA in R, <NA> in pandas, #N/A in spreadsheets.
MISSING = ("", "NA", "<NA>", "N/A", "#N/A")

T = TypeVar("T")


def number(text: str) -> float:
    """The number of a cell, 1 and 0 for True and False; ValueError for anything else."""
    if not text:
        raise ValueError("the cell is empty; fill it in or remove the row")
    if text in TRUTHS:
        return TRUTHS[text]
    if text in MISSING:
        raise ValueError(f"'{text}' is a missing value; fill it in or remove the row")
    if is_time(text):
        raise ValueError(f"'{text}' is a date where a number is expected")
    if NUMBER.fullmatch(text) is None or not math.isfinite(float(text)):
        advice = "correct it or remove the row"
        if WITH_COMMA.fullmatch(text):
            advice = "if its comma is the decimal sign, set data.decimal: ','"
        elif text.lower() in ("true", "false"):
            advice = "write True or False"
        elif RESEMBLES.fullmatch(text):
            advice = f"write a date such as {FORMS}"
        raise ValueError(f"'{text[:40]}' is not a finite number; {advice}")
    return float(text)


def or_missing(
    convert: Callable[[str], T], missing: Collection[str] = MISSING
) -> Callable[[str], Union[T, float]]:
    """As `convert`, and NaN for a missing value."""

    def convert_or_missing(text: str) -> Union[T, float]:
        try:
            return math.nan if text in missing else convert(text)
        except ValueError as error:
            raise ValueError(f"{error}; leave the cell of a missing value empty") from None

    return convert_or_missing


def find_decimal(
    separator: Optional[str], columns: Iterable[Iterable[str]], given: Optional[str] = None
) -> str:
    """The decimal sign of columns of texts, a comma or a point.

    separator: what stands between the cells, None where they came one by one. Semicolons are
    written where the comma is the decimal sign. With any other separator 1,234 may be a thousand:
    some comma must be in a place where only the decimal sign can be.
    """
    if separator is None:
        return "."
    if given is not None:
        return given
    has_decimals = False
    for texts in columns:
        for text in texts:
            if "," in text:
                if WITH_COMMA.fullmatch(text):
                    has_decimals |= separator == ";" or GROUPED.fullmatch(text) is None
            elif "." in text and NUMBER.fullmatch(text):
                return "."
    return "," if has_decimals else "."


def decimal_point(text: str) -> str:
    """A number with a decimal comma as one with a point, anything else as it is."""
    if WITH_COMMA.fullmatch(text):
        return text.replace(",", ".")
    if "." in text and NUMBER.fullmatch(text):
        raise ValueError(
            f"'{text[:40]}' has a point, but the decimal sign is the comma (data.decimal)"
        )
    return text
