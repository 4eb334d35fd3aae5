"""Predictions of a regression, live or exported."""

from typing import Any, ClassVar, Dict, Tuple, Type

import mxnet as mx
import numpy as np

from ...typing import Device
from ..categories import encoded
from ..data import Column, Table
from ..predictions import Columns, prediction_columns
from ..predictor import RowsPredictor, answers
from .dataset import RegressionUnits

# How many rows are predicted at once: each needs a row of as many numbers as there are data.
CHUNK = 2048
# Of the help of the command.
PREDICTS = (
    "The input columns of the job; each row is predicted, with mean, std, lower_95 and upper_95."
)


class RegressionPredictor(RowsPredictor):
    """Predicts the rows of a file with an exported graph; made of `describe_regression`."""

    not_finite = "the inputs are too far away to predict there"
    units_class: ClassVar[Type[RegressionUnits]]

    def __init__(self, description: Dict[str, Any]) -> None:
        super().__init__(description)
        self.names, self.target = description["inputs"], description["target"]
        fields = self.units_class.__dataclass_fields__
        self.units = self.units_class(**{name: description[name] for name in fields})
        self.noise_variance, self.dtype = description["noise_variance"], description["dtype"]
        self.bands = description.get("bands", [95])
        self.dates = description["date_inputs"]
        several = not isinstance(self.target, str)
        self.what = f"predictions of {', '.join(self.target) if several else self.target}"
        self.columns = [Column(name, self._kind(name)) for name in self.names]

    def predict(self, table: Table, model: mx.gluon.Block, device: Device) -> Columns:
        """The input columns, and mean, std and 95 % band of new observations, of each target."""
        x = encoded(table, self.names, self.levels)
        labels = {name: table.texts[name] for name in self.names}
        moments = predict(model, self.units, self.noise_variance, x, self.dtype, device)
        if isinstance(self.target, str):
            return prediction_columns(labels, *moments, self.bands)
        columns: Columns = list(labels.items())
        for name, mean, variance in zip(self.target, *(values.T for values in moments)):
            own = prediction_columns({}, mean, variance, self.bands)
            columns += [(f"{name}_{key}", values) for key, values in own]
        return columns

    def _kind(self, name: str) -> str:
        if name in self.levels:
            return "text"
        return "date" if name in self.dates else "number"


def predict(
    predictor: mx.gluon.Block,
    units: RegressionUnits,
    noise_variance: Any,
    x: np.ndarray,
    dtype: str,
    device: Device,
) -> Tuple[np.ndarray, np.ndarray]:
    """Mean and variance of new observations in original units, (m, d) -> (m,), (m,).

    Of k targets (m, k), with a noise variance for each.
    """
    x = units.inputs_to_model(x)
    mean, variance = answers(predictor, x, dtype, device, "the inputs", CHUNK)
    return units.mean_from_model(mean), units.variance_from_model(
        variance + np.asarray(noise_variance)
    )
