"""The gains of the Kalman filter, constants: one LQ for each step, or the recursion of P itself."""

import re
from itertools import count
from typing import List, NamedTuple, Optional, Tuple

from .. import native
from ..errors import NotPositiveDefiniteError, SingularMatrixError
from ..native import recursion as native_recursion
from ..typing import Array, Namespace, given
from . import lapack
from .checks import finite, require_each
from .cholesky import potrf, triangular_solve
from .matrix import product, transpose
from .recursion import before_steps, for_each
from .state_space import Joint, lower_factor
from .tangent import zeros_like

# An innovation whose standard deviation is so many ε of that before anything was observed at its
# time or the one before is 0 up to rounding.
SINGULAR = 4.0
SINGULAR_INNOVATION = (
    "singular innovation covariance: an observation without noise is determined by the others; "
    "give its row of the observation factor some noise, or mask it"
)
IN_COVARIANCE_FORM = "; in the covariance form rounding can do it, too: use form='square_root'"


class Roots(NamedTuple):
    """Blocks of the LQ of each array [M S  N], and M and N themselves."""

    factor: Array  # S with P = S Sᵀ, predicted, (1, T, b, d, d)
    whitened: Array  # Ω, (1, T, b, p, d)
    carried: Array  # Θ, (1, T, b, d, d)
    following: Array  # S⁺, of the next step, (1, T, b, d, d)
    matrix: Array  # M, (1, T, b, p + d, d)
    noise: Array  # N, (1, T, b, p + d, p + r)
    free: Optional[Array] = None  # Ψ, (1, T, b, ., d), where it is known


class Gains(NamedTuple):
    """What a form of the filter knows."""

    factor: Array  # F½, (1, T, b, p, p)
    scaled_gain: Array  # K̄ = A P Hᵀ F⁻½ᵀ, (1, T, b, d, p)
    covariance: Optional[Array]  # P, (1, T, b, d, d), in the covariance form only
    roots: Optional[Roots]  # in the square-root form only

    @property
    def square_roots(self) -> Roots:
        """The roots of the square-root form."""
        return given(self.roots)


def square_root_loop(F: Namespace, joint: Joint, states: int, observations: int) -> Gains:
    """`Gains` by a loop over time: any T."""
    noise = joint_noise(F, joint)
    if native.applies(F, noise):
        lower, orthogonal, free, factor = native_recursion.square_root_recursion(
            F, joint.matrix, noise, joint.prior_factor
        )
        gains = _gains(F, factor, joint.matrix, noise, lower, orthogonal, states, observations)
        return gains._replace(roots=gains.square_roots._replace(free=free))

    def body(data: List[Array], state: List[Array]) -> Tuple[List[Array], List[Array]]:
        (factor,) = state
        matrix, noise = data
        orthogonal, lower = lapack.gelqf(F, F.concat(product(F, matrix, factor), noise, dim=2))
        following = F.slice(lower, begin=(None, observations, observations), end=(None, None, None))
        return [lower, orthogonal], [following]

    data = [joint.matrix, noise]
    (lower, orthogonal), _ = for_each(F, body, data, joint.prior_factor)
    p = observations
    following = F.slice(lower, begin=(None, None, None, p, p), end=(None, None, None, None, None))
    factor = before_steps(F, following, joint.prior_factor)
    return _gains(F, factor, joint.matrix, noise, lower, orthogonal, states, observations)


def square_root_steps(
    F: Namespace, joint: Joint, filtered: Array, states: int, observations: int
) -> Gains:
    """`Gains` of all steps at once from the factors U of the filtered covariances.

    Here S⁺ of one step and S of the next are two factors of one covariance.
    """
    _, transition = split_rows(F, joint.matrix, observations)
    array = F.concat(product(F, transition, filtered), joint.process_factor, dim=4)
    factor = before_steps(F, lower_factor(F, array), joint.prior_factor)
    return square_root_gains(F, joint, factor, states, observations)


def square_root_gains(
    F: Namespace, joint: Joint, factor: Array, states: int, observations: int
) -> Gains:
    """`Gains` of all steps at once from the factors S of the predicted covariances."""
    noise = joint_noise(F, joint)
    array = F.concat(product(F, joint.matrix, factor), noise, dim=4)
    orthogonal, lower = lapack.gelqf(F, array)
    return _gains(F, factor, joint.matrix, noise, lower, orthogonal, states, observations)


def covariance_loop(F: Namespace, joint: Joint, observations: int, name: str) -> Gains:
    """`Gains` by the recursion of P itself: faster for many small systems, weak in float32."""
    p = observations
    noise = joint_noise(F, joint)
    noise = product(F, noise, noise, transpose_b=True)
    prior = product(F, joint.prior_factor, joint.prior_factor, transpose_b=True)
    if native.applies(F, noise):
        factor, gain, covariance = native_recursion.covariance_recursion(
            F, joint.matrix, noise, prior
        )
        is_factor = F.min(finite(F, factor), axis=4, keepdims=True)
        text = f"{name}: {SINGULAR_INNOVATION}{IN_COVARIANCE_FORM}"
        factor = require_each(F, factor, is_factor, SingularMatrixError, text)
        return Gains(factor, gain, covariance, None)
    times_seen = count()

    def body(data: List[Array], state: List[Array]) -> Tuple[List[Array], List[Array]]:
        matrix, noise = data
        (covariance,) = state
        spread = product(F, product(F, matrix, covariance), matrix, transpose_b=True) + noise
        observed = F.slice(spread, begin=(None, 0, 0), end=(None, p, p))
        crossed = F.slice(spread, begin=(None, 0, p), end=(None, p, None))
        below = F.slice(spread, begin=(None, p, p), end=(None, None, None))
        factor = _innovation_factor(F, observed, name, time=next(times_seen))
        scaled = triangular_solve(F, factor, crossed)
        following = below - product(F, scaled, scaled, transpose_a=True)
        return [factor, scaled, F.identity(following)], [following]

    (factor, scaled, following), _ = for_each(F, body, [joint.matrix, noise], prior)
    covariance = before_steps(F, following, prior)
    return Gains(factor, transpose(F, scaled, axes=5), covariance, None)


def split_rows(F: Namespace, matrix: Array, first: int) -> Tuple[Array, Array]:
    """The first rows and the others of (1, T, b, m, n)."""
    return (
        F.slice_axis(matrix, axis=3, begin=0, end=first),
        F.slice_axis(matrix, axis=3, begin=first, end=None),
    )


def joint_noise(F: Namespace, joint: Joint) -> Array:
    """N = diag(D, G), (1, T, b, p + d, p + r)."""
    emission_noise = joint.observation_factor
    corner = zeros_like(F, product(F, emission_noise, _emission(F, joint), transpose_a=True))
    above = zeros_like(F, product(F, corner, joint.process_factor))
    return F.concat(
        F.concat(emission_noise, above, dim=4),
        F.concat(transpose(F, corner, axes=5), joint.process_factor, dim=4),
        dim=3,
    )


def _gains(
    F: Namespace,
    factor: Array,
    matrix: Array,
    noise: Array,
    lower: Array,
    orthogonal: Array,
    states: int,
    observations: int,
) -> Gains:
    p = observations
    head, tail = split_rows(F, lower, p)
    columns = F.slice_axis(orthogonal, axis=4, begin=0, end=states)
    whitened, carried = split_rows(F, columns, p)
    innovation_factor = F.slice_axis(head, axis=4, begin=0, end=p)
    scaled_gain = F.slice_axis(tail, axis=4, begin=0, end=p)
    following = F.slice_axis(tail, axis=4, begin=p, end=None)
    roots = Roots(factor, whitened, carried, following, matrix, noise)
    return Gains(innovation_factor, scaled_gain, None, roots)


def _innovation_factor(F: Namespace, covariance: Array, name: str, time: int) -> Array:
    """F½ of one step; imperatively, where the body of a loop runs once for each, errors have t."""
    try:
        return potrf(F, covariance, name)
    except NotPositiveDefiniteError as error:
        element = re.sub(r".*batch element (\S+).*", r"\1", str(error), flags=re.DOTALL)
        raise SingularMatrixError(
            f"{name}: {SINGULAR_INNOVATION}{IN_COVARIANCE_FORM} (batch element {element}, "
            f"t = {time})."
        ) from None


def _emission(F: Namespace, joint: Joint) -> Array:
    rows = joint.observation_factor
    return F.slice_like(joint.matrix, rows, axes=(3,))
