"""Smoothing errors u and r of all data, or of those up to a fixed lag, with their gradients.

With r_t and N_t as in `kalman_score`, and M_t the precision of u_t (de Jong 1989; Durbin & Koopman
2012, section 4.5),

    u_t = F⁻¹ v - Kᵀ r_t,            M_t = F⁻¹ + Kᵀ N_t K,
    r_{t-1} = Hᵀ F⁻¹ v + Φᵀ r_t,     N_{t-1} = Hᵀ F⁻¹ H + Φᵀ N_t Φ,     Φ = A - K H:

u and r are the gradient of log p(y) in the offsets of observation and transition, M and N its
negative Hessian. The increments are those of `kalman_tangent`.
"""

from typing import NamedTuple, Tuple

from ..typing import Array, Namespace
from .kalman import Filtered
from .kalman_moments import free_rows
from .kalman_scan import following
from .kalman_score import Smoothed
from .kalman_tangent import MomentTangents
from .matrix import congruence, identity_like, product, symmetrize, transpose
from .recursion import affine_recursion, quadratic_recursion
from .state_space import over_batch
from .tangent import stop, zeros_like


class ErrorChanges(NamedTuple):
    """Increments, 0 in value."""

    after: Array  # of r_t, (1, T, B, d, 1 + q)
    before: Array  # of r_{t-1}
    observed: Array  # of u_t, (1, T, B, p, 1 + q)


class PrecisionChanges(NamedTuple):
    """Increments, 0 in value."""

    after: Array  # of N_t, (1, T, B, d, d)
    before: Array  # of N_{t-1}
    observed: Array  # of M_t, (1, T, B, p, p)


class Lagged(NamedTuple):
    """A state given the data up to some steps after it."""

    mean: Array  # columns, constants, (1, T, B, d, 1 + q)
    change: Array  # increments of these
    covariance: Array  # given δ, differentiable, (1, T, B, d, d)


class SmoothingErrors(MomentTangents):
    """`MomentTangents` that have those of the smoothing errors, too."""

    def errors(self, smoothed: Smoothed) -> ErrorChanges:
        F, turned = self.F, transpose(self.F, self.filtered.closed, axes=5)
        offset, inner = self._error_offset(
            smoothed.after, smoothed.before, smoothed.observed, smoothed.mean
        )
        after = self._backward(affine_recursion, turned, offset)
        observed = self._weighted(inner) - product(F, self.filtered.gain, after, transpose_a=True)
        return ErrorChanges(after, product(F, turned, after) + offset, observed)

    def precisions(self, smoothed: Smoothed) -> PrecisionChanges:
        F, pass_ = self.F, self.filtered
        after = over_batch(F, smoothed.precision_after, pass_.mean)
        turned = transpose(F, pass_.closed, axes=5)
        offset = self._precision_offset(after)
        changed = self._backward(quadratic_recursion, turned, offset)
        gain = transpose(F, pass_.gain, axes=5)
        inverse = product(F, pass_.inverse_factor, pass_.inverse_factor, transpose_a=True)
        turn = product(F, self.crossed, product(F, after, pass_.gain), transpose_a=True)
        observed = congruence(F, gain, changed) + self._symmetric(product(F, inverse, turn))
        observed = observed - congruence(F, inverse, self._innovation_change())
        return PrecisionChanges(changed, congruence(F, turned, changed) + offset, observed)

    def lag_covariance(self, smoothed: Smoothed, value: Array, lag: int) -> Array:
        """Cov(x_{t+k}, x_t | y) of that value, (1, T - k, B, d, d), given δ, with its gradient.

        It is (I - P_{t+k} N_{t+k-1}) Φ_{t+k-1} ... Φ_t P_t.
        """
        F, pass_ = self.F, self.filtered
        before = over_batch(F, smoothed.precision_before, pass_.mean)
        closed_change = self.turned - product(F, self.crossed, self._weighted_emission())
        moved = product(F, pass_.closed, self.covariance)
        moved = moved + product(F, closed_change, pass_.covariance)
        carried, closed = pass_.carried, pass_.closed
        for _ in range(lag - 1):
            # From (t, t + i) to (t, t + i + 1), at the place of t.
            closed, closed_change = following(F, closed), following(F, closed_change)
            moved = product(F, closed_change, carried) + product(F, closed, moved)
            carried = product(F, closed, carried)

        def early(x: Array) -> Array:
            return F.slice_axis(x, axis=1, begin=0, end=-lag)

        def late(x: Array) -> Array:
            return F.slice_axis(x, axis=1, begin=lag, end=None)

        spread = late(pass_.covariance)
        remaining = identity_like(F, spread) - product(F, spread, late(before))
        lost = product(F, late(self.covariance), late(before))
        lost = lost + product(F, spread, late(self.precisions(smoothed).before))
        change = product(F, remaining, early(moved)) - product(F, lost, early(carried))
        return F.broadcast_add(stop(F, value), change)

    def fixed_lag(self, filtered: Filtered, lag: int, sizes: Tuple[int, int]) -> Lagged:
        """`Lagged` by k = `lag` steps, or fewer at the end.

        filtered: the results of the filter, those of which this is made; sizes: d and p.
        """
        F, pass_, emission = self.F, self.filtered, self.fixed.emission
        turned = transpose(F, pass_.closed, axes=5)
        forced = self._weighted_innovation()
        scaled = product(F, pass_.inverse_factor, emission)
        scaled = product(F, scaled, scaled, transpose_a=True)
        before, changed = zeros_like(F, pass_.mean), zeros_like(F, pass_.mean)
        precision, changed_precision = zeros_like(F, scaled), zeros_like(F, scaled)
        for _ in range(lag + 1):
            after, changed, precision_after, changed_precision = (
                following(F, x) for x in (before, changed, precision, changed_precision)
            )
            observed = forced - product(F, pass_.gain, after, transpose_a=True)
            before = product(F, emission, forced, transpose_a=True) + product(F, turned, after)
            mean = pass_.mean + product(F, pass_.covariance, before)
            offset, _ = self._error_offset(after, before, observed, mean)
            changed = product(F, turned, changed) + offset
            precision = congruence(F, turned, precision_after) + scaled
            changed_precision = congruence(F, turned, changed_precision)
            changed_precision = changed_precision + self._precision_offset(precision_after)
        P = pass_.covariance
        moved = self.mean + product(F, self.covariance, before) + product(F, P, changed)
        smoothing = product(F, self.covariance, product(F, precision, P))
        change = self.covariance - self._symmetric(smoothing)
        change = change - congruence(F, P, changed_precision)
        value = P - congruence(F, P, precision)
        if filtered.scanned is None:
            mean, value = _lagged_coordinates(F, filtered, lag, sizes)
        value = symmetrize(F, value, axes=5)
        return Lagged(stop(F, mean), moved, F.broadcast_add(stop(F, value), change))

    @property
    def information(self) -> Array:
        """δG of all data, (1, 1, B, 1 + q, 1 + q), in the columns that this is made of."""
        return self.F.sum(self.information_steps(), axis=1, keepdims=True)

    def information_steps(self) -> Array:
        """What each step adds to δG of G = Σ VᵀF⁻¹V, (1, T, B, 1 + q, 1 + q)."""
        F, innovation = self.F, self.filtered.innovation
        change = product(F, self.filtered.inverse_factor, self.residual_change())
        weighted = self._weighted_innovation()
        along = product(F, weighted, product(F, self.innovation_change(), weighted), True)
        return self._symmetric(product(F, innovation, change, True)) - along

    def residual_change(self) -> Array:
        """δv of v = y - H a - d, (1, T, B, p, 1 + q)."""
        F = self.F
        change = self.shock - product(F, self.change.emission, self.filtered.mean)
        return change - product(F, self.fixed.emission, self.mean)

    def innovation_change(self) -> Array:
        """δF, (1, T, B, p, p)."""
        return self._innovation_change()

    def weighted_innovation(self) -> Array:
        """F⁻¹ v, (1, T, B, p, 1 + q)."""
        return self._weighted_innovation()

    def _error_offset(
        self, after: Array, before: Array, observed: Array, mean: Array
    ) -> Tuple[Array, Array]:
        """What a step adds to the increment of r_{t-1}, and F times what it adds to that of u_t."""
        F, change, fixed = self.F, self.change, self.fixed
        pulled = product(F, change.emission, observed, transpose_a=True)
        pulled = pulled + product(F, change.transition, after, transpose_a=True)
        moved = self.mean + product(F, self.covariance, before)
        moved = moved + product(F, self.filtered.covariance, pulled)
        inner = self.shock - product(F, change.emission, mean) - product(F, self.noise, observed)
        inner = inner - product(F, fixed.emission, moved)
        return pulled + product(F, self._weighted_emission(), inner, transpose_a=True), inner

    def _precision_offset(self, after: Array) -> Array:
        """What a step adds to the increment of N_{t-1}."""
        F, pass_, change = self.F, self.filtered, self.change
        weighted = self._weighted_emission()
        forced = product(F, after, pass_.closed)
        observed = weighted - product(F, pass_.gain, forced, transpose_a=True)
        turned = product(F, change.emission, observed, transpose_a=True)
        turned = turned + product(F, change.transition, forced, transpose_a=True)
        changed_gain = product(F, weighted, self.crossed, transpose_a=True, transpose_b=True)
        offset = self._symmetric(turned - product(F, changed_gain, forced))
        return offset - congruence(F, transpose(F, weighted, axes=5), self._innovation_change())

    def _weighted(self, x: Array) -> Array:
        """F⁻¹ x."""
        inverse_factor = self.filtered.inverse_factor
        return product(self.F, inverse_factor, product(self.F, inverse_factor, x), transpose_a=True)


def _lagged_coordinates(
    F: Namespace, filtered: Filtered, lag: int, sizes: Tuple[int, int]
) -> Tuple[Array, Array]:
    """Mean and covariance of x_t given y_1, ..., y_{t+k}, by coordinates (`kalman_moments`)."""
    roots, states, observations = filtered.square_roots, *sizes
    free = free_rows(F, roots, states, observations)
    offset = product(F, free, free, transpose_a=True)
    turned = transpose(F, roots.carried, axes=5)
    whitened, carried, factor = (
        over_batch(F, x, filtered.mean) for x in (roots.whitened, roots.carried, roots.factor)
    )
    pulled = product(F, whitened, filtered.innovation, transpose_a=True)
    coordinates, covariance = zeros_like(F, pulled), identity_like(F, offset)
    last = F.slice_axis(covariance, axis=1, begin=0, end=1)
    for _ in range(lag + 1):
        coordinates = pulled + product(F, carried, following(F, coordinates), transpose_a=True)
        covariance = F.slice_axis(F.concat(covariance, last, dim=1), axis=1, begin=1, end=None)
        covariance = congruence(F, turned, covariance) + offset
    mean = filtered.mean + product(F, factor, coordinates)
    return mean, over_batch(F, congruence(F, roots.factor, covariance), filtered.mean)
