"""Forecasts of an exported model of several series after the rows of a new file."""

from typing import Any, Dict, Union

import mxnet as mx
import numpy as np

from ...typing import Device
from ..data import TableRows
from ..errors import JobError
from ..predictions import Columns, prediction_columns
from ..task import to_model_array
from ..time_series.long_table import joined
from ..time_series.predictor import TableSeriesPredictor
from ..time_series.series import TableSeries, read_series
from ..units import TargetUnits
from .config import SERIES


class MultivariatePredictor(TableSeriesPredictor):
    """Forecasts what follows the series of a table; made of `describe_model`."""

    def __init__(self, description: Dict[str, Any]) -> None:
        super().__init__(description, "targets")
        self.offsets = np.array(description["covariate_offsets"])
        self.scales = np.array(description["covariate_scales"])
        each = [description["units"][name] for name in self.targets]
        # Of all targets.
        self.units = TargetUnits(
            *([own[key] for own in each] for key in ("target_offset", "target_scale"))
        )

    def read(self, path: Union[str, TableRows]) -> TableSeries:
        """A `TableSeries` with all targets."""
        return self.read_one(path)

    def read_one(self, rows: Union[str, TableRows]) -> TableSeries:
        return read_series(
            rows,
            self.time,
            self.step,
            self.targets,
            self.covariates,
            self.format,
            every_row=True,
        )

    def count(self, rows: TableSeries) -> int:
        """How many steps the graph computes, absent ones included."""
        return len(rows.y)

    def predict(self, rows: TableSeries, model: mx.gluon.Block, device: Device) -> Columns:
        """The names and times, and mean, std and bands of the observations there."""
        observed = ~np.isnan(rows.y)
        y = np.where(observed, self.units.target_to_model(rows.y), 0.0)
        arrays = [y, observed.astype(float)]
        if self.covariates:
            arrays.insert(1, self.covariates_of(rows))
        inputs = [to_model_array(a[None], self.dtype, device, rows.path) for a in arrays]
        mean, covariance = (array.asnumpy()[0].astype("float64") for array in model(*inputs))
        variance = np.diagonal(covariance, axis1=1, axis2=2)
        for number, name in enumerate(self.targets):
            if np.isinf(variance[:, number]).any():
                raise JobError(
                    f"{rows.path}: the {int(observed[:, number].sum())} observations of '{name}' "
                    "leave its forecast open; give more rows before"
                )
        variance = self.units.variance_from_model(np.maximum(variance, 0.0))
        return self.forecast_columns(rows, self.units.mean_from_model(mean), variance)

    def covariates_of(self, series: TableSeries) -> np.ndarray:
        known = series.known_covariates(len(series.y) + self.steps, self.steps)
        return (known - self.offsets) / self.scales

    def stream_units(self, name: str, y: np.ndarray) -> TargetUnits:
        return self.units

    def forecast_columns(
        self, series: TableSeries, mean: np.ndarray, variance: np.ndarray
    ) -> Columns:
        """Of each target; one that is open has no rows."""
        count, tables = len(series.y), {}
        for number, name in enumerate(self.targets):
            own = variance[:, number]
            end = 0 if np.isinf(own).any() else self.steps
            labels = {series.times.name: series.labels(count, count + end)}
            tables[name] = prediction_columns(labels, mean[:end, number], own[:end], self.bands)
        return joined(SERIES, tables)
