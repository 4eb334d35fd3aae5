"""The rows of a discriminant analysis: for training and for the hold-out, with their classes."""

from dataclasses import dataclass
from typing import List, Tuple

import numpy as np

from ...fitting.units import mean_and_deviation
from ..categories import add_contrasts, find_levels
from ..data import read_table
from ..errors import JobError
from ..regression.dataset import holdout_mask
from ..scaled_rows import ScaledRows, of_table
from ..units import finite
from .config import DiscriminantJob


@dataclass
class Dataset(ScaledRows):
    """All rows; mean and scale are those of the rows to train on.

    labels: (n,), numbers of the classes; held: (n,), whether a row is kept from training.
    """

    target: str
    classes: List[str]
    labels: np.ndarray
    held: np.ndarray

    @property
    def count(self) -> int:
        """The number of rows to train on."""
        return int((~self.held).sum())

    def content(self) -> bytes:
        """All numbers and names as bytes, for a fingerprint."""
        parts = [np.ascontiguousarray(array).tobytes() for array in (self.x, self.labels)]
        return b"".join([*parts, self.held.tobytes(), "\n".join(self.classes).encode()])

    def training(self) -> Tuple[np.ndarray, np.ndarray]:
        """What the analysis sees: (n', d) and the numbers of the classes, (n',)."""
        kept = ~self.held
        return self.scaled()[kept], self.labels[kept]

    def shares(self) -> np.ndarray:
        """The share of each class of the rows to train on, (C,)."""
        return np.bincount(self.labels[~self.held], minlength=len(self.classes)) / self.count


def read_dataset(job: DiscriminantJob) -> Dataset:
    """Reads the table; JobError for too few classes, or a column that does not vary."""
    data = job.data
    table = read_table(
        data.path,
        [*data.all_columns, data.target],
        (),
        table_format=data.format(),
        categorical=[*data.categorical, data.target],
        incomplete=data.incomplete_rows,
    )
    levels = find_levels(table, [*data.categorical, data.target])
    classes = levels.pop(data.target)
    columns = add_contrasts(table, data.all_columns, levels)
    x = table.array(columns)
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers[name] for name in table.columns[data.target].tolist()])
    held = holdout_mask(data.holdout, len(x), job.seed)
    kept = ~held
    _refuse_classes(job, classes, labels[kept], len(columns))
    with np.errstate(all="ignore"):
        mean, deviation = mean_and_deviation(x[kept])
        finite(data.path, mean, deviation**2)
    if not deviation.all():
        name = columns[int(np.argmin(deviation))]
        raise JobError(
            f"{data.path}: column '{name}' is constant in the rows to train on: it tells nothing; "
            "remove it"
        )
    return Dataset(
        **of_table(table, data),
        columns=columns,
        levels=levels,
        x=x,
        mean=mean,
        scale=deviation,
        target=data.target,
        classes=classes,
        labels=labels,
        held=held,
    )


def _refuse_classes(job, classes, labels, columns):
    """Refuses a single class, one that only the hold-out has, and too many directions."""
    path, target = job.data.path, job.data.target
    for number, name in enumerate(classes):
        if number not in labels:
            raise JobError(
                f"{path}: column '{target}': all rows of '{name[:40]}' are in the hold-out; keep "
                "fewer, or others"
            )
    if len(classes) < 2:
        raise JobError(
            f"{path}: column '{target}': all rows have the same name; there is nothing to tell "
            "apart"
        )
    most, count = min(len(classes) - 1, columns), job.model.components
    if count is not None and count > most:
        raise JobError(
            f"{path}: {len(classes)} classes in {columns} columns differ in {most} directions, not "
            f"{count}; lower model.components"
        )
