"""Reads the numbers of a CSV file, and says where one is missing."""

import csv
import math
import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import Dict, List, NamedTuple, Tuple

import numpy as np

from .errors import JobError, reason, suggestion

DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})(?:-([0-9]{1,2}))?", re.ASCII)
NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)


class Column(NamedTuple):
    """A column that a model reads; kind: number, date (a date or a number) or text."""

    name: str
    kind: str = "number"
    may_be_empty: bool = False


class TableRows(NamedTuple):
    """Rows that came in no file, read as if they were one: (line, cells), the header first.

    name: what messages call the file.
    """

    name: str
    rows: List[Tuple[int, List[str]]]

    def __str__(self):
        return self.name


@dataclass
class Table:
    """Columns of a CSV file as numbers, their texts, and the line of each row in an editor."""

    path: str
    columns: Dict[str, np.ndarray]
    texts: Dict[str, List[str]]
    lines: List[int]
    dates: List[str]

    def array(self, names):
        """The named columns side by side, (n, d)."""
        return np.column_stack([self.columns[name] for name in names])


def read_table(path, names, date_columns, with_gaps=(), keep_blank=False, label=None):
    """The columns `names` of the CSV file, or `TableRows`; those in `date_columns` may hold dates.

    An empty cell of a column in `with_gaps` is NaN. With `keep_blank` a blank line before the last
    row is a row of empty cells. The column `label` holds the names of series, as they are.
    """
    header, rows = read_rows(path, keep_blank)
    places = {name: place_of(path, header, name) for name in names}
    if not rows:
        raise JobError(f"{path}: there are no rows below the header; add some")
    columns, texts, dates = {}, {}, []
    for name, place in places.items():
        texts[name] = [cells[place] for _, cells in rows]
        is_date = name in date_columns and DATE.fullmatch(texts[name][0]) is not None
        convert = _decimal_year if is_date else _number
        convert = _or_missing(convert) if name in with_gaps else convert
        convert = _label if name == label else convert
        dates += [name] if is_date else []
        columns[name] = np.array(
            [converted(path, line, name, cells[place], convert) for line, cells in rows],
            dtype=object if name == label else None,
        )
    return Table(str(path), columns, texts, [line for line, _ in rows], dates)


def read_rows(path, keep_blank):
    """The header and the rows that are not blank, each with its line number."""
    rows = path.rows if isinstance(path, TableRows) else _read_cells(path)
    rows = [(line, [cell.strip() for cell in cells]) for line, cells in rows]
    rows = [(line, cells) for line, cells in rows if any(cells) or keep_blank]
    while rows and not any(rows[-1][1]):
        rows.pop()
    while rows and not any(rows[0][1]):
        rows.pop(0)
    if not rows:
        raise JobError(f"{path}: the file is empty; it needs a header and rows of numbers")
    header = rows.pop(0)[1]
    rows = [(line, cells if any(cells) else [""] * len(header)) for line, cells in rows]
    for line, cells in rows:
        if len(cells) != len(header):
            raise JobError(
                f"{path}: row {line}: {len(cells)} cells, but the header has {len(header)} columns"
            )
    return header, rows


def _read_cells(path):
    """The rows of a CSV file, each with its line number."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            return [(reader.line_num, cells) for cells in reader]
    except UnicodeDecodeError:
        raise JobError(f"{path}: not UTF-8 text; save the table as CSV in UTF-8") from None
    except csv.Error as error:
        raise JobError(f"{path}: row {reader.line_num}: not CSV: {error}") from None
    except FileNotFoundError:
        raise JobError(f"{path}: there is no such data file; correct the path") from None
    except (OSError, ValueError) as error:
        raise JobError(f"{path}: cannot be read: {reason(error)}") from None


def place_of(path, header, name):
    """Where a column stands; JobError where there is none of that name, or several."""
    count = header.count(name)
    if count == 0:
        raise JobError(f"{path}: there is no column '{name}'; {suggestion(name, header)}")
    if count > 1:
        raise JobError(f"{path}: {count} columns are called '{name}'; rename all but one")
    return header.index(name)


def converted(path, line, name, text, convert):
    """What `convert` makes of a cell; its ValueError as a JobError that says where."""
    try:
        return convert(text)
    except ValueError as error:
        raise JobError(f"{path}: row {line}, column '{name}': {error}") from None


def _label(text):
    if not text:
        raise ValueError("the cell is empty; name the series")
    return text


def _number(text):
    if not text:
        raise ValueError("the cell is empty; fill it in or remove the row")
    if DATE.fullmatch(text):
        raise ValueError(f"'{text}' is a date where a number is expected")
    if NUMBER.fullmatch(text) is None or not math.isfinite(float(text)):
        raise ValueError(f"'{text[:40]}' is not a finite number; correct it or remove the row")
    return float(text)


def _or_missing(convert):
    def convert_or_missing(text):
        try:
            return convert(text) if text else math.nan
        except ValueError as error:
            raise ValueError(f"{error}; leave the cell of a missing value empty") from None

    return convert_or_missing


def parse_date(text):
    """The date of 1958-03-16, or of 1958-03, the first of the month; ValueError if it is none."""
    found = DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text[:40]}' is not a date such as 1958-03 or 1958-03-01")
    year, month, day = (int(part) for part in (found[1], found[2], found[3] or "1"))
    try:
        return date(year, month, day)
    except ValueError:
        raise ValueError(f"there is no date {text}; correct it") from None


def _decimal_year(text):
    """1958-03 is 1958 + 3/12; 1958-03-16 lies (16 - 1)/31 of a month later."""
    when = parse_date(text)
    if when.day == 1:
        return when.year + when.month / 12
    share = (when.day - 1) / monthrange(when.year, when.month)[1]
    return when.year + (when.month + share) / 12
