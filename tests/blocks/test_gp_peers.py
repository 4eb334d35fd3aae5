"""Sparse processes, likelihoods and kernels against GPflow and GPyTorch on fixed parameters."""

import mxnet as mx
import numpy as np
import peer_references as peers
import pytest

import gluon_linalg as gl
from gluon_linalg import kernels, likelihoods

STORED = peers.stored()
GPFLOW, GPYTORCH = STORED["gpflow"], STORED["gpytorch"]
LAYERS = {"sgpr": gl.SGPRLikelihoodLayer, "fitc": gl.FITCLikelihoodLayer}
# GPflow adds 1e-6 to the probability of each ordered class; log_normal_cdf of GPyTorch is off by
# up to 9e-4 of itself.
OWN_ERRORS = {("gpflow", "ordinal"): 1e-5, ("gpytorch", "probit"): 1e-4}
LIKELIHOODS = {
    "gaussian": lambda: likelihoods.Gaussian(peers.NOISE),
    "student": lambda: likelihoods.StudentT(peers.SCALE, peers.FREEDOM),
    "probit": likelihoods.Bernoulli,
    "logit": lambda: likelihoods.Bernoulli("logit"),
    "poisson": likelihoods.Poisson,
    "negative binomial": lambda: likelihoods.NegativeBinomial(peers.DISPERSION),
    "ordinal": lambda: likelihoods.Ordinal(peers.CUTS),
}


def nd(values):
    return mx.nd.array(values, dtype="float64")


def ready(block):
    block.initialize()
    block.cast("float64")
    return block


def close(found, expected, tolerance=1e-8):
    found = found.asnumpy()[0] if isinstance(found, mx.nd.NDArray) else found
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def rbf():
    return kernels.RBF(peers.VARIANCE, peers.LENGTHSCALE)


@pytest.mark.parametrize("name", LAYERS)
def test_collapsed(name):
    """The bound, its derivatives, and the posterior: GPflow's, and GPyTorch's bound and mean."""
    expected = GPFLOW[name]
    layer = ready(LAYERS[name](rbf(), peers.Z, noise_variance=peers.NOISE, jitter=0.0))
    x, y, new = nd(peers.X[None]), nd(peers.Y[None]), nd(peers.NEW[None])
    with mx.autograd.record():
        value = layer(x, y)
    value.backward()
    close(-value, expected["value"])
    natural = {
        "variance": layer.kernel.variance,
        "lengthscale": layer.kernel.lengthscale,
        "noise": layer.noise_variance,
    }
    for key, parameter in natural.items():
        # What is stored is the logarithm of what is above the lower bound.
        slope = -parameter.grad().asnumpy() / (parameter.value() - parameter.lower)
        close(slope, np.reshape(expected[f"{key}_slope"], -1), 1e-7)
    close(-layer.inducing_points.grad(), expected["inducing_slope"], 1e-7)
    predictor = layer.condition(x, y)
    mean, variance = predictor(new)
    close(mean, expected["mean"])
    close(variance, expected["variance"])
    close(predictor.covariance(new), expected["covariance"])
    close(predictor.log_density(new, y[:, :3]), expected["log_density"])
    if name == "sgpr":
        close(-value, GPYTORCH["sgpr"]["value"])
        close(mean, GPYTORCH["sgpr"]["mean"])


@pytest.mark.parametrize("peer", sorted(STORED))
@pytest.mark.parametrize("name, targets", [("gaussian", peers.Y), ("probit", peers.LABELS)])
def test_variational(name, targets, peer):
    """The bound of a batch of more observations, and the posterior, of a q that is not optimal."""
    expected = STORED[peer][f"svgp {name}"]
    likelihood = LIKELIHOODS[name]()
    layer = gl.SVGPLikelihoodLayer(rbf(), peers.Z, likelihood, count=peers.TOTAL, jitter=0.0)
    ready(layer)
    layer.variational_mean.set_data(nd(peers.WEIGHTS[None, :, None]))
    layer.variational_factor.set_data(nd(peers.ROOT[None, None]))
    bound = -layer(nd(peers.X[None]), nd(targets[None]))
    close(bound, expected["value"], OWN_ERRORS.get((peer, name), 1e-8))
    mean, variance = layer.predictor()(nd(peers.NEW[None]))
    close(mean, expected["mean"])
    close(variance, expected["variance"])


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihood(name):
    """Expected and predictive log densities, and moments, of both where they have them."""
    block = ready(LIKELIHOODS[name]())
    data = nd(peers.MEAN[None]), nd(peers.SPREAD[None])
    y = nd(np.array(peers.TARGETS[name], dtype=float)[None])
    told = [peer for peer in STORED if name in STORED[peer]]
    assert told
    for peer in told:
        expected, tolerance = STORED[peer][name], OWN_ERRORS.get((peer, name), 1e-8)
        close(block(*data, y), expected["expected"], tolerance)
        close(block.predictive_log_density(mx.nd, *data, y), expected["density"], tolerance)
        if "mean" in expected:
            for found, key in zip(block.predictive_moments(mx.nd, *data), ("mean", "variance")):
                close(found, expected[key])


def test_likelihoods_of_several_processes():
    two = ready(likelihoods.HeteroscedasticGaussian())
    data, expected = (
        (nd(peers.TWO_MEAN[None]), nd(peers.TWO_SPREAD[None])),
        GPFLOW["heteroscedastic"],
    )
    y = nd(np.array(peers.TARGETS["gaussian"])[None])
    close(two(*data, y), expected["expected"])
    close(two.predictive_log_density(mx.nd, *data, y), expected["density"])
    first, second = two.predictive_moments(mx.nd, *data)
    close(first, expected["mean"])
    close(second, expected["variance"])
    soft = ready(likelihoods.Categorical(3, points=64, steps=128))
    data, expected = (nd(peers.THREE_MEAN[None]), nd(peers.THREE_SPREAD[None])), GPFLOW["softmax"]
    y = nd(peers.CLASSES.astype(float)[None])
    close(soft(*data, y), expected["expected"])
    close(soft.predictive_log_density(mx.nd, *data, y), expected["density"])


V, L = peers.VARIANCE, peers.LENGTHSCALE
KERNELS = {
    "Matern12": lambda: kernels.Matern12(V, L),
    "Matern32": lambda: kernels.Matern32(V, L),
    "Matern52": lambda: kernels.Matern52(V, L),
    "RationalQuadratic": lambda: kernels.RationalQuadratic(V, L, 0.6),
    # GPflow's lengthscale is half of MacKay's.
    "Periodic": lambda: kernels.Periodic(V, 2 * 0.7, 1.7, active_dims=[0]),
    "Cosine": lambda: kernels.Cosine(V, L),
    "Linear": lambda: kernels.Linear(L),
    "Polynomial": lambda: kernels.Polynomial(3, 1.0, V**-0.5, 0.4),
    "ArcCosine0": lambda: kernels.ArcCosine(0, 1.3, L),
    "ArcCosine1": lambda: kernels.ArcCosine(1, 1.3, L),
    "ArcCosine2": lambda: kernels.ArcCosine(2, 1.3, L),
    "ChangePoint": lambda: kernels.ChangePoint(
        kernels.RBF(1.3, 0.7), kernels.Matern32(0.6, 1.4), 0.3, 0.25
    ),
}


@pytest.mark.parametrize("name", GPFLOW["kernels"])
def test_kernel(name):
    columns = 1 if name == "ChangePoint" else 2
    close(ready(KERNELS[name]())(nd(peers.X[None, :, :columns])), GPFLOW["kernels"][name])


def test_coregion():
    """Labels in a column, and in the layer of several outputs with a mask: one covariance."""
    labels = kernels.Categorical(3, 1, peers.MIXING, peers.KAPPA, active_dims=[2])
    kernel = kernels.RBF(V, L, active_dims=[0, 1]) * labels
    layer = ready(gl.GPLikelihoodLayer(kernel, noise_variance=peers.NOISE))
    x = nd(np.column_stack([peers.X, peers.TASKS])[None])
    close(kernel(x), GPFLOW["coregion"]["kernel"])
    close(-layer(x, nd(peers.Y[None])), GPFLOW["coregion"]["value"])
    own = gl.Coregionalization(3, 1, peers.MIXING, peers.KAPPA)
    several = gl.MultiOutputGPLikelihoodLayer(
        rbf(), 3, coregionalization=own, noise_variance=peers.NOISE
    )
    seen = np.eye(3)[peers.TASKS][None]
    y = np.where(seen == 1, peers.Y[None, :, None], np.nan)
    value = ready(several)(nd(peers.X[None]), nd(y), mask=nd(seen))
    close(-value, GPFLOW["coregion"]["value"])
