"""SVGP: the shared harness, the collapsed bound at the optimum, mini-batches, natural gradients."""

import mxnet as mx
import numpy as np
import pytest
import scipy.special as special
import scipy.stats as stats
import sparse_gp_reference as reference
from test_gp import data, nd, ready
from test_sparse_gp import KERNEL, NEW, POINTS

import gluon_linalg as gl
from gluon_linalg import kernels as k
from gluon_linalg import likelihoods as lik
from harness import check_block


def layer(likelihood=None, points=POINTS, **options):
    likelihood = likelihood or lik.Gaussian(0.3)
    options = {"jitter": 0.0, **options}
    return gl.SVGPLikelihoodLayer(k.RBF(1.7, 0.8), points, likelihood, **options)


def moved(block, seed=3):
    """The block with a q that is not the prior."""
    random = np.random.RandomState(seed)
    for parameter in (block.variational_mean, block.variational_factor):
        shift = 0.3 * random.randn(*parameter.shape)
        parameter.set_data(parameter.data() + nd(shift, dtype=parameter.dtype))
    return block


class Moved:
    """A factory whose block has a q that is not the prior."""

    def __init__(self, make):
        self.make = make

    def __call__(self):
        block = self.make()
        initialize = block.initialize
        block.initialize = lambda **options: (initialize(**options), moved(block))
        return block


def elbo(x, y, mean, root, log_density, count, points=POINTS):
    """The bound by dense formulas and a Gauss-Hermite rule; q(u) = N(L w, L R Rᵀ Lᵀ)."""
    inner = KERNEL(points[None], points[None])[0]
    factor = np.linalg.cholesky(inner)
    weights = np.linalg.solve(inner, KERNEL(points[None], x[None])[0])
    root = np.tril(root)
    u_mean, u_covariance = factor @ mean, factor @ root @ root.T @ factor.T
    m = weights.T @ u_mean
    prior = np.diag(KERNEL(x[None], x[None])[0])
    v = prior + np.einsum("mi,mn,ni->i", weights, u_covariance - inner, weights)
    t, w = np.polynomial.hermite.hermgauss(90)
    f = m[:, None] + np.sqrt(2 * v)[:, None] * t
    expected = (log_density(y[:, None], f) * w).sum() / np.sqrt(np.pi)
    trace = np.trace(np.linalg.solve(inner, u_covariance))
    logs = np.linalg.slogdet(inner)[1] - np.linalg.slogdet(u_covariance)[1]
    divergence = 0.5 * (trace + u_mean @ np.linalg.solve(inner, u_mean) - len(points) + logs)
    return divergence - count / len(y) * expected


def signed_logit(y, f):
    return -np.logaddexp(0, -(2 * y - 1) * f)


def test_harness(tmp_path):
    def oracle(x, y, block):
        w, root = block.variational_mean.data(), block.variational_factor.data()
        w, root = w.asnumpy()[0, :, 0], root.asnumpy()[0, 0]
        density = lambda y, f: stats.norm.logpdf(y, f, 0.3**0.5)  # noqa: E731
        return np.array([elbo(x[0], y[0], w, root, density, 50)])

    cases = [data(1, 6, 2), data(1, 3, 2, seed=5)]
    check_block(Moved(lambda: layer(count=50)), cases, tmp_path, oracle)


def test_two_processes_and_a_mask(tmp_path):
    """A process for the noise, with a kernel and a mean of its own, and a batch of data sets."""

    def factory():
        kernels = [k.RBF(1.7, 0.8), k.Matern52(0.5, 1.4)]
        return gl.SVGPLikelihoodLayer(
            kernels, POINTS, lik.HeteroscedasticGaussian(), mean=[None, "constant"], batch=2
        )

    class Masked(mx.gluon.HybridBlock):
        def __init__(self, block, **kwargs):
            super().__init__(**kwargs)
            self.block = block
            self.mask = self.params.get_constant("mask", nd([[1, 1, 0, 1], [0, 1, 1, 1]]))

        def hybrid_forward(self, F, x, y, mask):
            return self.block(x, y, mask)

    class Whole(Moved):
        def __call__(self):
            block = Masked(factory())
            initialize = block.initialize
            block.initialize = lambda **options: (initialize(**options), moved(block.block))
            return block

    check_block(Whole(factory), [data(2, 4, 2), data(2, 4, 2, seed=5)], tmp_path)


def test_value_of_another_likelihood():
    x, y = data(1, 7, 2)
    y = (y > 0).astype("float64")
    block = moved(ready(layer(lik.Bernoulli("logit"))))
    w, root = (p.data().asnumpy() for p in (block.variational_mean, block.variational_factor))
    exact = elbo(x[0], y[0], w[0, :, 0], root[0, 0], signed_logit, 7)
    assert abs(block(*nd(x, y)).asscalar() - exact) < 1e-8


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-11), ("float32", 2e-6)])
def test_one_natural_step_reaches_the_collapsed_bound(dtype, tolerance):
    x, y = data(1, 20, 2)
    block = moved(ready(layer(count=20), dtype))
    block.natural_step(x, y)
    exact = reference.sgpr(KERNEL, x[0], y[0], POINTS, np.full(20, 0.3))
    assert abs(block(*nd(x, y, dtype=dtype)).asscalar() / exact - 1) < tolerance
    mean, covariance = reference.posterior(KERNEL, x[0], y[0], POINTS, np.full(20, 0.3), NEW[0])
    predictor = block.predictor()
    found = [a.asnumpy()[0] for a in predictor(nd(NEW[:1], dtype=dtype))]
    np.testing.assert_allclose(found[0], mean, atol=100 * tolerance)
    np.testing.assert_allclose(found[1], np.diag(covariance), atol=100 * tolerance)
    # A second step stays.
    block.natural_step(x, y, step=0.5)
    assert abs(block(*nd(x, y, dtype=dtype)).asscalar() / exact - 1) < tolerance


def test_batches_are_unbiased():
    """The mean of value and gradients over all batches is that of the whole."""
    x, y = data(1, 12, 2)
    whole, block = (moved(ready(layer(count=count))) for count in (None, 12))
    results = []
    for one, parts in ((whole, [slice(0, 12)]), (block, [slice(i, i + 3) for i in (0, 3, 6, 9)])):
        total = None
        for part in parts:
            with mx.autograd.record():
                value = one(*nd(x[:, part], y[:, part]))
            value.backward()
            parameters = [p for p in one.collect_params().values() if p.grad_req != "null"]
            found = [value.asnumpy()] + [p.grad().asnumpy() for p in parameters]
            total = found if total is None else [a + b for a, b in zip(total, found)]
        results.append([a / len(parts) for a in total])
    for a, b in zip(*results):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-11)


LIKELIHOODS = {
    "student": (lambda: lik.StudentT(0.3, 3.0), lambda y: 5 * y),
    "probit": (lik.Bernoulli, lambda y: y > 0),
    "logit": (lambda: lik.Bernoulli("logit"), lambda y: y > 0),
    "poisson": (lik.Poisson, lambda y: np.floor(np.exp(y))),
    "negative binomial": (lik.NegativeBinomial, lambda y: np.floor(np.exp(y))),
    "ordinal": (lambda: lik.Ordinal([-0.5, 0.5]), lambda y: (y > -0.5) * 1.0 + (y > 0.5)),
    "categorical": (lambda: lik.Categorical(3), lambda y: (y > -0.5) * 1.0 + (y > 0.5)),
    "heteroscedastic": (lik.HeteroscedasticGaussian, lambda y: y),
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_natural_steps_find_a_stationary_point(name):
    """There the gradient by w and R is 0."""
    make, of = LIKELIHOODS[name]
    x, y = data(1, 15, 2)
    y = of(y).astype("float64")
    block = ready(layer(make()))
    before = block(*nd(x, y)).asscalar()
    for _ in range(40 if name == "student" else 25):
        block.natural_step(x, y, step=0.5)
    with mx.autograd.record():
        value = block(*nd(x, y))
    value.backward()
    assert value.asscalar() < before
    assert np.abs(block.variational_mean.grad().asnumpy()).max() < 2e-4
    factor = np.tril(block.variational_factor.grad().asnumpy()[0, 0])
    assert np.abs(factor).max() < 2e-4
    # Only these have moved.
    assert abs(block.kernel.variance.value() - 1.7) < 1e-12


def test_classes_are_learnt():
    """Three classes in three corners, by natural steps and mini-batches of everything else."""
    random = np.random.RandomState(0)
    labels = np.arange(90) % 3
    x = np.array([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])[labels] + 0.4 * random.randn(90, 2)
    points = gl.inducing_points(x, 12, "kmeans")
    block = gl.SVGPLikelihoodLayer(k.RBF(4.0, 1.5), points, lik.Categorical(3), count=90)
    block.initialize()
    block.variational_mean.grad_req = block.variational_factor.grad_req = "null"
    trainer = mx.gluon.Trainer(block.collect_params(), "adam", {"learning_rate": 0.05})
    for i in range(12):
        rows = np.arange(30) + 30 * (i % 3)
        given = nd(x[None, rows], labels[None, rows], dtype="float32")
        block.natural_step(*given, step=0.3)
        with mx.autograd.record():
            loss = block(*given)
        loss.backward()
        trainer.step(1)
    share, _ = block.predictor(include_noise=True)(nd(x[None], dtype="float32"))
    assert share.shape == (1, 90, 3)
    assert (share.asnumpy()[0].argmax(axis=1) == labels).mean() > 0.97


@pytest.mark.parametrize("include_noise", [pytest.param(False, marks=pytest.mark.slow), True])
def test_predictor(include_noise, tmp_path):
    """Two processes: a mean and a log noise variance; moments of either, and of y."""

    def make(dtype):
        block = gl.SVGPLikelihoodLayer(
            k.RBF(1.7, 0.8), POINTS, lik.HeteroscedasticGaussian(), jitter=0.0
        )
        return moved(ready(block, dtype)).predictor(include_noise)

    class InDtype:
        def __call__(self):
            block = make("float64")
            block.cast = lambda dtype: block.__dict__.update(make(dtype).__dict__)
            return block

    def oracle(new, block):
        inner = KERNEL(POINTS[None], POINTS[None])[0]
        features = np.linalg.solve(np.linalg.cholesky(inner), KERNEL(POINTS[None], new)[0])
        weights = block.weights.data().asnumpy()[0]
        roots = [root.data().asnumpy()[0] for root in block.roots]
        rest = 1.7 - (features**2).sum(axis=0)
        mean = features.T @ weights
        variance = np.stack([rest + ((r.T @ features) ** 2).sum(axis=0) for r in roots], axis=-1)
        if include_noise:
            noise = np.exp(mean[:, 1] + variance[:, 1] / 2)
            return mean[None, :, 0], (variance[:, 0] + noise)[None]
        return mean[None], variance[None]

    check_block(InDtype(), [[NEW[:1]], [NEW[1:, :2]]], tmp_path, oracle)
    block = make("float64")
    assert block.covariance(nd(NEW[:1])).shape == (1, 2, 5, 5)
    mx.random.seed(1)
    samples = block.sample(nd(NEW[:1]), size=4000).asnumpy()
    targets = block.sample_targets(nd(NEW[:1]), size=4000).asnumpy()
    assert samples.shape == (4000, 1, 5, 2) and targets.shape == (4000, 1, 5)
    mean, variance = (a.asnumpy() for a in make("float64")(nd(NEW[:1])))
    if not include_noise:
        np.testing.assert_allclose(samples.mean(axis=0), mean, atol=6 * np.sqrt(1.7 / 4000))
        np.testing.assert_allclose(samples.var(axis=0), variance, rtol=6 * np.sqrt(2 / 4000))


def test_density_of_targets_is_that_of_the_likelihood():
    x, y = data(1, 9, 2)
    y = (y > 0).astype("float64")
    block = moved(ready(layer(lik.Bernoulli())))
    predictor = block.predictor()
    mean, variance = (a.asnumpy() for a in predictor(nd(x)))
    exact = special.log_ndtr((2 * y - 1) * mean / np.sqrt(1 + variance))
    np.testing.assert_allclose(predictor.log_density(*nd(x, y)).asnumpy(), exact, rtol=1e-12)


def test_training_on_does_not_change_a_predictor():
    x, y = data(1, 9, 2)
    block = moved(ready(layer()))
    predictor = block.predictor()
    before = [a.asnumpy() for a in predictor(nd(NEW[:1]))]
    block.natural_step(x, y)
    block.kernel.lengthscale.set_value(3.0)
    for old, new in zip(before, predictor(nd(NEW[:1]))):
        assert np.array_equal(old, new.asnumpy())


def test_errors():
    with pytest.raises(TypeError, match="likelihoods"):
        layer("gaussian")
    with pytest.raises(ValueError, match="count=3"):
        layer(count=3)
    with pytest.raises(ValueError, match="list of 2"):
        gl.SVGPLikelihoodLayer([k.RBF(), k.RBF()], POINTS, lik.Categorical(3))
    block = ready(layer(lik.Bernoulli()))
    x, y = data(1, 5, 2)
    with pytest.raises(ValueError, match="0 or 1"):
        block(*nd(x, y))
    with pytest.raises(ValueError, match="step"):
        block.natural_step(x, y > 0, step=0.0)
    with pytest.raises(gl.errors.ShapeError, match="batch=1"):
        block(*nd(*data(2, 5, 2)))
    # What a mask hides is no label.
    mask = np.array([[1.0, 0, 0, 0, 0]])
    y = np.array([[1.0, np.nan, 7.0, -1.0, 0.5]])
    assert np.isfinite(block(*nd(x, y, mask)).asscalar())
