"""BLRLikelihoodLayer and BLRPredictor: harness, published figures, oracles, laws, hard inputs."""

import blr_reference as reference
import mxnet as mx
import numpy as np
import pytest
import scipy.optimize
import sklearn.linear_model
from hypothesis import given, settings
from hypothesis import strategies as st

import gluon_linalg as gl
from gluon_linalg import functional as fn
from gluon_linalg.blocks.blr import BLRLikelihoodLayer
from harness import check_block
from harness.modes import MODES, in_mode

PRIOR, NOISE = 1.7, 0.3
ARD = [0.7, 1.9, 0.4]


def data(batch, n, d, targets=None, seed=0):
    random = np.random.RandomState(seed)
    shape = (batch, n) if targets is None else (batch, n, targets)
    return random.uniform(-2, 2, size=(batch, n, d)), random.randn(*shape)


def nd(*values, dtype="float64"):
    arrays = [mx.nd.array(value, dtype=dtype) for value in values]
    return arrays[0] if len(arrays) == 1 else arrays


def layer(prior=PRIOR, noise=NOISE, dtype="float64", **options):
    block = BLRLikelihoodLayer(prior, noise, **options)
    block.initialize()
    block.cast(dtype)
    return block


def gradients(block, *inputs):
    """Value, gradients by the inputs, and by the stored parameters in the order of their names."""
    for array in inputs:
        array.attach_grad()
    with mx.autograd.record():
        value = block(*inputs)
    value.backward()
    parameters = [p.grad().asnumpy() for _, p in sorted(block.collect_params().items())]
    return value.asnumpy(), [array.grad.asnumpy() for array in inputs], parameters


def dense(phi, y, _=None):
    return np.array([reference.negative_log_likelihood(p, t, PRIOR, NOISE) for p, t in zip(phi, y)])


def test_simple(tmp_path):
    """More observations than features, and fewer."""
    cases = [data(*shape) for shape in ((2, 3, 2), (1, 2, 3))]
    check_block(lambda: BLRLikelihoodLayer(PRIOR, NOISE), cases, tmp_path, dense)


class DeepRegression(mx.gluon.HybridBlock):
    """Features of a network, two targets, known noise; counts the observations below 4 only."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.features = mx.gluon.nn.Dense(3, activation="tanh", flatten=False, in_units=2)
            self.layer = BLRLikelihoodLayer(ARD, NOISE, targets=2)

    def hybrid_forward(self, F, x, y, noise):
        mask = fn.stop(F, F.slice_axis(y, axis=2, begin=0, end=1)) < 4.0
        return self.layer(self.features(x), y, noise, F.reshape(mask, shape=(0, -1)))


def test_everything_inside_a_network(tmp_path):
    x, y = data(2, 4, 2, targets=2)
    y[0, 1] = y[1, 3] = y[1, 2] = 9.0
    noise = np.random.RandomState(4).uniform(0.1, 0.9, size=(2, 4))

    def oracle(x, y, noise, block):
        phi, seen = block.features(nd(x)).asnumpy(), y[:, :, 0] < 4
        rows = [(p[m], t[m], ARD, NOISE + s[m]) for p, t, s, m in zip(phi, y, noise, seen)]
        return np.array([reference.negative_log_likelihood(*row) for row in rows])

    check_block(
        DeepRegression, [[x, y, noise], [x[:1, :2], y[:1, :2], noise[:1, :2]]], tmp_path, oracle
    )


def conditioned(dtype="float64", prior=PRIOR, targets=None, n=5, d=2, **condition):
    phi, y = data(2, n, d, targets)
    return layer(prior, dtype=dtype, targets=targets).condition(
        *nd(phi, y, dtype=dtype), **condition
    )


class InDtype:
    """A factory whose predictor is conditioned in the dtype that the harness casts it to."""

    def __init__(self, **options):
        self.options = options

    def __call__(self):
        block, options = conditioned(**self.options), self.options

        def cast(dtype):
            block.__dict__.update(conditioned(dtype=dtype, **options).__dict__)

        block.cast = cast
        return block


@pytest.mark.parametrize(
    "options",
    [{}, {"targets": 2, "include_noise": True, "prior": ARD, "n": 2, "d": 3}],
    ids=["one target", "two targets, noise, n < d"],
)
def test_predictor(options, tmp_path):
    n, d, targets = options.get("n", 5), options.get("d", 2), options.get("targets")

    def oracle(new, _):
        means, variances = [], []
        for p, t, z in zip(*data(2, n, d, targets), new):
            mean, covariance = reference.posterior(p, t, options.get("prior", PRIOR), NOISE)
            variance = np.sum(z @ covariance * z, axis=1) + NOISE * ("include_noise" in options)
            means.append(z @ mean)
            variances.append(variance if targets is None else variance[:, None] * np.ones(targets))
        return [np.stack(means), np.stack(variances)]

    cases = [[data(2, m, d, seed=m)[0]] for m in (4, 1)]
    check_block(InDtype(**options), cases, tmp_path, oracle)


def test_weights_are_the_closed_form():
    phi, y = data(2, 6, 3, targets=2)
    noise = np.random.RandomState(4).uniform(0.1, 0.9, size=(2, 6))
    found = layer(ARD, targets=2).condition(*nd(phi, y, noise)).weights()
    for b in range(2):
        expected = reference.posterior(phi[b], y[b], ARD, NOISE + noise[b])
        for a, e in zip(found, expected):
            np.testing.assert_allclose(a[b].asnumpy(), e, rtol=1e-11, atol=1e-13)
    assert np.array_equal(found[1].asnumpy(), found[1].asnumpy().transpose(0, 2, 1))


@pytest.mark.parametrize("dtype, tolerance", [("float64", 2e-10), ("float32", 1e-6)])
@pytest.mark.parametrize("mode", MODES)
def test_fewer_observations_than_features(dtype, tolerance, mode, tmp_path):
    """Case B1: the covariance must also span what the data say nothing about."""
    phi, y = nd([[[1, 2, 0], [0, 1, 1]]], [[1, 2]], dtype=dtype)
    block = layer(1.0, 1.0, dtype)
    predictor = block.condition(phi, y)
    block = in_mode(block, mode, [phi, y], tmp_path)
    assert abs(block(phi, y).asscalar() - 3.8359771598) < tolerance * 5
    mean, covariance = predictor.weights()
    np.testing.assert_allclose(
        mean.asnumpy()[0], [-1 / 14, 8 / 14, 10 / 14], rtol=0, atol=tolerance
    )
    expected = np.array([[11, -4, 2], [-4, 4, -2], [2, -2, 8]]) / 14
    np.testing.assert_allclose(covariance.asnumpy()[0], expected, rtol=0, atol=tolerance)
    unit = nd(np.eye(3)[None], dtype=dtype)
    mean, variance = in_mode(predictor, mode, [unit], tmp_path)(unit)
    np.testing.assert_allclose(mean.asnumpy()[0], [-1 / 14, 8 / 14, 10 / 14], atol=tolerance)
    np.testing.assert_allclose(variance.asnumpy()[0], np.diag(expected), atol=tolerance)


def trained(phi, y):
    """The layer before and after L-BFGS over both variances, and its two values."""
    block = layer(1.0, y.var() / 100)
    block.hybridize(static_alloc=True, static_shape=True)
    phi, y = nd(phi[None], y[None])
    parameters = [block.prior_variance, block.noise_variance]

    def objective(stored):
        for parameter, value in zip(parameters, stored):
            parameter.set_data(nd([value]))
        with mx.autograd.record():
            loss = block(phi, y)
        loss.backward()
        return loss.asscalar(), np.array([p.grad().asscalar() for p in parameters], "float64")

    start = [p.data().asscalar() for p in parameters]
    first = objective(start)[0]
    found = scipy.optimize.minimize(
        objective, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9}
    )
    objective(found.x)
    return first, found.fun, block


@pytest.mark.parametrize(
    "problem, first, published, last, optimum",
    [
        (reference.toy, -42.67969, (-78.32442, 3.8333, 0.0101336), -78.33023, (4.26096, 0.010127)),
        (
            reference.olympic_polynomial,
            177.55567,
            (12.61370, 6.5740, 0.0525044),
            12.61370,
            (6.57405, 0.0525036),
        ),
    ],
    ids=["toy", "olympic"],
)
def test_figures_of_the_authors(problem, first, published, last, optimum):
    """At the start, at the authors' variances, and at the optimum, which they had not quite reached
    on the toy; its place was found by Nelder-Mead on the dense Gaussian."""
    phi, y = problem()
    found_first, found_last, block = trained(phi, y)
    assert abs(found_first - first) < 1e-5
    assert abs(found_last - last) < 1e-5
    np.testing.assert_allclose(
        (block.prior_variance.value()[0], block.noise_variance.value()[0]), optimum, rtol=1e-5
    )
    value, *variances = published
    assert abs(layer(*variances)(*nd(phi[None], y[None])).asscalar() - value) < 1e-5


def test_scikit_learn_stops_where_the_gradient_is_zero():
    phi, y = (a[0] for a in data(1, 40, 4, seed=2))
    y = y * 0.3 + phi @ [1.0, -0.5, 0.2, 0.0]
    model = sklearn.linear_model.BayesianRidge(
        tol=1e-12, max_iter=10000, fit_intercept=False, alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0
    ).fit(phi, y)
    block = layer(1 / model.lambda_, 1 / model.alpha_)
    _, _, parameters = gradients(block, *nd(phi[None], y[None]))
    assert all(abs(g) < 1e-6 for g in parameters)
    mean, covariance = block.condition(*nd(phi[None], y[None])).weights()
    np.testing.assert_allclose(mean.asnumpy()[0], model.coef_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(covariance.asnumpy()[0], model.sigma_, rtol=1e-6, atol=1e-8)


def test_equals_the_gaussian_process_with_a_linear_kernel():
    phi, y = data(2, 7, 3)
    kernel = gl.kernels.Linear(ARD)
    process = gl.GPLikelihoodLayer(kernel, noise_variance=NOISE)
    process.initialize()
    process.cast("float64")
    a, b = gradients(layer(ARD), *nd(phi, y)), gradients(process, *nd(phi, y))
    np.testing.assert_allclose(a[0], b[0], rtol=1e-12)
    for x, z in zip(a[1], b[1]):
        np.testing.assert_allclose(x, z, rtol=1e-10, atol=1e-12)
    by_size = [sorted(parameters, key=len) for parameters in (a[2], b[2])]
    for x, z in zip(*by_size):
        np.testing.assert_allclose(x, z, rtol=1e-10, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 6))
def test_masking_is_dropping_and_order_does_not_matter(seed, n, d):
    random = np.random.RandomState(seed)
    phi, y = data(1, n + 2, d, seed=seed)
    noise, mask = random.rand(1, n + 2), np.ones((1, n + 2))
    hidden = random.choice(n + 2, 2, replace=False)
    mask[0, hidden] = 0.0
    keep = random.permutation(np.flatnonzero(mask[0]))
    expected, by_input, by_parameter = gradients(
        layer(), *nd(phi[:, keep], y[:, keep], noise[:, keep])
    )
    for array in (phi, y, noise):
        array[0, hidden] = random.choice([np.nan, np.inf, -9999.0, 1e30])
    inputs, mask = nd(phi, y, noise), nd(mask)
    block = layer()
    for array in inputs:
        array.attach_grad()
    with mx.autograd.record():
        value = block(*inputs, mask)
    value.backward()
    np.testing.assert_allclose(value.asnumpy(), expected, rtol=1e-11)
    for array, e in zip(inputs, by_input):
        np.testing.assert_allclose(array.grad.asnumpy()[:, keep], e, rtol=1e-9, atol=1e-11)
        assert not array.grad.asnumpy()[:, hidden].any()
    for (_, p), e in zip(sorted(block.collect_params().items()), by_parameter):
        np.testing.assert_allclose(p.grad().asnumpy(), e, rtol=1e-9, atol=1e-11)
    weights = block.condition(*inputs, mask).weights()[0].asnumpy()[0]
    kept = (a.asnumpy()[0][keep] for a in inputs)
    phi, y, noise = kept
    np.testing.assert_allclose(
        weights, reference.posterior(phi, y, PRIOR, NOISE + noise)[0], rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_collinear_and_zero_features(dtype):
    """Features of rank 1 in four columns: value and gradients as the closed form has them."""
    column = np.linspace(0.5, 2.0, 6)
    phi = np.stack([column, column, 0 * column, -2 * column], axis=1)
    y = np.sin(3 * column)
    block = layer(0.8, 1e-2, dtype)
    value, (by_phi, _), (by_noise, by_prior) = gradients(
        block, *nd(phi[None], y[None], dtype=dtype)
    )
    inputs = [a.astype(dtype).astype("float64") for a in (phi, y)]
    variances = (block.prior_variance.value()[0], block.noise_variance.value()[0])
    expected = reference.exact(*inputs, *variances)
    tolerance = 2e-4 if dtype == "float32" else 1e-11
    assert abs(value[0] / expected[0] - 1) < tolerance
    assert np.abs(by_phi[0] - expected[1]).max() < tolerance * np.abs(expected[1]).max()
    assert abs(by_prior[0] - expected[2]) < tolerance * abs(expected[2])
    # The stored number is the logarithm of the variance above its lower bound.
    by_stored = expected[3] * (1 - block.noise_variance.lower / variances[1])
    assert abs(by_noise[0] - by_stored) < tolerance * abs(by_stored)


def test_only_zero_features():
    y = np.array([[1.0, -0.5, 2.0]])
    value, (by_phi, _), _ = gradients(layer(), *nd(np.zeros((1, 3, 2)), y))
    expected = 0.5 * np.sum(y**2 / NOISE + np.log(2 * np.pi * NOISE))
    np.testing.assert_allclose(value, [expected], rtol=1e-13)
    assert not by_phi.any()


@pytest.mark.parametrize("mode", MODES)
def test_constant_targets(mode, tmp_path):
    """Case B4: nothing is divided by their variance."""
    phi = np.vander([0.0, 0.5, 1.0], 2)[None]
    inputs = nd(phi, [[3.0, 3.0, 3.0]])
    block = layer(1.0, 0.1)
    mean, variance = in_mode(block.condition(*inputs), mode, inputs[:1], tmp_path)(inputs[0])
    block = in_mode(block, mode, inputs, tmp_path)
    value, by_input, by_parameter = gradients(block, *inputs)
    for array in (value, *by_input, *by_parameter, mean.asnumpy(), variance.asnumpy()):
        assert np.isfinite(array).all()
    assert (variance.asnumpy() > 0).all()


@pytest.mark.parametrize(
    "noise, value_error, gradient_error",
    [(1e-1, 1e-6, 1e-5), (1e-2, 1e-5, 1e-4), (1e-4, 1e-5, 1e-3), (1e-6, 1e-4, 1e-2)],
)
def test_float32_on_a_polynomial_of_degree_20(noise, value_error, gradient_error):
    """The claim of the paper: float32 serves where the Cholesky form needs float64."""
    phi, y = (a.astype("float32") for a in reference.olympic_polynomial())
    block = layer(1.0, noise, "float32")
    value, (by_phi, _), _ = gradients(block, *nd(phi[None], y[None], dtype="float32"))
    exact, exact_by_phi, _, _ = reference.exact(
        phi.astype("float64"), y.astype("float64"), 1.0, block.noise_variance.value()[0]
    )
    assert abs(value[0] / exact - 1) < value_error
    assert np.abs(by_phi[0] - exact_by_phi).max() < gradient_error * np.abs(exact_by_phi).max()


def test_predictor_does_not_follow_training():
    block = layer()
    phi, y = nd(*data(2, 5, 2))
    predictor = block.condition(phi, y)
    before = [a.asnumpy() for a in predictor(phi)]
    block.prior_variance.set_value(9.0)
    block.noise_variance.set_value(0.01)
    for a, b in zip(before, predictor(phi)):
        assert np.array_equal(a, b.asnumpy())
    assert abs(block.condition(phi, y).mean(phi).asnumpy() - before[0]).max() > 1e-3
    assert all(p.grad_req == "null" for p in predictor.collect_params().values())


def test_known_noise_only():
    phi, y = data(1, 5, 2)
    noise = np.linspace(0.1, 0.5, 5)[None]
    block = layer(noise=None)
    found = block(*nd(phi, y, noise)).asscalar()
    expected = reference.negative_log_likelihood(phi[0], y[0], PRIOR, noise[0])
    assert abs(found - expected) < 1e-12 * abs(expected)
    with pytest.raises(TypeError, match="noise"):
        block(*nd(phi, y))
    with pytest.raises(ValueError, match="include_noise"):
        block.condition(*nd(phi, y, noise), include_noise=True)


@pytest.mark.parametrize("hybridize", [False, True])
def test_errors_say_what_is_wrong(hybridize):

    def fresh():
        block = layer()
        if hybridize:
            block.hybridize()
        return block

    block, (phi, y) = fresh(), data(2, 5, 2)
    bad = phi.copy()
    bad[1, 2, 0] = np.nan
    with pytest.raises(gl.errors.NonFiniteError, match=r"features.*elements: 1 of 2"):
        block(*nd(bad, y))
    bad = y.copy()
    bad[0, 2] = np.inf
    with pytest.raises(gl.errors.NonFiniteError, match=r"targets.*elements: 0 of 2"):
        block(*nd(phi, bad))
    with pytest.raises(gl.errors.NonFiniteError, match="noise variance"):
        fresh()(*nd(phi, y, np.full((2, 5), -1.0)))
    with pytest.raises(ValueError, match="mask"):
        fresh()(*nd(phi, y), None, nd(np.full((2, 5), 0.5)))
    with pytest.raises(gl.errors.ShapeError, match="n is 5"):
        block(*nd(phi, y[:, :4]))
    with pytest.raises(gl.errors.ShapeError, match="expected 2 axes"):
        block(*nd(phi, y[:, :, None]))
    with pytest.raises(TypeError, match="float16"):
        block(*nd(phi, y, dtype="float16"))
    np.testing.assert_allclose(block(*nd(phi, y)).asnumpy(), dense(phi, y), rtol=1e-12)


def test_wrong_sizes_of_the_model():
    phi, y = nd(*data(2, 5, 2))
    with pytest.raises(gl.errors.ShapeError, match="each of 3"):
        layer(ARD)(phi, y)
    with pytest.raises(gl.errors.ShapeError, match="targets=3"):
        layer(targets=3)(phi, nd(data(2, 5, 2, targets=2)[1]))
    with pytest.raises(ValueError, match="targets"):
        BLRLikelihoodLayer(targets="two")
    with pytest.raises(gl.errors.ShapeError, match="noise_variance"):
        BLRLikelihoodLayer(noise_variance=[0.1, 0.2])
    predictor = layer().condition(phi, y)
    with pytest.raises(gl.errors.ShapeError, match="3 features"):
        predictor(nd(data(2, 4, 3)[0]))
    with pytest.raises(TypeError, match="condition again"):
        predictor.cast("float32")
