"""A structural model one observation at a time."""

from typing import TYPE_CHECKING, Any, Tuple

from ... import functional as fn
from ...typing import Array, Namespace
from ..series_stream import SeriesStream, StreamSystem
from .arrays import matrix, scalar_one

if TYPE_CHECKING:
    from .model import StructuralModel


class StructuralStream(SeriesStream):
    """(y_t, ..., state) -> mean and variance of the next h observations, (B, h) each, and a state.

    Made by `StructuralModel.stream`. Each observation takes the same time, however many came
    before, and what is known then is what a forecaster says of all of them.

    y: (B, 1); covariates: (B or 1, 1 + h, k) if there is a `Regression`, those of y and of the
    steps after it; mask: (B, 1), 1 where y was observed; then the state, in float64 as all that is
    computed: count (B, 1), the number of steps, columns (B, d, 1 + q), factor (B, d, d), and with q
    diffuse states seen (B, 1 + q, 1 + q). All are 0 before the first step (`begin_state`). Results
    go on with the state after y in the same order. A variance is inf while the observations leave
    it open.

    Raises ShapeError, DtypeError.

    >>> model = gl.StructuralModel(gl.structural.LocalLevel(1.0), noise_variance=0)
    >>> model.initialize()
    >>> stream = model.stream(2)
    >>> state = stream.begin_state(1)
    >>> one = mx.nd.ones((1, 1), dtype="float64")
    >>> for y in (3.0, 5.0):
    ...     mean, variance, *state = stream(y * one, one, *state)
    ...
    >>> print(mean.asnumpy().round(4))
    [[5. 5.]]
    """

    def __init__(self, model: "StructuralModel", steps: int, **kwargs: Any) -> None:
        components = model.components
        self._diffuse = [k for k, own in enumerate(components.diffuse) if own]
        sizes = components.state_size, 1, len(self._diffuse)
        super().__init__(model, steps, components.features, sizes, "B o", **kwargs)

    def hybrid_forward(self, F: Namespace, y: Array, *rest: Array) -> Tuple[Array, ...]:
        model, arguments, covariates = self.model, list(rest), None
        components = model.components
        if components.features:
            covariates = arguments.pop(0)
        mask, *state = arguments
        mask = fn.stop(F, mask)
        y = F.where(mask, y, fn.zeros_like(F, y))
        system = components.system(F, y, covariates)
        noise = model.noise(F, y)
        now, later = system.emission, system.emission
        if components.features:
            now = F.slice_axis(now, axis=1, begin=0, end=1)
            later = F.slice_axis(later, axis=1, begin=1, end=None)
        mean, covariance, *state = self.advanced(
            F,
            F.expand_dims(y, axis=2),
            F.expand_dims(mask, axis=2),
            tuple(state),
            StreamSystem(
                system.transition,
                now,
                later,
                system.process_factor,
                F.reshape(F.sqrt(noise), shape=(1, 1, 1, 1)),
                system.prior_mean,
                system.prior_factor,
                self._directions(F, y, noise),
            ),
        )
        return (F.squeeze(mean, axis=2), F.squeeze(covariance, axis=(2, 3)), *state)

    def _directions(self, F: Namespace, y: Array, noise: Array) -> Any:
        """Those of the first state of which nothing is known, (1, d, q)."""
        if not self._diffuse:
            return None
        components, total = self.model.components, noise
        rows = [
            [float(j == state) for state in self._diffuse] for j in range(components.state_size)
        ]
        for variance in components.variances(F, y):
            total = total + F.sum(fn.stop(F, variance), axis=1, keepdims=True)
        # Nothing but rounding depends on their length (`functional.diffuse`).
        size = F.sqrt(F.where(total > 0.0, total, fn.ones_like(F, total)))
        size = F.reshape(fn.stop(F, size), shape=(1, 1, 1))
        return F.broadcast_mul(matrix(F, scalar_one(F, y), rows), size)
