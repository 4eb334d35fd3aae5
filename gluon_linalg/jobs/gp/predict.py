"""Predictions of the Gaussian process, live or exported."""

import numpy as np

from ..data import read_table
from ..task import to_model_array
from .dataset import Units

# How many rows are predicted at once: each needs a row of n numbers.
CHUNK = 2048


class Predictor:
    """Predicts the rows of a file with an exported graph; made of `describe_model`."""

    not_finite = "the inputs are too far away to predict there"

    def __init__(self, description):
        self.inputs, self.target = description["inputs"], description["target"]
        self.units = Units(**{name: description[name] for name in Units.__dataclass_fields__})
        self.noise_variance = description["noise_variance"]
        self.dates = description["date_inputs"]

    def read(self, path):
        return read_table(path, self.inputs, self.dates)

    def predict(self, table, model, context):
        """The input columns, and mean and variance of new observations."""
        x = table.array(self.inputs)
        labels = {name: table.texts[name] for name in self.inputs}
        return (labels, *predict(model, self.units, self.noise_variance, x, context))


def predict(predictor, units, noise_variance, x, context):
    """Mean and variance of new observations in original units, (m, d) -> (m,), (m,)."""
    dtype = _dtype(predictor)
    means, variances = [], []
    for start in range(0, len(x), CHUNK):
        chunk = units.inputs_to_model(x[start : start + CHUNK])
        mean, variance = predictor(to_model_array(chunk[None], dtype, context, "the inputs"))
        means.append(mean.asnumpy()[0].astype("float64"))
        variances.append(variance.asnumpy()[0].astype("float64"))
    mean, variance = np.concatenate(means), np.concatenate(variances) + noise_variance
    return units.mean_from_model(mean), units.variance_from_model(variance)


def _dtype(predictor):
    """The dtype of a live or an imported predictor."""
    for parameter in predictor.collect_params().values():
        if parameter.name.endswith("variance"):
            return np.dtype(parameter.dtype).name
    raise AssertionError("every kernel has a variance")
