"""Reads the numbers of a CSV file, and says where one is missing."""

import csv
import math
import re
from calendar import monthrange
from dataclasses import dataclass
from typing import Dict, List

import numpy as np

from .errors import JobError, reason, suggestion

DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})(?:-([0-9]{1,2}))?", re.ASCII)
NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)


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


def read_table(path, names, date_columns):
    """The columns `names` of the CSV file; those in `date_columns` may hold dates."""
    header, rows = _read_rows(path)
    places = {name: _place(path, header, name) for name in names}
    if not rows:
        raise JobError(f"{path}: there are no rows below the header; add some")
    columns, texts, dates = {}, {}, []
    for name, place in places.items():
        texts[name] = [cells[place] for _, cells in rows]
        is_date = name in date_columns and DATE.fullmatch(texts[name][0]) is not None
        convert = _decimal_year if is_date else _number
        dates += [name] if is_date else []
        columns[name] = np.array(
            [_converted(path, line, name, cells[place], convert) for line, cells in rows]
        )
    return Table(str(path), columns, texts, [line for line, _ in rows], dates)


def _read_rows(path):
    """The header and the rows that are not blank, each with its line number."""
    rows = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if any(cells):
                    rows.append((reader.line_num, cells))
    except UnicodeDecodeError:
        raise JobError(f"{path}: not UTF-8 text; save the table as CSV in UTF-8") from None
    except csv.Error as error:
        raise JobError(f"{path}: row {reader.line_num}: not CSV: {error}") from None
    except FileNotFoundError:
        raise JobError(f"{path}: there is no such data file; correct the path") from None
    except (OSError, ValueError) as error:
        raise JobError(f"{path}: cannot be read: {reason(error)}") from None
    if not rows:
        raise JobError(f"{path}: the file is empty; it needs a header and rows of numbers")
    header = rows.pop(0)[1]
    for line, cells in rows:
        if len(cells) != len(header):
            raise JobError(
                f"{path}: row {line}: {len(cells)} cells, but the header has {len(header)} columns"
            )
    return header, rows


def _place(path, header, name):
    count = header.count(name)
    if count == 0:
        raise JobError(f"{path}: there is no column '{name}'; {suggestion(name, header)}")
    if count > 1:
        raise JobError(f"{path}: {count} columns are called '{name}'; rename all but one")
    return header.index(name)


def _converted(path, line, name, text, convert):
    try:
        return convert(text)
    except ValueError as error:
        raise JobError(f"{path}: row {line}, column '{name}': {error}") from None


def _number(text):
    if not text:
        raise ValueError("the cell is empty; fill it in or remove the row")
    if DATE.fullmatch(text):
        raise ValueError(f"'{text}' is a date where a number is expected")
    if NUMBER.fullmatch(text) is None or not math.isfinite(float(text)):
        raise ValueError(f"'{text[:40]}' is not a finite number; correct it or remove the row")
    return float(text)


def _decimal_year(text):
    """1958-03 is 1958 + 3/12; 1958-03-16 lies (16 - 1)/31 of a month later."""
    found = DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text[:40]}' is not a date such as 1958-03 or 1958-03-01")
    year, month, day = (int(part) for part in (found[1], found[2], found[3] or "1"))
    if not (year >= 1 and 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]):
        raise ValueError(f"there is no date {text}; correct it")
    if day == 1:
        return year + month / 12
    return year + (month + (day - 1) / monthrange(year, month)[1]) / 12
