"""The gains of the Kalman filter, constants: one LQ for each step, or the recursion of P itself."""

import re
from collections import namedtuple
from itertools import count

from ..errors import NotPositiveDefiniteError, SingularMatrixError
from . import lapack
from .cholesky import potrf, triangular_solve
from .matrix import product, transpose
from .recursion import before_steps, for_each
from .state_space import lower_factor
from .tangent import zeros_like

SINGULAR_INNOVATION = (
    "singular innovation covariance: an observation without noise is determined by the others; "
    "give its row of the observation factor some noise, or mask it"
)

# S, Ω, Θ, S⁺, and M and N of the array [M S  N] whose LQ they come from.
Roots = namedtuple("Roots", ["factor", "whitened", "carried", "following", "matrix", "noise"])

# What a form of the filter knows, (1, T, b, ...): F½, K̄, P or None, its `Roots` or None.
Gains = namedtuple("Gains", ["factor", "scaled_gain", "covariance", "roots"])


def square_root_loop(F, joint, states, observations):
    """`Gains` by a loop over time: any T."""

    def body(data, state):
        (factor,) = state
        matrix, noise = data
        orthogonal, lower = lapack.gelqf(F, F.concat(product(F, matrix, factor), noise, dim=2))
        following = F.slice(lower, begin=(None, observations, observations), end=(None, None, None))
        return [lower, orthogonal], [following]

    noise = joint_noise(F, joint)
    data = [joint.matrix, noise]
    (lower, orthogonal), _ = for_each(F, body, data, joint.prior_factor)
    p = observations
    following = F.slice(lower, begin=(None, None, None, p, p), end=(None, None, None, None, None))
    factor = before_steps(F, following, joint.prior_factor)
    return _gains(F, factor, joint.matrix, noise, lower, orthogonal, states, observations)


def square_root_steps(F, joint, filtered, states, observations):
    """`Gains` of all steps at once from the factors U of the filtered covariances.

    Here S⁺ of one step and S of the next are two factors of one covariance.
    """
    _, transition = split_rows(F, joint.matrix, observations)
    array = F.concat(product(F, transition, filtered), joint.process_factor, dim=4)
    factor = before_steps(F, lower_factor(F, array), joint.prior_factor)
    noise = joint_noise(F, joint)
    array = F.concat(product(F, joint.matrix, factor), noise, dim=4)
    orthogonal, lower = lapack.gelqf(F, array)
    return _gains(F, factor, joint.matrix, noise, lower, orthogonal, states, observations)


def covariance_loop(F, joint, observations, name):
    """`Gains` by the recursion of P itself: faster for many small systems, weak in float32."""
    p = observations
    noise = joint_noise(F, joint)
    noise = product(F, noise, noise, transpose_b=True)
    prior = product(F, joint.prior_factor, joint.prior_factor, transpose_b=True)
    times_seen = count()

    def body(data, state):
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


def split_rows(F, matrix, first):
    """The first rows and the others of (1, T, b, m, n)."""
    return (
        F.slice_axis(matrix, axis=3, begin=0, end=first),
        F.slice_axis(matrix, axis=3, begin=first, end=None),
    )


def joint_noise(F, joint):
    """N = diag(D, G), (1, T, b, p + d, p + r)."""
    emission_noise = joint.observation_factor
    corner = zeros_like(F, product(F, emission_noise, _emission(F, joint), transpose_a=True))
    above = zeros_like(F, product(F, corner, joint.process_factor))
    return F.concat(
        F.concat(emission_noise, above, dim=4),
        F.concat(transpose(F, corner, axes=5), joint.process_factor, dim=4),
        dim=3,
    )


def _gains(F, factor, matrix, noise, lower, orthogonal, states, observations):
    p = observations
    head, tail = split_rows(F, lower, p)
    columns = F.slice_axis(orthogonal, axis=4, begin=0, end=states)
    whitened, carried = split_rows(F, columns, p)
    innovation_factor = F.slice_axis(head, axis=4, begin=0, end=p)
    scaled_gain = F.slice_axis(tail, axis=4, begin=0, end=p)
    following = F.slice_axis(tail, axis=4, begin=p, end=None)
    roots = Roots(factor, whitened, carried, following, matrix, noise)
    return Gains(innovation_factor, scaled_gain, None, roots)


def _innovation_factor(F, covariance, name, time):
    """F½ of one step; imperatively, where the body of a loop runs once for each, errors have t."""
    try:
        return potrf(F, covariance, name)
    except NotPositiveDefiniteError as error:
        element = re.search(r"batch element (\S+)", str(error))
        raise SingularMatrixError(
            f"{name}: {SINGULAR_INNOVATION} (batch element {element.group(1)}, t = {time}). In the "
            "covariance form rounding can do it, too: use form='square_root'."
        ) from None


def _emission(F, joint):
    rows = joint.observation_factor
    return F.slice_like(joint.matrix, rows, axes=(3,))
