"""A series that grows: the state after its last observation, and the rows that come after it."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import mxnet as mx
import numpy as np

from ...typing import Device, given
from ..data import TableRows
from ..errors import JobError
from ..predictions import Columns, prediction_columns
from ..task import to_model_array
from ..time_series.series import TableSeries, read_series
from ..units import TargetUnits
from .config import COMPUTED
from .panel import panel_units

if TYPE_CHECKING:
    from .predict import StateSpacePredictor

# Of the files of the exported graph.
STREAM = "stream"


@dataclass
class StreamState:
    """What is kept of a series; all of it can be written as JSON.

    time: how the last step was called; steps: how many there are; observations: how many of them
    were observed; state: that of `StructuralStream`, of one series; units: those of the target.
    """

    time: str
    steps: int
    observations: int
    state: List[Any]
    units: Dict[str, float]

    def as_dict(self) -> Dict[str, Any]:
        return asdict(self)


def advance(
    predictor: "StateSpacePredictor",
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
    units = _units(predictor, name, y, earlier)
    covariates = None
    if predictor.covariates:
        known = series.known_covariates(len(series.y) + steps, steps)
        covariates = (known - predictor.covariate_offsets)[begin:]
    is_observed = ~np.isnan(y)
    target = np.where(is_observed, units.target_to_model(y), 0.0)
    state: List[Any] = given(predictor.stream_start) if earlier is None else earlier.state
    mean, variance = np.zeros(steps), np.full(steps, np.inf)
    for t in range(len(y)):
        arguments = [target[t].reshape(1, 1), is_observed[t].reshape(1, 1), *state]
        if covariates is not None:
            own = np.zeros((1, 1 + steps, covariates.shape[1]))
            ahead = covariates[t : t + 1 + steps]
            own[0, : len(ahead)] = ahead
            arguments.insert(1, own)
        arrays = [to_model_array(np.asarray(a), COMPUTED, device, rows.name) for a in arguments]
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
    labels = series.labels(count, count + steps)
    is_known = not np.isinf(variance).any()
    places = slice(0, steps if is_known else 0)
    moments = (
        units.mean_from_model(mean[0, places]),
        units.variance_from_model(np.maximum(variance[0, places], 0.0)),
    )
    label = {series.times.name: labels[places]}
    return following, prediction_columns(label, *moments, predictor.bands)


def _read(
    predictor: "StateSpacePredictor", rows: TableRows, earlier: Optional[StreamState]
) -> TableSeries:
    """The series of the rows; with an earlier state its last step comes first, as it was called."""
    if earlier is not None:
        line, header = rows.rows[0]
        cells = [_last_cell(predictor, name, earlier.time) for name in header]
        rows = rows._replace(rows=[rows.rows[0], (line, cells), *rows.rows[1:]])
    series = read_series(
        rows,
        predictor.time,
        predictor.step,
        predictor.target,
        predictor.covariates,
        predictor.format,
        [*predictor.levels],
        predictor.levels,
        True,
    )
    if earlier is not None and predictor.time is None:
        series.start = earlier.steps - 1
    return series


def _last_cell(predictor, name, time):
    """Of the row of the last step, whose numbers are of no account any more."""
    if name == predictor.time:
        return time
    return predictor.levels[name][0] if name in predictor.levels else "0"


def _units(predictor, name, y, earlier):
    """Those of the training, or of the first rows of a series that it did not have."""
    if earlier is not None:
        return TargetUnits(**earlier.units)
    known = predictor.units.get(name if predictor.series is not None else None)
    if known is not None:
        return known
    return panel_units(f"series '{name}'", predictor.scaling, y[~np.isnan(y)])
