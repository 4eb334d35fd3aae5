"""A model of several series one step at a time."""

from typing import TYPE_CHECKING, Any, Optional, Tuple

from ... import functional as fn
from ...typing import Array, Namespace
from ..series_stream import SeriesStream, StreamSystem

if TYPE_CHECKING:
    from .base import MultivariateModel


class MultivariateStream(SeriesStream):
    """(y_t, ..., state) -> mean (B, h, p) and covariance (B, h, p, p) of what follows, and a state.

    Made by `MultivariateModel.stream`. Each step takes the same time, however many came before,
    and what is known then is what a forecaster says of all of them.

    y: (B, 1, p); covariates: (B or 1, 1 + h, k) if the model has k above 0, those of y and of the
    steps after it; mask: (B, 1, p), 1 where y was observed; then the state, in float64 as all that
    is computed: count (B, 1), the number of steps, columns (B, d, 1 + q), factor (B, d, d), and
    with q diffuse states seen (B, 1 + q, 1 + q). All are 0 before the first step (`begin_state`).
    Results go on with the state after y in the same order. A variance is inf while the observations
    leave it open.

    Raises ShapeError, DtypeError.

    >>> model = gl.LinearGaussianModel(2, 1)
    >>> model.initialize()
    >>> stream = model.stream(3)
    >>> state = stream.begin_state(1)
    >>> one = mx.nd.ones((1, 1, 2), dtype="float64")
    >>> mean, covariance, *state = stream(2.0 * one, one, *state)
    >>> mean.shape, covariance.shape
    ((1, 3, 2), (1, 3, 2, 2))
    """

    def __init__(self, model: "MultivariateModel", steps: int, **kwargs: Any) -> None:
        sizes = model.state_size, model.series, model.options["diffuse"]
        super().__init__(model, steps, model.covariates, sizes, "B o p", **kwargs)

    def hybrid_forward(self, F: Namespace, y: Array, *rest: Array) -> Tuple[Array, ...]:
        model, arguments = self.model, list(rest)
        covariates = arguments.pop(0) if model.covariates else None
        mask, *state = arguments
        y = F.where(mask, y, fn.zeros_like(F, y))
        # Where all series begin, as far as rounding goes, is where this y is.
        system = model.system(F, y, fn.stop(F, mask))
        offset = model.offset_of(F, y, covariates, system.emission_offset)
        now, later = _split(F, offset, covariates is not None)
        arrays = StreamSystem(
            system.transition,
            system.emission,
            system.emission,
            system.process_factor,
            system.observation_factor,
            system.prior_mean,
            system.prior_factor,
            system.directions,
            now,
            later,
        )
        return self.advanced(F, y, fn.stop(F, mask), tuple(state), arrays)


def _split(F: Namespace, offset: Optional[Array], varies: bool) -> Tuple[Any, Any]:
    """Of a step and of those after it."""
    if offset is None or not varies:
        return offset, offset
    now = F.slice_axis(offset, axis=1, begin=0, end=1)
    return now, F.slice_axis(offset, axis=1, begin=1, end=None)
