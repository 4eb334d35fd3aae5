"""The data of a Gaussian process job: its rows and the units of the model."""

from dataclasses import dataclass
from typing import List, cast

import numpy as np

from ...fitting.units import mean_and_deviation
from ...grammar.kernel_algebraic import Categorical
from ...grammar.kernel_building import leaves
from ..errors import JobError
from ..regression.dataset import Dataset, RegressionUnits, read_rows
from ..units import finite, target_units
from .config import MOST_ROWS, GaussianProcessJob

MOST_CLASSES = 100


@dataclass
class Units(RegressionUnits):
    """The model also sees x - input_offset."""

    input_offset: List[float]

    def inputs_to_model(self, x: np.ndarray) -> np.ndarray:
        return x - np.asarray(self.input_offset)


def read_dataset(job: GaussianProcessJob) -> Dataset:
    """Reads the table, sets the hold-out rows apart and chooses the units from the others."""
    dataset = read_rows(job, _units, job.model.has_classes)
    _refuse_target(job, dataset)
    # Numbers of labels stay what they are.
    found = [leaf for _, leaf in leaves(job.model.kernel) if isinstance(leaf, Categorical)]
    labels = {name for leaf in found for name in leaf.columns or job.data.input_columns}
    units = cast(Units, dataset.units)
    for place, name in enumerate(dataset.inputs):
        if name in labels:
            units.input_offset[place] = 0.0
    return dataset


def _units(job: GaussianProcessJob, x: np.ndarray, y: np.ndarray) -> Units:
    config, count = job.data, int(np.sum(~np.isnan(y)))
    for name, column in zip(config.targets, y.reshape(len(y), -1).T):
        if np.sum(~np.isnan(column)) < 2:
            raise JobError(
                f"{config.path}: column '{name}': fewer than 2 values to train on; fill some in, "
                "or leave the column out of data.target"
            )
    if len(y) > MOST_ROWS and job.model.method == "exact":
        raise JobError(
            f"{config.path}: {len(y)} rows to train on; an exact Gaussian process takes at "
            f"most {MOST_ROWS}; set model.method to sgpr or svgp, "
            "or over time to statespace"
        )
    points = job.model.inducing.count
    what = "rows" if y.ndim == 1 else "values"
    if points > count and job.model.method in ("sgpr", "svgp"):
        raise JobError(
            f"{config.path}: {points} inducing points for {count} {what} to train on; lower "
            "model.inducing.count"
        )
    center = config.center_inputs == "always" or (
        config.center_inputs == "auto"
        and (job.model.dtype == "float32" or not job.model.is_stationary)
    )
    input_offset = mean_and_deviation(x)[0] if center else np.zeros(x.shape[1])
    finite(config.path, input_offset)
    scaling = config.target_scaling
    # A mean with a free constant makes no difference between the two.
    scaling = "center" if scaling == "raw" and job.model.mean != "zero" else scaling
    if job.model.has_classes or job.model.has_counts:
        scaling = "raw"
    of_target = target_units(config.path, scaling, y)
    return Units(**of_target.as_dict(), input_offset=input_offset.tolist())


def _refuse_target(job: GaussianProcessJob, dataset: Dataset) -> None:
    """Refuses what is no count, and classes that leave nothing to tell apart."""
    model, path, target = job.model, dataset.path, dataset.target
    if model.has_counts:
        for place, name in enumerate(job.data.targets):
            for y, line in ((dataset.y, dataset.lines), (dataset.holdout_y, None)):
                column = y if y.ndim == 1 else y[:, place]
                bad = np.flatnonzero((column < 0) | (column != np.round(column)))
                # An empty cell is none.
                bad = bad[~np.isnan(column[bad])]
                if len(bad):
                    where = "a row of the hold-out" if line is None else f"row {line[bad[0]]}"
                    raise JobError(
                        f"{path}: {where}, column '{name}': {column[bad[0]]:g} is no count; "
                        f"{model.likelihood} takes whole numbers from 0 on"
                    )
    if dataset.classes is None:
        return
    names = dataset.classes
    for number, name in enumerate(names):
        if number not in dataset.y:
            raise JobError(
                f"{path}: column '{target}': all rows of '{name[:40]}' are in the hold-out; keep "
                "fewer, or others"
            )
    if len(names) < 2:
        raise JobError(
            f"{path}: column '{target}': all rows have the same name; there is nothing to tell "
            "apart"
        )
    if model.likelihood == "bernoulli" and len(names) > 2:
        raise JobError(
            f"{path}: column '{target}': {len(names)} classes; bernoulli takes two, set "
            "model.likelihood to categorical, or to ordinal"
        )
    if len(names) > MOST_CLASSES:
        raise JobError(
            f"{path}: column '{target}': {len(names)} classes; at most {MOST_CLASSES} are possible"
        )
