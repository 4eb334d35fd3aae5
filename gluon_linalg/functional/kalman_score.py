"""The gradient of the Kalman log-likelihood from one backward recursion.

De Jong 1989, Koopman & Shephard 1992: with r_t and N_t, the gradient and the negative Hessian of
log p(y_{t+1}, ..., y_T | x_{t+1}) in its argument's mean, and the joint form of `state_space`,

    w = [u; r_t],  u = F⁻½ᵀ e - Kᵀ r_t,   Λ = [F⁻½  0; -K  I]ᵀ diag(I, N_t) [F⁻½  0; -K  I],
    ∂/∂o = w,  ∂/∂N = (w wᵀ - Λ) N,  ∂/∂M = w x̂ᵀ - Λ M P,  ∂/∂y = -u,
    r_{t-1} = Mᵀ w,  N_{t-1} = Mᵀ Λ M.

No loop is differentiated, and neither P nor Q nor R is inverted: they may be singular.
"""

from collections import namedtuple

from .matrix import product
from .recursion import affine_recursion, quadratic_recursion
from .state_space import increments, over_batch, over_time, stopped, transposed
from .tangent import stop, with_gradient, zeros_like

# Constants. r and x̂ have the batch size B, N has b.
Smoothed = namedtuple(
    "Smoothed",
    [
        "after",  # r_t, (B, T, d, 1)
        "before",  # r_{t-1}, (B, T, d, 1)
        "observed",  # u, (B, T, p, 1)
        "precision_after",  # N_t, (b, T, d, d)
        "precision_before",  # N_{t-1}, (b, T, d, d)
        "mean",  # x̂ = a + P r_{t-1}, (B, T, d, 1)
    ],
)


def scored_likelihood(F, system, value, filtered, smoothed):
    """-log p(y), (B,), with its gradient in every array of the system."""
    return with_gradient(F, value, -_linear(F, system, filtered, smoothed))


def backward_pass(F, system, filtered, length=None):
    """`Smoothed` from the results of the filter."""
    fixed = stopped(F, system)
    whitened = product(F, filtered.inverse_factor, over_time(F, fixed.emission, filtered.closed))
    turned = transposed(F, filtered.closed)
    precision_offset = product(F, whitened, whitened, transpose_a=True)
    zero = F.slice_axis(zeros_like(F, turned), axis=1, begin=0, end=1)
    after = quadratic_recursion(F, turned, precision_offset, zero, length, reverse=True)
    before = product(F, product(F, turned, after), filtered.closed) + precision_offset

    innovation = filtered.innovation
    turned, whitened, inverse_factor, gain = (
        over_batch(F, x, innovation)
        for x in (turned, whitened, filtered.inverse_factor, filtered.gain)
    )
    offset = product(F, whitened, innovation, transpose_a=True)
    zero = F.slice_axis(zeros_like(F, offset), axis=1, begin=0, end=1)
    forces = affine_recursion(F, turned, offset, zero, length, reverse=True)
    earlier = product(F, turned, forces) + offset
    observed = product(F, inverse_factor, innovation, transpose_a=True) - product(
        F, gain, forces, transpose_a=True
    )
    if filtered.roots is None:
        moved = product(F, over_batch(F, filtered.covariance, innovation), earlier)
    else:
        moved = _normalized_displacement(F, filtered.roots, innovation, length)
    return Smoothed(forces, earlier, observed, after, before, filtered.mean + moved)


def _normalized_displacement(F, roots, innovation, length):
    """P r_{t-1} = S ρ_{t-1} with ρ_{t-1} = Ωᵀ e + Θᵀ ρ_t, exact also for very large P."""
    factor, whitened, carried = (over_batch(F, x, innovation) for x in roots[:3])
    turned = transposed(F, carried)
    offset = product(F, whitened, innovation, transpose_a=True)
    zero = F.slice_axis(zeros_like(F, offset), axis=1, begin=0, end=1)
    coordinates = affine_recursion(F, turned, offset, zero, length, reverse=True)
    return product(F, factor, product(F, turned, coordinates) + offset)


def _linear(F, system, filtered, smoothed):
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
    row = transposed(F, mean)
    observed_precision = product(
        F, filtered.inverse_factor, filtered.inverse_factor, transpose_a=True
    ) + product(F, gain, precision_gain, transpose_a=True)
    first_force, first_precision = (
        F.slice_axis(x, axis=1, begin=0, end=1)
        for x in (smoothed.before, smoothed.precision_before)
    )
    pairs = [
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
        (first_force, change.prior_mean),
        (-u, change.observed),
        (u, change.emission_offset),
        (r, change.transition_offset),
    ]
    total = None
    for coefficient, array in pairs:
        if array is not None:
            term = F.sum(F.broadcast_mul(stop(F, coefficient), array), axis=(1, 2, 3))
            total = term if total is None else total + term
    return total


def _factor_gradient(F, force, precision, factor):
    """(w wᵀ - Λ) N of a noise factor N."""
    factor = F.broadcast_add(factor, zeros_like(F, F.slice_axis(force, axis=2, begin=0, end=1)))
    outer = product(F, force, product(F, force, factor, transpose_a=True))
    return outer - product(F, over_batch(F, precision, force), factor)
