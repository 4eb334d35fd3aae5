"""Every method of every block that is made from data, in both dtypes, against NumPy."""

import blr_reference
import gp_reference
import kernel_formulas as formulas
import mxnet as mx
import numpy as np
import pytest
import structural_formulas
from scipy.stats import norm

import gluon_linalg as gl
from gluon_linalg import kernels as k
from gluon_linalg import structural as s
from harness import check_methods

RANDOM = np.random.RandomState(3)
X, NEW = RANDOM.uniform(-2, 2, (2, 6, 2)), RANDOM.uniform(-2, 2, (2, 4, 2))
Y = RANDOM.randn(2, 6)
NOISE = 0.3


def nd(value, dtype):
    return mx.nd.array(value, dtype=dtype)


def ready(block, dtype):
    block.initialize()
    block.cast(dtype)
    return block


# name: (constructor, formula), each with a lengthscale of 0.8.
KERNELS = {
    "RBF": (k.RBF, formulas.rbf),
    "Matern12": (k.Matern12, formulas.matern12),
    "Matern32": (k.Matern32, formulas.matern32),
    "Matern52": (k.Matern52, formulas.matern52),
    "RationalQuadratic": (k.RationalQuadratic, formulas.rational_quadratic),
    "Periodic": (
        lambda **options: k.Periodic(period=2.3, **options),
        lambda a, b, lengthscale: formulas.periodic(a, b, lengthscale=lengthscale, period=2.3),
    ),
    "sum": (
        lambda **options: k.RBF(**options) + k.Matern52(**options),
        lambda a, b, lengthscale: (
            formulas.rbf(a, b, lengthscale=lengthscale)
            + formulas.matern52(a, b, lengthscale=lengthscale)
        ),
    ),
}


@pytest.mark.parametrize("precision", [None, "float64"])
@pytest.mark.parametrize("name", KERNELS)
def test_gp_predictor(name, precision):
    constructor, formula = KERNELS[name]

    def kernel(x, z):
        return formulas.matrix(formula, x, z, lengthscale=0.8)

    def make(dtype):
        layer = gl.GPLikelihoodLayer(
            constructor(lengthscale=0.8), noise_variance=NOISE, precision=precision
        )
        return ready(layer, dtype).condition(nd(X, dtype), nd(Y, dtype))

    mean, covariance = gp_reference.posterior(kernel, X, Y, NOISE, NEW)
    left_out = [[], []]
    for i in range(6):
        keep = np.arange(6) != i
        one = gp_reference.posterior(kernel, X[:, keep], Y[:, keep], NOISE, X[:, [i]])
        left_out[0].append(one[0][:, 0])
        left_out[1].append(one[1][:, 0, 0] + NOISE)
    calls = {
        "mean": ([NEW], mean),
        "variance": ([NEW], covariance.diagonal(axis1=1, axis2=2)),
        "covariance": ([NEW], covariance),
        "sample": ([NEW], np.zeros((1, 2, 4))),
        "leave_one_out": ([], [np.transpose(part) for part in left_out]),
        **densities(mean, covariance),
    }
    check_methods(make, calls, random=("sample",), elsewhere=POSTERIOR)


# In test_posterior.py.
POSTERIOR = (
    "cross_validation",
    "derivative",
    "gradient",
    "leave_one_out",
    "negative_log_likelihood",
    "view",
    "with_observations",
    "without_observations",
)


# Of several outputs: in test_multi_output_data.py, _derivatives.py and _sparse.py.
OF_DATA = (
    "cross_validation",
    "derivative",
    "gradient",
    "leave_one_out",
    "negative_log_likelihood",
    "view",
    "with_observations",
    "without_observations",
)


def densities(mean, covariance):
    """The rows of a table for those of new targets."""
    y, noisy = Y[:, :4], covariance + NOISE * np.eye(4)
    deviation = np.sqrt(noisy.diagonal(axis1=1, axis2=2))
    joint = -gp_reference.negative_log_likelihood(noisy, y - mean)
    return {
        "log_density": ([NEW, y], norm(mean, deviation).logpdf(y)),
        "joint_log_density": ([NEW, y], joint),
    }


def test_sparse_gp_predictor():
    """With an inducing point at each row it is the process itself."""

    def kernel(x, z):
        return formulas.matrix(formulas.matern32, x, z, lengthscale=0.8)

    def make(dtype):
        layer = gl.SGPRLikelihoodLayer(
            k.Matern32(lengthscale=0.8), X, noise_variance=NOISE, jitter=0.0
        )
        return ready(layer, dtype).condition(nd(X, dtype), nd(Y, dtype))

    mean, covariance = gp_reference.posterior(kernel, X, Y, NOISE, NEW)
    calls = {
        "mean": ([NEW], mean),
        "variance": ([NEW], covariance.diagonal(axis1=1, axis2=2)),
        "covariance": ([NEW], covariance),
        **densities(mean, covariance),
        "sample": ([NEW], np.zeros((1, 2, 4))),
        "sample_targets": ([NEW], np.zeros((1, 2, 4))),
    }
    check_methods(make, calls, random=("sample", "sample_targets"), elsewhere=POSTERIOR)


@pytest.mark.parametrize("sparse", [False, True])
def test_multi_output_predictor(sparse):
    """Two outputs of covariance [[1, 0.6], [0.6, 0.9]] at each x; sparse through all rows."""
    y = np.stack([Y, Y[:, ::-1] - 0.2], axis=2)
    weights, kappa = np.array([[0.8], [0.75]]), np.array([0.36, 0.3375])
    between = weights @ weights.T + np.diag(kappa)

    def kernel(x, z):
        own = formulas.matrix(formulas.matern32, x, z, lengthscale=0.8)
        return np.stack([np.kron(between, each) for each in own])

    def make(dtype):
        own = gl.Coregionalization(2, 1, weights, kappa)
        given = {"outputs": 2, "coregionalization": own, "noise_variance": NOISE}
        kernel = k.Matern32(lengthscale=0.8)
        if sparse:
            points = gl.output_rows(X, 2)
            layer = gl.MultiOutputSGPRLikelihoodLayer(kernel, points, jitter=0.0, **given)
        else:
            layer = gl.MultiOutputGPLikelihoodLayer(kernel, **given)
        return ready(layer, dtype).condition(nd(X, dtype), nd(y, dtype))

    a = kernel(X, X) + NOISE * np.eye(12)
    cross = kernel(NEW, X)
    flat = y.transpose(0, 2, 1).reshape(2, 12, 1)
    mean = (cross @ np.linalg.solve(a, flat)).reshape(2, 2, 4).transpose(0, 2, 1)
    joint = kernel(NEW, NEW) - cross @ np.linalg.solve(a, cross.transpose(0, 2, 1))
    parts = joint.reshape(2, 2, 4, 2, 4)[:, :, range(4), :, range(4)].transpose(1, 0, 2, 3)
    variance = parts.diagonal(axis1=2, axis2=3)
    density = norm(mean, np.sqrt(variance + NOISE)).logpdf(y[:, :4])
    noisy = joint + NOISE * np.eye(8)
    residual = (y[:, :4] - mean).transpose(0, 2, 1).reshape(2, 8)
    together = -gp_reference.negative_log_likelihood(noisy, residual)
    calls = {
        "mean": ([NEW], mean),
        "variance": ([NEW], variance),
        "output_covariance": ([NEW], parts),
        "covariance": ([NEW], joint),
        "log_density": ([NEW, y[:, :4]], density),
        "joint_log_density": ([NEW, y[:, :4]], together),
        "sample": ([NEW], np.zeros((1, 2, 4, 2))),
    }
    random = ("sample",)
    if sparse:
        calls["sample_targets"] = calls["sample"]
        random = ("sample", "sample_targets")
    check_methods(make, calls, random=random, elsewhere=OF_DATA)


def test_state_space_gp_predictor():
    times = np.sort(X[:1, :, :1], axis=1)

    def kernel(x, z):
        return formulas.matrix(formulas.matern32, x, z, lengthscale=0.8)

    def make(dtype):
        layer = gl.StateSpaceGPLayer(k.Matern32(lengthscale=0.8), noise_variance=NOISE)
        return ready(layer, dtype).condition(nd(times, dtype), nd(Y[:1], dtype))

    new, y = NEW[:1, :, :1], Y[:1]
    mean, covariance = gp_reference.posterior(kernel, times, y, NOISE, new)
    left_out = [[], []]
    for i in range(times.shape[1]):
        keep = np.arange(times.shape[1]) != i
        one = gp_reference.posterior(kernel, times[:, keep], y[:, keep], NOISE, times[:, [i]])
        left_out[0].append(one[0][:, 0])
        left_out[1].append(one[1][:, 0, 0] + NOISE)
    calls = {
        "mean": ([new], mean),
        "variance": ([new], covariance.diagonal(axis1=1, axis2=2)),
        "leave_one_out": ([], [np.transpose(part) for part in left_out]),
        "covariance": ([new], covariance),
        "sample": ([new], np.zeros((1, *mean.shape))),
    }
    elsewhere = ("view", "gradient", "derivative", "log_density", "joint_log_density")
    check_methods(make, calls, random=("sample",), elsewhere=elsewhere)


@pytest.mark.parametrize("targets", [None, 2])
def test_blr_predictor(targets):
    y = Y if targets is None else np.stack([Y, -2.0 * Y + 0.1], axis=2)

    def make(dtype):
        layer = gl.BLRLikelihoodLayer(0.7, NOISE, targets=targets)
        return ready(layer, dtype).condition(nd(X, dtype), nd(y, dtype))

    posteriors = [blr_reference.posterior(X[b], y[b], 0.7, NOISE) for b in range(2)]
    weights = np.stack([mean for mean, _ in posteriors])
    covariance = np.stack([own for _, own in posteriors])
    variance = np.einsum("bni,bij,bnj->bn", NEW, covariance, NEW)
    if targets is not None:
        variance = np.repeat(variance[:, :, None], targets, axis=2)
    calls = {
        "mean": ([NEW], np.einsum("bni,bi...->bn...", NEW, weights)),
        "variance": ([NEW], variance),
        "weights": ([], [weights, covariance]),
    }
    check_methods(make, calls)


def test_projection():
    rows = RANDOM.randn(20, 3) * [3.0, 2.0, 1.0]
    scores = RANDOM.randn(1, 5, 2)
    directions = np.linalg.svd(rows - rows.mean(axis=0))[2][:2]
    directions *= np.sign(directions[np.arange(2), np.abs(directions).argmax(axis=1)])[:, None]

    def make(dtype):
        return gl.PCABlock(2).fit(rows.astype(dtype))

    check_methods(make, {"reconstruct": ([scores], rows.mean(axis=0) + scores @ directions)})


def test_structural_model():
    y = np.cumsum(RANDOM.randn(1, 9), axis=1)
    parts = structural_formulas.total(
        structural_formulas.level(0.4), structural_formulas.autoregression([0.6], 0.3)
    )
    found = structural_formulas.smoother(parts, y[0], 0.2)
    mean, covariance = found.smoothed_state.T[None], found.smoothed_state_cov.transpose(2, 0, 1)

    def make(dtype):
        model = gl.StructuralModel([s.LocalLevel(0.4), s.AutoRegression(1, [0.6], 0.3)], 0.2)
        return ready(model, dtype)

    parts = [(mean[:, :, i], covariance[None, :, i, i]) for i in range(2)]
    signal = mean.sum(axis=2), covariance.sum(axis=(1, 2))[None]
    calls = {
        "smooth": ([y], [mean, covariance[None]]),
        "decompose": ([y], parts),
        "posterior": ([y], [mean, covariance[None], *signal, parts]),
    }
    check_methods(
        make,
        calls,
        elsewhere=(
            "expected_noise",
            "forecaster",
            "kalman_inputs",
            "noise",
            "noise_ahead",
            "open_states",
            "stream",
        ),
    )
    for dtype in ("float32", "float64"):
        assert make(dtype).open_states(nd(y, dtype)) == [[]]


def test_structural_forecaster():
    y, steps = np.cumsum(RANDOM.randn(2, 9), axis=1), 3
    # A level: the last state and its variance, and a variance more for each step.
    parts = structural_formulas.level(0.4)
    means, variances = [], []
    for row in y:
        found = structural_formulas.smoother(parts, row, 0.2)
        means.append(np.repeat(found.filtered_state[0, -1], steps))
        variances.append(found.filtered_state_cov[0, 0, -1] + 0.4 * np.arange(1, steps + 1) + 0.2)

    def make(dtype):
        model = ready(gl.StructuralModel(s.LocalLevel(0.4), 0.2), dtype)
        return model.forecaster(steps)

    check_methods(make, {"__call__": ([y], [np.stack(means), np.stack(variances)])})


def test_every_block_made_from_data_is_here():
    names = {name for name in gl.__all__ if name.endswith(("Predictor", "Forecaster"))}
    assert names == {
        "GPPredictor",
        "BLRPredictor",
        "MultiOutputPredictor",
        "SparseGPPredictor",
        "SparseMultiOutputPredictor",
        "StateSpaceGPPredictor",
        "StructuralForecaster",
    }
