"""The stationary distribution of a linear system, as a factor: the discrete Lyapunov equation."""

from typing import Sequence

from ..errors import LinearAlgebraError
from ..typing import Array, Namespace
from .checks import require
from .cholesky import unit_roundoff
from .matrix import congruence, identity_like, product, symmetrize, transpose
from .state_space import lower_factor
from .svd import singular_vectors
from .tangent import ones_like, stop, zeros_like

# After k of them all but A^(2^k) is summed: an eigenvalue of 1 - 2⁻²⁴ has become 1e-28.
DOUBLINGS = 30
# Singular values of the factor below ε to this power, in units of the states, are 0.
RANK = 0.75


def stationary_factor(
    F: Namespace, transition: Array, process_factor: Array, name: str = "Lyapunov"
) -> Array:
    """S (B, d, d) with S Sᵀ = P, the solution of P = A P Aᵀ + G Gᵀ, for any rank of P.

    transition A: (B, d, d), with all eigenvalues inside the unit circle; process_factor G:
    (B, d, r). P is the covariance of x_{t+1} = A x_t + G η_t, η_t ~ N(0, I), after infinitely many
    steps: the prior of a Kalman layer whose process has begun long before y.

    Value: doubling, P_{k+1} = P_k + A_k P_k A_kᵀ with A_k = A^(2^k) (Smith 1968), on factors, each
    step one LQ of [S_k, A_k S_k]; no covariance is formed. Gradient: dP solves the same equation
    with the offset dA P Aᵀ + A P dAᵀ + d(G Gᵀ), by the same doubling, and
    dS = (dP - ½ Π dP Π) S⁺ᵀ with the projector Π on the range of S, so that
    dS Sᵀ + S dSᵀ = dP where P is singular, too (a small singular value, below ε^¾ of what its
    states can be, counts as 0).

    Raises imperatively LinearAlgebraError where A is not stable: a process that is not stationary
    has no such distribution. In a graph that batch element is NaN.
    """
    power, noise = stop(F, transition), stop(F, process_factor)
    powers = []
    factor = lower_factor(F, F.concat(noise, zeros_like(F, power), dim=2))
    for _ in range(DOUBLINGS):
        powers.append(power)
        factor = lower_factor(F, F.concat(factor, product(F, power, factor), dim=2))
        power = product(F, power, power)
    # What is unstable has become huge, or NaN; on the unit circle it has kept its size.
    is_stable = F.abs(power) < 0.5
    factor = require(
        F,
        factor,
        is_stable,
        LinearAlgebraError,
        f"{name}: the process is not stationary: its transition has an eigenvalue of modulus 1 or "
        "more, or too near to 1. Begin at a stationary one, or with a known or diffuse prior.",
    )
    return stop(F, factor) + _change(F, factor, transition, process_factor, powers)


def _change(
    F: Namespace, factor: Array, transition: Array, process_factor: Array, powers: Sequence[Array]
) -> Array:
    """0 with the gradient of S."""
    covariance = product(F, factor, factor, transpose_b=True)
    step, noise = powers[0], stop(F, process_factor)
    moved = product(F, product(F, transition - step, covariance), step, transpose_b=True)
    moved = moved + product(F, process_factor - noise, noise, transpose_b=True)
    change = 2.0 * symmetrize(F, moved)
    for power in powers:
        change = change + congruence(F, power, change)
    # In units in which each state has the variance 1.
    sizes = F.sqrt(F.sum(F.square(factor), axis=2, keepdims=True))
    sizes = stop(F, F.where(sizes > 0.0, sizes, ones_like(F, sizes)))
    left, values, right = singular_vectors(F, F.broadcast_div(factor, sizes), "Lyapunov")
    values = F.expand_dims(values, axis=1)
    least = F.exp(RANK * F.log(unit_roundoff(F, values)))
    is_known = values > least
    inverse = is_known / F.where(is_known, values, ones_like(F, values))
    inverse = stop(F, product(F, F.broadcast_mul(left, inverse), right))
    kept = stop(F, product(F, F.broadcast_mul(left, is_known), left, transpose_b=True))
    change = F.broadcast_div(F.broadcast_div(change, sizes), transpose(F, sizes))
    half = identity_like(F, kept) - 0.5 * kept
    # dP - ½ Π dP Π on the range: (I - ½ Π) dP Π = (dP - ½ Π dP Π) Π where dP has nothing beyond it.
    return F.broadcast_mul(sizes, product(F, product(F, half, change), inverse))
