"""What forecasts of series on regular steps have in common, and how such series grow."""

from datetime import date
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import mxnet as mx
import numpy as np

from ...typing import Device
from ..axis import start_at
from ..data import Column, TableRows
from ..predictions import Columns
from ..series_predictor import SeriesPredictor
from ..units import TargetUnits
from .series import TableSeries
from .streaming import STREAM, StreamState, advance

# The first step of a series of any length, where steps are dates.
START = date(2000, 1, 1)


class TableSeriesPredictor(SeriesPredictor):
    """Forecasts what follows a series of a table.

    targets: the key of the description that has the column, or columns, to forecast. A subclass
    implements what series that grow need: `stream_start`, the state before their first step, is
    None where nothing was exported for them.
    """

    not_finite = "the forecast is not finite; bring the numbers nearer to those of the training"
    item: Optional[str] = None

    def __init__(self, description: Dict[str, Any], targets: str) -> None:
        super().__init__(description)
        self.time, self.step = description["time"], description["step"]
        self.has_dates = description["has_dates"]
        found, self.covariates = description[targets], description["covariates"]
        self.targets = [found] if isinstance(found, str) else found
        self.steps, self.dtype = description["steps"], description["dtype"]
        self.bands = description.get("bands", [95])
        self.known_ahead = self.steps if self.covariates else 0
        self.item = description.get("series")
        self.what = f"predictions of {', '.join(self.targets)}"
        self.columns = [] if self.item is None else [Column(self.item, "text")]
        if self.time is not None:
            self.columns.append(Column(self.time, "date" if self.has_dates else "number"))
        for name in [*self.targets, *self.covariates]:
            kind = "text" if name in self.levels else "number"
            self.columns.append(Column(name, kind, may_be_empty=True))
        self.stream_start = description.get("stream_start")
        self.stream_columns = [column for column in self.columns if column.name != self.item]
        self.stream = None if self.stream_start is None else STREAM

    def read_one(self, rows: Union[str, TableRows]) -> TableSeries:
        """The `TableSeries` of rows that are all of one series."""
        raise NotImplementedError

    def covariates_of(self, series: TableSeries) -> np.ndarray:
        """As the graph has them, of the steps of a series and of the forecast, (T + h, k)."""
        raise NotImplementedError

    def stream_units(self, name: str, y: np.ndarray) -> TargetUnits:
        """Those of a new series that grows, of which y are the first steps."""
        raise NotImplementedError

    def forecast_columns(
        self, series: TableSeries, mean: np.ndarray, variance: np.ndarray
    ) -> Columns:
        """The forecast after a series, (h,), of several targets (h, p); inf is left open."""
        raise NotImplementedError

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
