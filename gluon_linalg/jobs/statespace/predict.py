"""Forecasts of an exported model after the rows of a new file."""

from typing import Any, Dict, Tuple, Union

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
from .observations import forecast_columns, likelihood_of
from .panel import Panel, batches, panel_units, read_panel


class StateSpacePredictor(TableSeriesPredictor):
    """Forecasts what follows the series of a table; made of `describe_model`."""

    def __init__(self, description: Dict[str, Any]) -> None:
        super().__init__(description, "target")
        self.covariate_offsets = np.array(description.get("covariate_offsets", 0.0))
        self.least_observations = description["least_observations"]
        self.likelihood = likelihood_of(description)
        # The column with the names of series, and what is known of those of the training.
        self.series = self.item
        if self.series is None:
            self.units: Dict[Any, TargetUnits] = {None: _units(description)}
        else:
            known = description["units"]
            self.units = {name: _units(known[name]) for name in known}
            self.scaling = description["target_scaling"]

    def read(self, path: Union[str, TableRows]) -> Union[TableSeries, Panel]:
        """A `TableSeries`, or a `Panel` if the model is one of many series."""
        if self.series is None:
            return self.read_one(path)
        return read_panel(path, self.series, *self._reading())

    def read_one(self, rows: Union[str, TableRows]) -> TableSeries:
        return read_series(rows, *self._reading())

    def _reading(self) -> Tuple[Any, ...]:
        columns = (self.time, self.step, self.targets[0], self.covariates)
        return (*columns, self.format, [*self.levels], self.levels, True)

    def covariates_of(self, series: TableSeries) -> np.ndarray:
        known = series.known_covariates(len(series.y) + self.steps, self.steps)
        return known - self.covariate_offsets

    def stream_units(self, name: str, y: np.ndarray) -> TargetUnits:
        known = self.units.get(name if self.series is not None else None)
        if known is not None:
            return known
        return panel_units(f"series '{name}'", self.scaling, y[~np.isnan(y)])

    def forecast_columns(
        self, series: TableSeries, mean: np.ndarray, variance: np.ndarray
    ) -> Columns:
        count = len(series.y)
        end = 0 if np.isinf(variance).any() else self.steps
        labels = {series.times.name: series.labels(count, count + end)}
        return prediction_columns(labels, mean[:end], variance[:end], self.bands)

    def count(self, rows: Union[TableSeries, Panel]) -> int:
        """How many steps the graph computes, absent ones included."""
        return sum(len(series.y) for series in self._by_name(rows).values())

    def predict(
        self, rows: Union[TableSeries, Panel], model: mx.gluon.Block, device: Device
    ) -> Columns:
        """The names and times, and mean, std and 95 % band of the observations there."""
        found = self._by_name(rows)
        units = {name: self._units_of(name, series) for name, series in found.items()}
        names = list(found)
        tables: Dict[Any, Any] = dict.fromkeys(found)
        for places in batches([len(series.y) for series in found.values()]):
            batch = [names[place] for place in places]
            arguments = [self._arguments(found[name], units[name]) for name in batch]
            arrays = [
                to_model_array(np.stack(parts), self.dtype, device, rows.path)
                for parts in zip(*arguments)
            ]
            forecasts = _forecasts(model, [units[name] for name in batch], arrays)
            for name, moments in zip(batch, forecasts):
                series, count = found[name], len(found[name].y)
                self._refuse_open(series, moments)
                labels = {series.times.name: series.labels(count, count + self.steps)}
                tables[name] = forecast_columns(
                    self.likelihood, labels, moments[0], moments[1], self.bands
                )
        return joined(self.series, tables)

    def _refuse_open(self, series, moments):
        """Refuses a forecast of infinite variance, which hangs on what was not observed."""
        is_open = np.isinf(moments[1])
        if is_open.any():
            step = len(series.y) + int(np.argmax(is_open))
            raise JobError(
                f"{series.path}: the {int((~np.isnan(series.y)).sum())} observations leave the "
                f"forecast of {series.labels(step, step + 1)[0]} open: the model learns "
                f"{self.least_observations} initial values from them, and not all that this one "
                "takes were seen; give more rows before"
            )

    def _by_name(self, rows: Any) -> Dict[Any, TableSeries]:
        return {None: rows} if self.series is None else rows.series

    def _units_of(self, name, series):
        """Those of the training, or what the training would have taken."""
        if self.series is None:
            return self.units[None]
        observed = series.y[~np.isnan(series.y)]
        if len(observed) < self.least_observations:
            raise JobError(
                f"{series.path}: {len(observed)} observations; a forecast needs at least "
                f"{self.least_observations}, the number of unknown initial values"
            )
        return self.units.get(name) or panel_units(series.path, self.scaling, observed)

    def _arguments(self, series, units):
        is_observed = ~np.isnan(series.y)
        arguments = [np.where(is_observed, units.target_to_model(series.y), 0.0), is_observed]
        if self.covariates:
            arguments.insert(1, self.covariates_of(series))
        return arguments


def _units(description):
    return TargetUnits(**{name: description[name] for name in TargetUnits.__dataclass_fields__})


def _forecasts(model, units, arrays):
    """For each series mean and variance of the next observations, (h,) each, in its units."""
    # The last two: with a likelihood those of the signal.
    mean, variance = (array.asnumpy().astype("float64") for array in model(*arrays)[-2:])
    return [
        (own.mean_from_model(m), own.variance_from_model(np.maximum(v, 0.0)))
        for own, m, v in zip(units, mean, variance)
    ]
