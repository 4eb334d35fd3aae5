"""Gradients of filtered, smoothed and predicted moments, in every array of the system.

The differential of the filter is a linear recursion whose coefficients are results of the filter
itself: to first order the gain need not vary. With the increments δ of the arrays (0 in value, 1
in gradient), R = D Dᵀ, Q = G Gᵀ, δJ = δA - K δH and z = F⁻¹ v,

    δP⁺ = Φ δP Φᵀ + δJ (Φ P)ᵀ + (Φ P) δJᵀ + K δR Kᵀ + δQ,
    Y   = Φ δP Hᵀ + δJ P Hᵀ + Φ P δHᵀ - K δR,
    δa⁺ = Φ δa + δJ a + δb + K (δy - δd) + Y z,

and the smoother's follows from r_{t-1} = Mᵀ w and N_{t-1} = Mᵀ Λ M (`kalman_score`). Everything
here is 0 in value. Only the recursions in δ are differentiated; nothing is inverted.
"""

from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

from ..typing import Array, Namespace, given
from .diffuse import Settlement, first_column, other_columns, settled
from .kalman import Filtered
from .kalman_score import Smoothed
from .matrix import congruence, identity_like, product, transpose
from .recursion import affine_recursion, quadratic_recursion
from .state_space import LinearGaussianSystem, increments, over_batch, over_time, stopped
from .tangent import zeros_like


class Change(NamedTuple):
    """Increments of filtered moments, 0 in value."""

    mean: Array  # (1, T, B, d, 1)
    covariance: Array  # (1, T, B, d, d)


class MomentTangents:
    """The increments of all moments of one filter pass, each of shape (1, T, B, ...).

    F, system, filtered: as in `kalman_filter`; length: T for scans, None for loops. With diffuse
    directions vectors are settled columns (`diffuse`), moments those given δ, and `settled_mean`
    and `settled_covariance` add what the data say of δ.
    """

    def __init__(
        self,
        F: Namespace,
        system: LinearGaussianSystem,
        filtered: Filtered,
        length: Optional[int] = None,
    ) -> None:
        self.F, self.length = F, length
        system = system._replace(directions=None)
        self.change = _over_all(F, increments(F, system), filtered.mean)
        self.fixed = _over_all(F, stopped(F, system), filtered.mean)
        settlement = filtered.settlement
        if settlement is not None:
            filtered = filtered._replace(
                mean=settled(F, filtered.mean, settlement),
                innovation=settled(F, filtered.innovation, settlement),
            )
            self.change = _settled_vectors(F, self.change, settlement)
        spread: Dict[str, Any] = {
            name: over_batch(F, getattr(filtered, name), filtered.mean)
            for name in filtered._fields
            if name not in ("mean", "innovation", "roots", "scanned", "settlement")
        }
        self.filtered: Filtered = filtered._replace(**spread)
        self._information: Optional[Array] = None
        self.noise = self._doubled(self.change.observation_factor, self.fixed.observation_factor)
        self.shock = self.change.observed
        if self.change.emission_offset is not None:
            self.shock = self.shock - self.change.emission_offset
        self._propagate()

    def filtered_moments(self, covariance: Array) -> Change:
        """Of E[x_t | y_1..y_t] and Var(x_t | y_1..y_t), the value of the latter being given."""
        F, pass_, change = self.F, self.filtered, self.change
        covariance = over_batch(F, covariance, pass_.mean)
        emission = self.fixed.emission
        gain = product(F, pass_.whitened, pass_.inverse_factor, transpose_a=True)
        closed = identity_like(F, pass_.closed) - product(F, gain, emission)
        turned = -product(F, gain, change.emission)
        crossed = self._crossed(gain, closed, turned, covariance)
        offset = product(F, turned, pass_.mean) + product(F, gain, self.shock)
        offset = offset + product(F, crossed, self._weighted_innovation())
        along = congruence(F, closed, self.covariance) + congruence(F, gain, self.noise)
        along = along + self._symmetric(product(F, turned, covariance))
        return Change(product(F, closed, self.mean) + offset, along)

    def smoothed_mean(self, smoothed: Smoothed) -> Array:
        """Of E[x_t | y]."""
        F, pass_, change, fixed = self.F, self.filtered, self.change, self.fixed
        pulled = product(F, change.emission, smoothed.observed, transpose_a=True) + product(
            F, change.transition, smoothed.after, transpose_a=True
        )
        moved = self.mean + product(F, self.covariance, smoothed.before)
        inner = self.shock - product(F, change.emission, smoothed.mean)
        inner = inner - product(F, self.noise, smoothed.observed)
        inner = inner - product(F, fixed.emission, moved + product(F, pass_.covariance, pulled))
        offset = pulled + product(F, self._weighted_emission(), inner, transpose_a=True)
        turned = transpose(F, pass_.closed, axes=5)
        after = self._backward(affine_recursion, turned, offset)
        before = product(F, turned, after) + offset
        return moved + product(F, pass_.covariance, before)

    def smoothed_covariances(self, smoothed: Smoothed) -> Tuple[Array, Array]:
        """Of Var(x_t | y) and Cov(x_{t+1}, x_t | y)."""
        F, pass_, change = self.F, self.filtered, self.change
        before, after, factor = (
            over_batch(F, x, pass_.mean)
            for x in (
                smoothed.precision_before,
                smoothed.precision_after,
                pass_.square_roots.following,
            )
        )
        P, closed = pass_.covariance, pass_.closed
        weighted = self._weighted_emission()
        forced = product(F, after, closed)
        observed = weighted - product(F, pass_.gain, forced, transpose_a=True)
        turned = product(F, change.emission, observed, transpose_a=True)
        turned = turned + product(F, change.transition, forced, transpose_a=True)
        changed_gain = product(F, weighted, self.crossed, transpose_a=True, transpose_b=True)
        offset = self._symmetric(turned - product(F, changed_gain, forced))
        offset = offset - congruence(F, transpose(F, weighted, axes=5), self._innovation_change())
        changed_after = self._backward(quadratic_recursion, transpose(F, closed, axes=5), offset)
        changed_before = congruence(F, transpose(F, closed, axes=5), changed_after) + offset

        smoothing = product(F, self.covariance, product(F, before, P))
        variance = self.covariance - self._symmetric(smoothing) - congruence(F, P, changed_before)
        following = product(F, factor, factor, transpose_b=True)
        remaining = identity_like(F, P) - product(F, following, after)
        carried = product(F, closed, self.covariance) + product(F, self.turned, P)
        carried = carried - product(
            F, self.crossed, product(F, pass_.inverse_factor, pass_.whitened, transpose_a=True)
        )
        lost = product(F, self.next_covariance, after) + product(F, following, changed_after)
        lag_one = product(F, remaining, carried) - product(F, lost, pass_.carried)
        return variance, lag_one

    def settled_mean(self, columns: Array, change: Array) -> Array:
        """Mean over δ of settled columns (1, T, B, m, 1 + q) with that change: differentiable.

        In settled coordinates δ has the mean 0 and the covariance I, so that the increment of its
        normal equations, δG, moves them by -δG_δ1 and -δG_δδ.
        """
        F = self.F
        if self.filtered.settlement is None:
            return columns + change
        moved = first_column(F, self._information_change(columns))
        moved = F.slice_axis(moved, axis=3, begin=1, end=None)
        moved = product(F, other_columns(F, columns), moved)
        return first_column(F, columns + change) - moved

    def settled_covariance(
        self,
        covariance: Array,
        columns: Array,
        change: Array,
        later: Optional[Array] = None,
        later_change: Optional[Array] = None,
    ) -> Array:
        """A covariance given δ, (1, T, B, m, m), with what settled columns add: differentiable.

        later, later_change: the columns of the rows where they are not those of `columns`.
        """
        F = self.F
        if self.filtered.settlement is None:
            return covariance
        columns, change = (other_columns(F, x) for x in (columns, change))
        if later is None or later_change is None:
            later, later_change = columns, change
        else:
            later, later_change = (other_columns(F, x) for x in (later, later_change))
        inner = F.slice_axis(self._information_change(columns), axis=3, begin=1, end=None)
        spread = product(F, later, columns, transpose_b=True)
        spread = spread + product(F, later_change, columns, transpose_b=True)
        spread = spread + product(F, later, change, transpose_b=True)
        inner = product(F, later, other_columns(F, inner))
        spread = spread - product(F, inner, columns, transpose_b=True)
        return F.broadcast_add(covariance, spread)

    def _information_change(self, like: Array) -> Array:
        """δG of G = Σ_t VᵀF⁻¹V over the settled columns V of v, at all times of `like`."""
        F, innovation = self.F, self.filtered.innovation
        if self._information is None:
            change = self.shock - product(F, self.change.emission, self.filtered.mean)
            change = change - product(F, self.fixed.emission, self.mean)
            change = product(F, self.filtered.inverse_factor, change)
            weighted = self._weighted_innovation()
            along = product(F, weighted, product(F, self._innovation_change(), weighted), True)
            along = self._symmetric(product(F, innovation, change, True)) - along
            self._information = F.sum(along, axis=1, keepdims=True)
        return over_time(F, given(self._information), like)

    def _propagate(self) -> None:
        """δP, δa of the predictions, and what the smoother takes from them."""
        F, pass_, change, fixed = self.F, self.filtered, self.change, self.fixed
        self.turned = change.transition - product(F, pass_.gain, change.emission)
        offset = self._symmetric(product(F, self.turned, pass_.carried, transpose_b=True))
        offset = offset + congruence(F, pass_.gain, self.noise)
        offset = offset + self._doubled(change.process_factor, fixed.process_factor)
        prior = self._doubled(change.prior_factor, fixed.prior_factor)
        self.covariance = quadratic_recursion(F, pass_.closed, offset, prior, self.length)
        self.next_covariance = congruence(F, pass_.closed, self.covariance) + offset
        self.crossed = self._crossed(pass_.gain, pass_.closed, self.turned, pass_.carried)
        offset = product(F, self.turned, pass_.mean) + product(F, pass_.gain, self.shock)
        offset = offset + product(F, self.crossed, self._weighted_innovation())
        if change.transition_offset is not None:
            offset = offset + change.transition_offset
        self.mean = affine_recursion(F, pass_.closed, offset, change.prior_mean, self.length)

    def _crossed(self, gain: Array, closed: Array, turned: Array, carried: Array) -> Array:
        """Y of a step with these coefficients, (1, T, B, d, p)."""
        F, pass_, fixed = self.F, self.filtered, self.fixed
        predicted = product(F, closed, self.covariance) + product(F, turned, pass_.covariance)
        crossed = product(F, predicted, fixed.emission, transpose_b=True)
        crossed = crossed + product(F, carried, self.change.emission, transpose_b=True)
        return crossed - product(F, gain, self.noise)

    def _innovation_change(self) -> Array:
        """δF, (1, T, B, p, p)."""
        F, emission = self.F, self.fixed.emission
        spread = product(F, self.filtered.covariance, emission, transpose_b=True)
        along = self._symmetric(product(F, self.change.emission, spread))
        return congruence(F, emission, self.covariance) + along + self.noise

    def _weighted_innovation(self) -> Array:
        """F⁻¹ v, (1, T, B, p, 1)."""
        pass_ = self.filtered
        return product(self.F, pass_.inverse_factor, pass_.innovation, transpose_a=True)

    def _weighted_emission(self) -> Array:
        """F⁻¹ H, (1, T, B, p, d)."""
        F, inverse_factor = self.F, self.filtered.inverse_factor
        whitened = product(F, inverse_factor, self.fixed.emission)
        return product(F, inverse_factor, whitened, transpose_a=True)

    def _backward(self, recursion: Callable[..., Array], matrix: Array, offset: Array) -> Array:
        zero = self.F.slice_axis(zeros_like(self.F, offset), axis=1, begin=0, end=1)
        return recursion(self.F, matrix, offset, zero, self.length, reverse=True)

    def _doubled(self, change: Array, fixed: Array) -> Array:
        """δ(N Nᵀ) = δN Nᵀ + N δNᵀ."""
        return self._symmetric(product(self.F, change, fixed, transpose_b=True))

    def _symmetric(self, x: Array) -> Array:
        return x + transpose(self.F, x, axes=5)


def _settled_vectors(
    F: Namespace, change: LinearGaussianSystem, settlement: Settlement
) -> LinearGaussianSystem:
    """The increments of a system with those of vectors as settled columns."""
    names = ("observed", "transition_offset", "emission_offset", "prior_mean")
    turned = {k: getattr(change, k) for k in names}
    turned = {k: None if x is None else settled(F, x, settlement) for k, x in turned.items()}
    return change._replace(**turned)


def _over_all(F: Namespace, system: LinearGaussianSystem, like: Array) -> LinearGaussianSystem:
    """The arrays over all batch elements and, but for those of the prior, over all times."""
    spread = {}
    for name, array in system._asdict().items():
        if array is not None:
            along = over_batch if name.startswith("prior") else over_time
            spread[name] = along(F, array, like)
    return system._replace(**spread)
