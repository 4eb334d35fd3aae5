"""Forecasts of an exported model of several series after the rows of a new file."""

from datetime import date
from typing import Any, Callable, Dict, List, Union

import mxnet as mx
import numpy as np

from ...typing import Device
from ..axis import start_at
from ..data import Column, TableRows
from ..errors import JobError
from ..predictions import Columns, prediction_columns
from ..series_predictor import SeriesPredictor
from ..task import to_model_array
from ..time_series.long_table import joined
from ..time_series.series import TableSeries, read_series
from ..units import TargetUnits
from .config import SERIES

# The first step of a series of any length, where steps are dates.
START = date(2000, 1, 1)


class MultivariatePredictor(SeriesPredictor):
    """Forecasts what follows the series of a table; made of `describe_model`."""

    not_finite = "the forecast is not finite; bring the numbers nearer to those of the training"
    item = None

    def __init__(self, description: Dict[str, Any]) -> None:
        super().__init__(description)
        self.time, self.step = description["time"], description["step"]
        self.has_dates = description["has_dates"]
        self.targets, self.covariates = description["targets"], description["covariates"]
        self.steps, self.dtype = description["steps"], description["dtype"]
        self.offsets = np.array(description["covariate_offsets"])
        self.scales = np.array(description["covariate_scales"])
        self.known_ahead = self.steps if self.covariates else 0
        self.units = {name: TargetUnits(**own) for name, own in description["units"].items()}
        self.what = f"predictions of {', '.join(self.targets)}"
        self.columns: List[Column] = []
        if self.time is not None:
            self.columns.append(Column(self.time, "date" if self.has_dates else "number"))
        self.columns += [
            Column(name, "number", may_be_empty=True) for name in [*self.targets, *self.covariates]
        ]

    def read(self, path: Union[str, TableRows]) -> TableSeries:
        """A `TableSeries` with all targets."""
        return read_series(
            path,
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
        """The names and times, and mean, std and 95 % band of the observations there."""
        count, end = len(rows.y), len(rows.y) + self.steps
        observed, units = ~np.isnan(rows.y), [self.units[name] for name in self.targets]
        y = np.column_stack([own.target_to_model(c) for own, c in zip(units, rows.y.T)])
        arrays = [np.where(observed, y, 0.0), observed.astype(float)]
        if self.covariates:
            known = rows.known_covariates(end, self.steps)
            arrays.insert(1, (known - self.offsets) / self.scales)
        inputs = [to_model_array(a[None], self.dtype, device, rows.path) for a in arrays]
        mean, covariance = (array.asnumpy()[0].astype("float64") for array in model(*inputs))
        variance = np.diagonal(covariance, axis1=1, axis2=2)
        labels, tables = rows.labels(count, end), {}
        for number, (name, own) in enumerate(zip(self.targets, units)):
            if np.isinf(variance[:, number]).any():
                raise JobError(
                    f"{rows.path}: the {int(observed[:, number].sum())} observations of '{name}' "
                    "leave its forecast open; give more rows before"
                )
            tables[name] = prediction_columns(
                {rows.times.name: labels},
                own.mean_from_model(mean[:, number]),
                own.variance_from_model(np.maximum(variance[:, number], 0.0)),
            )
        return joined(SERIES, tables)

    def counted_times(self, texts: List[str]) -> Callable[[int], str]:
        if self.has_dates:
            return start_at(self.step, START).text
        return lambda index: f"{index * self.step:.12g}"
