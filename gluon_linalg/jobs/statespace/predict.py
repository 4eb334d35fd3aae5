"""Forecasts of an exported model after the rows of a new file."""

from datetime import date
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

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
from .panel import Panel, batches, panel_units, read_panel
from .streaming import STREAM, StreamState, advance

# The first step of a series of any length, where steps are dates.
START = date(2000, 1, 1)


class StateSpacePredictor(SeriesPredictor):
    """Forecasts what follows the series of a table; made of `describe_model`."""

    not_finite = "the forecast is not finite; bring the numbers nearer to those of the training"

    def __init__(self, description: Dict[str, Any]) -> None:
        super().__init__(description)
        self.time, self.step = description["time"], description["step"]
        self.has_dates = description["has_dates"]
        self.target, self.covariates = description["target"], description["covariates"]
        self.targets = [self.target]
        self.steps, self.dtype = description["steps"], description["dtype"]
        self.covariate_offsets = np.array(description.get("covariate_offsets", 0.0))
        self.known_ahead = self.steps if self.covariates else 0
        self.bands = description.get("bands", [95])
        self.least_observations = description["least_observations"]
        # The state of a series that grows before its first step; None where nothing was exported.
        self.stream_start = description.get("stream_start")
        # The column with the names of series, and what is known of those of the training.
        self.series = self.item = description.get("series")
        if self.series is None:
            self.units = {None: _units(description)}
        else:
            known = description["units"]
            self.units = {name: _units(known[name]) for name in known}
            self.scaling = description["target_scaling"]
        self.what = f"predictions of {self.target}"
        self.columns = [] if self.series is None else [Column(self.series, "text")]
        if self.time is not None:
            self.columns.append(Column(self.time, "date" if self.has_dates else "number"))
        for name in [self.target, *self.covariates]:
            kind = "text" if name in self.levels else "number"
            self.columns.append(Column(name, kind, may_be_empty=True))
        self.stream_columns = [column for column in self.columns if column.name != self.series]
        self.stream = None if self.stream_start is None else STREAM

    def read(self, path: Union[str, TableRows]) -> Union[TableSeries, Panel]:
        """A `TableSeries`, or a `Panel` if the model is one of many series."""
        rest: Tuple[Any, ...] = (self.time, self.step, self.target, self.covariates, self.format)
        rest += ([*self.levels], self.levels, True)
        if self.series is None:
            return read_series(path, *rest)
        return read_panel(path, self.series, *rest)

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
                tables[name] = prediction_columns(labels, moments[0], moments[1], self.bands)
        return joined(self.series, tables)

    def advance(
        self,
        graph: mx.gluon.Block,
        device: Device,
        name: str,
        rows: TableRows,
        earlier: Optional[Dict[str, Any]],
        most_steps: int,
    ) -> Tuple[Dict[str, Any], Columns]:
        before = None if earlier is None else StreamState(**earlier)
        state, columns = advance(self, graph, device, name, rows, before, most_steps)
        return state.as_dict(), columns

    def counted_times(self, texts: List[str]) -> Callable[[int], str]:
        if self.has_dates:
            return start_at(self.step, START).text
        return lambda index: f"{index * self.step:.12g}"

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
            count = len(series.y) + self.steps
            covariates = series.known_covariates(count, self.steps)
            arguments.insert(1, covariates - self.covariate_offsets)
        return arguments


def _units(description):
    return TargetUnits(**{name: description[name] for name in TargetUnits.__dataclass_fields__})


def _forecasts(model, units, arrays):
    """For each series mean and variance of the next observations, (h,) each, in its units."""
    mean, variance = (array.asnumpy().astype("float64") for array in model(*arrays))
    return [
        (own.mean_from_model(m), own.variance_from_model(np.maximum(v, 0.0)))
        for own, m, v in zip(units, mean, variance)
    ]
