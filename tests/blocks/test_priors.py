"""Priors: densities of SciPy, the sum in a loss in every mode, draws for restarts."""

import copy

import mxnet as mx
import numpy as np
import pytest
import scipy.stats as stats
from test_gp import data, nd, ready

import gluon_linalg as gl
from gluon_linalg import kernels as k
from gluon_linalg import priors
from harness import check_block

PRIORS = {
    "normal": (priors.Normal(0.3, 1.7), stats.norm(0.3, 1.7)),
    "log-normal": (priors.LogNormal(-0.4, 0.6), stats.lognorm(0.6, scale=np.exp(-0.4))),
    "gamma": (priors.Gamma(2.5, 1.3), stats.gamma(2.5, scale=1 / 1.3)),
    "inverse gamma": (priors.InverseGamma(3.5, 1.3), stats.invgamma(3.5, scale=1.3)),
    "half-normal": (priors.HalfNormal(1.7), stats.halfnorm(scale=1.7)),
    "half-Cauchy": (priors.HalfCauchy(1.7), stats.halfcauchy(scale=1.7)),
}


@pytest.mark.parametrize("name", PRIORS)
def test_densities_and_draws(name):
    prior, exact = PRIORS[name]
    value = np.array([[1e-4, 0.2, 1.0], [3.0, 50.0, 1e4]])
    for dtype, tolerance in (("float64", 1e-13), ("float32", 1e-6)):
        found = prior.log_density(mx.nd, nd(value, dtype=dtype)).asnumpy()
        np.testing.assert_allclose(found, exact.logpdf(value), rtol=tolerance, atol=tolerance)
    draws = prior.sample(np.random.RandomState(2), (5000,))
    assert stats.kstest(draws, exact.cdf).pvalue > 1e-3


class WithPriors(mx.gluon.HybridBlock):
    """A likelihood with the priors of its parameters."""

    def __init__(self, jacobian, **kwargs):
        super().__init__(**kwargs)
        self.layer = gl.GPLikelihoodLayer(k.RBF(1.7, [0.8, 1.9]), "linear", noise_variance=0.3)
        self.layer.kernel.lengthscale.prior = priors.InverseGamma(3.5, 1.3)
        self.layer.kernel.variance.prior = priors.HalfCauchy(1.7)
        self.layer.noise_variance.prior = priors.LogNormal(-1.0, 0.5)
        self.layer.mean.bias.prior = priors.Normal(0.2, 0.5)
        self.priors = priors.PriorLoss(self.layer, jacobian=jacobian)

    def hybrid_forward(self, F, x, y):
        return self.priors(self.layer(x, y))


@pytest.mark.parametrize("jacobian", [pytest.param(False, marks=pytest.mark.slow), True])
def test_loss_in_every_mode(jacobian, tmp_path):
    def oracle(x, y, block):
        density = stats.invgamma(3.5, scale=1.3).logpdf([0.8, 1.9]).sum()
        density += stats.halfcauchy(scale=1.7).logpdf(1.7)
        density += stats.lognorm(0.5, scale=np.exp(-1)).logpdf(0.3) + stats.norm(0.2, 0.5).logpdf(0)
        if jacobian:
            # θ = lower + exp(ξ): dθ/dξ = θ - lower.
            density += np.log([0.8 - 1e-12, 1.9 - 1e-12, 1.7 - 1e-12, 0.3 - 1e-10]).sum()
        return block.layer(*nd(x, y)).asnumpy() - density / len(y)

    cases = [data(2, 5, 2), data(1, 4, 2, seed=5)]
    check_block(lambda: WithPriors(jacobian), cases, tmp_path, oracle)


def test_a_prior_moves_what_is_learnt():
    """A normal mean with a normal prior: the maximum a posteriori in closed form."""
    prior = priors.Normal(1.0, 0.5)
    layer = gl.GPLikelihoodLayer(k.White(0.4), "constant", noise_variance=None)
    layer.mean.constant.prior = prior
    loss = ready(priors.PriorLoss(layer))
    x, y = data(1, 9, 1)
    for parameter in layer.kernel.collect_params().values():
        parameter.grad_req = "null"
    trainer = mx.gluon.Trainer(layer.collect_params(), "sgd", {"learning_rate": 0.03})
    for _ in range(60):
        with mx.autograd.record():
            value = loss(layer(*nd(x, y)))
        value.backward()
        trainer.step(1)
    exact = (y.sum() / 0.4 + 1.0 / 0.25) / (9 / 0.4 + 1 / 0.25)
    assert abs(layer.mean.constant.data().asscalar() - exact) < 1e-8


def test_draws_for_restarts():
    layer = WithPriors(False)
    first = priors.draw_from_priors(layer.layer.kernel, seed=1)
    assert len(first) == 2 and layer.layer.kernel.lengthscale.shape == (2,)
    layer = ready(layer)
    layer(*nd(*data(1, 4, 2)))
    drawn = [priors.draw_from_priors(layer, seed=s) for s in (1, 1, 2)]
    assert sorted(drawn[0]) == sorted(priors.parameters_with_priors(layer))
    for name, value in drawn[0].items():
        assert np.array_equal(value, drawn[1][name])
        assert not np.array_equal(value, drawn[2][name])
    for name, parameter in priors.parameters_with_priors(layer).items():
        found = parameter.value() if hasattr(parameter, "value") else parameter.data().asnumpy()
        np.testing.assert_allclose(found, drawn[2][name], rtol=1e-12)
    # One of which most draws are below the least value.
    layer.layer.noise_variance.lower = 0.05
    layer.layer.noise_variance.prior = priors.HalfNormal(0.02)
    value = [
        priors.draw_from_priors(layer, seed=s)[layer.layer.noise_variance.name] for s in (1, 2)
    ]
    assert min(value) > 0.05


def test_a_prior_is_copied_with_its_parameter():
    layer = WithPriors(False).layer
    assert copy.deepcopy(layer).kernel.variance.prior.arguments == {"scale": 1.7}
    assert repr(layer.kernel.variance.prior) == "HalfCauchy(scale=1.7)"


def test_errors():
    layer = gl.GPLikelihoodLayer(k.RBF(), "linear")
    with pytest.raises(ValueError, match="no parameter"):
        priors.PriorLoss(layer)
    layer.mean.bias.prior = priors.Gamma(2.0, 1.0)
    with pytest.raises(ValueError, match="any sign"):
        priors.PriorLoss(layer)
    layer.mean.bias.prior = stats.norm(0, 1)
    with pytest.raises(TypeError, match="gluon_linalg.priors"):
        priors.draw_from_priors(layer)
    for make in (
        lambda: priors.Gamma(0.0, 1.0),
        lambda: priors.Normal(np.nan, 1.0),
        lambda: priors.HalfCauchy(-1.0),
        lambda: priors.LogNormal(0.0, np.inf),
    ):
        with pytest.raises(ValueError, match="expected a"):
            make()
    layer.mean.bias.prior = None
    layer.kernel.variance.lower = 5.0
    layer.kernel.variance.prior = priors.HalfNormal(0.1)
    with pytest.raises(ValueError, match="no value above"):
        priors.draw_from_priors(layer, seed=0)


@pytest.mark.parametrize(
    "prior",
    [
        priors.LogNormal(0.3, 0.7),
        priors.Gamma(2.0, 3.0),
        priors.InverseGamma(2.0, 3.0),
        priors.HalfNormal(1.5),
        priors.HalfCauchy(1.5),
        priors.Normal(0.4, 1.3),
    ],
)
def test_in_another_unit(prior):
    """p of θ/u at t is u p(u t); only a number of any sign has an offset."""
    unit, offset = 2.5, 0.0 if prior.positive else 0.8
    values = mx.nd.array([0.2, 1.0, 3.0], dtype="float64")
    found = prior.over(unit, offset).log_density(mx.nd, values).asnumpy()
    expected = prior.log_density(mx.nd, unit * values + offset).asnumpy() + np.log(unit)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
