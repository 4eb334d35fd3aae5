"""Value and all gradients of a Kalman filter's likelihood, against GluonTS and JAX.

    pip install ".[cpu]" "numpy==1.23.5" "scipy<1.12" "gluonts==0.17.0" packaging \
        "jax==0.4.25" "jaxlib==0.4.25"
    python benchmarks/kalman_against_peers.py

All of them compute the negative log marginal likelihood of one model with four states and two
observations, and its gradient with respect to every array of the model and to the observations:
the layers of this package, the LDS of GluonTS (float32, hybridized as its trainer does) and a
jitted `lax.scan` of the covariance form in JAX (float64). The model is one that all of them can
express: process noise of rank 1, as LDS has it, and a diagonal observation factor.

Results are compared first, with those of JAX; then all take turns in one process. The table has
medians, their ratios, and the seconds from construction to the first value and gradient (tracing,
building the graph, compiling).
"""

import argparse
import functools
import os
import statistics
import time

# More threads make MXNet slower on matrices as small as these.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import mxnet as mx  # noqa: E402
import numpy as np  # noqa: E402
from gluonts.mx.distribution.lds import LDS  # noqa: E402

import gluon_linalg as gl  # noqa: E402

STATES, OBSERVATIONS = 4, 2
JAX, GLUONTS = ("JAX scan", "float64"), ("GluonTS LDS", "float32")
SIZES = ("200x16", "1000x1", "100x128")
NAMES = (
    "y",
    "transition",
    "emission",
    "process_factor",
    "observation_factor",
    "prior_mean",
    "prior_factor",
    "emission_offset",
)
TOLERANCE = {"float64": 1e-8, "float32": 1e-4}


class Ours:
    """A `KalmanFilterLayer`, compiled statically."""

    def __init__(self, arrays, dtype, method, form):
        length = arrays["y"].shape[1]
        self._layer = gl.KalmanFilterLayer(
            STATES, OBSERVATIONS, method=method, length=length, form=form
        )
        self._layer.initialize()
        self._layer.cast(dtype)
        self._layer.hybridize(static_alloc=True, static_shape=True)
        self._inputs = with_gradients(arrays, dtype)

    def run(self):
        *inputs, emission_offset = self._inputs.values()
        with mx.autograd.record():
            self._value = self._layer(*inputs, None, None, emission_offset)
        self._value.backward()
        mx.nd.waitall()

    def results(self):
        """The value (B,) and a dictionary of the gradients."""
        return self._value.asnumpy(), {k: a.grad.asnumpy() for k, a in self._inputs.items()}


class GluonTS:
    """The LDS of GluonTS in a block, float32 and static like in its trainer.

    It takes the covariance of the prior and a vector of standard deviations for the observations.
    """

    def __init__(self, arrays):
        self._block = LDSBlock(*arrays["y"].shape[:2])
        self._block.hybridize(static_alloc=True, static_shape=True)
        self._prior_factor = factor = arrays["prior_factor"]
        converted = {
            **arrays,
            "process_factor": arrays["process_factor"][..., 0],
            "observation_factor": diagonal(arrays["observation_factor"]),
            "prior_factor": factor @ factor.swapaxes(-1, -2),
        }
        self._inputs = with_gradients(converted, "float32")

    def run(self):
        with mx.autograd.record():
            self._value = self._block(*self._inputs.values())
        self._value.backward()
        mx.nd.waitall()

    def results(self):
        """The value (B,) and a dictionary of the gradients, that of `prior_factor` by chain rule.

        Of that of `observation_factor` there is only the diagonal.
        """
        gradients = {name: array.grad.asnumpy() for name, array in self._inputs.items()}
        gradients["process_factor"] = gradients["process_factor"][..., None]
        covariance = gradients["prior_factor"]
        gradients["prior_factor"] = (covariance + covariance.swapaxes(-1, -2)) @ self._prior_factor
        return self._value.asnumpy(), gradients


class LDSBlock(mx.gluon.HybridBlock):
    """Negative log likelihood (B,) by LDS, which wants every array for each series and step."""

    def __init__(self, batch, length, **kwargs):
        super().__init__(**kwargs)
        self._batch, self._length = batch, length

    def hybrid_forward(self, F, y, transition, emission, process, observation, mean, prior, offset):
        leading = (self._batch, self._length)
        lds = LDS(
            emission_coeff=F.broadcast_to(emission, shape=(*leading, 0, 0)),
            transition_coeff=F.broadcast_to(transition, shape=(*leading, 0, 0)),
            innovation_coeff=F.broadcast_to(process, shape=(*leading, 0)),
            noise_std=F.broadcast_to(observation, shape=(*leading, 0)),
            residuals=F.broadcast_to(offset, shape=(*leading, 0)),
            prior_mean=F.broadcast_to(mean, shape=(self._batch, 0)),
            prior_cov=F.broadcast_to(prior, shape=(self._batch, 0, 0)),
            latent_dim=STATES,
            output_dim=OBSERVATIONS,
            seq_length=self._length,
        )
        log_likelihood, _, _ = lds.log_prob(y)
        return -F.sum(log_likelihood, axis=1)


class Jax:
    """A scan over time, a map over the series, `value_and_grad`, and one `jit` around it."""

    def __init__(self, arrays):
        jax.config.update("jax_enable_x64", True)
        axes = tuple(None if len(array) < len(arrays["y"]) else 0 for array in arrays.values())
        series = jax.vmap(jax_filter, in_axes=axes)

        def total(*inputs):
            values = series(*(a if axis == 0 else a[0] for a, axis in zip(inputs, axes)))
            return values.sum(), values

        every = tuple(range(len(NAMES)))
        self._compiled = jax.jit(jax.value_and_grad(total, argnums=every, has_aux=True))
        self._inputs = [jnp.asarray(array) for array in arrays.values()]

    def run(self):
        self._outputs = jax.block_until_ready(self._compiled(*self._inputs))

    def results(self):
        """The value (B,) and a dictionary of the gradients."""
        (_, values), gradients = self._outputs
        gradients = (np.asarray(gradient) for gradient in gradients)
        return np.asarray(values), dict(zip(NAMES, gradients))


def jax_filter(y, transition, emission, process, observation, mean, prior, offset):
    """Negative log likelihood of one series y (T, p), in the covariance form."""
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
    return values.sum() + 0.5 * y.size * jnp.log(2 * jnp.pi)


def with_gradients(arrays, dtype):
    inputs = {name: mx.nd.array(array, dtype=dtype) for name, array in arrays.items()}
    for array in inputs.values():
        array.attach_grad()
    return inputs


def diagonal(matrices):
    return np.diagonal(matrices, axis1=-2, axis2=-1)


def problem(length, batch, shared):
    """The arrays of a stable model by name, and observations simulated from it.

    shared: one set of arrays for all series and steps, or one for each.
    """
    random = np.random.RandomState(0)
    series, steps = (1, 1) if shared else (batch, length)

    def around(centre, spread):
        return centre + spread * random.randn(series, steps, *np.shape(centre))

    rotation, _ = np.linalg.qr(random.randn(STATES, STATES))
    deviations = np.exp(around(np.log(np.linspace(0.4, 0.6, OBSERVATIONS)), 0.1))
    arrays = {
        "y": np.zeros((batch, length, OBSERVATIONS)),
        "transition": around(0.9 * rotation, 0.02),
        "emission": around(random.randn(OBSERVATIONS, STATES), 0.1),
        "process_factor": around(0.5 * random.randn(STATES, 1), 0.05),
        "observation_factor": deviations[..., None] * np.eye(OBSERVATIONS),
        "prior_mean": random.randn(series, STATES),
        "prior_factor": np.eye(STATES) + 0.2 * np.tril(random.randn(series, STATES, STATES)),
        "emission_offset": around(random.randn(OBSERVATIONS), 0.1),
    }
    noise = random.randn(batch, STATES, 1)
    state = arrays["prior_mean"][..., None] + arrays["prior_factor"] @ noise
    for t in range(length):
        A, H, G, D, d = (
            arrays[name][:, 0 if shared else t] for name in (*NAMES[1:5], "emission_offset")
        )
        noise = random.randn(batch, OBSERVATIONS, 1)
        arrays["y"][:, t] = (H @ state + D @ noise)[..., 0] + d
        state = A @ state + G @ random.randn(batch, 1, 1)
    return arrays


def contenders():
    """(name, dtype) -> what makes one from the arrays; JAX, the reference, comes first."""
    makers = {JAX: Jax, GLUONTS: GluonTS}
    square_root = [("sequential", "square_root"), ("parallel", "square_root")]
    for dtype in ("float64", "float32"):
        for method, form in (*square_root, ("sequential", "covariance")):
            maker = functools.partial(Ours, dtype=dtype, method=method, form=form)
            makers[f"ours, {method}, {form}", dtype] = maker
    return makers


def compare(makers, arrays, repeats):
    """(name, dtype) -> (seconds to the first result, difference from JAX, seconds of a call)."""
    runs, first, difference = {}, {}, {}
    for key, maker in makers.items():
        start = time.perf_counter()
        runs[key] = maker(arrays)
        runs[key].run()
        first[key] = time.perf_counter() - start
    reference = runs[JAX].results()
    for key, run in runs.items():
        difference[key] = largest_difference(run.results(), reference)
        if not difference[key] < TOLERANCE[key[1]]:
            raise AssertionError(f"{key} differs from JAX by {difference[key]:.1e}")
    times = {key: [] for key in runs}
    for _ in range(repeats):
        for key, run in runs.items():
            start = time.perf_counter()
            run.run()
            times[key].append(time.perf_counter() - start)
    return {key: (first[key], difference[key], statistics.median(times[key])) for key in runs}


def largest_difference(results, reference):
    """The largest difference in the values and gradients, each as a part of its largest element."""
    pairs = [(results[0], reference[0])]
    for name in NAMES:
        ours, theirs = results[1][name], reference[1][name]
        pairs.append((ours, diagonal(theirs) if ours.ndim < theirs.ndim else theirs))
    # Not Python's `max`, which loses NaN.
    return np.max([np.abs(ours - theirs).max() / np.abs(theirs).max() for ours, theirs in pairs])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="steps x series, like 200x16")
    parser.add_argument("--only", default="", help="part of the names to measure, beside JAX")
    parser.add_argument("--shared", action="store_true", help="one set of arrays for all")
    arguments = parser.parse_args()
    makers = contenders()
    makers = {key: makers[key] for key in makers if key == JAX or arguments.only in key[0]}
    print("| T | B | filter | dtype | first result, s | difference | ms | / JAX | / GluonTS |")
    print("|---|---|---|---|---|---|---|---|---|")
    for size in arguments.sizes:
        length, batch = map(int, size.split("x"))
        rows = compare(makers, problem(length, batch, arguments.shared), arguments.repeats)
        medians = {key: seconds for key, (_, _, seconds) in rows.items()}
        for key, (first, difference, seconds) in rows.items():
            ratios = [seconds / medians.get(peer, np.nan) for peer in (JAX, GLUONTS)]
            print(
                f"| {length} | {batch} | {key[0]} | {key[1]} | {first:.1f} | {difference:.0e} "
                f"| {1e3 * seconds:.1f} | {ratios[0]:.2f} | {ratios[1]:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
