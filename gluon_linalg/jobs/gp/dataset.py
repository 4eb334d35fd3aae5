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


@dataclass
class Units(RegressionUnits):
    """The model also sees x - input_offset."""

    input_offset: List[float]

    def inputs_to_model(self, x: np.ndarray) -> np.ndarray:
        return x - np.asarray(self.input_offset)


def read_dataset(job: GaussianProcessJob) -> Dataset:
    """Reads the table, sets the hold-out rows apart and chooses the units from the others."""
    dataset = read_rows(job, _units)
    # Numbers of labels stay what they are.
    found = [leaf for _, leaf in leaves(job.model.kernel) if isinstance(leaf, Categorical)]
    labels = {name for leaf in found for name in leaf.columns or job.data.input_columns}
    units = cast(Units, dataset.units)
    for place, name in enumerate(dataset.inputs):
        if name in labels:
            units.input_offset[place] = 0.0
    return dataset


def _units(job: GaussianProcessJob, x: np.ndarray, y: np.ndarray) -> Units:
    config = job.data
    if len(y) > MOST_ROWS:
        raise JobError(
            f"{config.path}: {len(y)} rows to train on; an exact Gaussian process takes at "
            f"most {MOST_ROWS}"
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
    of_target = target_units(config.path, scaling, y)
    return Units(**of_target.as_dict(), input_offset=input_offset.tolist())
