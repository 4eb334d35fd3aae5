"""The Kalman filter and smoother parallel in time, in square-root form.

After Särkkä & García-Fernández 2021 and Yaghoobi, Corenflos, Hassan & Särkkä 2022. Prefixes of the
elements (`kalman_elements`) are the filtered states; suffixes tell what the future says of a state.
Two neighbours i, j meet in the LQ (Θ11 and Θ21 are blocks of its first columns)

    [U_iᵀ Z_j  I]   [Ξ11   0 ] [Θ11  .]
    [Z_j       0] = [Ξ21  Ξ22] [Θ21  .],    X = U_i Ξ11⁻ᵀ,   r = z_j - Z_jᵀ b_i:

x between them has mean b_i + X Θ11 r and covariance X Xᵀ given both, and the only matrix that is
divided by, Ξ11, is the factor of I + a positive matrix.
"""

from typing import List, NamedTuple, Tuple

from ..typing import Array, Namespace
from . import lapack
from .cholesky import triangular_solve
from .kalman_elements import Element, step_elements, times
from .matrix import identity_like, product, transpose
from .prefix_scan import every_second, interleaved
from .state_space import Joint, LinearGaussianSystem, lower_factor
from .tangent import zeros_like


class Scanned(NamedTuple):
    """For all t the state given y_1..y_t and what y_{t+1}..y_T say of x_t."""

    mean: Array  # b_t, (1, T, B, d, 1)
    factor: Array  # U_t, (1, T, b, d, d)
    target: Array  # z_t, (1, T, B, d, 1)
    information: Array  # Z_t, (1, T, b, d, d)
    steps: Element  # of single steps, from t - 1 to t


class Meeting(NamedTuple):
    """Blocks of the LQ in which two neighbours meet."""

    spread: Array  # X, (1, T, b, d, d)
    response: Array  # Θ11 r, (1, T, B, d, 1)
    rest: Array  # Ξ22, (1, T, b, d, d)
    change: Array  # Θ21 r, (1, T, B, d, 1)
    crossed: Array  # Ξ21, (1, T, b, d, d)


def scanned_states(
    F: Namespace,
    joint: Joint,
    fixed: LinearGaussianSystem,
    states: int,
    observations: int,
    length: int,
    name: str,
) -> Scanned:
    """`Scanned` from a `Joint` and the `LinearGaussianSystem` of constants.

    Raises SingularMatrixError as `step_elements`.
    """
    elements = step_elements(F, joint, fixed, states, observations, length, name)
    (mean, factor), suffix = _scan(F, elements, length, states)
    target, information = (following(F, x) for x in suffix)
    return Scanned(mean, factor, target, information, elements)


def smoothing_meeting(F: Namespace, scanned: Scanned, mean: Array, states: int) -> Meeting:
    """The `Meeting` of each filtered state, of that mean, with its future."""
    return meet(F, mean, scanned.factor, scanned.target, scanned.information, states)


def smoothing_transition(F: Namespace, scanned: Scanned, states: int) -> Array:
    """E[x_{t+1} | x_t, y_1..y_T] as a matrix times x_t, (1, T, b, d, d); 0 for the last t."""
    step = scanned.steps
    met = meet(F, step.mean, step.factor, scanned.target, scanned.information, states)
    moved = product(F, met.crossed, step.matrix, transpose_a=True)
    return following(F, step.matrix - product(F, met.spread, moved))


def meet(
    F: Namespace, mean: Array, factor: Array, target: Array, information: Array, states: int
) -> Meeting:
    """Where (b_i, U_i) meets (z_j, Z_j): X, Θ11 r, Ξ22 and Θ21 r, and Ξ21."""
    d = states
    identity = identity_like(F, factor)
    top = F.concat(product(F, factor, information, transpose_a=True), identity, dim=4)
    bottom = F.concat(information, zeros_like(F, information), dim=4)
    orthogonal, lower = lapack.gelqf(F, F.concat(top, bottom, dim=3))
    head = F.slice(lower, begin=(None, None, None, 0, 0), end=(None, None, None, d, d))
    crossed = F.slice(lower, begin=(None, None, None, d, 0), end=(None, None, None, None, d))
    rest = F.slice(lower, begin=(None, None, None, d, d), end=(None, None, None, None, None))
    spread = transpose(F, triangular_solve(F, head, transpose(F, factor, axes=5)), axes=5)
    difference = target - times(F, information, mean, transpose=True)
    columns = F.slice_axis(orthogonal, axis=4, begin=0, end=d)
    turned = times(F, columns, difference)
    return Meeting(
        spread,
        F.slice_axis(turned, axis=3, begin=0, end=d),
        rest,
        F.slice_axis(turned, axis=3, begin=d, end=None),
        crossed,
    )


def following(F: Namespace, x: Array) -> Array:
    """x_{t+1} for all t, 0 for the last."""
    zero = zeros_like(F, F.slice_axis(x, axis=1, begin=0, end=1))
    return F.slice_axis(F.concat(x, zero, dim=1), axis=1, begin=1, end=None)


def _scan(F: Namespace, elements: Element, length: int, d: int) -> Tuple[List[Array], List[Array]]:
    """Prefixes (b, U) and suffixes (z, Z) of all elements.

    Pairs are composed and scanned, and give every second prefix and suffix; one composition more
    gives the others.
    """
    if length == 1:
        return [elements.mean, elements.factor], [elements.target, elements.information]
    if length % 2:
        elements = Element(*(F.concat(x, y, dim=1) for x, y in zip(elements, _blank(F, elements))))
    half = (length + 1) // 2
    even = Element(*(every_second(F, x, 0) for x in elements))
    odd = Element(*(every_second(F, x, 1) for x in elements))
    prefix, suffix = _scan(F, _composed(F, even, odd, d), half, d)
    first = [F.slice_axis(x, axis=1, begin=0, end=1) for x in (even.mean, even.factor)]
    last = [F.slice_axis(x, axis=1, begin=-1, end=None) for x in (odd.target, odd.information)]
    if half > 1:
        before = [F.slice_axis(x, axis=1, begin=0, end=-1) for x in prefix]
        now = Element(*(F.slice_axis(x, axis=1, begin=1, end=None) for x in even))
        filled = _extended_prefix(F, before, now, d)
        first = [F.concat(x, y, dim=1) for x, y in zip(first, filled)]
        after = [F.slice_axis(x, axis=1, begin=1, end=None) for x in suffix]
        now = Element(*(F.slice_axis(x, axis=1, begin=0, end=-1) for x in odd))
        filled = _extended_suffix(F, now, after, d)
        last = [F.concat(x, y, dim=1) for x, y in zip(filled, last)]
    prefix = [interleaved(F, x, y, length) for x, y in zip(first, prefix)]
    suffix = [interleaved(F, x, y, length) for x, y in zip(suffix, last)]
    return prefix, suffix


def _composed(F: Namespace, i: Element, j: Element, d: int) -> Element:
    met = meet(F, i.mean, i.factor, j.target, j.information, d)
    mean, factor = _prefix(F, i.mean, met, j)
    target, information = _suffix(F, i, met)
    moved = product(F, met.crossed, i.matrix, transpose_a=True)
    matrix = product(F, j.matrix, i.matrix - product(F, met.spread, moved))
    return Element(matrix, mean, factor, target, information)


def _extended_prefix(F: Namespace, before: List[Array], j: Element, d: int) -> List[Array]:
    mean, factor = before
    met = meet(F, mean, factor, j.target, j.information, d)
    return _prefix(F, mean, met, j)


def _extended_suffix(F: Namespace, i: Element, after: List[Array], d: int) -> List[Array]:
    target, information = after
    return _suffix(F, i, meet(F, i.mean, i.factor, target, information, d))


def _prefix(F: Namespace, mean: Array, met: Meeting, j: Element) -> List[Array]:
    """(b, U) after both."""
    mean = times(F, j.matrix, mean + times(F, met.spread, met.response)) + j.mean
    array = F.concat(product(F, j.matrix, met.spread), j.factor, dim=4)
    return [mean, lower_factor(F, array)]


def _suffix(F: Namespace, i: Element, met: Meeting) -> List[Array]:
    """(z, Z) of both."""
    array = F.concat(product(F, i.matrix, met.rest, transpose_a=True), i.information, dim=4)
    orthogonal, information = lapack.gelqf(F, array)
    return [times(F, orthogonal, F.concat(met.change, i.target, dim=3)), information]


def _blank(F: Namespace, elements: Element) -> Element:
    """An element of no time: A = I, nothing else."""
    last = Element(*(F.slice_axis(x, axis=1, begin=-1, end=None) for x in elements))
    zeros = [zeros_like(F, x) for x in last[1:]]
    return Element(identity_like(F, last.matrix), *zeros)
