"""The rows of a table whose cells are separated by commas, semicolons or tabs."""

import csv
import io
import re
from typing import List, NamedTuple, Optional, Sequence, Tuple

from .errors import JobError, reason
from .table_format import Format

# Those that are recognized; others must be named.
RECOGNIZED = (",", ";", "\t")
SHOWN = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
# What spreadsheets read in a first line.
SEPARATOR_LINE = re.compile(r'"?sep=([^\w\s"]|\t)"?[ \t]*(?:\r\n?|\n|$)', re.IGNORECASE)
ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class Cells(NamedTuple):
    """(line, cells) of each row of a text, and what stands between the cells."""

    rows: List[Tuple[int, List[str]]]
    separator: str


class NotDelimited(ValueError):
    """Text that is no such table."""


def read_cells(path: str, wanted: Sequence[str], table_format: Format) -> Cells:
    """The `Cells` of a file; wanted: the columns that are needed. JobError for what is wrong."""
    try:
        with open(path, "rb") as file:
            return split_cells(decode(file.read()), wanted, table_format)
    except UnicodeDecodeError:
        raise JobError(
            f"{path}: not UTF-8 text; save the table as CSV in UTF-8, or as UTF-16 text"
        ) from None
    except NotDelimited as error:
        raise JobError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise JobError(f"{path}: there is no such data file; correct the path") from None
    except (OSError, ValueError) as error:
        raise JobError(f"{path}: cannot be read: {reason(error)}") from None


def decode(content: bytes) -> str:
    """UTF-8, or UTF-16 with its mark at the beginning; UnicodeDecodeError for anything else."""
    return content.decode(ENCODINGS.get(content[:2], "utf-8-sig"))


def split_cells(text: str, wanted: Sequence[str], table_format: Format) -> Cells:
    """The `Cells` of a text; `NotDelimited` where it is not CSV."""
    found = SEPARATOR_LINE.match(text)
    begin, lines = (found.end(), 1) if found else (0, 0)
    separator = table_format.separator or (found and found[1])
    text = text[begin:]
    if separator is None:
        separator = _recognized(text, wanted, table_format.decimal, lines)
    return Cells(list(_parse(text, separator, lines)), separator)


def shown(separator: Optional[str]) -> str:
    """What stands between the cells, for messages about a header or a row."""
    if separator is None:
        return ""
    return f" (cells are separated by {SHOWN.get(separator, separator)}; see data.separator)"


def _recognized(text, wanted, decimal, lines):
    """The separator by which the header has the wanted columns, or else the most cells."""
    headers = {separator: _header(text, separator, lines) for separator in RECOGNIZED}
    good = [own for own, cells in headers.items() if all(name in cells for name in wanted)]
    if not good or not wanted:
        return max(RECOGNIZED, key=lambda own: len(headers[own]))
    if len(good) == 1 or _has_one_column(text, ",", lines):
        return good[0]
    # One column, whose rows have commas: of decimals, or between cells.
    if decimal == ",":
        return ";"
    raise NotDelimited(
        f"the header has one column, '{wanted[0]}', but rows have commas; if these are decimal "
        "signs, set data.decimal: ',', else complete the header"
    )


def _header(text, separator, lines):
    try:
        for _, cells in _parse(text, separator, lines):
            if any(cell.strip() for cell in cells):
                return [cell.strip() for cell in cells]
    except NotDelimited:
        # Quotes that another separator explains.
        pass
    return []


def _has_one_column(text, separator, lines):
    return all(len(cells) <= 1 for _, cells in _parse(text, separator, lines))


def _parse(text, separator, lines):
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for cells in reader:
            yield lines + reader.line_num, cells
    except csv.Error as error:
        raise NotDelimited(f"row {lines + reader.line_num}: not CSV: {error}") from None
