"""A jitted `lax.scan` of the covariance form in JAX, and the smoother of dynamax; float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from .problem import NAMES

jax.config.update("jax_enable_x64", True)


class Compiled:
    """A function of one series, mapped over the series, differentiated, and one `jit` around it.

    An array that all series share is not mapped, and has one gradient.
    """

    def __init__(self, arrays, function, heads):
        arrays = {name: arrays[name] for name in NAMES}
        axes = tuple(None if len(array) < len(arrays["y"]) else 0 for array in arrays.values())
        series = jax.vmap(function, in_axes=axes)
        self._shared = {name for name, axis in zip(NAMES, axes) if axis is None}

        def outputs(*inputs):
            return series(*(a if axis == 0 else a[0] for a, axis in zip(inputs, axes)))

        def loss(*inputs):
            found = outputs(*inputs)
            pairs = zip(found, [1.0] * len(found) if heads is None else heads)
            return sum((output * head).sum() for output, head in pairs), found

        every = tuple(range(len(NAMES)))
        self._value_and_gradients = jax.jit(jax.value_and_grad(loss, argnums=every, has_aux=True))
        self._outputs = jax.jit(outputs)
        self._inputs = [jnp.asarray(array) for array in arrays.values()]

    def run(self):
        self._last = jax.block_until_ready(self._value_and_gradients(*self._inputs))

    def forward(self):
        jax.block_until_ready(self._outputs(*self._inputs))

    def results(self):
        (_, outputs), gradients = self._last
        named = dict(zip(self.outputs, outputs), **dict(zip(NAMES, gradients)))
        return {name: np.asarray(array) for name, array in named.items()}


class Filter(Compiled):
    """Negative log likelihood (B,)."""

    outputs = ("value",)

    def __init__(self, arrays):
        super().__init__(arrays, negative_log_likelihood, None)

    def results(self):
        found = super().results()
        deviations = np.diagonal(found["observation_factor"], axis1=-2, axis2=-1)
        return {**found, "observation_deviations": deviations}


class Smoother(Compiled):
    """Means and covariances of all states by dynamax's `lgssm_smoother`."""

    outputs = ("mean", "covariance")

    def __init__(self, arrays):
        heads = [jnp.asarray(arrays[name]) for name in ("mean_head", "covariance_head")]
        super().__init__(arrays, smoothed, heads)


def negative_log_likelihood(y, transition, emission, process, observation, mean, prior, offset):
    """Of one series y (T, p), in the covariance form."""
    over_time = (transition, emission, process, observation, offset)
    over_time = [jnp.broadcast_to(array, y.shape[:1] + array.shape[1:]) for array in over_time]

    def step(state, inputs):
        mean, covariance = state
        y, A, H, G, D, d = inputs
        cross = covariance @ H.T
        factor = jnp.linalg.cholesky(H @ cross + D @ D.T)
        solve = functools.partial(jax.scipy.linalg.solve_triangular, factor, lower=True)
        gain, whitened = solve(cross.T), solve(y - H @ mean - d)
        mean = A @ (mean + gain.T @ whitened)
        covariance = A @ (covariance - gain.T @ gain) @ A.T + G @ G.T
        value = jnp.log(jnp.diagonal(factor)).sum() + 0.5 * whitened @ whitened
        return (mean, covariance), value

    _, values = jax.lax.scan(step, (mean, prior @ prior.T), (y, *over_time))
    return (values.sum() + 0.5 * y.size * jnp.log(2 * jnp.pi),)


def smoothed(y, transition, emission, process, observation, mean, prior, offset):
    """Means (T, d) and covariances (T, d, d) of the states of one series."""
    from dynamax.linear_gaussian_ssm import lgssm_smoother
    from dynamax.linear_gaussian_ssm.inference import make_lgssm_params

    over_time = (
        transition,
        process @ process.swapaxes(-1, -2),
        emission,
        observation @ observation.swapaxes(-1, -2),
    )
    dynamics, noise, emission, observed = (a[0] if len(a) == 1 else a for a in over_time)
    parameters = make_lgssm_params(
        mean,
        prior @ prior.T,
        dynamics,
        noise,
        emission,
        observed,
        emissions_bias=offset[0] if len(offset) == 1 else offset,
    )
    found = lgssm_smoother(parameters, y)
    return found.smoothed_means, found.smoothed_covariances
