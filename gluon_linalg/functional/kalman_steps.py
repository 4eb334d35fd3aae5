"""What a filter pass says of single steps and of the state after the last, with gradients.

Arrays are those of a `state_space.LinearGaussianSystem`, time first: (1, T, B, m, n).
"""

from typing import Tuple

from ..typing import Array, Namespace
from .gaussian import HALF_LOG_2PI
from .kalman import Filtered
from .kalman_moments import filtered_mean
from .kalman_tangent import MomentTangents
from .matrix import diagonal, identity_like, product, symmetrize, transpose, with_axis
from .state_space import LinearGaussianSystem, batch_first, leading_axes
from .tangent import stop, with_gradient, zeros_like


def step_log_likelihood(
    F: Namespace, system: LinearGaussianSystem, filtered: Filtered, tangents: MomentTangents
) -> Array:
    """log p(y_t | y_1, ..., y_{t-1}) of each step, (B, T); 0 where nothing was observed.

    With the innovation v_t, its covariance F_t and u = F⁻¹ v the gradient is that of

        ½ tr((u uᵀ - F⁻¹) δF) - uᵀ δv,   δv = δy - δd - δH a - H δa,
        δF = H δP Hᵀ + δH P Hᵀ + H P δHᵀ + δR,

    whatever weight each step has. filtered, tangents: of `kalman_filter` and `MomentTangents`.
    """
    pivots = with_axis(F, diagonal(F, filtered.inverse_factor), 4)
    constant = F.log(F.abs(pivots)) - HALF_LOG_2PI
    constant = F.broadcast_add(constant, zeros_like(F, filtered.innovation))
    if system.mask is not None:
        constant = F.broadcast_mul(constant, system.mask)
    value = _by_step(F, constant - 0.5 * F.square(filtered.innovation))
    return with_gradient(F, value, _by_step(F, _step_changes(F, tangents)))


def following_moments(
    F: Namespace, filtered: Filtered, tangents: MomentTangents
) -> Tuple[Array, Array]:
    """E[x_{T+1} | y_1, ..., y_T] (B, d) and Var(x_{T+1} | y_1, ..., y_T) (B, d, d).

    From the square-root filter by the loop; every array of the system has the batch size B, and
    there is no transition offset.
    """

    def last(array: Array) -> Array:
        return F.slice_axis(array, axis=1, begin=-1, end=None)

    mean = product(F, last(tangents.fixed.transition), last(filtered_mean(F, filtered)))
    # δa⁺ and δP⁺ of `kalman_tangent`.
    for matrix, column in (
        (filtered.closed, tangents.mean),
        (tangents.turned, filtered.mean),
        (filtered.gain, tangents.shock),
        (tangents.crossed, _weighted_innovation(F, filtered)),
    ):
        mean = mean + product(F, last(matrix), last(column))
    factor = last(filtered.square_roots.following)
    covariance = stop(F, product(F, factor, factor, transpose_b=True))
    covariance = covariance + last(tangents.next_covariance)
    return (
        F.squeeze(batch_first(F, mean), axis=(1, 3)),
        F.squeeze(batch_first(F, covariance), axis=1),
    )


def with_prior_covariance(
    F: Namespace, system: LinearGaussianSystem, covariance: Array
) -> LinearGaussianSystem:
    """The system for `MomentTangents` whose prior has the gradient of P (B, d, d).

    Of a prior factor N they take δN Nᵀ + N δNᵀ alone: with N = I and δN = ½ δP this is δP, also
    where P is singular and no factor of it has a derivative.
    """
    change = 0.5 * symmetrize(F, covariance - stop(F, covariance))
    factor = leading_axes(F, identity_like(F, covariance) + change)
    return system._replace(prior_factor=factor)


def _step_changes(F: Namespace, tangents: MomentTangents) -> Array:
    change, fixed, filtered = tangents.change, tangents.fixed, tangents.filtered
    inverse_factor, emission = filtered.inverse_factor, fixed.emission
    residual = tangents.shock - product(F, change.emission, filtered.mean)
    residual = residual - product(F, emission, tangents.mean)
    crossed = product(F, filtered.covariance, emission, transpose_b=True)
    crossed = product(F, change.emission, crossed)
    along = product(F, product(F, emission, tangents.covariance), emission, transpose_b=True)
    along = along + crossed + transpose(F, crossed, axes=5) + tangents.noise
    weighted = _weighted_innovation(F, filtered)
    outer = product(F, weighted, weighted, transpose_b=True)
    adjoint = outer - product(F, inverse_factor, inverse_factor, transpose_a=True)
    return F.concat(-weighted * residual, 0.5 * stop(F, adjoint) * along, dim=4)


def _weighted_innovation(F: Namespace, filtered: Filtered) -> Array:
    """F⁻¹ v, (1, T, B, p, 1)."""
    return product(F, filtered.inverse_factor, filtered.innovation, transpose_a=True)


def _by_step(F: Namespace, terms: Array) -> Array:
    """(1, T, B, m, n) summed to (B, T)."""
    summed = F.sum(terms, axis=(3, 4), keepdims=True)
    return F.squeeze(batch_first(F, summed), axis=(2, 3))
