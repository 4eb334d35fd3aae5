"""Likelihoods: the shared harness, expectations and densities by dense sums in NumPy, tails."""

import mpmath
import mxnet as mx
import numpy as np
import pytest
import scipy.special as special
import scipy.stats as stats

import gluon_linalg as gl
from gluon_linalg import likelihoods as lik
from gluon_linalg.functional.normal import log_normal_cdf, log_normal_cdf_difference
from gluon_linalg.functional.special import log_factorial_rest, softplus, stirling_rest
from harness import check_block

CUTS = np.array([-1.0, 0.2, 1.5])


def nd(*values, dtype="float64"):
    arrays = [mx.nd.array(value, dtype=dtype) for value in values]
    return arrays[0] if len(arrays) == 1 else arrays


def ready(block, dtype="float64"):
    block.initialize()
    block.cast(dtype)
    return block


def negative_binomial(y, f, dispersion):
    size = 1.0 / dispersion
    total = np.logaddexp(f, np.log(size))
    choose = special.gammaln(y + size) - special.gammaln(size) - special.gammaln(y + 1)
    return choose + y * (f - total) + size * (np.log(size) - total)


def ordinal(y, f):
    bounds = np.concatenate([[-np.inf], CUTS, [np.inf]])
    upper, lower = bounds[y + 1] - f, bounds[y] - f
    right = upper + lower > 0
    upper, lower = np.where(right, -lower, upper), np.where(right, -upper, lower)
    above, below = special.log_ndtr(upper), special.log_ndtr(lower)
    return above + np.log(-np.expm1(below - above))


def signed(y, f):
    return (2 * y - 1) * f


# name: (factory, log p(y | f), values of y that are possible)
CASES = {
    "gaussian": (
        lambda: lik.Gaussian(0.3),
        lambda y, f: stats.norm.logpdf(y, f, 0.3**0.5),
        (-2.0, 0.3, 30.0),
    ),
    "student": (
        lambda: lik.StudentT(0.5, 4.0),
        lambda y, f: stats.t.logpdf(y, 4.0, f, 0.5),
        (-2.0, 0.3, 30.0),
    ),
    "narrow student": (
        lambda: lik.StudentT(0.01, 2.5),
        lambda y, f: stats.t.logpdf(y, 2.5, f, 0.01),
        (-2.0, 0.3, 30.0),
    ),
    "nearly normal": (
        lambda: lik.StudentT(0.5, 1e4),
        lambda y, f: stats.t.logpdf(y, 1e4, f, 0.5),
        (-2.0, 0.3, 3.0),
    ),
    "probit": (lik.Bernoulli, lambda y, f: special.log_ndtr(signed(y, f)), (0, 1)),
    "logit": (
        lambda: lik.Bernoulli("logit"),
        lambda y, f: -np.logaddexp(0, -signed(y, f)),
        (0, 1),
    ),
    "poisson": (
        lik.Poisson,
        lambda y, f: y * f - np.exp(f) - special.gammaln(y + 1),
        (0, 1, 7, 1000),
    ),
    "negative binomial": (
        lambda: lik.NegativeBinomial(0.5),
        lambda y, f: negative_binomial(y, f, 0.5),
        (0, 1, 7, 1000),
    ),
    "nearly poisson": (
        lambda: lik.NegativeBinomial(1e-5),
        lambda y, f: negative_binomial(y, f, 1e-5),
        (0, 1, 7),
    ),
    "ordinal": (lambda: lik.Ordinal(CUTS), ordinal, (0, 1, 2, 3)),
}
MEANS, VARIANCES = np.array([-8.0, -1.0, 0.0, 0.7, 6.0]), np.array([1e-4, 0.1, 1.0, 9.0])
# Everywhere up to this number of deviations, which is far out enough for counts of 1000, too.
REACH = 60.0
# The series of GNU's and SciPy's log Γ at large r lose this themselves.
OWN_ERROR = {"nearly normal": 1e-8, "nearly poisson": 1e-7, "narrow student": 1e-6}


class Fixed(mx.gluon.HybridBlock):
    """All views of a likelihood at fixed y (and x): what is left is differentiable."""

    def __init__(self, likelihood, *data, **kwargs):
        super().__init__(**kwargs)
        self.likelihood = likelihood
        self.y = self.params.get_constant("y", nd(data[0]))
        if len(data) > 1:
            self.x = self.params.get_constant("x", nd(data[1]))

    def hybrid_forward(self, F, mean, variance, y, x=None):
        return (
            self.likelihood(mean, variance, *((y,) if x is None else (y, x))),
            self.likelihood.predictive_log_density(F, mean, variance, y, x),
            *self.likelihood.predictive_moments(F, mean, variance, x),
        )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype, tolerance", [("float64", 2e-7), ("float32", 3e-5)])
def test_values_in_the_middle_and_the_tails(name, dtype, tolerance):
    factory, log_density, targets = CASES[name]
    # A density that is narrow beside the process needs the finer sum.
    steps = 120001 if name == "narrow student" else 12001
    block = ready(factory(), dtype)
    mean, variance = (a.ravel() for a in np.meshgrid(MEANS, VARIANCES))
    units = np.linspace(-REACH, REACH, steps)
    log_weights = stats.norm.logpdf(units) + np.log(units[1] - units[0])
    f = mean[:, None] + np.sqrt(variance)[:, None] * units
    near = np.abs(units) < 12
    for y in targets:
        data = nd(mean[None], variance[None], np.full((1, len(mean)), y), dtype=dtype)
        logs = log_density(y, f)
        expected = (logs[:, near] * np.exp(log_weights[near])).sum(axis=1)
        predicted = special.logsumexp(logs + log_weights, axis=1)
        bound = max(tolerance, OWN_ERROR.get(name, 0.0))
        found = block(*data).asnumpy()[0]
        np.testing.assert_allclose(found, expected, rtol=bound, atol=bound)
        found = block.predictive_log_density(mx.nd, *data).asnumpy()[0]
        np.testing.assert_allclose(found, predicted, rtol=bound, atol=bound)


@pytest.mark.parametrize("name", sorted(set(CASES) - {"narrow student", "nearly poisson"}))
def test_moments_and_samples_are_of_one_distribution(name):
    """The moments of y from its density, and samples within six standard errors of them."""
    factory, log_density, _ = CASES[name]
    block, mean, variance = ready(factory()), 0.4, 0.3
    data = nd([[mean]], [[variance]])
    first, second = (a.asscalar() for a in block.predictive_moments(mx.nd, *data))
    if isinstance(block, (lik.Gaussian, lik.StudentT)):
        y = np.linspace(-80.0, 80.0, 8001)
        step = y[1] - y[0]
    else:
        y, step = np.arange({"ordinal": 4, "probit": 2, "logit": 2}.get(name, 800)), 1.0
    given = nd(np.full((1, len(y)), mean), np.full((1, len(y)), variance), y[None])
    density = np.exp(block.predictive_log_density(mx.nd, *given).asnumpy()[0]) * step
    assert abs(density.sum() - 1.0) < 1e-6
    expected = (density * y).sum()
    spread = (density * (y - expected) ** 2).sum()
    assert abs(first - expected) < 1e-6
    assert abs(second / spread - 1.0) < (1e-3 if name == "student" else 1e-5)

    mx.random.seed(3)
    samples = block.sample(*data, size=20000).asnumpy()[:, 0, 0]
    assert abs(samples.mean() - first) < 6 * np.sqrt(second / 20000)


@pytest.mark.parametrize(
    "name",
    [
        "gaussian",
        "student",
        "probit",
        "poisson",
        # Built of the same expectations as the others.
        pytest.param("logit", marks=pytest.mark.slow),
        pytest.param("negative binomial", marks=pytest.mark.slow),
        pytest.param("ordinal", marks=pytest.mark.slow),
    ],
)
def test_harness(name, tmp_path):
    factory, _, targets = CASES[name]
    y = np.resize(targets[:3], (2, 3)).astype("float64")
    random = np.random.RandomState(4)
    cases = [(scale * random.randn(2, 3), random.uniform(0.2, 1.5, (2, 3))) for scale in (1, 3)]
    check_block(lambda: Fixed(factory(), y), cases, tmp_path, differences=2e-7)


@pytest.mark.parametrize("network", [False, True])
def test_heteroscedastic(network, tmp_path):
    random = np.random.RandomState(4)
    x, y = random.randn(1, 3, 2), random.randn(1, 3)

    def factory():
        if not network:
            return Fixed(lik.HeteroscedasticGaussian(), y)
        dense = mx.gluon.nn.Dense(1, flatten=False, in_units=2, weight_initializer="normal")
        return Fixed(lik.HeteroscedasticGaussian(dense), y, x)

    def oracle(mean, variance, block):
        if network:
            dense = block.likelihood.network
            logs = (x @ dense.weight.data().asnumpy().T)[..., 0] + dense.bias.data().asnumpy()
            noise = np.exp(logs)
            expected = stats.norm.logpdf(y, mean, np.sqrt(noise)) - 0.5 * variance / noise
            predicted = stats.norm.logpdf(y, mean, np.sqrt(variance + noise))
            return expected, predicted, mean, variance + noise
        t, w = np.polynomial.hermite.hermgauss(90)
        w = w / np.sqrt(np.pi)
        g = mean[..., 1, None] + np.sqrt(2 * variance[..., 1, None]) * t
        m, v = mean[..., 0, None], variance[..., 0, None]
        density = stats.norm.pdf(y[..., None], m, np.sqrt(v + np.exp(g)))
        each = stats.norm.logpdf(y[..., None], m, np.exp(g / 2)) - 0.5 * v * np.exp(-g)
        total = v[..., 0] + (np.exp(g) * w).sum(axis=-1)
        return (each * w).sum(axis=-1), np.log((density * w).sum(axis=-1)), m[..., 0], total

    shape = (1, 3) if network else (1, 3, 2)
    cases = [(random.randn(*shape), random.uniform(0.2, 0.9, shape)) for _ in range(2)]
    check_block(factory, cases, tmp_path, oracle, oracle_tolerance=1e-9)


def test_heteroscedastic_moments():
    block = ready(lik.HeteroscedasticGaussian())
    data = nd([[[0.4, -1.0]]], [[[0.3, 0.5]]])
    first, second = (a.asscalar() for a in block.predictive_moments(mx.nd, *data))
    assert abs(first - 0.4) < 1e-15
    assert abs(second - (0.3 + np.exp(-1.0 + 0.25))) < 1e-14
    mx.random.seed(2)
    samples = block.sample(*data, size=40000).asnumpy()
    assert samples.shape == (40000, 1, 1)
    assert abs(samples.var() / second - 1) < 0.06
    with pytest.raises(TypeError, match="without 'x'"):
        network = mx.gluon.nn.Dense(1, flatten=False, in_units=2)
        ready(lik.HeteroscedasticGaussian(network))(*nd([[0.4]], [[0.3]], [[1.0]]))


def dense_softmax(mean, variance):
    """log softmax at the nodes of a product rule for three processes, and the weights."""
    t, w = np.polynomial.hermite.hermgauss(70)
    f = [m + np.sqrt(2 * v) * t for m, v in zip(mean, variance)]
    grid = np.stack(np.meshgrid(*f, indexing="ij"), axis=-1)
    weights = w[:, None, None] * w[:, None] * w / np.pi**1.5
    return grid - special.logsumexp(grid, axis=-1, keepdims=True), weights


SOFT_MEAN = np.array([[[0.3, -1.0, 2.0], [5.0, -40.0, 0.0]]])
SOFT_VARIANCE = np.array([[[1.0, 0.2, 0.5], [1.0, 1.5, 0.5]]])


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-6), ("float32", 1e-5)])
def test_categorical(dtype, tolerance):
    block = ready(lik.Categorical(3), dtype)
    for k in range(3):
        mean, variance, y = nd(SOFT_MEAN, SOFT_VARIANCE, np.full((1, 2), k), dtype=dtype)
        mean.attach_grad()
        variance.attach_grad()
        with mx.autograd.record():
            expected = block(mean, variance, y)
        expected.backward()
        predicted = block.predictive_log_density(mx.nd, mean, variance, y).asnumpy()
        shares = block.probabilities(mx.nd, mean, variance).asnumpy()
        for i in range(2):
            logs, weights = dense_softmax(SOFT_MEAN[0, i], SOFT_VARIANCE[0, i])
            value = (weights * logs[..., k]).sum()
            assert abs(expected.asnumpy()[0, i] - value) < tolerance * max(1, abs(value))
            log_share = special.logsumexp(logs[..., k] + np.log(weights))
            assert abs(predicted[0, i] - log_share) < tolerance
            assert abs(shares[0, i, k] - np.exp(log_share)) < tolerance
            p = np.exp(logs)
            slope = (np.arange(3) == k) - (weights[..., None] * p).sum(axis=(0, 1, 2))
            bend = -0.5 * (weights[..., None] * p * (1 - p)).sum(axis=(0, 1, 2))
            np.testing.assert_allclose(mean.grad.asnumpy()[0, i], slope, atol=tolerance)
            np.testing.assert_allclose(variance.grad.asnumpy()[0, i], bend, atol=10 * tolerance)


def test_categorical_of_two_is_logit():
    """log p(y = 1) of two processes is that of their difference."""
    two, one = ready(lik.Categorical(2)), ready(lik.Bernoulli("logit"))
    for view in ("expected_log_density", "predictive_log_density"):
        found = getattr(two, view)(mx.nd, *nd([[[0.4, -0.7]]], [[[0.3, 0.6]]], [[1.0]]))
        expected = getattr(one, view)(mx.nd, *nd([[-1.1]], [[0.9]], [[1.0]]))
        assert abs(found.asscalar() - expected.asscalar()) < 1e-8


def test_categorical_harness(tmp_path):
    """With nodes enough that the derivative of the integrals is that of their sums."""
    random = np.random.RandomState(4)
    y, shape = np.array([[0.0, 2.0]]), (1, 2, 3)
    cases = [(random.randn(*shape), random.uniform(0.2, 1.2, shape)) for _ in range(2)]
    check_block(
        lambda: Fixed(lik.Categorical(3, points=64, steps=96), y), cases, tmp_path, differences=1e-6
    )


@pytest.mark.parametrize("block", [lik.Poisson(), lik.NegativeBinomial(1e-4)])
def test_a_density_that_is_narrow_beside_the_process(block):
    """A count of 10^6 and a wide process: the density is nearly 1/y N(log y | 0, v)."""
    block = ready(block)
    found = block.predictive_log_density(mx.nd, *nd([[0.0]], [[9.0]], [[1e6]])).asscalar()
    f = np.log(1e6) + np.linspace(-0.2, 0.2, 40001)
    if isinstance(block, lik.Poisson):
        logs = 1e6 * f - np.exp(f) - special.gammaln(1e6 + 1)
    else:
        logs = negative_binomial(1e6, f, 1e-4)
    exact = special.logsumexp(logs + stats.norm.logpdf(f, 0, 3)) + np.log(f[1] - f[0])
    assert abs(found - exact) < 1e-7


def test_bernoulli_moments_in_closed_form():
    """Rasmussen & Williams 2006, equation 3.82."""
    block = ready(lik.Bernoulli())
    first, second = block.predictive_moments(mx.nd, *nd([[0.7, -9.0]], [[2.0, 0.5]]))
    share = stats.norm.cdf(np.array([[0.7, -9.0]]) / np.sqrt([[3.0, 1.5]]))
    np.testing.assert_allclose(first.asnumpy(), share, rtol=1e-13)
    np.testing.assert_allclose(second.asnumpy(), share * (1 - share), rtol=1e-13)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 3e-15), ("float32", 6e-7)])
def test_log_normal_cdf(dtype, tolerance):
    x = np.concatenate([np.linspace(-30, 5, 701), [-1e4, -300.0]]).astype(dtype)
    array = nd(x, dtype=dtype)
    array.attach_grad()
    with mx.autograd.record():
        value = log_normal_cdf(mx.nd, array)
    value.backward()
    exact = special.log_ndtr(x.astype("float64"))
    # Right of 0 it is -exp(-½x²...), whose exponent is rounded.
    bound = tolerance * (1 + np.square(np.maximum(x, 0))) * np.abs(exact)
    assert (np.abs(value.asnumpy() - exact) <= bound).all()
    with mpmath.workdps(40):
        slope = [float(mpmath.npdf(v) / mpmath.ncdf(v)) for v in x.astype("float64")]
    np.testing.assert_allclose(array.grad.asnumpy(), slope, rtol=20 * tolerance, atol=1e-30)


def test_log_normal_cdf_difference():
    cases = [(1.0, -1.0), (-20.0, -20.1), (20.1, 20.0), (1e5, 3.0), (-3.0, -1e5), (0.01, 0.0)]
    upper, lower = (np.array(side) for side in zip(*cases))
    with mpmath.workdps(400):
        exact = [float(mpmath.log(mpmath.ncdf(b) - mpmath.ncdf(a))) for b, a in cases]
    found = log_normal_cdf_difference(mx.nd, nd(upper), nd(lower)).asnumpy()
    np.testing.assert_allclose(found, exact, rtol=1e-12)
    found = log_normal_cdf_difference(mx.nd, *nd(upper, lower, dtype="float32")).asnumpy()
    np.testing.assert_allclose(found, exact, rtol=2e-4)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 3e-12), ("float32", 1.5e-6)])
def test_special_functions(dtype, tolerance):
    z = np.concatenate([np.linspace(0.05, 10, 200), [1e2, 1e4, 1e6]]).astype(dtype)
    with mpmath.workdps(40):
        rest = [
            float(mpmath.loggamma(v) - (v - 0.5) * mpmath.log(v) + v)
            for v in map(mpmath.mpf, z.astype("float64"))
        ]
    found = stirling_rest(mx.nd, nd(z, dtype=dtype)).asnumpy()
    np.testing.assert_allclose(found, rest, rtol=tolerance, atol=tolerance)
    y = np.array([0.0, 1.0, 2.0, 50.0, 1e6])
    with mpmath.workdps(40):
        rest = [
            float(mpmath.loggamma(v + 1) - (v * mpmath.log(v) if v else 0) + v)
            for v in map(mpmath.mpf, y)
        ]
    found = log_factorial_rest(mx.nd, nd(y, dtype=dtype)).asnumpy()
    np.testing.assert_allclose(found, rest, rtol=tolerance, atol=tolerance)
    x = nd([0.0, -800.0, 800.0, 1.0], dtype=dtype)
    x.attach_grad()
    with mx.autograd.record():
        value = softplus(mx.nd, x)
    value.backward()
    np.testing.assert_allclose(
        value.asnumpy(), [np.log(2.0), 0.0, 800.0, np.log1p(np.e)], rtol=2 * tolerance
    )
    np.testing.assert_allclose(
        x.grad.asnumpy(), [0.5, 0.0, 1.0, special.expit(1.0)], rtol=2 * tolerance
    )


@pytest.mark.parametrize(
    "block, y, words",
    [
        (lik.Bernoulli, 2.0, "0 or 1"),
        (lambda: lik.Categorical(3), -1.0, "0 to 2"),
        (lambda: lik.Ordinal(CUTS), 4.0, "0 to 3"),
        (lambda: lik.Ordinal(CUTS), 0.5, "0 to 3"),
        (lik.Poisson, -1.0, "counts"),
        (lik.NegativeBinomial, 1.5, "counts"),
        (lik.NegativeBinomial, np.nan, "counts"),
        (lik.Gaussian, np.nan, "NaN or infinity"),
        (lik.StudentT, np.inf, "NaN or infinity"),
    ],
)
def test_targets_that_are_none(block, y, words):
    block = ready(block())
    shape = (1, 1) if block.latents == 1 else (1, 1, block.latents)
    with pytest.raises(ValueError, match=words):
        block(*nd(np.zeros(shape), np.ones(shape), [[y]]))
    block.hybridize()
    with pytest.raises(ValueError, match=words):
        block(*nd(np.zeros(shape), np.ones(shape), [[y]]))


def test_arguments_of_constructors():
    with pytest.raises(ValueError, match="probit"):
        lik.Bernoulli("cloglog")
    with pytest.raises(ValueError, match="rising"):
        lik.Ordinal([1.0, 0.5])
    with pytest.raises(ValueError, match="classes"):
        lik.Categorical(1)
    with pytest.raises(ValueError, match="above 2"):
        lik.StudentT(1.0, 1.5)
    with pytest.raises(gl.errors.ShapeError):
        ready(lik.Categorical(3))(*nd([[0.1]], [[1.0]], [[1.0]]))
