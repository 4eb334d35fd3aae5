"""The table of predictions."""

import csv
from typing import Any, Iterator, List, Mapping, Sequence, TextIO, Tuple, Union

import numpy as np

from ..analysis.tables import normal_columns
from .files import write_csv

# Pairs of a name and texts or numbers.
Columns = List[Tuple[str, Union[list, np.ndarray]]]


def prediction_columns(
    labels: Mapping[str, Union[list, np.ndarray]],
    mean: np.ndarray,
    variance: np.ndarray,
    levels: Sequence[float] = (95,),
) -> Columns:
    """The columns by name: labels, mean, std, and lower and upper ends of bands by their level."""
    return [*labels.items(), *normal_columns(mean, variance, levels).items()]


def score_columns(scores: np.ndarray) -> Columns:
    """The columns of a table of scores (n, k)."""
    return [(f"score_{number}", column) for number, column in enumerate(scores.T, start=1)]


def class_columns(
    target: str, classes: List[str], scores: np.ndarray, probabilities: np.ndarray
) -> Columns:
    """The most probable class, the probabilities of all, (n, C), and scores, (n, k)."""
    names = [classes[number] for number in probabilities.argmax(axis=1)]
    each = [(f"{target}={name}", column) for name, column in zip(classes, probabilities.T)]
    return [(target, names), *each, *score_columns(scores)]


def cells(values: np.ndarray) -> List[Any]:
    """Numbers (n,), and an empty cell for each NaN."""
    return ["" if np.isnan(value) else value for value in values.tolist()]


def in_all_rows(columns: Columns, places: np.ndarray, count: int) -> Columns:
    """The columns with as many rows as a file has, of which those at `places` are given.

    The cells of the others, which were left out, are empty.
    """
    if len(places) == count:
        return columns
    cells = {name: [""] * count for name, _ in columns}
    for name, values in columns:
        for place, value in zip(places, _plain(values)):
            cells[name][place] = value
    return list(cells.items())


def write_columns(path: str, columns: Columns) -> None:
    """A CSV file of columns, pairs of a name and a list or array."""
    write_csv(path, [name for name, _ in columns], rows_of(columns))


def print_columns(stream: TextIO, columns: Columns) -> None:
    """The same to an open text file."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    writer.writerows(rows_of(columns))


def rows_of(columns: Columns) -> Iterator[Tuple[Any, ...]]:
    """The rows of a table of columns; numbers as Python has them."""
    return zip(*(_plain(values) for _, values in columns))


def _plain(values):
    return values.tolist() if isinstance(values, np.ndarray) else values
