"""Nonlinear layers against particles and integrals, of counts and labels, and bad input."""

import json

import mxnet as mx
import nonlinear_references as stored
import numpy as np
import pytest
from nonlinear_blocks import Affine, Of, Pendulum
from scipy import integrate, optimize, stats

import gluon_linalg as gl
from gluon_linalg import errors, likelihoods, sigma_points


def f64(values):
    return mx.nd.array(values, dtype="float64")


def identity():
    return Affine(np.eye(1), np.zeros(1))


@pytest.mark.parametrize("updates", [0, 2])
def test_particles(updates):
    """Where angles hardly move filters agree with 10^6 particles, far better than f(mean) does."""
    _, _, process, noise = stored.MODELS["pendulum"]()
    factors = [
        np.linalg.cholesky(x) for x in (stored.MILD * process, noise, stored.MILD * stored.PRIOR)
    ]
    rule = sigma_points.GaussHermite(7)
    layer = gl.NonlinearFilterLayer(*Pendulum(), 2, rule=rule, updates=updates, moments=True)
    loss, mean, _ = layer(
        f64(stored.series("pendulum", stored.MILD)[None]),
        *(f64(x[None, None]) for x in factors[:2]),
        f64(stored.PRIOR_MEAN[None]),
        f64(factors[2][None]),
    )
    particles = json.loads(stored.PATH.read_text(encoding="utf-8"))["pendulum"]["particles"]
    # Which differ among themselves by 0.002; f(mean) is off by 0.1, and 0.035.
    right = np.mean([x["marginal_loglik"] for x in particles])
    assert abs(-loss.asscalar() - right) < 0.03
    right = np.mean([x["filtered_means"] for x in particles], axis=0)
    assert np.abs(mean.asnumpy()[0] - right).max() < 0.015


@pytest.mark.parametrize("step, iterations", [(1.0, 8), (0.7, 24)])
def test_iterated_extended_smoothing_finds_the_mode(step, iterations):
    """Gauss-Newton steps (Bell 1994): where they end is the largest joint density of all states."""
    transition, emission, process, noise = stored.MODELS["pendulum"]()
    y = stored.series("pendulum")
    roots = [np.linalg.cholesky(x) for x in (stored.PRIOR, process, noise)]

    def whitened(flat):
        x = flat.reshape(-1, 2)
        moved = x[1:].T - transition(x[:-1].T)
        parts = (x[0] - stored.PRIOR_MEAN)[:, None], moved, y.T - emission(x.T)
        return np.concatenate([np.linalg.solve(a, b).ravel() for a, b in zip(roots, parts)])

    start = np.tile(stored.PRIOR_MEAN, len(y))
    right = optimize.least_squares(whitened, start, xtol=1e-15, ftol=1e-15, gtol=1e-12)
    layer = gl.NonlinearSmootherLayer(
        *Pendulum(True), 2, rule="extended", iterations=iterations, step=step
    )
    mean, covariance = layer(
        f64(y[None]),
        *(f64(x[None, None]) for x in roots[1:]),
        f64(stored.PRIOR_MEAN[None]),
        f64(roots[0][None]),
    )
    np.testing.assert_allclose(mean.asnumpy().ravel(), right.x, rtol=0, atol=1e-6)
    # Of the model that is linear about the mode, which is not quite reached.
    curvature = np.linalg.inv(right.jac.T @ right.jac)
    blocks = [curvature[k : k + 2, k : k + 2] for k in range(0, len(curvature), 2)]
    np.testing.assert_allclose(covariance.asnumpy()[0], blocks, rtol=1e-4, atol=1e-6)


def test_many_nodes_are_an_integral():
    """A single step, one state: E f, Var f and the likelihood of y by adaptive quadrature."""
    mean, deviation, noise = 0.7, 0.9, 0.3
    transition = Of(lambda F, x: F.exp(0.3 * x) + F.sin(x))
    layer = gl.NonlinearForecastLayer(
        transition, Of(lambda F, x: F.square(x)), 1, rule=sigma_points.GaussHermite(30)
    )
    arrays = [np.full((1, 1, 1, 1), x) for x in (0.2, noise)]
    arrays += [np.full((1, 1), mean), np.full((1, 1, 1), deviation)]
    y = np.zeros((1, 1, 1))
    found = layer(f64(y), *(f64(x) for x in arrays), f64(0 * y))
    density = stats.norm(mean, deviation).pdf

    def moment(power, centre=0.0):
        return integrate.quad(
            lambda x: density(x) * (np.exp(0.3 * x) + np.sin(x) - centre) ** power, -15, 15
        )[0]

    expected = moment(1)
    right = expected, moment(2, expected) + 0.2**2
    for a, b in zip(found, right):
        np.testing.assert_allclose(a.asnumpy().ravel(), b, rtol=1e-9)


DENSITIES = {
    "Poisson": (likelihoods.Poisson, 3.0, lambda y, f: stats.poisson(np.exp(f)).pmf(y)),
    "none": (likelihoods.Poisson, 0.0, lambda y, f: stats.poisson(np.exp(f)).pmf(y)),
    "Bernoulli": (
        lambda: likelihoods.Bernoulli("logit"),
        1.0,
        lambda y, f: stats.bernoulli(1 / (1 + np.exp(-f))).pmf(y),
    ),
    "StudentT": (likelihoods.StudentT, 0.4, lambda y, f: stats.t(4).pdf(y - f)),
}


@pytest.mark.parametrize("kind", DENSITIES)
def test_density_of_one_observation(kind):
    """p(y) of y given x ~ N(0.4, 0.8²), by adaptive quadrature."""
    likelihood, y, density = DENSITIES[kind]
    layer = gl.NonlinearFilterLayer(
        identity(),
        identity(),
        1,
        rule=sigma_points.GaussHermite(40),
        likelihood=likelihood(),
        updates=3,
    )
    layer.likelihood.initialize()
    layer.likelihood.cast("float64")
    found = layer(f64([[[y]]]), f64([[[[0.3]]]]), f64([[0.4]]), f64([[[0.8]]])).asscalar()
    prior = stats.norm(0.4, 0.8).pdf
    right = integrate.quad(lambda x: prior(x) * density(y, x), -9, 9, epsabs=1e-13)[0]
    np.testing.assert_allclose(found, -np.log(right), rtol=1e-6)


def test_counts_over_time():
    """Two counts: log p and smoothed means near those of a grid; iterations come nearer."""
    y, grid = np.array([1.0, 3.0]), np.linspace(-6, 6, 601)
    first = stats.norm(0.5, 0.7).pdf(grid) * stats.poisson(np.exp(grid)).pmf(y[0])
    then = stats.norm(0.9 * grid[:, None], 0.5).pdf(grid[None]) * stats.poisson(np.exp(grid)).pmf(
        y[1]
    )
    joint = first[:, None] * then * (grid[1] - grid[0]) ** 2
    right = [(joint.sum(axis=axis) @ grid) / joint.sum() for axis in (1, 0)]
    arrays = f64(y[None, :, None]), f64([[[[0.5]]]]), f64([[0.5]]), f64([[[0.7]]])
    options = {"rule": sigma_points.GaussHermite(20), "likelihood": likelihoods.Poisson()}
    blocks = Affine([[0.9]], [0.0]), identity()
    loss = gl.NonlinearFilterLayer(*blocks, 1, updates=5, **options)(*arrays).asscalar()
    assert abs(loss + np.log(joint.sum())) < 0.02
    errors_of = []
    for iterations in (0, 10):
        layer = gl.NonlinearSmootherLayer(*blocks, 1, iterations=iterations, **options)
        errors_of.append(np.abs(layer(*arrays)[0].asnumpy().ravel() - right).max())
    assert errors_of[1] < 0.05 and errors_of[1] < 0.5 * errors_of[0]


def test_a_normal_likelihood_is_a_kalman_filter():
    """log ∫ p(y | x) N(x) dx is exact then, with two correlated outputs and one missing."""
    random = np.random.RandomState(0)
    y, emission = random.randn(1, 4, 2), random.randn(2, 2)
    mask = np.ones_like(y)
    mask[0, 1, 0] = mask[0, 2] = 0
    blocks = Affine(0.8 * np.eye(2), np.zeros(2)), Affine(emission, np.zeros(2))
    shared = [f64(x) for x in (np.zeros((1, 2)), np.eye(2)[None])]
    process = f64(0.4 * np.eye(2)[None, None])
    layer = gl.NonlinearFilterLayer(*blocks, 2, 2, likelihood=likelihoods.Gaussian(0.25))
    layer.likelihood.initialize()
    layer.likelihood.cast("float64")
    found = layer(f64(y), process, *shared, f64(mask))
    matrices = (f64(x[None, None]) for x in (0.8 * np.eye(2), emission))
    noise = f64(0.5 * np.eye(2)[None, None])
    right = gl.KalmanFilterLayer(2, 2)(f64(y), *matrices, process, noise, *shared, f64(mask))
    np.testing.assert_allclose(found.asnumpy(), right.asnumpy(), rtol=1e-9)


def test_steps_sum_to_the_likelihood_at_any_length():
    """One hybridized layer, of which a graph is made for each T; what is missing adds 0."""
    layer = gl.NonlinearFilterLayer(identity(), identity(), 1, per_step=True)
    layer.hybridize(static_alloc=True)
    whole = gl.NonlinearFilterLayer(identity(), identity(), 1)
    for length in (1, 3, 1):
        y = np.arange(1.0, 1 + length)[None, :, None]
        mask = np.ones_like(y)
        mask[0, 1:2] = 0
        y[0, 1:2] = np.nan
        arrays = [f64(x) for x in (y, *np.ones((2, 1, 1, 1, 1)), [[0.0]], [[[1.0]]], mask)]
        steps = layer(*arrays).asnumpy()
        assert steps.shape == (1, length) and (steps[0, 1:2] == 0).all()
        np.testing.assert_allclose(steps.sum(), whole(*arrays).asscalar(), rtol=1e-12)


def build(*blocks, states=1, **options):
    blocks = blocks or (identity(), identity())
    return gl.NonlinearFilterLayer(*blocks, states, **options)


BAD_OPTIONS = {
    "a grid of too many points": (
        {"rule": sigma_points.GaussHermite(5), "states": 6},
        r"has 5\^6 = 15625 points .* rule='cubature' with its 12",
    ),
    "negative weights": ({"rule": sigma_points.Unscented(1e-3)}, "weights -499999 and .* alpha=1"),
    "no rule": ({"rule": "particles"}, "rule is 'particles', expected one of"),
    "no states": ({"states": 0}, "state_size is 0"),
    "updates": ({"updates": -1}, "updates is -1, expected an integer, 0 or more"),
    "step": ({"step": 0}, "step is 0, expected a number above 0"),
    "moments": ({"moments": "all"}, "moments is 'all'"),
    "a likelihood without points": (
        {"rule": "extended", "likelihood": likelihoods.Poisson()},
        "a likelihood needs a rule with points",
    ),
    "classes": ({"likelihood": likelihoods.Categorical(3)}, "a likelihood of one latent value"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options(case):
    options, message = BAD_OPTIONS[case]
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_bad_rules_and_blocks():
    with pytest.raises(ValueError, match="order is 1, expected"):
        sigma_points.GaussHermite(1)
    with pytest.raises(ValueError, match="alpha is -1"):
        sigma_points.Unscented(-1)
    with pytest.raises(TypeError, match="transition is a function, expected a HybridBlock"):
        build(lambda x: x, identity())


ARRAYS = [np.ones((1, 3, 1)), *np.ones((2, 1, 1, 1, 1)), [[0.0]], [[[1.0]]]]
CASES = {
    "columns": (Of(lambda F, x: F.concat(x, x, dim=1)), {}, "'emission' gave .2, 2. .*ted .2, 1."),
    "a Jacobian": (Of(lambda F, x: (x, x)), {}, "no Jacobian but with rule='extended'"),
    "no Jacobian": (Of(lambda F, x: x), {"rule": "extended"}, "the value and the Jacobian"),
}


@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_what_blocks_must_give(case, is_compiled):
    emission, options, message = CASES[case]
    transition = Affine(np.eye(1), np.zeros(1), "rule" in options)
    layer = build(transition, emission, **options)
    layer.hybridize(is_compiled)
    with pytest.raises(errors.ShapeError, match=message):
        layer(*(f64(x) for x in ARRAYS))


@pytest.mark.parametrize("is_compiled", [False, True])
def test_bad_arrays(is_compiled):
    def run(layer, *arrays):
        layer.hybridize(is_compiled)
        layer(*(f64(x) for x in arrays))

    y, *rest = ARRAYS
    with pytest.raises(errors.NonFiniteError, match="y has NaN .*t = 0"):
        run(build(), np.nan * y, *rest)
    with pytest.raises(errors.SingularMatrixError, match="innovation .*t = 1"):
        still = [rest[0] * 0, rest[1] * 0, *rest[2:]]
        run(build(Of(lambda F, x: 0.0 * x + 2.0), identity()), y, *still)
    counts = build(likelihood=likelihoods.Poisson())
    for value in (-1.0, 0.5):
        with pytest.raises(ValueError, match="'y' must be counts.*t = 2"):
            run(counts, [[[1.0], [0.0], [value]]], rest[0], *rest[2:])
    with pytest.raises(errors.ShapeError, match="3 observations need arrays for 3 steps"):
        run(build(), y, np.ones((1, 2, 1, 1)), *rest[1:])
    with pytest.raises(errors.ShapeError, match="built for length=4, got 3"):
        run(build(length=4), y, *rest)
