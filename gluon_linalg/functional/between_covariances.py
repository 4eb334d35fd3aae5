"""Covariances between the values of a process in state space form, given observations.

With the A, B, P and N of `between_times`, at times s < t between the same two observations

    Cov(x(s), x(t) | y) = P_s A_{st}ᵀ - P_s B_sᵀ N_i B_t P_t,

in which P_s A_{st}ᵀ = A_s (P_i - I) A_tᵀ + Cov(x(s), x(t)). Of s after observation i and t after
a later one, j, the errors of x(s) go on from observation to observation (de Jong 1989):

    Cov(x(s), x(t) | y) = P_s B_sᵀ U_{i+1}ᵀ M_{i+2}ᵀ ... M_jᵀ A_tᵀ (I - B_tᵀ N_j B_t P_t),

U = I - P Hᵀ F⁻¹ H of an observation, which takes predicted errors to filtered ones, and M = U A
with the transition from the observation before.
"""

from typing import NamedTuple

from ..typing import Array, Namespace
from .between_times import Between
from .linear_sde import LinearSDE
from .matrix import add_diagonal, diagonal, identity_like, product, transpose
from .recursion import affine_recursion
from .tangent import stop, zeros_like


class Passages(NamedTuple):
    """How errors pass n observations, (B, n + 1, d, d) each; entry i is between i and i + 1."""

    closings: Array  # U_{i+1}, 0 at the end
    steps: Array  # M_{i+1}, 0 at both ends


def passages(
    F: Namespace, whitened: Array, inverse_factor: Array, emission: Array, transition: Array
) -> Passages:
    """`Passages` from what a filter has at each observation. Constants.

    whitened F⁻½ H P and emission H: (B, n, p, d); inverse_factor F⁻½: (B, n, p, p); transition A:
    (B, n, d, d).
    """
    told = product(F, inverse_factor, emission)
    told = product(F, whitened, told, transpose_a=True)
    closings = identity_like(F, told) - told
    nothing = F.slice_axis(zeros_like(F, closings), axis=1, begin=0, end=1)
    before = F.slice_axis(F.concat(nothing, transition, dim=1), axis=1, begin=0, end=-1)
    steps = product(F, closings, before)
    return Passages(
        stop(F, F.concat(closings, nothing, dim=1)), stop(F, F.concat(steps, nothing, dim=1))
    )


def covariances_between(
    F: Namespace,
    sde: LinearSDE,
    known: Between,
    times: Array,
    variance: Array,
    index: Array,
    places: Array,
    closings: Array,
    steps: Array,
) -> Array:
    """Cov(f(t_a), f(t_b) | y) of m times (B, m, 1), (B, m, m), in n d² m operations.

    variance: (B, m), what `moments_between` gives; index: (B, m), in which stretch each time is;
    places: the same, (B, m), counted through the batch, by which rows of closings (B (n + 1), d²)
    are taken; steps: (B, n + 1, d, d).
    """
    size, ahead = sde.size, known.ahead
    closing = F.reshape(F.take(closings, places, axis=0, mode="clip"), shape=(0, 0, size, size))
    # What each time adds to the errors after the next observation, (B, d, m).
    entering = F.transpose(F.squeeze(product(F, closing, ahead), axis=3), axes=(0, 2, 1))
    stretches = F.contrib.arange_like(stop(F, steps), axis=1)
    is_in = F.broadcast_equal(F.reshape(stretches, shape=(1, -1, 1)), F.expand_dims(index, axis=1))
    offset = F.broadcast_mul(F.expand_dims(is_in, axis=2), F.expand_dims(entering, axis=1))
    matrix, offset = (
        F.expand_dims(F.transpose(x, axes=(1, 0, 2, 3)), axis=0) for x in (steps, offset)
    )
    start = F.slice_axis(zeros_like(F, offset), axis=1, begin=0, end=1)
    errors = affine_recursion(F, matrix, offset, start)
    errors = F.transpose(F.squeeze(errors, axis=0), axes=(1, 0, 2, 3))
    errors = F.reshape(errors, shape=(-3, 0, 0))
    # (B, m, d, m): the errors of all times, filtered where the stretch of each begins.
    errors = F.take(errors, places, axis=0, mode="clip")
    back = product(F, known.precision, ahead)
    kept = known.row - product(F, back, known.following, transpose_a=True)
    own = product(F, kept, known.transition)
    across = F.squeeze(product(F, own, errors), axis=2)
    moved = F.squeeze(product(F, known.row, known.transition), axis=2)
    told = F.squeeze(ahead, axis=3)
    excess = F.squeeze(
        product(F, product(F, known.row, known.transition), _less_identity(F, known)), axis=2
    )
    within = product(F, excess, moved, transpose_b=True)
    within = F.broadcast_add(within, sde.covariance(F, times))
    within = within - product(F, told, F.squeeze(back, axis=3), transpose_b=True)
    same = F.broadcast_equal(F.expand_dims(index, axis=1), F.expand_dims(index, axis=2))
    found = across + transpose(F, across) + F.broadcast_mul(within, same)
    return add_diagonal(F, found, variance - diagonal(F, found))


def _less_identity(F: Namespace, known: Between) -> Array:
    return known.covariance - identity_like(F, known.covariance)
