"""JSON and CSV: bodies of requests to rows, predictions to bodies of answers."""

import csv
import io
import json
from typing import Any, Dict, List, Sequence, Union

from ..data import Column, JsonSeries, TableRows
from ..delimited import NotDelimited, decode, split_cells
from ..predictions import Columns, print_columns, rows_of
from ..table_format import AUTO, Format
from ..values import NUMBER, TRUTHS
from .bodies import Digits, read_instances, read_rows
from .refused import Refused

JSON, CSV = "application/json", "text/csv"

# What messages call the table.
NAME = "the request"

Source = Union[TableRows, JsonSeries]


def read_json(
    body: bytes, columns: Sequence[Column], most_rows: int, table_format: Format = AUTO
) -> Source:
    """The `TableRows` of {"instances": [{column: value, ...}, ...]}.

    columns: the `Column`s that a row must have; table_format: as for `read_csv`, of no account
    here. Numbers keep the digits they came with, so that the rows are read as those of a file are.
    `JsonSeries` where the first instance is a whole series: {"target": [...], ...}.
    """
    instances = read_instances(_parse(body))
    check_rows(len(instances), most_rows)
    if isinstance(instances[0], dict) and isinstance(instances[0].get("target"), list):
        return JsonSeries(NAME, _plain(instances))
    rows = read_rows(instances, columns)
    return TableRows(NAME, [(0, [c.name for c in columns]), *enumerate(rows, start=1)])


def read_csv(
    body: bytes, columns: Sequence[Column], most_rows: int, table_format: Format = AUTO
) -> TableRows:
    """The `TableRows` of a table with a header; it is checked when it is converted to numbers.

    table_format: what the job says of its tables.
    """
    text, wanted = _decode(body), [column.name for column in columns]
    try:
        rows, separator = split_cells(text, wanted, table_format)
    except NotDelimited as error:
        raise Refused(400, str(error)) from None
    if not any(any(cells) for _, cells in rows):
        raise Refused(400, "the body is empty; send a header and rows")
    check_rows(len(rows) - 1, most_rows)
    return TableRows(NAME, rows, separator)


def check_rows(count: int, most_rows: int) -> None:
    if count > most_rows:
        raise Refused(413, f"{count} rows; at most {most_rows} are taken in one request")


def write_json(table: Columns, columns: Sequence[Column]) -> bytes:
    """{"predictions": [{name: value, ...}, ...]}; table: pairs of a name and its values."""
    kinds = kinds_of(table, columns)
    values = [
        # Texts are labels, arrays are predictions.
        (name, [value_of(text, kind) for text in column] if isinstance(column, list) else column)
        for (name, column), kind in zip(table, kinds)
    ]
    names = [name for name, _ in table]
    predictions = [dict(zip(names, row)) for row in rows_of(values)]
    return json.dumps({"predictions": predictions}, allow_nan=False).encode()


def write_csv(table: Columns, columns: Sequence[Column]) -> bytes:
    """The bytes of the file that `gluon-linalg predict` writes."""
    text = io.StringIO()
    print_columns(text, table)
    return text.getvalue().encode()


def kinds_of(table: Columns, columns: Sequence[Column]) -> List[str]:
    """The kind of each column of predictions, as `Column` has them."""
    kinds = {column.name: column.kind for column in columns}
    # What a model that counts its rows calls its steps, which are no column.
    kinds.setdefault("row", "number")
    return [
        kinds.get(name, "text") if isinstance(column, list) else "number" for name, column in table
    ]


def instances_of(sample: Source, columns: Sequence[Column]) -> List[Dict[str, Any]]:
    """`TableRows` or `JsonSeries` as the instances of a JSON request."""
    if isinstance(sample, JsonSeries):
        return sample.objects
    (_, header), *rows = sample.rows
    kinds = {column.name: column.kind for column in columns}
    return [
        {name: value_of(text, kinds[name]) for name, text in zip(header, cells)}
        for _, cells in rows
    ]


def table_of(sample: TableRows, columns: Sequence[Column], table_format: Format) -> str:
    """`TableRows` as the text of a CSV request, written as the job says of its tables."""
    decimal = table_format.decimal or "."
    separator = table_format.separator or ("," if decimal == "." else ";")
    (_, header), *rows = sample.rows
    kinds = {column.name: column.kind for column in columns}
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(header)
    for _, cells in rows:
        is_number = (kinds[n] != "text" and NUMBER.fullmatch(t) for n, t in zip(header, cells))
        writer.writerow(
            [t.replace(".", decimal) if found else t for t, found in zip(cells, is_number)]
        )
    return text.getvalue()


def value_of(text: str, kind: str) -> Union[None, float, str]:
    """A cell as a JSON value: null where it is empty, a date as text."""
    if not text:
        return None
    if kind == "number" and text in TRUTHS:
        return TRUTHS[text]
    if kind == "text" or not NUMBER.fullmatch(text):
        return text
    number = float(text)
    # Readers of JSON make floats of larger ones.
    return int(text) if text.lstrip("+-").isdigit() and abs(number) < 2**53 else number


READERS = {JSON: read_json, CSV: read_csv}
WRITERS = {JSON: write_json, CSV: write_csv}


def _plain(value):
    """With floats for the digits of numbers."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return float(value) if isinstance(value, Digits) else value


def _decode(body):
    if not body.strip():
        raise Refused(400, "the body is empty")
    try:
        return decode(body)
    except UnicodeDecodeError as error:
        raise Refused(400, f"not UTF-8 text (byte {error.start})") from None


def _parse(body):
    text = _decode(body)
    try:
        return json.loads(
            text,
            parse_float=Digits,
            parse_int=Digits,
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_duplicates,
        )
    except json.JSONDecodeError as error:
        raise Refused(
            400, f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}"
        ) from None
    except RecursionError:
        raise Refused(400, "nested too deeply") from None


def _refuse_constant(name):
    raise Refused(400, f"not JSON: {name}; expected finite numbers, or null for a missing value")


def _without_duplicates(pairs):
    document = dict(pairs)
    if len(document) < len(pairs):
        raise Refused(422, "a key occurs twice in the same braces; keep one")
    return document
