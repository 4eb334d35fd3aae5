"""Forecasts of an exported model after the rows of a new file."""

import numpy as np

from ..predictions import prediction_columns
from ..task import to_model_array
from ..units import TargetUnits
from .estimates import forecast
from .series import read_series


class Predictor:
    """Forecasts what follows the series of a file; made of `describe_model`."""

    not_finite = "the forecast is not finite; bring the numbers nearer to those of the training"

    def __init__(self, description):
        self.time, self.step = description["time"], description["step"]
        self.has_dates = description["has_dates"]
        self.target, self.covariates = description["target"], description["covariates"]
        self.steps, self.dtype = description["steps"], description["dtype"]
        self.units = TargetUnits(**{n: description[n] for n in TargetUnits.__dataclass_fields__})
        self.what = f"predictions of {self.target}"

    def read(self, path):
        return read_series(path, self.time, self.step, self.target, self.covariates)

    def predict(self, series, model, context):
        """The times, and mean, std and 95 % band of the observations there."""
        count = len(series.y)
        is_observed = ~np.isnan(series.y)
        y = np.where(is_observed, self.units.target_to_model(series.y), 0.0)
        arguments = [y, is_observed]
        if self.covariates:
            arguments.insert(1, series.known_covariates(count + self.steps, self.steps))
        arrays = [to_model_array(a[None], self.dtype, context, series.path) for a in arguments]
        labels = {series.times.name: series.labels(count, count + self.steps)}
        return prediction_columns(labels, *forecast(model, self.units, arrays))
