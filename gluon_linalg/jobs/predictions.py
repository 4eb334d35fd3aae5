"""The table of predictions."""

import csv

import numpy as np

from .files import write_csv
from .metrics import BAND


def prediction_columns(labels, mean, variance):
    """The columns by name; labels: those before mean, std, lower_95 and upper_95."""
    std = np.sqrt(variance)
    band = {"lower_95": mean - BAND * std, "upper_95": mean + BAND * std}
    return [*labels.items(), ("mean", mean), ("std", std), *band.items()]


def write_columns(path, columns):
    """A CSV file of columns, pairs of a name and a list or array."""
    write_csv(path, [name for name, _ in columns], rows_of(columns))


def print_columns(stream, columns):
    """The same to an open text file."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    writer.writerows(rows_of(columns))


def rows_of(columns):
    """The rows of a table of columns; numbers as Python has them."""
    return zip(*(v.tolist() if isinstance(v, np.ndarray) else v for _, v in columns))
