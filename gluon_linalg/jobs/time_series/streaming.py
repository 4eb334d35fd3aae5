"""Series that grow: the state after their last step, and the rows that come after it."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import mxnet as mx
import numpy as np

from ...blocks.series_stream import SeriesStream
from ...typing import Device, given
from ..data import TableRows
from ..errors import JobError
from ..output import OutputFolder
from ..predictions import Columns
from ..task import export_model, to_model_array
from ..units import TargetUnits
from .series import TableSeries

if TYPE_CHECKING:
    from .predictor import TableSeriesPredictor

# Of the files of the exported graph; the number type of what it computes.
STREAM, COMPUTED = "stream", "float64"


@dataclass
class StreamState:
    """What is kept of a series, or of several that have rows together; it can be written as JSON.

    time: how the last step was called; steps: how many there are; observations: how many cells of
    targets were observed; state: that of a `SeriesStream`, of one series; units: those of the
    targets.
    """

    time: str
    steps: int
    observations: int
    state: List[Any]
    units: Dict[str, Any]

    def as_dict(self) -> Dict[str, Any]:
        return asdict(self)


def export_stream(
    folder: OutputFolder, stream: SeriesStream, example: List[mx.nd.NDArray]
) -> List[Any]:
    """Writes the graph of one step, and returns the state before the first, as JSON has it.

    example: arrays of the forecaster: targets, covariates if there are any, and mask.
    """
    y, *covariates, mask = (array.astype(COMPUTED) for array in example)
    begin = stream.begin_state()
    arrays = [
        y[:, :1],
        *(array[:, : 1 + stream.steps] for array in covariates),
        mask[:, :1],
        *(array.as_in_context(y.context) for array in begin),
    ]
    export_model(stream, folder.file(STREAM), *arrays)
    return [array.asnumpy().tolist() for array in begin]


def advance(
    predictor: "TableSeriesPredictor",
    graph: mx.gluon.Block,
    device: Device,
    name: str,
    rows: TableRows,
    earlier: Optional[StreamState] = None,
    most_steps: Optional[int] = None,
) -> Tuple[StreamState, Columns]:
    """The state after the rows of a series, and the forecast of what follows them.

    rows: as `predict` takes them, of this series alone, after the last one of `earlier`. Absent
    steps count as missing; each step takes the same time. most_steps: JobError for more. The
    forecast is without rows while the observations leave it open.
    """
    series = _read(predictor, rows, earlier)
    begin = 0 if earlier is None else 1
    y, steps = series.y[begin:], predictor.steps
    if not len(y):
        raise JobError(f"{rows.name}: there is no observation after {series.labels(0, 1)[0]}")
    if most_steps is not None and len(y) > most_steps:
        raise JobError(f"{rows.name}: {len(y)} steps, absent ones included; at most {most_steps}")
    units = predictor.stream_units(name, y) if earlier is None else TargetUnits(**earlier.units)
    covariates = predictor.covariates_of(series)[begin:] if predictor.covariates else None
    is_observed = ~np.isnan(y)
    target = np.where(is_observed, units.target_to_model(y), 0.0)
    state: List[Any] = given(predictor.stream_start) if earlier is None else earlier.state
    mean, variance = np.zeros(0), np.zeros(0)
    for t in range(len(y)):
        # (1, 1), or (1, 1, p) of several targets.
        arguments = [own[None, t : t + 1] for own in (target, is_observed)]
        arguments += [np.asarray(array) for array in state]
        if covariates is not None:
            own = np.zeros((1, 1 + steps, covariates.shape[1]))
            ahead = covariates[t : t + 1 + steps]
            own[0, : len(ahead)] = ahead
            arguments.insert(1, own)
        arrays = [to_model_array(a, COMPUTED, device, rows.name) for a in arguments]
        mean, variance, *state = (array.asnumpy() for array in graph(*arrays))
    if not all(np.isfinite(array).all() for array in (mean, *state)):
        raise JobError(f"{rows.name}: {predictor.not_finite}")
    count = len(series.y)
    following = StreamState(
        series.labels(count - 1, count)[0],
        len(y) + (0 if earlier is None else earlier.steps),
        int(is_observed.sum()) + (0 if earlier is None else earlier.observations),
        [array.tolist() for array in state],
        units.as_dict(),
    )
    if y.ndim > 1:
        variance = np.diagonal(variance, axis1=2, axis2=3)
    moments = (
        units.mean_from_model(mean[0]),
        units.variance_from_model(np.maximum(variance[0], 0.0)),
    )
    return following, predictor.forecast_columns(series, *moments)


def _read(
    predictor: "TableSeriesPredictor", rows: TableRows, earlier: Optional[StreamState]
) -> TableSeries:
    """The series of the rows; with an earlier state its last step comes first, as it was called."""
    if earlier is not None:
        line, header = rows.rows[0]
        cells = [_last_cell(predictor, name, earlier.time) for name in header]
        rows = rows._replace(rows=[rows.rows[0], (line, cells), *rows.rows[1:]])
    series = predictor.read_one(rows)
    if earlier is not None and predictor.time is None:
        series.start = earlier.steps - 1
    return series


def _last_cell(predictor, name, time):
    """Of the row of the last step, whose numbers are of no account any more."""
    if name == predictor.time:
        return time
    return predictor.levels[name][0] if name in predictor.levels else "0"
