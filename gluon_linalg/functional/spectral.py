"""Functions of symmetric matrices, f(A) = Uᵀ diag(f(λ)) U, with exact gradients at ties.

The derivative is that of Daleckii and Krein,

    d f(A) = Uᵀ (D ∘ (U dA Uᵀ)) U        D_ij = (f(λ_i) - f(λ_j)) / (λ_i - λ_j)

and f'(λ_i) where the two are equal (Higham, Functions of Matrices, 2008, section 3.2). The quotient
loses all digits where eigenvalues are near to each other, so each function here brings its D in a
form without cancellation: every element is accurate to a few ε whatever the gap.
"""

from typing import Callable, Optional, Tuple

from ..errors import NonFiniteError, NotPositiveDefiniteError
from ..native import applies, spectra
from ..typing import Array, Namespace
from .checks import finite, require, require_status
from .eigen import decomposed, not_finite, symmetric_increment
from .matrix import product, symmetrize
from .tangent import ones_like, unit_roundoff

# Eigenvalues within max(8, n/4) ε max|λ| of 0 may be 0: those of singular matrices came out of
# LAPACK up to 6.3 away from it, those of large ones that are nearly constant up to n/7.
ZERO = 8.0
ZERO_OF_SIZE = 0.25
# Of a positive semidefinite matrix the most negative eigenvalue is rounding; others that are no
# larger than so many times it may be as well.
ROUNDED = 16.0
Function = Callable[[Namespace, Array], Array]
DividedDifference = Callable[[Namespace, Array, Array], Array]
Domain = Callable[[Namespace, Array, str], Array]
REMEDY = "Add a multiple of the identity, or compute in float64."


def symmetric_function(
    F: Namespace,
    a: Array,
    value: Function,
    divided_difference: DividedDifference,
    domain: Optional[Domain] = None,
    name: str = "SymmetricFunction",
) -> Array:
    """f(A) = Uᵀ diag(f(λ)) U, (B, n, n) -> (B, n, n), bitwise symmetric.

    value: (F, λ) -> f(λ), element by element; divided_difference: (F, x, y) -> D(x, y) for
    x >= y, element by element, f'(x) where they are equal; domain: (F, λ, name) -> λ (B, n),
    checked. The lower triangle of A is read; the gradient is returned symmetric.
    Raises NonFiniteError, also where f or D overflows, and what `domain` raises.
    """
    u, eigenvalues = decomposed(F, a, name)
    if domain is not None:
        eigenvalues = domain(F, eigenvalues, name)
    values = value(F, eigenvalues)
    column, row = F.expand_dims(eigenvalues, axis=2), F.expand_dims(eigenvalues, axis=1)
    differences = divided_difference(
        F, F.broadcast_maximum(column, row), F.broadcast_minimum(column, row)
    )
    text = _too_large(name)
    values = require(F, values, finite(F, values), NonFiniteError, text, axes=2)
    differences = require(F, differences, finite(F, differences), NonFiniteError, text)
    result = product(F, F.broadcast_mul(u, F.expand_dims(values, axis=2)), u, transpose_a=True)
    moved = product(F, product(F, u, symmetric_increment(F, a)), u, transpose_b=True)
    change = product(F, product(F, u, differences * moved, transpose_a=True), u)
    return symmetrize(F, result + change)


def matrix_sqrt(F: Namespace, a: Array, name: str = "MatrixSqrt") -> Array:
    """A^{1/2} of a positive semidefinite matrix, (B, n, n) -> (B, n, n).

    Eigenvalues up to 16 times the magnitude of a negative one count as 0: only rounding makes it
    negative, and the roots of as many positive ones would add up.
    D = 1 / (√x + √y). Where both eigenvalues are 0 to rounding (<= 8 ε max λ) the derivative is
    infinite, and D is 0 there instead: the gradient is exact for changes of A that keep its rank.
    Raises NotPositiveDefiniteError when an eigenvalue is below -max(8, n/4) ε max|λ|.
    """

    if applies(F, a):
        return _by_native(F, a, name, _not_semidefinite(name), "sqrt")

    def divided_difference(F: Namespace, larger: Array, smaller: Array) -> Array:
        largest = F.max(larger, axis=(1, 2), keepdims=True)
        regular = F.broadcast_greater(larger, ZERO * unit_roundoff(F, largest) * largest)
        return regular / (F.sqrt(larger) + F.sqrt(smaller) + (1.0 - regular))

    return symmetric_function(
        F, a, lambda F, x: F.sqrt(x), divided_difference, positive_semidefinite, name
    )


def matrix_inverse_sqrt(
    F: Namespace, a: Array, floor: Optional[float] = None, name: str = "MatrixInverseSqrt"
) -> Array:
    """A^{-1/2}, (B, n, n) -> (B, n, n); with a floor, of A whose eigenvalues are lifted to it.

    f(λ) = x^{-1/2} with x = max(λ, φ), φ = floor · max|λ| a constant; x = λ without a floor, where
    A must be positive definite and not only semidefinite.
    D = -q / (√x √y (√x + √y)), where q is the quotient of the differences after and before the
    lifting: 1 where both eigenvalues are above the floor, 0 where neither is.
    Raises NotPositiveDefiniteError.
    """

    if applies(F, a):
        refusal = _not_definite(name) if floor is None else _not_semidefinite(name)
        parameter = 0.0 if floor is None else float(floor)
        return _by_native(F, a, name, refusal, "inverse_sqrt", parameter, floor is not None)

    def lifted(F: Namespace, x: Array) -> Array:
        if floor is None:
            return x
        # Both λ (B, n) and the pairs (B, n, n) contain the largest magnitude.
        largest = F.max(F.abs(x), axis=0, exclude=True, keepdims=True)
        return F.broadcast_maximum(x, float(floor) * largest)

    def divided_difference(F: Namespace, larger: Array, smaller: Array) -> Array:
        x, y = lifted(F, larger), lifted(F, smaller)
        gap = larger - smaller
        tie = gap == 0.0
        quotient = (x - y + tie * (x == larger)) / (gap + tie)
        root_x, root_y = F.sqrt(x), F.sqrt(y)
        return -quotient / root_x / root_y / (root_x + root_y)

    domain = positive_definite if floor is None else positive_semidefinite
    return symmetric_function(
        F, a, lambda F, x: F.rsqrt(lifted(F, x)), divided_difference, domain, name
    )


def matrix_log(F: Namespace, a: Array, name: str = "MatrixLog") -> Array:
    """log A of a positive definite matrix, (B, n, n) -> (B, n, n).

    D = log1p(z) / (z y) with z = (x - y) / y, x >= y. Raises NotPositiveDefiniteError.
    """

    if applies(F, a):
        return _by_native(F, a, name, _not_definite(name), "log")

    def divided_difference(F: Namespace, larger: Array, smaller: Array) -> Array:
        excess = (larger - smaller) / smaller
        tie = excess == 0.0
        return (F.log1p(excess) + tie) / (excess + tie) / smaller

    return symmetric_function(
        F, a, lambda F, x: F.log(x), divided_difference, positive_definite, name
    )


def matrix_exp(F: Namespace, a: Array, name: str = "MatrixExp") -> Array:
    """exp A of any symmetric matrix, (B, n, n) -> (B, n, n).

    D = e^x (1 - e^{-d}) / d with d = x - y >= 0. Raises NonFiniteError when it overflows.
    """

    if applies(F, a):
        return _by_native(F, a, name, "", "exp")

    def divided_difference(F: Namespace, larger: Array, smaller: Array) -> Array:
        gap = larger - smaller
        tie = gap == 0.0
        return F.exp(larger) * ((tie - F.expm1(-gap)) / (gap + tie))

    return symmetric_function(F, a, lambda F, x: F.exp(x), divided_difference, name=name)


def matrix_power(F: Namespace, a: Array, power: float, name: str = "MatrixPower") -> Array:
    """A^p of a positive definite matrix and any number p, (B, n, n) -> (B, n, n).

    D = sign(p) w^p (1 - e^{-|p| t}) / (z y) with z = (x - y) / y, t = log1p(z) = log(x / y) and w
    the one of x >= y with the larger power. Raises NotPositiveDefiniteError.
    """
    power = float(power)
    if applies(F, a):
        return _by_native(F, a, name, _not_definite(name), "power", power)
    size = abs(power)

    def divided_difference(F: Namespace, larger: Array, smaller: Array) -> Array:
        excess = (larger - smaller) / smaller
        tie = excess == 0.0
        quotient = (tie * size - F.expm1(-size * F.log1p(excess))) / (excess + tie) / smaller
        dominant = larger if power > 0 else smaller
        return (dominant**power) * quotient * (1.0 if power > 0 else -1.0)

    return symmetric_function(
        F, a, lambda F, x: x**power, divided_difference, positive_definite, name
    )


def nearest_psd(F: Namespace, a: Array, floor: float = 0.0, name: str = "NearestPSD") -> Array:
    """The matrix nearest to A whose eigenvalues are at least `floor`, (B, n, n) -> (B, n, n).

    f(λ) = max(λ, φ), φ the floor: nearest in the Frobenius norm (Higham 1988, Computing a nearest
    symmetric positive semidefinite matrix). D = 1 where both eigenvalues are above φ, 0 where
    neither is, and (x - φ) / (x - y) for x > φ >= y. At φ, where f has a kink, D is that from
    below: eigenvalues within max(8, n/4) ε max|λ| of φ count as φ.
    """
    floor = float(floor)
    if applies(F, a):
        return _by_native(F, a, name, "", "nearest", floor)

    def snapped(F: Namespace, eigenvalues: Array, name: str) -> Array:
        _, bound = _smallest_and_bound(F, eigenvalues)
        apart = F.broadcast_greater(F.abs(eigenvalues - floor), bound)
        return apart * eigenvalues + (1.0 - apart) * floor

    def divided_difference(F: Namespace, larger: Array, smaller: Array) -> Array:
        both = smaller > floor
        either = larger > floor
        astride = either - both
        return both + astride * (larger - floor) / (larger - smaller + (1.0 - astride))

    return symmetric_function(
        F, a, lambda F, x: F.maximum(x, floor), divided_difference, snapped, name
    )


def _by_native(
    F: Namespace,
    a: Array,
    name: str,
    refusal: str,
    function: str,
    parameter: float = 0.0,
    lifted: bool = False,
) -> Array:
    """A function that the native operators have; refusal: the text for another domain."""
    result, status = spectra.symmetric_function(F, a, function, parameter, lifted)
    failures = {
        spectra.NOT_FINITE: (NonFiniteError, not_finite(name)),
        spectra.NOT_POSITIVE: (NotPositiveDefiniteError, refusal),
        spectra.TOO_LARGE: (NonFiniteError, _too_large(name)),
    }
    require_status(F, status, failures)
    return result


def positive_definite(F: Namespace, eigenvalues: Array, name: str) -> Array:
    """λ (B, n), each above max(8, n/4) ε max|λ|: else NotPositiveDefiniteError."""
    smallest, bound = _smallest_and_bound(F, eigenvalues)
    return require(
        F,
        eigenvalues,
        smallest > bound,
        NotPositiveDefiniteError,
        _not_definite(name),
        axes=2,
    )


def positive_semidefinite(F: Namespace, eigenvalues: Array, name: str) -> Array:
    """λ (B, n), those that rounding explains as 0: at most 16 times a negative one in magnitude.

    No λ may be below -max(8, n/4) ε max|λ|: else NotPositiveDefiniteError.
    """
    smallest, bound = _smallest_and_bound(F, eigenvalues)
    explained = ROUNDED * F.relu(-smallest)
    return require(
        F,
        eigenvalues * F.broadcast_greater(eigenvalues, explained),
        smallest >= -bound,
        NotPositiveDefiniteError,
        _not_semidefinite(name),
        axes=2,
    )


def _smallest_and_bound(F: Namespace, eigenvalues: Array) -> Tuple[Array, Array]:
    largest = F.max(F.abs(eigenvalues), axis=1, keepdims=True)
    size = F.sum(ones_like(F, eigenvalues), axis=1, keepdims=True)
    bound = F.maximum(ZERO_OF_SIZE * size, ZERO) * unit_roundoff(F, largest) * largest
    return F.min(eigenvalues, axis=1, keepdims=True), bound


def _not_definite(name: str) -> str:
    return (
        f"{name}: the matrix is not positive definite: its smallest eigenvalue is negative, or 0 "
        f"to rounding (at most max(8, n/4) ε times the largest). {REMEDY}"
    )


def _not_semidefinite(name: str) -> str:
    return (
        f"{name}: the matrix is not positive semidefinite: its smallest eigenvalue is negative by "
        "more than rounding (max(8, n/4) ε times the largest)."
    )


def _too_large(name: str) -> str:
    return f"{name}: the result or its derivative is too large for the dtype."
