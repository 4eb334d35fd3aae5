"""The table of predictions."""

import numpy as np

from .files import write_csv
from .metrics import BAND


def write_predictions(path, labels, mean, variance):
    """A CSV file; labels: the columns before mean, std, lower_95 and upper_95, by name."""
    std = np.sqrt(variance)
    columns = list(labels.values())
    columns += [array.tolist() for array in (mean, std, mean - BAND * std, mean + BAND * std)]
    write_csv(path, [*labels, "mean", "std", "lower_95", "upper_95"], zip(*columns))
