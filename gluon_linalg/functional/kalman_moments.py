"""Filtered, smoothed and lag-one covariances of the square-root filter, as constants.

With x_t = a_t + S_t ξ_t, ξ ~ N(0, I) before the data, a step of the filter is an orthogonal change
of coordinates: [ξ_t; ε_t; η_t] = Qᵀ [e_t; ξ_{t+1}; ζ_t], and the data say nothing about ζ_t. So the
covariance C of ξ given all data goes back in time by

    C_{t-1} = Θᵀ C_t Θ + Ψᵀ Ψ,   Ψ (., d) the rows of Q that belong to ζ,

a sum of positive terms without an inverse: it holds for singular and for very large P.
"""

from .kalman import split_rows
from .matrix import identity_like, product
from .recursion import quadratic_recursion
from .state_space import lower_factor, over_batch, over_time, transposed
from .tangent import stop, zeros_like


def filtered_moments(F, filtered, observations):
    """E[x_t | y_1..y_t], (B, T, d, 1), and Var(x_t | y_1..y_t), (B, T, d, d)."""
    innovation = filtered.innovation
    whitened = over_batch(F, filtered.whitened, innovation)
    mean = filtered.mean + product(F, whitened, innovation, transpose_a=True)
    if filtered.roots is None:
        explained = product(F, filtered.whitened, filtered.whitened, transpose_a=True)
        covariance = filtered.covariance - explained
    else:
        covariance = _updated_covariance(F, filtered.roots, observations)
    covariance = 0.5 * (covariance + transposed(F, covariance))
    return stop(F, mean), stop(F, over_batch(F, covariance, innovation))


def observation_moments(F, mean, covariance, emission, factor, offset):
    """Of y_t, (B, T, p, 1) and (B, T, p, p), from those of x_t; nothing is masked."""
    emission, factor = (over_time(F, x, covariance) for x in (emission, factor))
    observed = product(F, emission, mean)
    if offset is not None:
        observed = F.broadcast_add(observed, F.expand_dims(offset, axis=3))
    spread = product(F, product(F, emission, covariance), emission, transpose_b=True)
    return observed, spread + product(F, factor, factor, transpose_b=True)


def smoothed_covariances(F, roots, states, observations, length=None):
    """Var(x_t | y) and Cov(x_{t+1}, x_t | y), both (b, T, d, d); y is all the data."""
    turned = transposed(F, roots.carried)
    free = _free_rows(F, roots, states, observations)
    offset = product(F, free, free, transpose_a=True)
    last = F.slice_axis(identity_like(F, offset), axis=1, begin=0, end=1)
    after = quadratic_recursion(F, turned, offset, last, length, reverse=True)
    # S Θᵀ and S⁺: from coordinates to states.
    crossed = product(F, product(F, after, roots.carried), roots.factor, transpose_b=True)
    before = product(F, product(F, turned, after), roots.carried) + offset
    smoothed = product(F, product(F, roots.factor, before), roots.factor, transpose_b=True)
    lag_one = product(F, roots.following, crossed)
    return stop(F, 0.5 * (smoothed + transposed(F, smoothed))), stop(F, lag_one)


def _updated_covariance(F, roots, observations):
    """S (I - ΩᵀΩ) Sᵀ by one LQ, (b, T, d, d)."""
    p = observations
    emission, _ = split_rows(F, roots.matrix, p)
    noise, _ = split_rows(F, F.slice_axis(roots.noise, axis=3, begin=0, end=p), p)
    head = F.concat(product(F, emission, roots.factor), noise, dim=3)
    blank = zeros_like(F, product(F, emission, noise, transpose_a=True))
    tail = F.concat(roots.factor, blank, dim=3)
    lower = lower_factor(F, F.concat(head, tail, dim=2))
    factor = F.slice(lower, begin=(None, None, p, p), end=(None, None, None, None))
    return product(F, factor, factor, transpose_b=True)


def _free_rows(F, roots, states, observations):
    """Ψ: what completes the rows of Q of a step to an orthogonal matrix, its first d columns.

    The LQ of [M S  N] with the rows [0  I] of the process noise below it is square.
    """
    p = observations
    process = F.slice_axis(roots.noise, axis=3, begin=p, end=None)
    _, process = split_rows(F, process, p)
    _, below = split_rows(F, F.slice_axis(roots.noise, axis=3, begin=0, end=p), p)
    hidden = zeros_like(F, product(F, process, roots.factor, transpose_a=True))
    observed = zeros_like(F, product(F, process, below, transpose_a=True))
    identity = identity_like(F, product(F, process, process, transpose_a=True))
    array = F.concat(product(F, roots.matrix, roots.factor), roots.noise, dim=3)
    array = F.concat(array, F.concat(hidden, observed, identity, dim=3), dim=2)
    orthogonal, _ = F.linalg.gelqf(array)
    begin, end = (None, None, p + states, 0), (None, None, None, states)
    return F.slice(orthogonal, begin=begin, end=end)
