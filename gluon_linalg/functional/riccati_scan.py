"""The factors of the predicted covariances, parallel in time.

The covariance half of the filter of Särkkä & García-Fernández 2021 in square-root form (Yaghoobi,
Corenflos, Hassan & Särkkä 2022): an element (A, U, Z) stands for
``p(x_k | x_j, y) = N(A x_j + ., U Uᵀ)`` and a likelihood of x_j with information Z Zᵀ.
"""

from .cholesky import triangular_solve, unit_roundoff
from .matrix import diagonal, diagonal_matrix, identity_like, product
from .recursion import scan
from .state_space import lower_factor, square_factor, transposed
from .tangent import zeros_like

# The shift of a row of zeros: it gives the row a direction, and no float32 feels its square.
SMALLEST = 1e-18


def predicted_factors(F, joint, states, observations, length):
    """S_t with P_t = S_t S_tᵀ for all t, (b, T, d, d), and `shifts` δ, (b, T, d, d).

    Needs H_t G_{t-1} G_{t-1}ᵀ H_tᵀ + R_t to be regular for t > 1; the loop does not.

    S_{t+1} is lower with a positive diagonal, the factor of P_{t+1} + δ_t² with δ_t² = ε diag P:
    so is the one that a step from S_t arrives at, and without δ the two would be different factors
    where P_{t+1} is singular.
    """
    d, p = states, observations
    emission = F.slice_axis(joint.matrix, axis=2, begin=0, end=p)
    transition = F.slice_axis(joint.matrix, axis=2, begin=p, end=None)
    process = square_factor(F, joint.process_factor)
    first = _first_element(F, joint, emission, d, p)
    if length == 1:
        _, filtered, _ = first
        array = F.concat(product(F, transition, filtered), process, dim=3)
        return joint.prior_factor, _shift(F, array)
    later = _later_elements(F, joint, emission, transition, process, d, p)
    elements = [F.concat(a, b, dim=1) for a, b in zip(first, later)]

    def combine(F, earlier, later):
        return _combine(F, earlier, later, d)

    _, filtered, _ = scan(F, combine, elements, length)
    array = F.concat(product(F, transition, filtered), process, dim=3)
    shifts = _shift(F, array)
    array = _without_last(F, F.concat(array, shifts, dim=3))
    return F.concat(joint.prior_factor, positive_factor(F, lower_factor(F, array)), dim=1), shifts


def positive_factor(F, lower):
    """A lower factor with the signs of its columns such that its diagonal is not negative."""
    return F.broadcast_mul(lower, F.expand_dims(signs(F, lower), axis=2))


def signs(F, lower):
    """1 or -1 by the diagonal of (b, T, d, d), (b, T, d)."""
    return 1.0 - 2.0 * (diagonal(F, lower) < 0.0)


def _shift(F, array):
    """δ = diag(√ε times the norm of each row), (b, T, d, d)."""
    norms = F.sqrt(F.sum(F.square(array), axis=3))
    relative = F.broadcast_mul(norms, F.sqrt(unit_roundoff(F, _one(F, norms))))
    return diagonal_matrix(F, relative + SMALLEST)


def _one(F, x):
    return F.slice(x, begin=(0, 0, 0), end=(1, 1, 1))


def _first_element(F, joint, emission, d, p):
    """The filtered state of the first observation: no dependence on what was before."""
    noise = F.slice_axis(joint.observation_factor, axis=1, begin=0, end=1)
    emission = F.slice_axis(emission, axis=1, begin=0, end=1)
    _, factor = _updated(F, emission, noise, joint.prior_factor, p)
    return [zeros_like(F, factor), factor, zeros_like(F, factor)]


def _later_elements(F, joint, emission, transition, process, d, p):
    """From x_{t-1} to x_t given y_t, t = 2..T."""
    noise, emission = (
        F.slice_axis(x, axis=1, begin=1, end=None) for x in (joint.observation_factor, emission)
    )
    transition, process = _without_last(F, transition), _without_last(F, process)
    gains, factor = _updated(F, emission, noise, process, p)
    inverse, scaled = gains
    whitened = product(F, inverse, product(F, emission, transition))
    matrix = transition - product(F, scaled, whitened)
    information = transposed(F, whitened)
    if p < d:
        blank = F.slice_axis(zeros_like(F, transition), axis=3, begin=0, end=d - p)
        information = F.concat(information, blank, dim=3)
    elif p > d:
        information = lower_factor(F, information)
    return [matrix, factor, information]


def _updated(F, emission, noise, factor, p):
    """One measurement update of a factor: (Ψ½⁻¹, P Hᵀ Ψ½⁻ᵀ) and the factor after it."""
    head = F.concat(product(F, emission, factor), noise, dim=3)
    crossed = zeros_like(F, product(F, emission, noise, transpose_a=True))
    lower = lower_factor(F, F.concat(head, F.concat(factor, crossed, dim=3), dim=2))
    head = F.slice(lower, begin=(None, None, 0, 0), end=(None, None, p, p))
    scaled = F.slice(lower, begin=(None, None, p, 0), end=(None, None, None, p))
    after = F.slice(lower, begin=(None, None, p, p), end=(None, None, None, None))
    return (triangular_solve(F, head, identity_like(F, head)), scaled), after


def _combine(F, earlier, later, d):
    matrix_i, factor_i, information_i = earlier
    matrix_j, factor_j, information_j = later
    identity = identity_like(F, factor_i)
    top = F.concat(product(F, factor_i, information_j, transpose_a=True), identity, dim=3)
    bottom = F.concat(information_j, zeros_like(F, information_j), dim=3)
    lower = lower_factor(F, F.concat(top, bottom, dim=2))
    head = F.slice(lower, begin=(None, None, 0, 0), end=(None, None, d, d))
    crossed = F.slice(lower, begin=(None, None, d, 0), end=(None, None, None, d))
    rest = F.slice(lower, begin=(None, None, d, d), end=(None, None, None, None))
    # U Ξ⁻ᵀ as the transpose of Ξ⁻¹ Uᵀ.
    scaled = transposed(F, triangular_solve(F, head, transposed(F, factor_i)))
    moved = product(F, crossed, matrix_i, transpose_a=True)
    matrix = product(F, matrix_j, matrix_i - product(F, scaled, moved))
    factor = lower_factor(F, F.concat(product(F, matrix_j, scaled), factor_j, dim=3))
    information = product(F, matrix_i, rest, transpose_a=True)
    information = lower_factor(F, F.concat(information, information_i, dim=3))
    return [matrix, factor, information]


def _without_last(F, x):
    return F.slice_axis(x, axis=1, begin=0, end=-1)
