"""A structural model one observation at a time."""

from typing import TYPE_CHECKING, Any, List, Mapping, Tuple

import numpy as np

from ... import functional as fn
from ...errors import ShapeError
from ...typing import Array, Namespace
from ..base import LinearAlgebraBlock
from ..copying import frozen_copies
from .arrays import matrix, scalar_one

if TYPE_CHECKING:
    from .model import StructuralModel


class StructuralStream(LinearAlgebraBlock):
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
    >>> state = [mx.nd.array(a, dtype="float64") for a in stream.begin_state(1)]
    >>> one = mx.nd.ones((1, 1), dtype="float64")
    >>> for y in (3.0, 5.0):
    ...     mean, variance, *state = stream(y * one, one, *state)
    ...
    >>> print(mean.asnumpy().round(4))
    [[5. 5.]]
    """

    def __init__(self, model: "StructuralModel", steps: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = steps
        with self.name_scope():
            (self.model,) = frozen_copies(self.prefix, model)
        self._diffuse = [k for k, own in enumerate(model.components.diffuse) if own]
        covariates = (("covariates", "C S k"),) if model.components.features else ()
        seen = (("seen", "B u u"),) if self._diffuse else ()
        state = (("count", "B o"), ("columns", "B d u"), ("factor", "B d d"), *seen)
        self.arguments = (("y", "B o"), *covariates, ("mask", "B o"), *state)
        self.required = len(self.arguments)
        self.cast("float64")

    def begin_state(self, batch_size: int = 1) -> List[np.ndarray]:
        """The state before the first step, NumPy arrays of zeros."""
        d, u = self.model.components.state_size, 1 + len(self._diffuse)
        shapes = [(1,), (d, u), (d, d)] + ([(u, u)] if self._diffuse else [])
        return [np.zeros((batch_size, *shape)) for shape in shapes]

    def hybrid_forward(self, F: Namespace, y: Array, *rest: Array) -> Tuple[Array, ...]:
        model, arguments, covariates = self.model, list(rest), None
        components = model.components
        if components.features:
            covariates = arguments.pop(0)
        mask, count, columns, factor, *seen = arguments
        mask = fn.stop(F, mask)
        y = F.where(mask, y, fn.zeros_like(F, y))
        system = components.system(F, y, covariates)
        noise = model.noise(F, y)
        deviation = F.reshape(F.sqrt(noise), shape=(1, 1, 1, 1))
        now, later = system.emission, system.emission
        if components.features:
            now = F.slice_axis(now, axis=1, begin=0, end=1)
            later = F.slice_axis(later, axis=1, begin=1, end=None)
        online = fn.online_system(
            F,
            F.expand_dims(y, axis=2),
            system.transition,
            now,
            system.process_factor,
            deviation,
            F.expand_dims(mask, axis=2),
            name=self.name,
        )
        first = self._first(F, y, count, system, noise)
        covariance = fn.product(F, factor, factor, transpose_b=True)
        given = [columns, factor, covariance, *seen, *(fn.zeros_like(F, own) for own in seen)]
        state = fn.OnlineState(
            *(
                F.where(F.broadcast_add(F.expand_dims(count, axis=2), fn.zeros_like(F, x)), own, x)
                for own, x in zip(given, first)
            )
        )
        step = fn.OnlineStep(F, online, state, (components.state_size, 1), name=self.name)
        ahead = step.ahead(self.steps)
        later = fn.over_time(F, fn.time_first(F, later), ahead.columns)
        spread = fn.over_time(F, fn.time_first(F, F.square(deviation)), ahead.columns)
        observed = ahead.seen(later, None, spread)
        mean = F.squeeze(fn.batch_first(F, observed.mean), axis=(2, 3))
        variance = F.squeeze(fn.batch_first(F, observed.covariance), axis=(2, 3))
        following = step.next_state
        after = (following.seen,) if following.seen is not None else ()
        return (mean, variance, count + 1.0, following.columns, following.factor, *after)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        d, u = self.model.components.state_size, 1 + len(self._diffuse)
        for letter, right, what in (
            ("o", 1, "steps of y"),
            ("d", d, "states"),
            ("u", u, "columns"),
            ("k", self.model.components.features, "covariates"),
            ("S", 1 + self.steps, "steps of covariates, those of y and of the forecast"),
        ):
            if sizes.get(letter, right) != right:
                raise ShapeError(f"{self.name}: got {sizes[letter]} {what}, expected {right}.")
        if sizes.get("C", 1) not in (1, sizes["B"]):
            raise ShapeError(
                f"{self.name}: 'covariates' has batch {sizes['C']}, expected 1 or {sizes['B']}."
            )

    def _first(self, F, y, count, system, noise):
        """What is known before the first step."""
        one = scalar_one(F, y)

        def of_batch(x, axes):
            return F.broadcast_add(x, fn.zeros_like(F, F.reshape(count, shape=(-1,) + (1,) * axes)))

        directions = None
        if self._diffuse:
            d = self.model.components.state_size
            rows = [[float(j == state) for state in self._diffuse] for j in range(d)]
            total = noise
            for variance in self.model.components.variances(F, y):
                total = total + F.sum(fn.stop(F, variance), axis=1, keepdims=True)
            # Nothing but rounding depends on their length (`functional.diffuse`).
            size = F.sqrt(F.where(total > 0.0, total, fn.ones_like(F, total)))
            size = F.reshape(fn.stop(F, size), shape=(1, 1, 1))
            directions = of_batch(F.broadcast_mul(matrix(F, one, rows), size), 2)
        return fn.first_state(
            F, of_batch(system.prior_mean, 1), of_batch(system.prior_factor, 2), directions
        )
