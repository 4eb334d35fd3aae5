"""What one pass of the filter says, each part computed when it is asked for, with its gradient.

Arrays are time first, (1, T, B, m, n). What is affine in the diffuse δ comes as columns
(`diffuse`): of what was seen before a step, up to it, or ever, according to the view.
"""

from functools import cached_property
from typing import Any, NamedTuple, Optional, Tuple

from ..typing import Array, Namespace, given
from . import lapack
from .cholesky import triangular_solve
from .diffuse import (
    Settlement,
    first_column,
    left_open,
    log_lengths_each,
    other_columns,
    settle_each,
    settled,
    with_infinite,
)
from .gaussian import HALF_LOG_2PI
from .kalman import kalman_filter
from .kalman_moments import (
    coordinate_covariances,
    filtered_covariance,
    filtered_mean,
    smoothed_covariances,
)
from .kalman_scan import following, smoothing_transition
from .kalman_score import Smoothed, backward_pass
from .kalman_steps import step_log_likelihood
from .matrix import congruence, diagonal, identity_like, product, symmetrize, transpose, with_axis
from .recursion import affine_recursion
from .smoothing_errors import SmoothingErrors
from .state_space import LinearGaussianSystem, batch_first, over_batch, over_time
from .tangent import ones_like, stop, zeros_like


class Known(NamedTuple):
    """What the data say of δ."""

    settlement: Settlement  # of arrays (1, T or 1, B, ., .)
    information: (
        Array  # δG of its normal equations in settled columns, (1, T or 1, B, 1 + q, 1 + q)
    )


class Moments(NamedTuple):
    """Of affine quantities; `moments_of` makes them."""

    F: Namespace
    columns: Array  # constants, unsettled, (1, T, B, m, 1 + q)
    settled: Array  # constants, the same without diffuse directions
    change: Array  # the increment of these
    inner: Array  # the covariance given δ, differentiable, (1, T, B, m, m)
    known: Optional[Known]  # None without diffuse directions
    offset: Optional[Array] = None

    @property
    def mean(self) -> Array:
        """(1, T, B, m, 1), with its gradient."""
        F, mean = self.F, first_column(self.F, self.settled + self.change)
        if self.known is not None:
            moved = first_column(F, self._information)
            moved = F.slice_axis(moved, axis=3, begin=1, end=None)
            mean = mean - product(F, other_columns(F, self.settled), moved)
        return mean if self.offset is None else F.broadcast_add(mean, self.offset)

    @property
    def finite_covariance(self) -> Array:
        """The covariance without what the data leave open."""
        if self.known is None:
            return self.inner
        columns = crossed_columns(self.F, self.settled, self.change, self._information)
        return self.F.broadcast_add(self.inner, columns)

    @property
    def covariance(self) -> Array:
        """(1, T, B, m, m), infinite in the variances that the data leave open."""
        covariance = symmetrize(self.F, self.finite_covariance, axes=5)
        if self.known is None:
            return covariance
        return with_infinite(self.F, covariance, self.columns, self.known.settlement)

    @property
    def open(self) -> Optional[Array]:
        """1 for elements that the data leave open, (1, T, B, m, 1)."""
        if self.known is None:
            return None
        return left_open(self.F, self.columns, self.known.settlement)

    def seen(self, matrix: Array, offset: Optional[Array], noise: Array) -> "Moments":
        """Of H x + d plus an independent noise of that covariance, all (1, T, B, ., .)."""
        F = self.F
        settled_rows = stop(F, product(F, matrix, self.settled))
        inner = product(F, product(F, matrix, self.inner), matrix, transpose_b=True) + noise
        return self._replace(
            columns=stop(F, product(F, matrix, self.columns)),
            settled=settled_rows,
            change=product(F, matrix, self.settled + self.change) - settled_rows,
            inner=inner,
            offset=offset,
        )

    @property
    def _information(self) -> Array:
        return over_time(self.F, given(self.known).information, self.settled)


def moments_of(
    F: Namespace, columns: Array, change: Array, covariance: Array, known: Optional[Known]
) -> Moments:
    """`Moments` from unsettled columns and their increment."""
    if known is None:
        return Moments(F, columns, columns, change, covariance, None)
    mean, change = (settled(F, x, known.settlement) for x in (columns, change))
    return Moments(F, columns, mean, change, covariance, known)


def crossed_columns(
    F: Namespace,
    columns: Array,
    change: Array,
    information: Array,
    later: Optional[Tuple[Array, Array]] = None,
) -> Array:
    """The covariance over δ of settled columns, (1, T, B, m, m), with its gradient.

    later: columns and change of the rows, where these are others.
    """
    columns, change = other_columns(F, columns), other_columns(F, change)
    rows, moved = (columns, change)
    if later is not None:
        rows, moved = (other_columns(F, x) for x in later)
    inner = F.slice_axis(other_columns(F, information), axis=3, begin=1, end=None)
    spread = product(F, rows + moved, columns, transpose_b=True)
    spread = spread + product(F, rows, change, transpose_b=True)
    return spread - product(F, product(F, rows, inner), columns, transpose_b=True)


class KalmanViews:
    """The views of a `LinearGaussianSystem`, whose arrays are kept as they come.

    shown: H, D and d before the mask hid their rows, time first, for views of y; sizes: d and p;
    length: T for scans, None for loops.
    """

    def __init__(
        self,
        F: Namespace,
        system: LinearGaussianSystem,
        shown: Optional[Tuple[Array, Array, Optional[Array]]],
        sizes: Tuple[int, int],
        length: Optional[int] = None,
        name: str = "Kalman",
    ) -> None:
        self.F, self.system, self.sizes = F, system, sizes
        self.length, self.name, self._shown = length, name, shown
        # Also -log p(y), a constant.
        self.pass_, self.value = kalman_filter(F, system, *sizes, length=length, name=name)

    @cached_property
    def log_likelihood(self) -> Array:
        """log p(y_t | y_1, ..., y_{t-1}), (B, T)."""
        F, system, pass_ = self.F, self.system, self.pass_
        if self._running is None:
            return step_log_likelihood(F, system, pass_, self._ahead)
        # What each observation adds to the likelihood of those up to it.
        pivots = with_axis(F, diagonal(F, pass_.inverse_factor), 4)
        constant = HALF_LOG_2PI - F.log(F.abs(pivots))
        constant = F.broadcast_add(constant, zeros_like(F, first_column(F, pass_.innovation)))
        if system.mask is not None:
            constant = F.broadcast_mul(constant, system.mask)
        before, until = given(self._before), given(self._until)
        value = F.sum(constant, axis=3, keepdims=True)
        value = value + until.settlement.value - before.settlement.value
        inverse = product(F, pass_.inverse_factor, pass_.inverse_factor, transpose_a=True)
        change = F.sum(
            F.broadcast_mul(inverse, self._ahead.innovation_change()), axis=(3, 4), keepdims=True
        )
        for known, sign in ((until, 1.0), (before, -1.0)):
            own = with_axis(F, diagonal(F, known.information), 4)
            change = change + sign * F.sum(own, axis=3, keepdims=True)
        seen = until.settlement.known - before.settlement.known
        lengths = log_lengths_each(F, given(self._directions), seen)
        value = stop(F, value) + 0.5 * change - lengths
        return F.squeeze(batch_first(F, -value), axis=(2, 3))

    @cached_property
    def predicted(self) -> Moments:
        """Of x_t given y_1, ..., y_{t-1}."""
        ahead = self._ahead
        covariance = self.F.broadcast_add(ahead.covariance, ahead.filtered.covariance)
        return moments_of(self.F, self.pass_.mean, ahead.mean, covariance, self._before)

    @cached_property
    def filtered(self) -> Moments:
        """Of x_t given y_1, ..., y_t."""
        F, pass_ = self.F, self.pass_
        covariance = filtered_covariance(F, pass_, self.sizes[1])
        change = self._ahead.filtered_moments(covariance)
        covariance = F.broadcast_add(change.covariance, covariance)
        return moments_of(F, filtered_mean(F, pass_), change.mean, covariance, self._until)

    @cached_property
    def smoothed(self) -> Moments:
        """Of x_t given all y."""
        F = self.F
        covariance, _ = smoothed_covariances(F, self.pass_, *self.sizes)
        change, _ = self._back.smoothed_covariances(self._smoothed)
        covariance = F.broadcast_add(change, covariance)
        columns, change = self._smoothed.mean, self._smoothed_change
        return Moments(F, self.pass_.mean, columns, change, covariance, self._all)

    def fixed_lag(self, lag: int) -> Moments:
        """Of x_t given y_1, ..., y_{t+k}."""
        F, known = self.F, None
        found = self._ahead.fixed_lag(self.pass_, lag, self.sizes)
        if self.pass_.settlement is not None:
            until = given(self._until)
            known = Known(
                Settlement(*(later(F, x, lag) for x in until.settlement)),
                later(F, until.information, lag),
            )
        return moments_of(F, found.mean, found.change, found.covariance, known)

    def lag_covariance(self, lag: int) -> Array:
        """Cov(x_{t+k}, x_t | y), (1, T - k, B, d, d)."""
        F, columns, change = self.F, self._smoothed.mean, self._smoothed_change
        value = self._back.lag_covariance(self._smoothed, self._lag_value(lag), lag)
        if self._all is None:
            return value
        now, after = (
            [F.slice_axis(x, axis=1, begin=begin, end=end) for x in (columns, change)]
            for begin, end in ((0, -lag), (lag, None))
        )
        information = over_time(F, self._all.information, now[0])
        return value + crossed_columns(F, now[0], now[1], information, (after[0], after[1]))

    def predicted_observations(self) -> Moments:
        """Of y_t given y_1, ..., y_{t-1}, its noise included."""
        emission, factor, offset = self.shown
        noise = product(self.F, factor, factor, transpose_b=True)
        return self.predicted.seen(emission, offset, noise)

    def signal(self, states: Moments) -> Moments:
        """Of H x_t + d_t, from moments of x_t."""
        emission, factor, offset = self.shown
        noise = zeros_like(self.F, product(self.F, factor, factor, transpose_b=True))
        return states.seen(emission, offset, noise)

    def innovations(self) -> Array:
        """F⁻½ (y_t - E[y_t | y_1, ..., y_{t-1}]) with the lower F½, (1, T, B, p, 1).

        0 for what is missing, or left open by what was seen before.
        """
        F, ahead, pass_ = self.F, self._ahead, self.pass_
        pivots = with_axis(F, diagonal(F, pass_.inverse_factor), 4)
        inverse = F.broadcast_mul(pass_.inverse_factor, 1.0 - 2.0 * (pivots < 0.0))
        inverse = over_batch(F, inverse, pass_.mean)
        columns = F.broadcast_mul(pass_.innovation, 1.0 - 2.0 * (pivots < 0.0))
        change = product(F, inverse, ahead.residual_change())
        covariance = congruence(F, inverse, ahead.innovation_change())
        covariance = covariance + identity_like(F, covariance)
        # F½ = L C with the factor L of the filter, and C near, or at, I.
        found = moments_of(F, columns, change, covariance, self._before)
        mean, covariance = found.mean, found.finite_covariance
        if found.open is not None:
            shown = 1.0 - found.open
            mean = mean * shown
            covariance = F.broadcast_mul(covariance, shown)
            covariance = F.broadcast_mul(covariance, transpose(F, shown, axes=5))
            covariance = F.broadcast_add(
                covariance, F.broadcast_mul(identity_like(F, covariance), found.open)
            )
        return triangular_solve(F, lapack.potrf(F, covariance), mean)

    @cached_property
    def shocks(self) -> Tuple[Array, Array]:
        """r_t (1, T, B, d, 1) and its variance N_t (1, T, B, d, d)."""
        F, smoothed = self.F, self._smoothed
        precision = F.broadcast_add(self._precisions.after, smoothed.precision_after)
        return self._error(smoothed.after, self._errors.after, precision)

    @cached_property
    def surprises(self) -> Tuple[Array, Array]:
        """u_t (1, T, B, p, 1) and its variance M_t (1, T, B, p, p)."""
        F, smoothed, pass_ = self.F, self._smoothed, self.pass_
        precision = product(F, pass_.inverse_factor, pass_.inverse_factor, transpose_a=True)
        gained = congruence(F, transpose(F, pass_.gain, axes=5), smoothed.precision_after)
        precision = F.broadcast_add(self._precisions.observed, precision + gained)
        if self.system.mask is not None:
            precision = F.broadcast_mul(precision, self.system.mask)
            precision = F.broadcast_mul(precision, transpose(F, self.system.mask, axes=5))
        return self._error(smoothed.observed, self._errors.observed, precision)

    def disturbances(self, factor: Array, error: Tuple[Array, Array]) -> Tuple[Array, Array]:
        """Mean Nᵀ w and covariance I - Nᵀ Λ N of standard normal noises with the factor N."""
        F, (force, precision) = self.F, error
        factor = over_time(F, factor, force)
        mean = product(F, factor, force, transpose_a=True)
        explained = congruence(F, transpose(F, factor, axes=5), precision)
        return mean, symmetrize(F, identity_like(F, explained) - explained, axes=5)

    def observation_disturbances(self) -> Tuple[Array, Array]:
        """Of ε_t, (1, T, B, q, 1) and (1, T, B, q, q)."""
        return self.disturbances(self.system.observation_factor, self.surprises)

    def process_disturbances(self) -> Tuple[Array, Array]:
        """Of η_t, (1, T, B, r, 1) and (1, T, B, r, r)."""
        return self.disturbances(self.system.process_factor, self.shocks)

    def auxiliary_residuals(self) -> Tuple[Array, Array]:
        """u_t and r_t over their standard deviations, 0 where these are 0."""
        return self._standardized(*self.surprises), self._standardized(*self.shocks)

    @cached_property
    def shown(self) -> Tuple[Array, Array, Array]:
        """H, D and d over all times and batch elements, the rows of what is missing included.

        NaN in H or D counts as 0 and is in d, a constant: no gradient is NaN for it.
        """
        F, like = self.F, self.pass_.mean
        arrays = [None if x is None else over_time(F, x, like) for x in given(self._shown)]
        offset, found = arrays[2], []
        for array in map(given, arrays[:2]):
            is_finite = stop(F, array) * 0.0 == 0.0
            found.append(F.where(is_finite, array, zeros_like(F, array)))
            row = F.min(is_finite, axis=4, keepdims=True)
            blank = stop(F, row / row - 1.0)
            offset = blank if offset is None else offset + blank
        return found[0], found[1], given(offset)

    def weights(self, place: int) -> Array:
        """∂E[x_t | y]/∂y_j for the t at `place`, constants (1, T, B, p, d).

        With Φ = A - K H those of what came before t are (I - P_t N_{t-1}) Φ_{t-1} ... Φ_{j+1} K_j,
        the others P_t Φ_tᵀ ... Φ_{j-1}ᵀ (Hᵀ F⁻¹ - Φ_jᵀ N_j K_j) (Koopman & Harvey 2003).
        """
        F, pass_, smoothed = self.F, self._back.filtered, self._smoothed
        fixed = self._back.fixed

        def at(x: Array) -> Array:
            return F.slice_axis(x, axis=1, begin=place, end=None if place == -1 else place + 1)

        def part(x: Array, begin: int, end: Optional[int]) -> Array:
            return F.slice_axis(x, axis=1, begin=begin, end=end)

        emission = product(F, pass_.inverse_factor, fixed.emission)
        emission = product(F, pass_.inverse_factor, emission, transpose_a=True)
        after = over_batch(F, smoothed.precision_after, pass_.mean)
        emission = emission - product(
            F, pass_.gain, product(F, after, pass_.closed), transpose_a=True
        )
        closed, spread = pass_.closed, at(pass_.covariance)
        moved = affine_recursion(
            F, part(closed, place, None), part(zeros_like(F, closed), place, None), spread
        )
        weights = product(F, part(emission, place, None), moved)
        if place:
            before = at(over_batch(F, smoothed.precision_before, pass_.mean))
            remaining = identity_like(F, spread) - product(F, before, spread)
            turned = transpose(F, part(closed, 0, place), axes=5)
            moved = affine_recursion(F, turned, zeros_like(F, turned), remaining, reverse=True)
            earlier = product(F, part(pass_.gain, 0, place), moved, transpose_a=True)
            weights = F.concat(earlier, weights, dim=1)
        if pass_.settlement is not None:
            columns = other_columns(F, at(smoothed.mean))
            columns = over_time(F, columns, smoothed.observed)
            observed = other_columns(F, smoothed.observed)
            weights = weights - product(F, observed, columns, transpose_b=True)
        return stop(F, weights)

    def expected(self) -> Array:
        """E[y_t | y] (1, T, B, p, 1), a constant, of what is missing too."""
        F = self.F
        _, factor, _ = self.shown
        noise, _ = self.observation_disturbances()
        return stop(F, self.signal(self.smoothed).mean + product(F, factor, noise))

    @cached_property
    def _ahead(self) -> SmoothingErrors:
        """Tangents in unsettled columns, for what is known as time goes on."""
        pass_ = self.pass_._replace(settlement=None)
        return SmoothingErrors(self.F, self.system, pass_, self.length)

    @cached_property
    def _back(self) -> SmoothingErrors:
        """Tangents in columns that all data have settled."""
        if self.pass_.settlement is None:
            return self._ahead
        return SmoothingErrors(self.F, self.system, self.pass_, self.length)

    @cached_property
    def _smoothed(self) -> Smoothed:
        return backward_pass(self.F, self.system, self.pass_, self.sizes[0], self.length)

    @cached_property
    def _errors(self) -> Any:
        return self._back.errors(self._smoothed)

    @cached_property
    def _precisions(self) -> Any:
        return self._back.precisions(self._smoothed)

    @cached_property
    def _smoothed_change(self) -> Array:
        back = self._back
        moved = back.mean + product(self.F, back.covariance, self._smoothed.before)
        return moved + product(self.F, back.filtered.covariance, self._errors.before)

    @property
    def _directions(self) -> Optional[Array]:
        """D of the first state, (1, 1, B, d, q)."""
        return self.system.directions

    @cached_property
    def _all(self) -> Optional[Known]:
        settlement = self.pass_.settlement
        if settlement is None:
            return None
        return Known(settlement, self._back.information)

    @cached_property
    def _running(self) -> Optional[Tuple[Known, Known]]:
        F = self.F
        if self.pass_.settlement is None:
            return None
        settlement = settle_each(F, self.pass_.innovation, self.length, self.name)
        steps = self._ahead.information_steps()
        zero = F.slice_axis(zeros_like(F, steps), axis=1, begin=0, end=1)
        before = affine_recursion(F, identity_like(F, steps), steps, zero, self.length)
        pairs = zip(settlement, (before, before + steps))
        known = [Known(x, congruence(F, transpose(F, x.turn, axes=5), y)) for x, y in pairs]
        return known[0], known[1]

    @property
    def _before(self) -> Optional[Known]:
        """What is known of δ before each step."""
        return None if self._running is None else self._running[0]

    @property
    def _until(self) -> Optional[Known]:
        """What is known of δ with the observation of each step."""
        return None if self._running is None else self._running[1]

    def _error(self, value: Array, change: Array, precision: Array) -> Tuple[Array, Array]:
        """A smoothing error and its variance, over δ."""
        F, known = self.F, self._all
        found = Moments(F, value, value, change, -precision, known)
        return found.mean, -found.finite_covariance

    def _standardized(self, error: Array, variance: Array) -> Array:
        F = self.F
        variance = with_axis(F, diagonal(F, variance), 4)
        has_any = stop(F, variance) > 0.0
        root = F.sqrt(F.where(has_any, variance, ones_like(F, variance)))
        return F.where(has_any, error / root, zeros_like(F, error))

    def _lag_value(self, lag: int) -> Array:
        """The covariance of states `lag` steps apart given δ, a constant (1, T - k, b, d, d)."""
        F, pass_ = self.F, self.pass_
        if pass_.scanned is not None:
            matrix = smoothing_transition(F, pass_.scanned, self.sizes[0])
            value, _ = smoothed_covariances(F, pass_, *self.sizes)
            for _ in range(lag):
                value, matrix = product(F, matrix, value), following(F, matrix)
            return F.slice_axis(value, axis=1, begin=0, end=-lag)
        roots = pass_.square_roots
        _, before = coordinate_covariances(F, roots, *self.sizes)
        carried, value = roots.carried, transpose(F, roots.factor, axes=5)
        for _ in range(lag):
            value, carried = product(F, carried, value), following(F, carried)
        left = F.slice_axis(product(F, roots.factor, before), axis=1, begin=lag, end=None)
        return product(F, left, F.slice_axis(value, axis=1, begin=0, end=-lag))


def later(F: Namespace, x: Array, lag: int) -> Array:
    """x_{t+k} for all t, the last x at the end."""
    for _ in range(lag):
        last = F.slice_axis(x, axis=1, begin=-1, end=None)
        x = F.slice_axis(F.concat(x, last, dim=1), axis=1, begin=1, end=None)
    return x
