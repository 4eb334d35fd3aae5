"""SGPR and FITC: the shared harness, dense formulas, the exact process as a limit, float32."""

import mxnet as mx
import numpy as np
import pytest
import scipy.stats
import sparse_gp_reference as reference
from test_gp import data, nd, ready

import gluon_linalg as gl
from gluon_linalg import kernels as k
from harness import check_block

POINTS = np.array([[-1.5, -1.0], [-0.2, 1.3], [0.9, -0.6], [1.7, 1.1]])
LAYERS = {
    "sgpr": (gl.SGPRLikelihoodLayer, reference.sgpr),
    "fitc": (gl.FITCLikelihoodLayer, reference.fitc),
}
KERNEL = reference.rbf(1.7, 0.8)
NEW, _ = data(2, 5, 2, seed=7)


def layer(name, points=POINTS, **options):
    options = {"noise_variance": 0.3, "jitter": 0.0, **options}
    return LAYERS[name][0](k.RBF(1.7, 0.8), points, **options)


def dense(name, x, y, points=POINTS, noise=0.3):
    variances = np.broadcast_to(noise, y.shape)
    return np.array(
        [LAYERS[name][1](KERNEL, *each) for each in zip(x, y, [points] * len(x), variances)]
    )


@pytest.mark.parametrize("name", LAYERS)
def test_harness(name, tmp_path):
    check_block(
        lambda: layer(name),
        [data(2, 6, 2), data(1, 9, 2, seed=5)],
        tmp_path,
        lambda x, y, _: dense(name, x, y),
    )


@pytest.mark.parametrize("name", ["sgpr", pytest.param("fitc", marks=pytest.mark.slow)])
def test_noise_mean_and_points_of_each_element(name, tmp_path):
    """Known noise of single observations, a mean, Z of each batch element, a sum of kernels."""
    points = np.stack([POINTS, POINTS[::-1] + 0.2])

    def factory():
        kernel = k.RBF(1.1, [0.8, 1.9]) + k.Linear(0.5)
        return LAYERS[name][0](kernel, points, mean="linear", noise_variance=0.2)

    cases = []
    for seed in (0, 5):
        x, y = data(2, 6, 2, seed)
        cases.append((x, y, np.random.RandomState(seed).uniform(0.1, 0.5, y.shape)))
    check_block(factory, cases, tmp_path)

    x, y, noise = cases[0]
    given = layer(name, noise_variance=None)
    found = ready(given)(*nd(x, y, noise)).asnumpy()
    np.testing.assert_allclose(found, dense(name, x, y, noise=noise), rtol=1e-11)
    with pytest.raises(TypeError, match="needs `noise`"):
        given(*nd(x, y))


@pytest.mark.parametrize("name", LAYERS)
def test_a_mask_is_as_leaving_out(name):
    x, y = data(2, 9, 2)
    seen = np.ones((2, 9))
    seen[:, [1, 4]] = 0
    hidden_x, hidden_y = x.copy(), y.copy()
    hidden_x[:, [1, 4]], hidden_y[:, [1, 4]] = np.nan, np.inf
    block = ready(layer(name))
    gradients = []
    for arrays in ((hidden_x, hidden_y, None, seen), (x[:, seen[0] == 1], y[:, seen[0] == 1])):
        given = [None if a is None else nd(a) for a in arrays]
        with mx.autograd.record():
            value = block(*given)
        value.backward()
        gradients.append([value.asnumpy()] + [p.grad().asnumpy() for p in block_parameters(block)])
    for a, b in zip(*gradients):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    mean = block.condition(hidden_x, hidden_y, mask=seen).mean(nd(NEW)).asnumpy()
    expected = block.condition(x[:, seen[0] == 1], y[:, seen[0] == 1]).mean(nd(NEW)).asnumpy()
    np.testing.assert_allclose(mean, expected, rtol=1e-12)


def block_parameters(block):
    return [p for p in block.collect_params().values() if p.grad_req != "null"]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float32", 2e-6)])
def test_with_every_point_it_is_the_exact_process(name, dtype, tolerance):
    x, y = data(1, 12, 2)
    exact = ready(gl.GPLikelihoodLayer(k.RBF(1.7, 0.8), noise_variance=0.3))
    found = ready(layer(name, x[0]), dtype)(*nd(x, y, dtype=dtype)).asscalar()
    assert abs(found / exact(*nd(x, y)).asscalar() - 1) < tolerance
    # Gradients of what both have: the kernel's and the noise.
    blocks = [exact, ready(layer(name, x[0]), dtype)]
    for block in blocks:
        given = nd(x, y, dtype=np.dtype(block.dtype).name)
        with mx.autograd.record():
            block(*given).backward()
    # Moving Z along with lengthscale changes nothing at the optimum Z = X of the bound.
    for parameter in ("variance", "lengthscale"):
        a, b = (getattr(block.kernel, parameter).grad().asscalar() for block in blocks)
        assert abs(a - b) < 100 * tolerance * max(1, abs(a))
    a, b = (block.noise_variance.grad().asscalar() for block in blocks)
    assert abs(a - b) < 100 * tolerance * max(1, abs(a))


def test_the_bound_is_a_bound_and_rises_with_points():
    x, y = data(1, 40, 2)
    exact = ready(gl.GPLikelihoodLayer(k.RBF(1.7, 0.8), noise_variance=0.3))(*nd(x, y)).asscalar()
    order = gl.inducing_points(x[0], 40, kernel=ready(k.RBF(1.7, 0.8)))
    values = [ready(layer("sgpr", order[:m]))(*nd(x, y)).asscalar() for m in (4, 10, 20, 30)]
    assert all(a > b for a, b in zip(values, values[1:]))
    assert values[-1] > exact - 1e-9


@pytest.mark.parametrize("name, include_noise", [("sgpr", True), ("fitc", False)])
def test_predictor(name, include_noise, tmp_path):
    x, y = data(2, 8, 2)

    def oracle(new, _):
        found = [expected(name, x[b], y[b], new[b]) for b in range(2)]
        mean, covariance = (np.stack(each) for each in zip(*found))
        return mean, covariance.diagonal(axis1=1, axis2=2) + 0.3 * include_noise

    factory = InDtype(name, x, y, include_noise)
    check_block(factory, [[NEW], [data(2, 1, 2, seed=2)[0]]], tmp_path, oracle)


def test_density_of_targets(tmp_path):
    x, y = data(2, 8, 2)

    def oracle(new, targets, _):
        found = [expected("sgpr", x[b], y[b], new[b]) for b in range(2)]
        mean, covariance = (np.stack(each) for each in zip(*found))
        variance = covariance.diagonal(axis1=1, axis2=2) + 0.3
        return scipy.stats.norm.logpdf(targets, mean, np.sqrt(variance))

    cases = [data(2, 5, 2, seed=7), data(2, 3, 2, seed=8)]
    check_block(InDtype("sgpr", x, y, False), cases, tmp_path, oracle)
    block = ready(layer("sgpr", noise_variance=None)).condition(x, y, np.full(y.shape, 0.2))
    with pytest.raises(TypeError, match="no density"):
        block.log_density(*nd(*cases[0]))


def expected(name, x, y, new):
    noise = np.full(len(y), 0.3)
    if name == "fitc":
        noise = noise + reference.rest_of(KERNEL, x, POINTS)
    return reference.posterior(KERNEL, x, y, POINTS, noise, new)


class InDtype:
    """A factory whose block is conditioned in the dtype that the harness casts it to."""

    def __init__(self, name, x, y, include_noise):
        self.make = lambda dtype: ready(layer(name), dtype).condition(
            x, y, include_noise=include_noise
        )

    def __call__(self):
        block, make = self.make("float64"), self.make
        block.cast = lambda dtype: block.__dict__.update(make(dtype).__dict__)
        return block


def test_covariance_and_samples():
    x, y = data(2, 8, 2)
    predictor = ready(layer("sgpr")).condition(x, y)
    found = predictor.covariance(nd(NEW)).asnumpy()
    mx.random.seed(5)
    samples = predictor.sample(nd(NEW), size=20000).asnumpy()
    targets = predictor.sample_targets(nd(NEW), size=20000).asnumpy()
    assert samples.shape == targets.shape == (20000, 2, 5)
    bound = 6 * 2.0 * np.sqrt(2 / 20000)
    for b in range(2):
        mean, covariance = expected("sgpr", x[b], y[b], NEW[b])
        np.testing.assert_allclose(found[b], covariance, atol=1e-12)
        np.testing.assert_allclose(samples[:, b].mean(axis=0), mean, atol=bound)
        np.testing.assert_allclose(np.cov(samples[:, b].T), covariance, atol=bound)
        with_noise = covariance + 0.3 * np.eye(5)
        np.testing.assert_allclose(np.cov(targets[:, b].T), with_noise, atol=bound)


@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-6), (None, 1e-2)])
def test_float32_of_a_hard_model(precision, tolerance):
    """2000 points on a line, K(Z, Z) of condition 1e8, little noise: float32 against float64."""
    random = np.random.RandomState(1)
    x = np.sort(random.uniform(0, 10, (1, 2000, 1)), axis=1).astype("float32").astype("float64")
    y = (np.sin(3 * x[..., 0]) + 0.05 * random.randn(1, 2000)).astype("float32")
    values, gradients = [], []
    for dtype in ("float64", "float32"):
        points = np.linspace(0, 10, 60)[:, None]
        block = gl.SGPRLikelihoodLayer(
            k.RBF(1.0, 0.5), points, noise_variance=0.0025, precision=precision
        )
        block = ready(block, dtype)
        for parameter in block_parameters(block):
            # Both have the numbers that float32 has.
            parameter.set_data(parameter.data().astype("float32").astype(dtype))
        with mx.autograd.record():
            value = block(*nd(x, y, dtype=dtype))
        value.backward()
        values.append(value.asscalar())
        chosen = [block.kernel.variance, block.kernel.lengthscale, block.noise_variance]
        chosen += [block.inducing_points] if precision else []
        gradients.append([p.grad().asnumpy() for p in chosen])
    assert abs(values[1] / values[0] - 1) < 1e-5
    for a, b in zip(*gradients):
        assert np.abs(a - b).max() < tolerance * np.abs(a).max()


def test_fixed_points_and_casts():
    points = POINTS + 1e-9
    block = layer("sgpr", points)
    block.initialize()
    block.cast("float64")
    assert np.array_equal(block.inducing_points.data().asnumpy()[0], points)
    block.inducing_points.grad_req = "null"
    x, y = data(1, 6, 2)
    trainer = mx.gluon.Trainer(block.collect_params(), "adam", {"learning_rate": 0.1})
    with mx.autograd.record():
        loss = block(*nd(x, y))
    loss.backward()
    trainer.step(1)
    assert np.array_equal(block.inducing_points.value()[0], points)
    assert block.kernel.variance.value() != 1.7


def test_errors():
    x, y = data(1, 3, 2)
    with pytest.raises(gl.errors.ShapeError, match="4 inducing points for 3 observations"):
        ready(layer("sgpr"))(*nd(x, y))
    with pytest.raises(gl.errors.ShapeError, match="have 2"):
        ready(layer("sgpr"))(*nd(*data(1, 6, 3)))
    with pytest.raises(gl.errors.ShapeError, match=r"expected \(m, d\)"):
        layer("sgpr", np.zeros(3))
    with pytest.raises(ValueError, match="NaN"):
        layer("fitc", np.full((3, 2), np.nan))
    with pytest.raises(gl.errors.NotPositiveDefiniteError, match="jitter"):
        ready(layer("sgpr", np.zeros((4, 2)), jitter=0.0))(*nd(*data(1, 6, 2)))
    x, y = data(1, 6, 2)
    y[0, 2] = np.nan
    with pytest.raises(gl.errors.NonFiniteError, match="mask hides"):
        ready(layer("fitc"))(*nd(x, y))
    predictor = ready(layer("fitc")).condition(*data(1, 6, 2))
    with pytest.raises(gl.errors.ShapeError, match="batch 2"):
        predictor(nd(NEW))
    with pytest.raises(TypeError, match="condition again"):
        predictor.cast("float32")


def test_inducing_points_by_variance():
    """The pivots of a Cholesky factorization with complete pivoting, done densely."""
    x = np.random.RandomState(0).uniform(-2, 2, (30, 2))
    left = KERNEL(x[None], x[None])[0]
    chosen = []
    for _ in range(8):
        pivot = int(np.argmax(np.diag(left)))
        chosen.append(pivot)
        left = left - np.outer(left[:, pivot], left[pivot]) / left[pivot, pivot]
    found = gl.inducing_points(x, 8, kernel=ready(k.RBF(1.7, 0.8), "float32"))
    # All first variances are equal: any point may be the first.
    assert np.array_equal(found, x[chosen])
    few = gl.inducing_points(np.repeat(x[:3], 5, axis=0), 10, kernel=ready(k.RBF(1.7, 0.8)))
    assert len(few) == 3
    both = gl.inducing_points(np.stack([x, x + 1]), 4, kernel=ready(k.RBF(1.7, 0.8)))
    np.testing.assert_allclose(both[1], both[0] + 1, atol=1e-12)


def test_inducing_points_by_clusters():
    random = np.random.RandomState(0)
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 1000.0]])
    x = np.concatenate([c + 0.1 * random.randn(40, 2) for c in centres])
    found = gl.inducing_points(x, 3, "kmeans", seed=1)
    expected = np.array([x[i : i + 40].mean(axis=0) for i in (0, 40, 80)])
    order = np.lexsort(found.T)
    np.testing.assert_allclose(found[order], expected[np.lexsort(expected.T)], rtol=1e-9)
    many = gl.inducing_points(x, 30, "kmeans")
    # Each is the mean of what is nearest to it.
    scale = x.std(axis=0)
    nearest = (x / scale)[:, None] - many / scale
    nearest = (nearest**2).sum(axis=2).argmin(axis=1)
    for i in range(30):
        np.testing.assert_allclose(many[i], x[nearest == i].mean(axis=0), rtol=1e-9)
    rows = gl.inducing_points(x, 7, "random")
    assert len({tuple(r) for r in rows} & {tuple(r) for r in x}) == 7
    for wrong, words in (
        (dict(count=200), "120 rows"),
        (dict(count=3, method="greedy"), "variance"),
        (dict(count=3), "needs the kernel"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            gl.inducing_points(x, **wrong)
