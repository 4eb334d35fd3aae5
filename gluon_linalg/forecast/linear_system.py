"""What LDS and StructuralPredictor need of state space models beyond the Kalman layers.

Arrays are those of a `functional.state_space.System`, time first: (1, T, B, m, n).
"""

import math

from .. import functional as fn
from ..errors import NotPositiveDefiniteError
from ..functional.checks import require
from ..functional.eigen import decomposed
from ..functional.matrix import with_axis
from ..functional.recursion import affine_recursion, quadratic_recursion
from ..functional.state_space import leading_axes, over_batch, over_time, transposed

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def step_log_likelihood(F, system, filtered, tangents):
    """log p(y_t | y_1, ..., y_{t-1}) of each step, (B, T); 0 where nothing was observed.

    With the innovation v_t, its covariance F_t and u = F⁻¹ v the gradient is that of

        ½ tr((u uᵀ - F⁻¹) δF) - uᵀ δv,   δv = δy - δd - δH a - H δa,
        δF = H δP Hᵀ + δH P Hᵀ + H P δHᵀ + δR,

    whatever weight each step has. filtered, tangents: of `functional`.
    """
    pivots = with_axis(F, fn.diagonal(F, filtered.inverse_factor), 4)
    constant = F.log(F.abs(pivots)) - HALF_LOG_2PI
    constant = F.broadcast_add(constant, fn.zeros_like(F, filtered.innovation))
    if system.mask is not None:
        constant = F.broadcast_mul(constant, system.mask)
    value = _by_step(F, constant - 0.5 * F.square(filtered.innovation))
    return fn.with_gradient(F, value, _by_step(F, _step_changes(F, tangents)))


def following_moments(F, filtered, tangents):
    """E[x_{T+1} | y_1, ..., y_T] (B, d) and Var(x_{T+1} | y_1, ..., y_T) (B, d, d).

    From the square-root filter by the loop; every array of the system has the batch size B, and
    there is no transition offset.
    """

    def last(array):
        return F.slice_axis(array, axis=1, begin=-1, end=None)

    mean = fn.product(F, last(tangents.fixed.transition), last(fn.filtered_mean(F, filtered)))
    # δa⁺ and δP⁺ of `functional.kalman_tangent`.
    for matrix, column in (
        (filtered.closed, tangents.mean),
        (tangents.turned, filtered.mean),
        (filtered.gain, tangents.shock),
        (tangents.crossed, _weighted_innovation(F, filtered)),
    ):
        mean = mean + fn.product(F, last(matrix), last(column))
    factor = last(filtered.roots.following)
    covariance = fn.stop(F, fn.product(F, factor, factor, transpose_b=True))
    covariance = covariance + last(tangents.next_covariance)
    return (
        F.squeeze(fn.batch_first(F, mean), axis=(1, 3)),
        F.squeeze(fn.batch_first(F, covariance), axis=1),
    )


def covariance_factor(F, covariance, name, scale=None):
    """S with P = S Sᵀ for positive semidefinite P, (B, d, d) -> (B, d, d), a constant.

    From the eigendecomposition: nothing is added to P, and eigenvalues that rounding left below 0
    count as 0. scale (B, 1): the size of what P was computed from; None: that of P.

    Raises NonFiniteError, and NotPositiveDefiniteError for an eigenvalue below -2 √ε times the
    larger of |P| and scale, ε = 6.0e-8 in float32 and 1.1e-16 in float64.
    """
    vectors, values = decomposed(F, covariance, name)
    largest = F.max(F.abs(values), axis=1, keepdims=True)
    if scale is not None:
        largest = F.broadcast_maximum(largest, scale)
    bound = 2.0 * F.sqrt(fn.unit_roundoff(F, largest)) * largest
    roots = require(
        F,
        F.sqrt(F.relu(values)),
        F.broadcast_greater_equal(values, -bound),
        NotPositiveDefiniteError,
        f"{name}: the covariance has a negative eigenvalue that rounding does not explain.",
        axes=2,
    )
    return fn.transpose(F, F.broadcast_mul(vectors, F.expand_dims(roots, axis=2)))


def with_prior_covariance(F, system, covariance):
    """The system for `functional.MomentTangents` whose prior has the gradient of P (B, d, d).

    Of a prior factor N they take δN Nᵀ + N δNᵀ alone: with N = I and δN = ½ δP this is δP, also
    where P is singular and no factor of it has a derivative.
    """
    change = 0.5 * fn.symmetrize(F, covariance - fn.stop(F, covariance))
    factor = leading_axes(F, fn.identity_like(F, covariance) + change)
    return system._replace(prior_factor=factor)


def drawn_observations(F, system, count):
    """`count` draws of y_1, ..., y_T, joint over time, (count, B, T, p), by MXNet's generator."""
    system = _along_time(F, system)
    noise, process, initial = (
        fn.product(F, factor, _normals(F, factor, count))
        for factor in (system.observation_factor, system.process_factor, system.prior_factor)
    )
    initial = F.broadcast_add(initial, system.prior_mean)
    states = affine_recursion(F, system.transition, process, initial)
    observed = fn.product(F, system.emission, states) + noise
    if system.emission_offset is not None:
        observed = F.broadcast_add(observed, system.emission_offset)
    return F.squeeze(F.transpose(observed, axes=(4, 2, 1, 3, 0)), axis=4)


def observation_marginals(F, system):
    """Mean (B, T, p) and covariance (B, T, p, p) of each y_t before anything was observed."""
    system = _along_time(F, system)
    noise, process, initial = (
        fn.product(F, factor, factor, transpose_b=True)
        for factor in (system.observation_factor, system.process_factor, system.prior_factor)
    )
    covariance = quadratic_recursion(F, system.transition, process, initial)
    nothing = fn.zeros_like(F, F.slice_axis(process, axis=4, begin=0, end=1))
    mean = affine_recursion(F, system.transition, nothing, system.prior_mean)
    observed = fn.product(F, system.emission, mean)
    if system.emission_offset is not None:
        observed = F.broadcast_add(observed, system.emission_offset)
    spread = fn.product(F, system.emission, covariance)
    spread = fn.product(F, spread, system.emission, transpose_b=True) + noise
    return F.squeeze(fn.batch_first(F, observed), axis=3), fn.batch_first(F, spread)


def _along_time(F, system):
    """The system, which has no transition offset, with arrays over all times and batch elements."""
    names = ("transition", "emission", "process_factor", "observation_factor")
    arrays = {name: over_time(F, getattr(system, name), system.observed) for name in names}
    for name in ("prior_mean", "prior_factor"):
        arrays[name] = over_batch(F, getattr(system, name), system.observed)
    return system._replace(**arrays)


def _step_changes(F, tangents):
    change, fixed, filtered = tangents.change, tangents.fixed, tangents.filtered
    inverse_factor, emission = filtered.inverse_factor, fixed.emission
    residual = tangents.shock - fn.product(F, change.emission, filtered.mean)
    residual = residual - fn.product(F, emission, tangents.mean)
    crossed = fn.product(F, filtered.covariance, emission, transpose_b=True)
    crossed = fn.product(F, change.emission, crossed)
    along = fn.product(F, fn.product(F, emission, tangents.covariance), emission, transpose_b=True)
    along = along + crossed + transposed(F, crossed) + tangents.noise
    weighted = _weighted_innovation(F, filtered)
    outer = fn.product(F, weighted, weighted, transpose_b=True)
    adjoint = outer - fn.product(F, inverse_factor, inverse_factor, transpose_a=True)
    return F.concat(-weighted * residual, 0.5 * fn.stop(F, adjoint) * along, dim=4)


def _weighted_innovation(F, filtered):
    """F⁻¹ v, (1, T, B, p, 1)."""
    return fn.product(F, filtered.inverse_factor, filtered.innovation, transpose_a=True)


def _by_step(F, terms):
    """(1, T, B, m, n) summed to (B, T)."""
    summed = F.sum(terms, axis=(3, 4), keepdims=True)
    return F.squeeze(fn.batch_first(F, summed), axis=(2, 3))


def _normals(F, factor, count):
    """Standard normal numbers for the columns of a factor (1, T, B, m, r): (1, T, B, r, count)."""
    row = transposed(F, F.slice_axis(factor, axis=3, begin=0, end=1))
    shape_of = F.broadcast_axis(fn.zeros_like(F, row), axis=4, size=count)
    return F.random.normal_like(shape_of)
