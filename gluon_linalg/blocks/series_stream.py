"""State space models one observation at a time: what the streams of all of them share."""

from typing import Any, List, Mapping, NamedTuple, Optional, Tuple

import mxnet as mx

from .. import functional as fn
from ..errors import ShapeError
from ..functional.matrix import with_axis
from ..typing import Array, Namespace, given
from .base import LinearAlgebraBlock
from .copying import frozen_copies


class StreamSystem(NamedTuple):
    """The arrays of a step and of the h steps after it, in float64; None for none."""

    transition: Array  # (B or 1, 1, d, d)
    emission: Array  # (B or 1, 1, p, d)
    later_emission: Array  # (B or 1, 1 or h, p, d)
    process_factor: Array  # (B or 1, 1, d, r)
    observation_factor: Array  # (B or 1, 1, p, q)
    prior_mean: Array  # (B or 1, d)
    prior_factor: Array  # (B or 1, d, s)
    directions: Optional[Array]  # (B or 1, d, u)
    offset: Optional[Array] = None  # (B or 1, 1, p)
    later_offset: Optional[Array] = None  # (B or 1, h, p)


class SeriesStream(LinearAlgebraBlock):
    """(y_t, ..., state) -> what comes after y_t, and the next state; made by `stream` of a model.

    Each observation takes the same time, however many came before, and what is known then is what
    a forecaster says of all of them. It holds copies of the parameters of the model.

    covariates: how many the model has; sizes: d states, p elements of y, q diffuse directions. The
    arguments: y; covariates (B or 1, 1 + h, k) if there are any, those of y and of the steps after
    it; mask, as y, 1 where it was observed; then the state, in float64 as all that is computed:
    count (B, 1), the number of steps, columns (B, d, 1 + q), factor (B, d, d), and with q > 0 seen
    (B, 1 + q, 1 + q). All are 0 before the first step (`begin_state`).
    """

    def __init__(
        self,
        model: mx.gluon.HybridBlock,
        steps: int,
        covariates: int,
        sizes: Tuple[int, int, int],
        axes: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.steps = steps
        with self.name_scope():
            (self.model,) = frozen_copies(self.prefix, model)
        self._covariates, self._sizes = covariates, sizes
        known = (("covariates", "C S k"),) if covariates else ()
        seen = (("seen", "B u u"),) if sizes[2] else ()
        state = (("count", "B o"), ("columns", "B d u"), ("factor", "B d d"), *seen)
        self.arguments = (("y", axes), *known, ("mask", axes), *state)
        self.required = len(self.arguments)
        self.cast("float64")

    def begin_state(self, batch_size: int = 1) -> List[mx.nd.NDArray]:
        """The state before the first step, zeros in float64."""
        d, u = self._sizes[0], 1 + self._sizes[2]
        shapes = [(1,), (d, u), (d, d)] + ([(u, u)] if u > 1 else [])
        return [mx.nd.zeros((batch_size, *shape), dtype="float64") for shape in shapes]

    def advanced(
        self,
        F: Namespace,
        y: Array,
        mask: Array,
        state: Tuple[Array, ...],
        system: StreamSystem,
    ) -> Tuple[Array, ...]:
        """Mean (B, h, p), covariance (B, h, p, p) of what comes after y, and the next state.

        y: (B, 1, p), 0 where the mask (B, 1, p) is.
        """
        count, columns, factor, *seen = state
        online = fn.online_system(
            F,
            y,
            system.transition,
            system.emission,
            system.process_factor,
            system.observation_factor,
            mask,
            None,
            system.offset,
            name=self.name,
        )
        row = fn.zeros_like(F, count)
        square = F.expand_dims(row, axis=2)
        directions = system.directions
        first = fn.first_state(
            F,
            F.broadcast_add(system.prior_mean, row),
            F.broadcast_add(system.prior_factor, square),
            None if directions is None else F.broadcast_add(directions, square),
        )
        covariance = fn.product(F, factor, factor, transpose_b=True)
        kept = [columns, factor, covariance, *seen, *(fn.zeros_like(F, own) for own in seen)]
        has_begun = F.expand_dims(count, axis=2)
        before = fn.OnlineState(
            *(
                F.where(F.broadcast_add(has_begun, fn.zeros_like(F, own)), own, given(x))
                for own, x in zip(kept, first)
            )
        )
        step = fn.OnlineStep(F, online, before, self._sizes[:2], name=self.name)
        ahead, noise = step.ahead(self.steps), system.observation_factor
        noise = fn.product(F, noise, noise, transpose_b=True)
        later, spread = (
            fn.over_time(F, fn.time_first(F, x), ahead.columns)
            for x in (system.later_emission, noise)
        )
        offset = system.later_offset
        if offset is not None:
            offset = fn.time_first(F, with_axis(F, offset, 3))
        observed = ahead.seen(later, offset, spread)
        mean = F.squeeze(fn.batch_first(F, observed.mean), axis=3)
        following = step.next_state
        after = (following.seen,) if following.seen is not None else ()
        found = (mean, fn.batch_first(F, observed.covariance), count + 1.0)
        return (*found, following.columns, following.factor, *after)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        states, series, directions = self._sizes
        for letter, right, what in (
            ("o", 1, "steps of y"),
            ("p", series, "series in y"),
            ("d", states, "states"),
            ("u", 1 + directions, "columns"),
            ("k", self._covariates, "covariates"),
            ("S", 1 + self.steps, "steps of covariates, those of y and of the forecast"),
        ):
            if sizes.get(letter, right) != right:
                raise ShapeError(f"{self.name}: got {sizes[letter]} {what}, expected {right}.")
        if sizes.get("C", 1) not in (1, sizes["B"]):
            raise ShapeError(
                f"{self.name}: 'covariates' has batch {sizes['C']}, expected 1 or {sizes['B']}."
            )
