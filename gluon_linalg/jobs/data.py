"""Reads the numbers of a CSV file, and says where one is missing."""

from dataclasses import dataclass, field
from typing import (
    Callable,
    Collection,
    Dict,
    Iterable,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
)

import numpy as np

from .delimited import read_cells, shown
from .errors import JobError, suggestion
from .moments import Moments, WrongTime, find_order, is_time, read_moments
from .table_format import AUTO, Format
from .values import MISSING, NUMBER, decimal_point, find_decimal, number, or_missing

__all__ = [
    "NUMBER",
    "Column",
    "Format",
    "JsonSeries",
    "Table",
    "TableRows",
    "read_rows",
    "read_table",
]

LEAVE_OUT, REFUSE = "leave_out", "refuse"
# Words in a column of numbers that are no names of levels.
NO_NAMES = ("nan", "inf", "infinity", "true", "false")

T = TypeVar("T")


class Column(NamedTuple):
    """A column that a model reads; kind: number, date (a date or a number) or text."""

    name: str
    kind: str = "number"
    may_be_empty: bool = False


class TableRows(NamedTuple):
    """Rows that came in no file, read as if they were one: (line, cells), the header first.

    name: what messages call the file; separator: what stood between the cells, None where they
    came one by one.
    """

    name: str
    rows: List[Tuple[int, List[str]]]
    separator: Optional[str] = None

    def __str__(self) -> str:
        return self.name


class JsonSeries(NamedTuple):
    """Series that came in no file, each an object as a line of JSON lines has it.

    name: what messages call the file.
    """

    name: str
    objects: List[dict]

    def __str__(self) -> str:
        return self.name


@dataclass
class Table:
    """Columns of a CSV file as numbers, their texts, and the line of each row in an editor.

    dates: the columns of times, as `moments` in each; day_first: see `find_order`; left_out: the
    number of rows that were left out, and places: where the others stood among all of them.
    """

    path: str
    columns: Dict[str, np.ndarray]
    texts: Dict[str, List[str]]
    lines: List[int]
    dates: List[str]
    moments: Dict[str, Moments] = field(default_factory=dict)
    day_first: Optional[bool] = None
    left_out: int = 0
    places: Optional[np.ndarray] = None

    def array(self, names: Iterable[str]) -> np.ndarray:
        """The named columns side by side, (n, d)."""
        return np.column_stack([self.columns[name] for name in names])


def read_table(
    path: Union[str, TableRows],
    names: Sequence[str],
    date_columns: Collection[str],
    with_gaps: Collection[str] = (),
    keep_blank: bool = False,
    label: Optional[str] = None,
    table_format: Format = AUTO,
    categorical: Collection[str] = (),
    incomplete: Optional[str] = None,
    every_row: bool = False,
) -> Table:
    """The columns `names` of the CSV file, or `TableRows`; those in `date_columns` may hold dates.

    An empty cell of a column in `with_gaps` is NaN. With `keep_blank` a blank line before the last
    row is a row of empty cells. The column `label` holds the names of series, as they are, and
    those in `categorical` names of levels. incomplete: whether rows with an empty cell in another
    column are refused or left out; None where that cannot be chosen. With `every_row` no row of
    empty cells is passed over, not even at the end.
    """
    header, rows, separator = read_rows(path, keep_blank, names, table_format, every_row)
    places = {name: place_of(path, header, name, separator) for name in names}
    if not rows:
        raise JobError(f"{path}: there are no rows below the header; add some")
    complete, words = list(range(len(rows))), {*categorical, label}
    if incomplete == LEAVE_OUT:
        needed = [(places[name], name in words) for name in names if name not in with_gaps]
        complete = [row for row in complete if _is_complete(rows[row][1], needed)]
        if not complete:
            raise JobError(f"{path}: no row has all of its cells; fill some in")
    left_out, rows = len(rows) - len(complete), [rows[row] for row in complete]
    lines = [line for line, _ in rows]
    texts = {name: [cells[place] for _, cells in rows] for name, place in places.items()}
    texts = _with_points(path, texts, lines, words, separator, table_format)
    columns, moments = {}, {}
    dates = [name for name in names if name in date_columns and _has_dates(texts[name])]
    order = _order(path, dates, texts, table_format)
    for name, own in texts.items():
        if name in dates:
            moments[name] = _moments(path, name, own, lines, order)
            columns[name] = moments[name].years()
            continue
        convert = {label: _label}.get(name, _level if name in words else number)
        if name in with_gaps:
            convert = or_missing(convert, ("",) if name in words else MISSING)
        convert = convert if incomplete is None else _advised(convert)
        columns[name] = np.array(
            [converted(path, line, name, text, convert) for line, text in zip(lines, own)],
            dtype=object if name in words else None,
        )
    return Table(
        str(path), columns, texts, lines, dates, moments, order, left_out, np.array(complete)
    )


def read_rows(
    path: Union[str, TableRows],
    keep_blank: bool,
    wanted: Sequence[str] = (),
    table_format: Format = AUTO,
    every_row: bool = False,
) -> Tuple[List[str], List[Tuple[int, List[str]]], Optional[str]]:
    """The header, the rows, each with its line number, and the separator.

    wanted: the columns that are needed. Blank lines are no rows, and neither are rows of empty
    cells at the end, unless `every_row` counts; in a table of one column, where these are the same,
    only those at the end are none.
    """
    if isinstance(path, TableRows):
        rows, separator = path.rows, path.separator
    else:
        rows, separator = read_cells(path, wanted, table_format)
    rows = [(line, _stripped(cells)) for line, cells in rows]
    while rows and not any(rows[0][1]):
        rows.pop(0)
    if not rows:
        raise JobError(f"{path}: the file is empty; it needs a header and rows of numbers")
    header = rows.pop(0)[1]
    if not keep_blank and len(header) > 1:
        rows = [(line, cells) for line, cells in rows if len(cells) > 1 or any(cells)]
    while rows and not any(rows[-1][1]) and not (every_row and rows[-1][1]):
        rows.pop()
    is_blank = [not any(cells) and len(cells) < 2 for _, cells in rows]
    rows = [
        (line, [""] * len(header) if blank else cells)
        for (line, cells), blank in zip(rows, is_blank)
    ]
    for line, cells in rows:
        if len(cells) != len(header):
            raise JobError(
                f"{path}: row {line}: {len(cells)} cells, but the header has {len(header)} "
                f"columns{shown(separator)}"
            )
    return header, rows, separator


def _stripped(cells):
    """The cells without blanks around them; none for a line of blanks."""
    if len(cells) == 1 and cells[0].isspace():
        return []
    return [cell.strip() for cell in cells]


def place_of(
    path: object, header: Sequence[str], name: str, separator: Optional[str] = None
) -> int:
    """Where a column stands; JobError where there is none of that name, or several."""
    count = header.count(name)
    if count == 0:
        raise JobError(
            f"{path}: there is no column '{name}'; {suggestion(name, header)}{shown(separator)}"
        )
    if count > 1:
        raise JobError(f"{path}: {count} columns are called '{name}'; rename all but one")
    return header.index(name)


def converted(path: object, line: int, name: str, text: str, convert: Callable[[str], T]) -> T:
    """What `convert` makes of a cell; its ValueError as a JobError that says where."""
    try:
        return convert(text)
    except ValueError as error:
        raise JobError(f"{path}: row {line}, column '{name}': {error}") from None


def _is_complete(cells, needed):
    """needed: places of cells, and whether any word is a value there."""
    return not any(cells[p] == "" if is_word else cells[p] in MISSING for p, is_word in needed)


def _with_points(path, texts, lines, words, separator, table_format):
    """The texts with decimal points."""
    numbers = {name: own for name, own in texts.items() if name not in words}
    decimal = find_decimal(separator, numbers.values(), table_format.decimal)
    if decimal == ".":
        return texts
    return {
        name: own
        if name in words
        else [
            converted(path, line, name, text, decimal_point) for line, text in zip(lines, own)
        ]
        for name, own in texts.items()
    }  # fmt: skip


def _has_dates(texts):
    """Whether the first cell that is filled in has a date."""
    return is_time(next((text for text in texts if text not in MISSING), ""))


def _order(path, dates, texts, table_format):
    """Whether the day comes first in all columns of dates."""
    try:
        given = [text for name in dates for text in texts[name]]
        return find_order(given, table_format.day_first)
    except ValueError as error:
        raise JobError(f"{path}: column '{dates[0]}': {error}") from None


def _moments(path, name, texts, lines, order):
    for line, text in zip(lines, texts):
        if text in MISSING:
            converted(path, line, name, text, number)
    try:
        return read_moments(texts, order)
    except WrongTime as error:
        raise JobError(f"{path}: row {lines[error.index]}, column '{name}': {error}") from None


def _label(text):
    if not text:
        raise ValueError("the cell is empty; name the series")
    return text


def _level(text):
    if not text:
        raise ValueError("the cell is empty; fill it in or remove the row")
    return text


def _advised(convert):
    """As `convert`, with what a job can do about its errors."""

    def convert_or_advise(text):
        try:
            return convert(text)
        except ValueError as error:
            if text in MISSING:
                raise ValueError(f"{error}, or set data.incomplete_rows: leave_out") from None
            if text[:1].isalpha() and text.lower() not in NO_NAMES:
                raise ValueError(f"{error}, or name the column in data.categorical") from None
            raise

    return convert_or_advise
