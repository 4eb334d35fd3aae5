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

from collections import namedtuple

from .matrix import identity_like, product
from .recursion import affine_recursion, quadratic_recursion
from .state_space import increments, over_batch, over_time, stopped, transposed
from .tangent import zeros_like

Change = namedtuple("Change", ["mean", "covariance"])


class MomentTangents:
    """The increments of all moments of one filter pass, each of shape (1, T, B, ...).

    F, system, filtered: as in `kalman_filter`; length: T for scans, None for loops.
    """

    def __init__(self, F, system, filtered, length=None):
        self.F, self.length = F, length
        self.change = _over_all(F, increments(F, system), filtered.mean)
        self.fixed = _over_all(F, stopped(F, system), filtered.mean)
        spread = {
            name: over_batch(F, getattr(filtered, name), filtered.mean)
            for name in filtered._fields
            if name not in ("mean", "innovation", "roots", "scanned")
        }
        self.filtered = filtered._replace(**spread)
        self.noise = self._doubled(self.change.observation_factor, self.fixed.observation_factor)
        self.shock = self.change.observed
        if self.change.emission_offset is not None:
            self.shock = self.shock - self.change.emission_offset
        self._propagate()

    def filtered_moments(self, covariance):
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
        along = _sandwich(F, closed, self.covariance) + _sandwich(F, gain, self.noise)
        along = along + self._symmetric(product(F, turned, covariance))
        return Change(product(F, closed, self.mean) + offset, along)

    def smoothed_mean(self, smoothed):
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
        turned = transposed(F, pass_.closed)
        after = self._backward(affine_recursion, turned, offset)
        before = product(F, turned, after) + offset
        return moved + product(F, pass_.covariance, before)

    def smoothed_covariances(self, smoothed):
        """Of Var(x_t | y) and Cov(x_{t+1}, x_t | y)."""
        F, pass_, change = self.F, self.filtered, self.change
        before, after, factor = (
            over_batch(F, x, pass_.mean)
            for x in (
                smoothed.precision_before,
                smoothed.precision_after,
                pass_.roots.following,
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
        offset = offset - _sandwich(F, transposed(F, weighted), self._innovation_change())
        changed_after = self._backward(quadratic_recursion, transposed(F, closed), offset)
        changed_before = _sandwich(F, transposed(F, closed), changed_after) + offset

        smoothing = product(F, self.covariance, product(F, before, P))
        variance = self.covariance - self._symmetric(smoothing) - _sandwich(F, P, changed_before)
        following = product(F, factor, factor, transpose_b=True)
        remaining = identity_like(F, P) - product(F, following, after)
        carried = product(F, closed, self.covariance) + product(F, self.turned, P)
        carried = carried - product(
            F, self.crossed, product(F, pass_.inverse_factor, pass_.whitened, transpose_a=True)
        )
        lost = product(F, self.next_covariance, after) + product(F, following, changed_after)
        lag_one = product(F, remaining, carried) - product(F, lost, pass_.carried)
        return variance, lag_one

    def _propagate(self):
        """δP, δa of the predictions, and what the smoother takes from them."""
        F, pass_, change, fixed = self.F, self.filtered, self.change, self.fixed
        self.turned = change.transition - product(F, pass_.gain, change.emission)
        offset = self._symmetric(product(F, self.turned, pass_.carried, transpose_b=True))
        offset = offset + _sandwich(F, pass_.gain, self.noise)
        offset = offset + self._doubled(change.process_factor, fixed.process_factor)
        prior = self._doubled(change.prior_factor, fixed.prior_factor)
        self.covariance = quadratic_recursion(F, pass_.closed, offset, prior, self.length)
        self.next_covariance = _sandwich(F, pass_.closed, self.covariance) + offset
        self.crossed = self._crossed(pass_.gain, pass_.closed, self.turned, pass_.carried)
        offset = product(F, self.turned, pass_.mean) + product(F, pass_.gain, self.shock)
        offset = offset + product(F, self.crossed, self._weighted_innovation())
        if change.transition_offset is not None:
            offset = offset + change.transition_offset
        self.mean = affine_recursion(F, pass_.closed, offset, change.prior_mean, self.length)

    def _crossed(self, gain, closed, turned, carried):
        """Y of a step with these coefficients, (1, T, B, d, p)."""
        F, pass_, fixed = self.F, self.filtered, self.fixed
        predicted = product(F, closed, self.covariance) + product(F, turned, pass_.covariance)
        crossed = product(F, predicted, fixed.emission, transpose_b=True)
        crossed = crossed + product(F, carried, self.change.emission, transpose_b=True)
        return crossed - product(F, gain, self.noise)

    def _innovation_change(self):
        """δF, (1, T, B, p, p)."""
        F, emission = self.F, self.fixed.emission
        spread = product(F, self.filtered.covariance, emission, transpose_b=True)
        along = self._symmetric(product(F, self.change.emission, spread))
        return _sandwich(F, emission, self.covariance) + along + self.noise

    def _weighted_innovation(self):
        """F⁻¹ v, (1, T, B, p, 1)."""
        pass_ = self.filtered
        return product(self.F, pass_.inverse_factor, pass_.innovation, transpose_a=True)

    def _weighted_emission(self):
        """F⁻¹ H, (1, T, B, p, d)."""
        F, inverse_factor = self.F, self.filtered.inverse_factor
        whitened = product(F, inverse_factor, self.fixed.emission)
        return product(F, inverse_factor, whitened, transpose_a=True)

    def _backward(self, recursion, matrix, offset):
        zero = self.F.slice_axis(zeros_like(self.F, offset), axis=1, begin=0, end=1)
        return recursion(self.F, matrix, offset, zero, self.length, reverse=True)

    def _doubled(self, change, fixed):
        """δ(N Nᵀ) = δN Nᵀ + N δNᵀ."""
        return self._symmetric(product(self.F, change, fixed, transpose_b=True))

    def _symmetric(self, x):
        return x + transposed(self.F, x)


def _sandwich(F, matrix, x):
    """B X Bᵀ."""
    return product(F, product(F, matrix, x), matrix, transpose_b=True)


def _over_all(F, system, like):
    """The arrays over all batch elements and, but for those of the prior, over all times."""
    spread = {}
    for name, array in system._asdict().items():
        if array is not None:
            along = over_batch if name.startswith("prior") else over_time
            spread[name] = along(F, array, like)
    return system._replace(**spread)
