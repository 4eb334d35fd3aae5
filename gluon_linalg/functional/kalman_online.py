"""The filter one observation at a time: a state in, and the next one out.

What is known of x_t before y_t is the state: the columns [a, W] and the factor S of P, both of
`kalman`, and with diffuse directions what has been seen of δ (`diffuse`), as the factor of the
sums over time. Gradients go through P, never through S (`kalman_tangent`), so that no factorization
is differentiated, and singular covariances are as good as any.
"""

from functools import cached_property
from typing import NamedTuple, Optional, Tuple

from ..typing import Array, Namespace, given
from .diffuse import joined_factor, other_columns, padded, settlement_of_each
from .kalman import kalman_filter
from .kalman_moments import filtered_mean
from .kalman_steps import with_prior_covariance
from .kalman_views import KalmanViews, Known, Moments, moments_of
from .matrix import congruence, diagonal, product, transpose, with_axis
from .recursion import affine_recursion, quadratic_recursion
from .smoothing_errors import SmoothingErrors
from .state_space import (
    LinearGaussianSystem,
    leading_axes,
    require_finite,
    square_factor,
    state_space_system,
    time_first,
)
from .tangent import stop, zeros_like


class OnlineState(NamedTuple):
    """What is known of x_t before y_t."""

    columns: Array  # [a, W], (B, d, 1 + q)
    factor: Array  # S, a constant, (B, d, d)
    covariance: Array  # S Sᵀ, with its gradient, (B, d, d)
    seen: Optional[Array] = None  # L of what was seen of δ, a constant, (B, 1 + q, 1 + q)
    information: Optional[Array] = None  # 0 with the gradient of L Lᵀ, (B, 1 + q, 1 + q)


def first_state(
    F: Namespace, mean: Array, factor: Array, directions: Optional[Array] = None
) -> OnlineState:
    """The `OnlineState` of x_1 = m + S ξ + D δ: m (B, d), S (B, d, s), D (B, d, q)."""
    columns = F.expand_dims(mean, axis=2)
    if directions is not None:
        columns = F.concat(columns, directions, dim=2)
        factor = F.concat(factor, directions, dim=2)
    covariance = product(F, factor, factor, transpose_b=True)
    square = F.squeeze(square_factor(F, leading_axes(F, stop(F, factor))), axis=(0, 1))
    if directions is None:
        return OnlineState(columns, stop(F, square), covariance)
    # Exact zeros, of columns that may be infinite one day.
    seen = zeros_like(F, product(F, columns, columns, transpose_a=True))
    return OnlineState(columns, stop(F, square), covariance, seen, seen)


class OnlineSystem(NamedTuple):
    """A `LinearGaussianSystem` of one step, whose prior is of no account, and its H, D and d."""

    system: LinearGaussianSystem
    shown: Tuple[Array, Array, Optional[Array]]


def online_system(
    F: Namespace,
    y: Array,
    transition: Array,
    emission: Array,
    process_factor: Array,
    observation_factor: Array,
    mask: Optional[Array] = None,
    transition_offset: Optional[Array] = None,
    emission_offset: Optional[Array] = None,
    name: str = "Kalman",
) -> OnlineSystem:
    """The `OnlineSystem` of arrays (B or 1, 1, ...), as `state_space_system` takes them."""
    onward = {"transition": transition, "process_factor": process_factor}
    system = state_space_system(
        F, y, transition, emission, process_factor, observation_factor,
        F.squeeze(y, axis=1), y, mask, None, emission_offset, name=name,
    )  # fmt: skip
    if transition_offset is not None:
        onward["transition_offset"] = with_axis(F, transition_offset, 3)
    # This step is not the last one: what leads on counts.
    onward = {key: time_first(F, array) for key, array in onward.items()}
    require_finite(F, name, **onward)
    offset = None
    if emission_offset is not None:
        offset = time_first(F, with_axis(F, emission_offset, 3))
    shown = time_first(F, emission), time_first(F, observation_factor), offset
    return OnlineSystem(system._replace(**onward), shown)


class OnlineStep(KalmanViews):
    """The views of one step, T = 1, and the state after it.

    sizes: d and p; directions: D of the first state, (B or 1, d, q), for the likelihood.
    """

    def __init__(
        self,
        F: Namespace,
        online: OnlineSystem,
        state: OnlineState,
        sizes: Tuple[int, int],
        directions: Optional[Array] = None,
        name: str = "Kalman",
    ) -> None:
        self.F, self.sizes, self.name, self.length = F, sizes, name, 1
        self._first_directions = None if directions is None else leading_axes(F, directions)
        system, self._shown = online
        self.state = state
        columns = leading_axes(F, state.columns)
        if state.seen is not None:
            others = other_columns(F, columns)
            names = ("observed", "transition_offset", "emission_offset")
            arrays = {name: getattr(system, name) for name in names}
            arrays = {k: None if x is None else padded(F, x, others) for k, x in arrays.items()}
            system = system._replace(**arrays)
        self.system = system._replace(
            prior_mean=columns, prior_factor=leading_axes(F, stop(F, state.factor))
        )
        self.pass_, self.value = kalman_filter(F, self.system, *sizes, name=name, single=True)

    @cached_property
    def following(self) -> Moments:
        """Of x_{t+1} given y_1, ..., y_t."""
        state, F = self.next_state, self.F
        columns = leading_axes(F, state.columns)
        fixed, covariance = stop(F, columns), leading_axes(F, state.covariance)
        return moments_of(F, fixed, columns - fixed, covariance, self._until)

    def ahead(self, steps: int) -> Moments:
        """Of x_{t+1}, ..., x_{t+h} given y_1, ..., y_t, constants, with A, b and G of this step."""
        F, fixed, following = self.F, self._ahead.fixed, self.following
        offset = zeros_like(F, following.columns)
        if fixed.transition_offset is not None:
            offset = F.broadcast_add(offset, fixed.transition_offset)
        noise = product(F, fixed.process_factor, fixed.process_factor, transpose_b=True)
        transition, offset, noise = (
            F.broadcast_axis(x, axis=1, size=steps) for x in (fixed.transition, offset, noise)
        )
        columns = affine_recursion(F, transition, offset, following.columns)
        inner = quadratic_recursion(F, transition, noise, stop(F, following.inner))
        return moments_of(F, stop(F, columns), zeros_like(F, columns), inner, self._until)

    @cached_property
    def next_state(self) -> OnlineState:
        F, pass_, ahead, system = self.F, self.pass_, self._ahead, self.system
        columns = product(F, ahead.fixed.transition, filtered_mean(F, pass_))
        if system.transition_offset is not None:
            columns = columns + given(ahead.fixed.transition_offset)
            columns = columns + given(ahead.change.transition_offset)
        weighted = ahead.weighted_innovation()
        for matrix, column in (
            (pass_.closed, ahead.mean),
            (ahead.turned, pass_.mean),
            (pass_.gain, ahead.shock),
            (ahead.crossed, weighted),
        ):
            columns = columns + product(F, matrix, column)
        factor = upright(F, pass_.square_roots.following)
        covariance = product(F, factor, factor, transpose_b=True) + ahead.next_covariance
        columns, factor, covariance = (
            F.squeeze(x, axis=(0, 1)) for x in (columns, factor, covariance)
        )
        if self._until is None:
            return OnlineState(columns, factor, covariance)
        seen = F.squeeze(upright(F, self._seen_after), axis=(0, 1))
        information = leading_axes(F, given(self.state.information)) + ahead.information_steps()
        information = F.squeeze(information, axis=(0, 1))
        return OnlineState(columns, factor, covariance, seen, information)

    @property
    def _directions(self) -> Optional[Array]:
        return self._first_directions

    @cached_property
    def _ahead(self) -> SmoothingErrors:
        system = with_prior_covariance(self.F, self.system, self.state.covariance)
        return SmoothingErrors(self.F, system, self.pass_, 1)

    @cached_property
    def _seen_after(self) -> Array:
        seen = leading_axes(self.F, given(self.state.seen))
        return joined_factor(self.F, seen, self.pass_.innovation)

    @cached_property
    def _running(self) -> Optional[Tuple[Known, Known]]:
        F, state = self.F, self.state
        if state.seen is None:
            return None
        before = leading_axes(F, given(state.information))
        pairs = (
            (leading_axes(F, state.seen), before),
            (self._seen_after, before + self._ahead.information_steps()),
        )
        known = []
        for seen, information in pairs:
            settlement = settlement_of_each(F, stop(F, seen), self.name)
            turned = congruence(F, transpose(F, settlement.turn, axes=5), information)
            known.append(Known(settlement, turned))
        return known[0], known[1]


def upright(F: Namespace, factor: Array) -> Array:
    """A lower factor (1, 1, B, n, n) without negative diagonal elements, a constant."""
    pivots = transpose(F, with_axis(F, diagonal(F, factor), 4), axes=5)
    return stop(F, F.broadcast_mul(factor, 1.0 - 2.0 * (pivots < 0.0)))
