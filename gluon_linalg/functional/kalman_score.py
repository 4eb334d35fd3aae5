"""The gradient of the Kalman log-likelihood from one backward recursion.

De Jong 1989, Koopman & Shephard 1992: with r_t and N_t, the gradient and the negative Hessian of
log p(y_{t+1}, ..., y_T | x_{t+1}) in its argument's mean, and the joint form of `state_space`,

    w = [u; r_t],  u = F⁻½ᵀ e - Kᵀ r_t,   Λ = [F⁻½  0; -K  I]ᵀ diag(I, N_t) [F⁻½  0; -K  I],
    ∂/∂o = w,  ∂/∂N = (w wᵀ - Λ) N,  ∂/∂M = w x̂ᵀ - Λ M P,  ∂/∂y = -u,
    r_{t-1} = Mᵀ w,  N_{t-1} = Mᵀ Λ M.

No loop is differentiated, and neither P nor Q nor R is inverted: they may be singular.
"""

from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..errors import NonFiniteError, SingularMatrixError
from ..native import kalman as native
from ..typing import Array, Namespace, given
from .diffuse import Settlement, first_column, log_lengths, settled
from .kalman import NOT_FINITE, Filtered
from .kalman_gains import SINGULAR_INNOVATION
from .kalman_moments import filtered_mean
from .kalman_scan import Scanned, following, smoothing_meeting, times
from .matrix import identity_like, product, transpose
from .recursion import affine_recursion, quadratic_recursion
from .state_space import LinearGaussianSystem, increments, over_batch, over_time, stopped
from .tangent import stop, with_gradient, zeros_like


class Smoothed(NamedTuple):
    """What the backward recursion finds, constants.

    With diffuse directions vectors are settled columns (`diffuse`), and their outer products are
    expectations.
    """

    after: Array  # r_t, (1, T, B, d, 1)
    before: Array  # r_{t-1}, (1, T, B, d, 1)
    observed: Array  # u, (1, T, B, p, 1)
    precision_after: Array  # N_t, (1, T, b, d, d)
    precision_before: Array  # N_{t-1}, (1, T, b, d, d)
    mean: Array  # x̂ = a + P r_{t-1}, (1, T, B, d, 1)


def scored_likelihood(
    F: Namespace, system: LinearGaussianSystem, value: Array, filtered: Filtered, smoothed: Smoothed
) -> Array:
    """-log p(y), (B,), with its gradient in every array of the system."""
    linear = -_linear(F, system, filtered, smoothed)
    if filtered.settlement is not None and system.directions is not None:
        linear = linear - log_lengths(F, system.directions, filtered.settlement)
    return with_gradient(F, value, linear)


def native_likelihood(
    F: Namespace,
    y: Array,
    *arrays: Optional[Array],
    directions: Optional[Array],
    parallel: bool,
    explain: Callable[[], Any],
    name: str,
    constants: Sequence[str] = (),
) -> Array:
    """-log p(y), (B,), with its gradient, by one operator in C++.

    arrays: of the system, as `state_space_system` takes them; directions: (B or 1, d, q) or None;
    parallel: whether what only the loop can do is refused. The numbers are those of the square-root
    form. Where it fails, an error imperatively: that of `explain()`, which computes with other
    operators, if it has one; in a graph NaN for the batch element. constants: as in
    `gluon_linalg.native.kalman.kalman_likelihood`.
    """
    # A system and up to three options, by position.
    operator: Callable[..., Any] = native.kalman_likelihood
    value, failure = operator(
        F, y, *arrays, directions=directions, parallel=parallel, constants=constants
    )
    if F is mx.nd:
        _raise_failure(failure.asnumpy(), explain, name)
    return value


def backward_pass(
    F: Namespace,
    system: LinearGaussianSystem,
    filtered: Filtered,
    states: int,
    length: Optional[int] = None,
) -> Smoothed:
    """`Smoothed` from the results of the filter; states is d, length that of the filter."""
    fixed = stopped(F, system)
    emission = over_time(F, fixed.emission, filtered.closed)
    if filtered.scanned is None or length is None:
        smoothed = _by_loops(F, filtered, emission)
    else:
        transition = over_time(F, fixed.transition, filtered.closed)
        smoothed = _by_meetings(F, filtered, filtered.scanned, emission, transition, states, length)
    if filtered.settlement is None:
        return smoothed
    vectors = ("after", "before", "observed", "mean")
    turned = {k: settled(F, getattr(smoothed, k), filtered.settlement) for k in vectors}
    return smoothed._replace(**turned)


def _by_loops(F: Namespace, filtered: Filtered, emission: Array) -> Smoothed:
    innovation = filtered.innovation
    whitened = product(F, filtered.inverse_factor, emission)
    turned = transpose(F, filtered.closed, axes=5)
    offset = product(F, whitened, whitened, transpose_a=True)
    zero = F.slice_axis(zeros_like(F, turned), axis=1, begin=0, end=1)
    precision_after = quadratic_recursion(F, turned, offset, zero, reverse=True)
    precision_before = product(F, product(F, turned, precision_after), filtered.closed) + offset

    turned = over_batch(F, turned, innovation)
    offset = times(F, whitened, innovation, transpose=True)
    if filtered.roots is None:
        after, before = _backward_affine(F, turned, offset)
        displacement = times(F, filtered.covariance, before)
    else:
        # ρ of `kalman_moments` in the same loop, as more elements of the batch.
        factor, columns, carried = (over_batch(F, x, innovation) for x in filtered.roots[:3])
        matrices = _paired(F, turned, transpose(F, carried, axes=5))
        offsets = _paired(F, offset, product(F, columns, innovation, transpose_a=True))
        after, before = _backward_affine(F, matrices, offsets)
        after, (before, coordinates) = _apart(F, after)[0], _apart(F, before)
        displacement = product(F, factor, coordinates)
    observed = times(F, filtered.inverse_factor, innovation, transpose=True)
    observed = observed - times(F, filtered.gain, after, transpose=True)
    mean = filtered.mean + displacement
    return Smoothed(after, before, observed, precision_after, precision_before, mean)


def _paired(F: Namespace, x: Array, y: Array) -> Array:
    """Two arrays (1, T, B, m, n) as one (T, 2 B, m, n)."""
    return F.reshape(F.stack(x, y, axis=2), shape=(0, 0, -3, 0, 0))


def _apart(F: Namespace, pair: Array) -> List[Array]:
    """The two arrays of `_paired`."""
    pair = F.reshape(pair, shape=(0, 0, -4, 2, -1, 0, 0))
    return [F.squeeze(F.slice_axis(pair, axis=2, begin=k, end=k + 1), axis=2) for k in (0, 1)]


def _backward_affine(F: Namespace, matrix: Array, offset: Array) -> Tuple[Array, Array]:
    """x_t and x_{t-1} = B_t x_t + c_t from x_T = 0."""
    zero = F.slice_axis(zeros_like(F, offset), axis=1, begin=0, end=1)
    after = affine_recursion(F, matrix, offset, zero, reverse=True)
    return after, product(F, matrix, after) + offset


def _by_meetings(
    F: Namespace,
    filtered: Filtered,
    scanned: Scanned,
    emission: Array,
    transition: Array,
    states: int,
    length: int,
) -> Smoothed:
    """From what the future says of each filtered state: r' = Aᵀ r_t and N' = Aᵀ N_t A."""
    now = filtered_mean(F, filtered)
    met = smoothing_meeting(F, scanned, now, states)
    force = times(F, met.rest, met.change)
    precision = product(F, met.rest, met.rest, transpose_b=True)
    inverse_factor, whitened = filtered.inverse_factor, filtered.whitened
    scaled = product(F, inverse_factor, emission)
    gain = transpose(F, whitened, axes=5)
    closed = identity_like(F, precision) - product(F, gain, scaled)
    _, before = _stepped_back(F, filtered, emission, force)
    # One step of iterative refinement, as of the predicted means (`kalman`).
    defect = times(F, transition, following(F, before), transpose=True) - force
    zero = F.slice_axis(zeros_like(F, defect), axis=1, begin=0, end=1)
    turned = over_batch(F, transpose(F, filtered.closed, axes=5), defect)
    offset = times(F, closed, defect, transpose=True)
    missed = affine_recursion(F, turned, offset, zero, length, reverse=True)
    correction = defect + times(F, transition, missed, transpose=True)
    observed, before = _stepped_back(F, filtered, emission, force + correction)
    precision_before = product(F, product(F, closed, precision, transpose_a=True), closed)
    precision_before = precision_before + product(F, scaled, scaled, transpose_a=True)
    mean = now + times(F, met.spread, met.response)
    return Smoothed(
        following(F, before),
        before,
        observed,
        following(F, precision_before),
        precision_before,
        mean,
    )


def _stepped_back(
    F: Namespace, filtered: Filtered, emission: Array, force: Array
) -> Tuple[Array, Array]:
    """u and r_{t-1} from r'."""
    remaining = filtered.innovation - times(F, filtered.whitened, force)
    observed = times(F, filtered.inverse_factor, remaining, transpose=True)
    return observed, force + times(F, emission, observed, transpose=True)


def _linear(
    F: Namespace, system: LinearGaussianSystem, filtered: Filtered, smoothed: Smoothed
) -> Array:
    """Σ of every coefficient times its array's increment, (B,)."""
    change, fixed = increments(F, system), stopped(F, system)
    u, r, mean = smoothed.observed, smoothed.after, smoothed.mean
    N, gain = smoothed.precision_after, filtered.gain
    precision_gain = product(F, N, gain)
    # The blocks of Λ M P: F⁻½ᵀ (F⁻½ H P) - Kᵀ N Φ P and N Φ P.
    state_part = product(F, N, filtered.carried)
    observed_part = product(
        F, filtered.inverse_factor, filtered.whitened, transpose_a=True
    ) - product(F, gain, state_part, transpose_a=True)
    row = transpose(F, mean, axes=5)
    observed_precision = product(
        F, filtered.inverse_factor, filtered.inverse_factor, transpose_a=True
    ) + product(F, gain, precision_gain, transpose_a=True)
    first_force, first_precision = (
        F.slice_axis(x, axis=1, begin=0, end=1)
        for x in (smoothed.before, smoothed.precision_before)
    )
    pairs: List[Tuple[Array, Optional[Array]]] = [
        (F.broadcast_sub(product(F, u, row), observed_part), change.emission),
        (F.broadcast_sub(product(F, r, row), state_part), change.transition),
        (
            _factor_gradient(F, u, observed_precision, fixed.observation_factor),
            change.observation_factor,
        ),
        (_factor_gradient(F, r, N, fixed.process_factor), change.process_factor),
        (
            _factor_gradient(F, first_force, first_precision, fixed.prior_factor),
            change.prior_factor,
        ),
        (_unsettled(F, first_force, filtered.settlement), change.prior_mean),
        (-first_column(F, u), _data(F, change.observed)),
        (first_column(F, u), _data(F, change.emission_offset)),
        (first_column(F, r), _data(F, change.transition_offset)),
    ]
    total: Optional[Array] = None
    for coefficient, array in pairs:
        if array is not None:
            term = F.sum(F.broadcast_mul(stop(F, coefficient), array), axis=(0, 1, 3, 4))
            total = term if total is None else total + term
    return given(total)


def _data(F: Namespace, array: Optional[Array]) -> Optional[Array]:
    """The column of the data; None where there is no array."""
    return None if array is None else first_column(F, array)


def _unsettled(F: Namespace, force: Array, settlement: Optional[Settlement]) -> Array:
    """The force on each column of the prior mean: [m, D] for settled columns, m without any."""
    return force if settlement is None else product(F, force, settlement.turn, transpose_b=True)


def _factor_gradient(F: Namespace, force: Array, precision: Array, factor: Array) -> Array:
    """(w wᵀ - Λ) N of a noise factor N."""
    corner = F.slice_axis(first_column(F, force), axis=3, begin=0, end=1)
    factor = F.broadcast_add(factor, zeros_like(F, corner))
    outer = product(F, force, product(F, force, factor, transpose_a=True))
    return outer - product(F, over_batch(F, precision, force), factor)


def _raise_failure(failure: np.ndarray, explain: Callable[[], Any], name: str) -> None:
    failed = np.flatnonzero(failure[:, 0])
    if not len(failed):
        return
    with mx.autograd.pause():
        explain()
    kind, time = failure[failed[0]].astype(int)
    where = f"(batch element {failed[0]}, t = {time})."
    if kind == native.SINGULAR:
        raise SingularMatrixError(f"{name}: {SINGULAR_INNOVATION} {where}")
    raise NonFiniteError(f"{name}: {NOT_FINITE} {where}")
