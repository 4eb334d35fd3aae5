"""The rows of a regression: for training and for the hold-out, and the units of the model."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Union

import numpy as np

from ...typing import given
from ..categories import encoded, encoded_names, find_levels
from ..data import read_table
from ..errors import JobError
from ..sample import Sample, first_rows
from ..table_format import Format
from ..units import TargetUnits
from .config import Holdout


@dataclass
class RegressionUnits(TargetUnits):
    """The model sees the inputs in units of their own, too."""

    def inputs_to_model(self, x: np.ndarray) -> np.ndarray:
        """Of x in units of the file, (n, d)."""
        raise NotImplementedError


@dataclass
class Dataset:
    """Rows in original units, (n, d) and (n,), in float64, with their lines in the file.

    With a list of k targets y is (n, k), with NaN for an empty cell.

    inputs: for each of the d the column of the file, which several have if it has names, whose
    `levels` they are; left_out: the number of rows that lacked a value; sample: of the inputs;
    classes: the names of a target of names, whose y are their numbers.
    """

    path: str
    inputs: List[str]
    target: Union[str, List[str]]
    dates: List[str]
    x: np.ndarray
    y: np.ndarray
    lines: np.ndarray
    holdout_x: np.ndarray
    holdout_y: np.ndarray
    units: RegressionUnits
    columns: List[str]
    levels: Dict[str, List[str]]
    table_format: Format
    left_out: int
    sample: Sample
    classes: Optional[List[str]] = None

    @property
    def count(self) -> int:
        """The number of observations to train on."""
        return len(self.y)

    def content(self) -> bytes:
        """All numbers as bytes, for a fingerprint."""
        parts = [self.x, self.y, self.holdout_x, self.holdout_y]
        return b"".join(np.ascontiguousarray(array).tobytes() for array in parts)

    def model_inputs(self) -> np.ndarray:
        return self.units.inputs_to_model(self.x)

    def model_target(self) -> np.ndarray:
        return self.units.target_to_model(self.y)


def read_rows(
    job: Any,
    choose_units: Callable[[Any, np.ndarray, np.ndarray], RegressionUnits],
    has_classes: bool = False,
) -> Dataset:
    """Reads the table and sets the hold-out rows apart.

    choose_units: called with the job and x and y of the other rows, returns the units. has_classes:
    whether the target is a column of names.
    """
    config = job.data
    columns, table_format = config.input_columns, config.format()
    table = read_table(
        config.path,
        [*columns, *config.targets],
        [name for name in columns if name not in config.categorical],
        table_format=table_format,
        categorical=[*config.categorical, *(config.targets if has_classes else [])],
        incomplete=config.incomplete_rows,
        with_gaps=config.targets if len(config.targets) > 1 else (),
    )
    levels = find_levels(table, config.categorical)
    x, y = encoded(table, columns, levels), table.columns[config.targets[0]]
    if not isinstance(config.target, str):
        y = np.stack([table.columns[name] for name in config.targets], axis=1)
    classes = None
    if has_classes:
        classes = in_order(find_levels(table, [config.target])[config.target])
        numbers = {name: float(number) for number, name in enumerate(classes)}
        y = np.array([numbers[name] for name in y.tolist()])
    held = holdout_mask(config.holdout, len(y), job.seed)
    kept = ~held
    if kept.sum() < 2:
        raise JobError(f"{config.path}: {kept.sum()} rows to train on; at least 2 are needed")
    return Dataset(
        config.path,
        encoded_names(columns, levels),
        config.target,
        table.dates,
        x[kept],
        y[kept],
        np.asarray(table.lines)[kept],
        x[held],
        y[held],
        choose_units(job, x[kept], y[kept]),
        columns,
        levels,
        table_format._replace(day_first=table.day_first),
        table.left_out,
        first_rows(table, columns),
        classes,
    )


def in_order(names: List[str]) -> List[str]:
    """Names by their values where all are numbers, otherwise as texts are sorted."""
    try:
        return sorted(names, key=float)
    except ValueError:
        return sorted(names)


def holdout_mask(rule: Optional[Holdout], count: int, seed: int) -> np.ndarray:
    """Which of so many rows a `Holdout`, or None, keeps from training."""
    held = np.zeros(count, dtype=bool)
    if rule is not None and rule.last is not None:
        held[-rule.last :] = True
    elif rule is not None:
        size = max(1, round(given(rule.fraction) * count))
        held[np.random.default_rng(seed).permutation(count)[:size]] = True
    return held
