"""The elements of the Kalman filter that is parallel in time (`kalman_scan`).

An element stands for a stretch of time: with j the time before it and k its last,

    p(x_k | x_j, y_{j+1..k}) = N(A x_j + b, U Uᵀ),   p(y_{j+1..k} | x_j) ∝ exp(-½ |Zᵀ x_j - z|²).
"""

from typing import NamedTuple, Tuple

from ..errors import SingularMatrixError
from ..typing import Array, Namespace
from . import lapack
from .checks import require_each
from .cholesky import triangular_solve, unit_roundoff
from .kalman_gains import SINGULAR
from .matrix import diagonal, identity_like, product, transpose, with_axis
from .state_space import Joint, LinearGaussianSystem, lower_factor, over_batch, square_factor
from .tangent import zeros_like


class Element(NamedTuple):
    """A stretch of time."""

    matrix: Array  # A, (1, T, b, d, d)
    mean: Array  # b, (1, T, B, d, 1)
    factor: Array  # U, (1, T, b, d, d)
    target: Array  # z, (1, T, B, d, 1)
    information: Array  # Z, (1, T, b, d, d)


def step_elements(
    F: Namespace,
    joint: Joint,
    fixed: LinearGaussianSystem,
    states: int,
    observations: int,
    length: int,
    name: str,
) -> Element:
    """The elements of single steps, from t - 1 to t.

    Raises SingularMatrixError where H_t G_{t-1} G_{t-1}ᵀ H_tᵀ + R_t, t > 1, is singular: an element
    needs its inverse. The loop does not.
    """
    d, p = states, observations
    emission = F.slice_axis(joint.matrix, axis=3, begin=0, end=p)
    transition = F.slice_axis(joint.matrix, axis=3, begin=p, end=None)
    residual = fixed.observed
    if fixed.emission_offset is not None:
        residual = F.broadcast_sub(residual, fixed.emission_offset)
    first = _first_element(F, joint, fixed, emission, residual, p)
    if length == 1:
        return first
    later = _later_elements(F, joint, fixed, emission, transition, residual, d, p, name)
    return Element(*(F.concat(a, b, dim=1) for a, b in zip(first, later)))


def times(F: Namespace, matrix: Array, vector: Array, transpose: bool = False) -> Array:
    """Matrices of batch size b, or their transposes, times vectors of batch size B."""
    return product(F, over_batch(F, matrix, vector), vector, transpose_a=transpose)


def _first_element(
    F: Namespace,
    joint: Joint,
    fixed: LinearGaussianSystem,
    emission: Array,
    residual: Array,
    p: int,
) -> Element:
    """The filtered state of the first observation: no dependence on what was before."""
    noise, emission, residual = (
        F.slice_axis(x, axis=1, begin=0, end=1)
        for x in (joint.observation_factor, emission, residual)
    )
    inverse, scaled, factor = _updated(F, emission, noise, joint.prior_factor, p)
    mean = over_batch(F, fixed.prior_mean, residual)
    innovation = times(F, inverse, residual - times(F, emission, mean))
    mean = mean + times(F, scaled, innovation)
    blank = zeros_like(F, factor)
    return Element(blank, mean, factor, zeros_like(F, mean), blank)


def _later_elements(
    F: Namespace,
    joint: Joint,
    fixed: LinearGaussianSystem,
    emission: Array,
    transition: Array,
    residual: Array,
    d: int,
    p: int,
    name: str,
) -> Element:
    """From x_{t-1} to x_t given y_t, t = 2..T."""
    noise, emission, residual = (
        F.slice_axis(x, axis=1, begin=1, end=None)
        for x in (joint.observation_factor, emission, residual)
    )
    transition, process = (
        F.slice_axis(x, axis=1, begin=0, end=-1)
        for x in (transition, square_factor(F, joint.process_factor))
    )
    noise = _regular(F, emission, noise, process, name)
    inverse, scaled, factor = _updated(F, emission, noise, process, p)
    whitened = product(F, inverse, product(F, emission, transition))
    innovation = residual
    if fixed.transition_offset is not None:
        moved = _shown(F, fixed.transition_offset, fixed.observed)
        innovation = residual - times(F, emission, moved)
    innovation = times(F, inverse, innovation)
    mean = times(F, scaled, innovation)
    if fixed.transition_offset is not None:
        mean = mean + moved
    matrix = transition - product(F, scaled, whitened)
    information = transpose(F, whitened, axes=5)
    if p < d:
        blank = F.slice_axis(zeros_like(F, transition), axis=4, begin=0, end=d - p)
        information = F.concat(information, blank, dim=4)
        blank = F.slice_axis(zeros_like(F, mean), axis=3, begin=0, end=d - p)
        innovation = F.concat(innovation, blank, dim=3)
    elif p > d:
        orthogonal, information = lapack.gelqf(F, information)
        innovation = times(F, orthogonal, innovation)
    return Element(matrix, mean, factor, innovation, information)


def _regular(F: Namespace, emission: Array, noise: Array, process: Array, name: str) -> Array:
    """D if H Q Hᵀ + R has an inverse at each time."""
    lower = lower_factor(F, F.concat(product(F, emission, process), noise, dim=4))
    pivots = F.square(with_axis(F, diagonal(F, lower), 4))
    own = F.sum(F.square(lower), axis=4, keepdims=True)
    first = F.slice(own, begin=(None, 0, 0, 0, 0), end=(None, 1, 1, 1, 1))
    rounding = SINGULAR * unit_roundoff(F, first)
    return require_each(
        F,
        noise,
        pivots > F.broadcast_mul(own, F.square(rounding)),
        SingularMatrixError,
        f"{name}: the parallel method needs H Q Hᵀ + R regular, and it is singular; use "
        "method='sequential', or give the observation some noise",
        first=1,
    )


def _shown(F: Namespace, offset: Array, observed: Array) -> Array:
    """An offset b (B or 1, T or 1, d, 1) at the steps from 1 to T - 1."""
    like = F.slice_axis(zeros_like(F, observed), axis=3, begin=0, end=1)
    return F.slice_axis(F.broadcast_add(offset, like), axis=1, begin=0, end=-1)


def _updated(
    F: Namespace, emission: Array, noise: Array, factor: Array, p: int
) -> Tuple[Array, Array, Array]:
    """One measurement update of a factor: Ψ½⁻¹, P Hᵀ Ψ½⁻ᵀ and the factor after it."""
    head = F.concat(product(F, emission, factor), noise, dim=4)
    crossed = zeros_like(F, product(F, emission, noise, transpose_a=True))
    lower = lower_factor(F, F.concat(head, F.concat(factor, crossed, dim=4), dim=3))
    head = F.slice(lower, begin=(None, None, None, 0, 0), end=(None, None, None, p, p))
    scaled = F.slice(lower, begin=(None, None, None, p, 0), end=(None, None, None, None, p))
    after = F.slice(lower, begin=(None, None, None, p, p), end=(None, None, None, None, None))
    return triangular_solve(F, head, identity_like(F, head)), scaled, after
