"""The rows of a principal component analysis."""

from dataclasses import dataclass
from typing import List

import numpy as np

from ..data import read_table
from ..errors import JobError
from ..sample import Sample, first_rows
from ..units import finite


@dataclass
class Dataset:
    """x: (n, d) in original units; mean and scale, (d,): the analysis sees (x - mean) / scale.

    total_variance: of all columns as the analysis sees them, with divisor n - 1.
    """

    path: str
    columns: List[str]
    x: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    total_variance: float
    components: int
    sample: Sample

    @property
    def count(self):
        """The number of rows."""
        return len(self.x)

    def content(self):
        """All numbers as bytes, for a fingerprint."""
        return np.ascontiguousarray(self.x).tobytes()

    def scaled(self):
        """What the analysis sees, (n, d)."""
        return (self.x - self.mean) / self.scale


def read_dataset(job):
    """Reads the table; JobError where it has too few rows or a column that does not vary."""
    path, columns = job.data.path, list(job.data.columns)
    table = read_table(path, columns, ())
    x = table.array(columns)
    count, most = job.model.components, min(len(x) - 1, len(columns))
    if most < 1 or (count or 1) > most:
        raise JobError(
            f"{path}: {len(x)} rows for {count or 1} components; at least {(count or 1) + 1} are "
            "needed"
        )
    with np.errstate(all="ignore"):
        mean, deviation = x.mean(axis=0), x.std(axis=0, ddof=1)
        finite(path, mean, deviation**2)
    # A column without variance has rounding errors for deviations.
    is_constant = deviation <= 1e-14 * np.abs(mean)
    if is_constant.all():
        raise JobError(f"{path}: all rows are the same; there is nothing to analyse")
    if job.model.standardize and is_constant.any():
        name = columns[int(np.argmax(is_constant))]
        raise JobError(
            f"{path}: column '{name}' is constant, it has no standard deviation to divide by; "
            "remove it from data.columns, or set model.standardize: false"
        )
    scale = deviation if job.model.standardize else np.ones(len(columns))
    total = float(np.sum((deviation / scale) ** 2))
    sample = first_rows(table, columns)
    return Dataset(path, columns, x, mean, scale, total, count or most, sample)
