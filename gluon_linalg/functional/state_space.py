"""Linear-Gaussian state space models: their arrays, brought to one form.

    x_1 ~ N(m, S Sᵀ)
    y_t = H_t x_t + d_t + D_t ε_t
    x_{t+1} = A_t x_t + b_t + G_t η_t

as the joint system ``[y_t; x_{t+1}] = M_t x_t + o_t + N_t [ε_t; η_t]`` with M = [H; A],
o = [d; b] and N = diag(D, G).
"""

from typing import Any, Callable, NamedTuple, Optional

import mxnet as mx

from ..errors import NonFiniteError
from ..typing import Array, Namespace
from . import lapack
from .checks import require_each
from .matrix import product, with_axis
from .tangent import ones_like, stop, zeros_like


class LinearGaussianSystem(NamedTuple):
    """Differentiable arrays (1, T or 1, B or 1, m, n); masked rows of H, D and d are 0.

    With diffuse directions the vectors have 1 + q columns (`diffuse`).
    """

    observed: Array  # y with 0 for what is missing, (1, T, B, p, 1)
    mask: Optional[Array]  # (1, T, B or 1, p, 1)
    transition: Array  # A, (1, ., ., d, d)
    emission: Array  # H, (1, ., ., p, d)
    process_factor: Array  # G, (1, ., ., d, r)
    observation_factor: Array  # D, (1, ., ., p, q)
    transition_offset: Optional[Array]  # b, (1, ., ., d, 1)
    emission_offset: Optional[Array]  # d, (1, ., ., p, 1)
    prior_mean: Array  # m, (1, 1, ., d, 1)
    prior_factor: Array  # S, (1, 1, ., d, s)
    directions: Optional[Array]  # D, (1, 1, ., d, q)


def state_space_system(
    F: Namespace,
    y: Array,
    transition: Array,
    emission: Array,
    process_factor: Array,
    observation_factor: Array,
    prior_mean: Array,
    prior_factor: Array,
    mask: Optional[Array] = None,
    transition_offset: Optional[Array] = None,
    emission_offset: Optional[Array] = None,
    name: str = "StateSpace",
) -> LinearGaussianSystem:
    """The system of a model; what the mask hides reaches neither values nor gradients.

    Nor does what leads from the last step on to one that is not there (A, b and G of the last of
    several times); NaN there counts as 0, too. y: (B, T, p); the others as in `KalmanLayer`.

    A missing element has its rows of H, D and d and its y replaced by 0; the filter gives it an
    independent noise of variance 1, which tells nothing, and leaves it out of the likelihood.
    """
    y, transition, emission, process_factor, observation_factor = (
        time_first(F, x)
        for x in (
            with_axis(F, y, 3),
            transition,
            emission,
            process_factor,
            observation_factor,
        )
    )
    if emission_offset is not None:
        emission_offset = time_first(F, with_axis(F, emission_offset, 3))
    if transition_offset is not None:
        transition_offset = time_first(F, with_axis(F, transition_offset, 3))
        transition_offset = _without_last(F, transition_offset, y)
    transition, process_factor = (_without_last(F, x, y) for x in (transition, process_factor))
    if mask is not None:
        mask = time_first(F, stop(F, with_axis(F, mask, 3)))
        mask = require_each(
            F,
            mask,
            (mask == 0.0) + (mask == 1.0),
            ValueError,
            f"{name}: the mask has values other than 0 and 1",
        )
        shown = F.broadcast_add(mask, zeros_like(F, y))
        y = F.where(shown, y, zeros_like(F, y))
        emission, observation_factor = (_shown(F, x, mask) for x in (emission, observation_factor))
        if emission_offset is not None:
            emission_offset = _shown(F, emission_offset, mask)
    y = require_each(
        F,
        y,
        stop(F, y) * 0.0 == 0.0,
        NonFiniteError,
        f"{name}: y has NaN or infinity where the mask does not hide it",
    )
    require_finite(
        F,
        name,
        transition=transition,
        emission=emission,
        process_factor=process_factor,
        observation_factor=observation_factor,
        transition_offset=transition_offset,
        emission_offset=emission_offset,
    )
    return LinearGaussianSystem(
        y,
        mask,
        transition,
        emission,
        process_factor,
        observation_factor,
        transition_offset,
        emission_offset,
        leading_axes(F, with_axis(F, prior_mean, 2)),
        leading_axes(F, prior_factor),
        None,
    )


def stopped(F: Namespace, system: LinearGaussianSystem) -> LinearGaussianSystem:
    """The system as constants."""
    return _each(system, lambda array: stop(F, array))


def increments(F: Namespace, system: LinearGaussianSystem) -> LinearGaussianSystem:
    """Every array minus itself as a constant: 0 with gradient 1, None where there is none."""
    return _each(system, lambda array: array - stop(F, array))


def _each(system: LinearGaussianSystem, function: Callable[[Array], Array]) -> LinearGaussianSystem:
    """The system with a function of each array that it has."""
    arrays: Any = (None if array is None else function(array) for array in system)
    return LinearGaussianSystem(*arrays)


class Joint(NamedTuple):
    """What the recursion of the covariance needs, constants.

    b is 1 unless an array that enters it has a batch axis.
    """

    matrix: Array  # M, (1, T, b, p + d, d)
    observation_factor: Array  # D, square, (1, T, b, p, p)
    process_factor: Array  # G, (1, T, b, d, r)
    prior_factor: Array  # S, square, (1, 1, b, d, d)


def joint_system(F: Namespace, system: LinearGaussianSystem) -> Joint:
    """The `Joint` of a system."""
    system = stopped(F, system)
    factor = _square_observation_factor(F, system)
    prior = square_factor(F, system.prior_factor)
    arrays = (system.emission, system.transition, factor, system.process_factor)
    grid = F.broadcast_add(_time_axis(F, system.observed), _corner(F, prior))
    for array in arrays:
        grid = F.broadcast_add(grid, _corner(F, array))
    emission, transition, factor, process = (F.broadcast_add(array, grid) for array in arrays)
    batch = F.slice_axis(grid, axis=1, begin=0, end=1)
    return Joint(
        F.concat(emission, transition, dim=3), factor, process, F.broadcast_add(prior, batch)
    )


def square_factor(F: Namespace, factor: Array) -> Array:
    """A square L with L Lᵀ = S Sᵀ, (t, b, d, s) -> (t, b, d, d), by one LQ."""
    zeros = zeros_like(F, product(F, factor, factor, transpose_b=True))
    return lower_factor(F, F.concat(factor, zeros, dim=4))


def lower_factor(F: Namespace, wide: Array) -> Array:
    """L (t, b, m, m) of A = L Q, as LAPACK gives it: the signs of its diagonal are arbitrary."""
    return lapack.gelqf(F, wide)[1]


def over_batch(F: Namespace, array: Array, like: Array) -> Array:
    """An array of batch size b = 1 or B with the batch size of `like`."""
    return F.broadcast_add(array, _corner(F, F.slice_axis(like, axis=1, begin=0, end=1)))


def time_first(F: Namespace, x: Array) -> Array:
    """(B, T, m, n) as (1, T, B, m, n)."""
    return F.transpose(with_axis(F, x, 0), axes=(0, 2, 1, 3, 4))


def batch_first(F: Namespace, x: Array) -> Array:
    """(1, T, B, m, n) as (B, T, m, n)."""
    return F.squeeze(F.transpose(x, axes=(0, 2, 1, 3, 4)), axis=0)


def leading_axes(F: Namespace, x: Array) -> Array:
    """(B, m, n) as (1, 1, B, m, n)."""
    return with_axis(F, with_axis(F, x, 0), 0)


def over_time(F: Namespace, array: Array, like: Array) -> Array:
    """An array (T or 1, B or 1, ...) over the times and the batch of `like`."""
    return F.broadcast_add(array, _corner(F, like))


def _shown(F: Namespace, array: Array, mask: Array) -> Array:
    """H, D or d with 0 in the rows of what is missing, whatever stands there."""
    spread = F.broadcast_add(array, zeros_like(F, mask))
    return F.where(F.broadcast_add(mask, zeros_like(F, spread)), spread, zeros_like(F, spread))


def _without_last(F: Namespace, array: Array, y: Array) -> Array:
    """A, b or G with 0 for what is NaN or infinite at the last step, on which nothing depends.

    An array of one time stands for all of them: that of y tells whether there are more.
    """
    times, all_times = (F.slice_axis(_corner(F, x), axis=2, begin=0, end=1) for x in (array, y))
    first = F.slice_axis(ones_like(F, times), axis=1, begin=0, end=1)
    is_last = F.slice_axis(F.concat(times, first, dim=1), axis=1, begin=1, end=None)
    count, all_count = (F.sum(ones_like(F, x), axis=1, keepdims=True) for x in (times, all_times))
    is_last = F.broadcast_mul(is_last, count == all_count)
    is_finite = stop(F, array) * 0.0 == 0.0
    hidden = F.broadcast_mul(1.0 - is_finite, is_last)
    return F.where(hidden, zeros_like(F, array), array)


def require_finite(F: Namespace, name: str, **arrays: Optional[Array]) -> None:
    """Names an array, the batch element and the time; in a graph NaN speaks for itself."""
    if F is not mx.nd:
        return
    for key, array in arrays.items():
        if array is not None:
            is_finite = F.min(stop(F, array) * 0.0 == 0.0, axis=4, keepdims=True)
            text = f"{name}: {key} has NaN or infinity"
            require_each(F, array, is_finite, NonFiniteError, text)


def _square_observation_factor(F: Namespace, system: LinearGaussianSystem) -> Array:
    if system.mask is None:
        return square_factor(F, system.observation_factor)
    missing = F.squeeze(1.0 - system.mask, axis=4)
    noise = lapack.makediag(F, missing)
    factor = F.broadcast_add(system.observation_factor, zeros_like(F, system.mask))
    return lower_factor(F, F.concat(factor, noise, dim=4))


def _time_axis(F: Namespace, y: Array) -> Array:
    """Zeros of shape (T, 1, 1, 1)."""
    return zeros_like(F, F.slice(y, begin=(None, None, 0, 0, 0), end=(None, None, 1, 1, 1)))


def _corner(F: Namespace, array: Array) -> Array:
    """Zeros of shape (T or 1, B or 1, 1, 1)."""
    return zeros_like(
        F, F.slice(array, begin=(None, None, None, 0, 0), end=(None, None, None, 1, 1))
    )
