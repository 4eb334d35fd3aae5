"""Every predictor of one process and every view of it in the five modes, on both backends."""

import mxnet as mx
import numpy as np
import pytest
from test_gp import data, nd, ready
from test_posterior import FOLDS, NEW, NEW_Y, POINTS, X, Y, exact, sparse

import gluon_linalg as gl
from gluon_linalg import kernels as k
from harness import check_block

RANDOM = np.random.RandomState(12)
FEW, FEW_Y = data(2, 3, 2, seed=6)
TIMES = np.sort(RANDOM.uniform(0.0, 5.0, (2, 5)), axis=1)
NEW_TIMES = [np.array([[0.5, 6.0], [-1.0, 3.3]]), RANDOM.uniform(-1.0, 6.0, (2, 3))]


def svgp(likelihood, dtype="float64"):
    points = POINTS[:3]
    layer = ready(gl.SVGPLikelihoodLayer(k.RBF(1.7, 0.8), points, likelihood(), batch=2), dtype)
    random = np.random.RandomState(4)
    for parameter in (layer.variational_mean, layer.variational_factor):
        moved = parameter.data().asnumpy() + 0.3 * random.randn(*parameter.shape)
        parameter.set_data(mx.nd.array(moved, dtype=dtype))
    return layer.predictor()


def labels(dtype="float64"):
    return svgp(gl.likelihoods.Bernoulli, dtype)


def two_latents(dtype="float64"):
    return svgp(gl.likelihoods.HeteroscedasticGaussian, dtype)


def few_points(dtype="float64"):
    return sparse(points=POINTS, dtype=dtype)


def states(dtype="float64"):
    layer = gl.StateSpaceGPLayer(k.Matern32(1.3, 0.9), noise_variance=0.2)
    return ready(layer, dtype).condition(TIMES, Y[:, :5])


MAKERS = {
    "exact": exact,
    "sparse": few_points,
    "labels": labels,
    "two latents": two_latents,
    "states": states,
}
# The arguments of each view, twice, of 4 new points and of 3.
INPUTS = {
    "call": [[NEW], [FEW]],
    "mean": [[NEW], [FEW]],
    "variance": [[NEW], [FEW]],
    "covariance": [[NEW], [FEW]],
    "samples": [[NEW, RANDOM.randn(2, 4, 2)], [FEW, RANDOM.randn(2, 3, 4)]],
    "log_density": [[NEW, NEW_Y], [FEW, FEW_Y]],
    "joint_log_density": [[NEW, NEW_Y], [FEW, FEW_Y]],
    "gradient": [[NEW], [FEW]],
    "derivative": [[NEW], [FEW]],
    "negative_log_likelihood": [[Y], [-2.0 * Y]],
    "cross_validation": [[Y], [-2.0 * Y]],
}
# What is given with times.
STATES = {
    "samples": [[NEW[:, :2]], [FEW]],
    "log_density": [[NEW_Y[:, :2]], [FEW_Y]],
    "joint_log_density": [[NEW_Y[:, :2]], [FEW_Y]],
}
OPTIONS = {("exact", "cross_validation"): {"folds": FOLDS}}
# Where other files have the check.
ELSEWHERE = {
    ("exact", "call"): "test_gp_predictor.py",
    ("exact", "derivative"): "test_posterior.py",
    ("exact", "cross_validation"): "test_posterior.py",
    ("exact", "covariance"): "test_posterior.py",
    ("exact", "gradient"): "test_posterior.py",
    ("sparse", "call"): "test_sparse_gp.py",
    ("sparse", "joint_log_density"): "test_posterior.py",
    ("sparse", "gradient"): "test_posterior.py",
    ("labels", "call"): "test_svgp.py",
    ("states", "call"): "test_state_space_gp_predictor.py",
    ("states", "covariance"): "test_state_space_gp_predictor.py",
    ("states", "samples"): "test_state_space_gp_predictor.py",
}
# What has no meaning: labels have no joint density, an SVGP predictor has no data of its own.
WITHOUT = {
    ("labels", "joint_log_density"),
    ("two latents", "joint_log_density"),
    ("labels", "cross_validation"),
    ("two latents", "cross_validation"),
}
ROWS = [
    (maker, view)
    for maker, make in MAKERS.items()
    for view in ("call", *make().views)
    if (maker, view) not in ELSEWHERE and (maker, view) not in WITHOUT
]


def inputs_of(maker, view):
    cases = INPUTS[view]
    if maker == "states":
        others = STATES.get(view, [[], []])
        return [[times, *rest] for times, rest in zip(NEW_TIMES, others)]
    if maker == "sparse" and view == "cross_validation":
        return [[X, Y], [X[:, :5], Y[:, :5]]]
    if maker == "labels" and view == "log_density":
        return [[x] for x, _ in cases]
    if maker == "two latents" and view == "samples":
        return [[x, np.concatenate([noise, -noise], axis=2)] for x, noise in cases]
    return cases


class OfLabels(mx.gluon.HybridBlock):
    """(x, y) -> log p(y) of labels that x tells: they have no differences."""

    def __init__(self, view):
        super().__init__()
        self.view = view

    def hybrid_forward(self, F, x):
        labels = F.slice_axis(F.BlockGrad(x), axis=2, begin=0, end=1) > 0.0
        return self.view(x, F.reshape(labels, shape=(0, -1)))


class InDtype:
    """A factory whose block is made in the dtype that the harness casts it to."""

    def __init__(self, maker, view):
        self.maker, self.make, self.view = maker, MAKERS[maker], view
        self.options = OPTIONS.get((maker, view), {})

    def of(self, dtype):
        found = self.make(dtype=dtype)
        if self.view == "call":
            return found
        found = found.view(self.view, **self.options)
        return OfLabels(found) if (self.maker, self.view) == ("labels", "log_density") else found

    def __call__(self):
        block = self.of("float64")
        block.cast = lambda dtype: block.__dict__.update(self.of(dtype).__dict__)
        return block


@pytest.mark.slow
@pytest.mark.parametrize("maker, view", ROWS)
def test_in_all_modes(maker, view, tmp_path):
    check_block(InDtype(maker, view), inputs_of(maker, view), tmp_path)


def test_what_has_no_meaning_says_so():
    for maker, view in WITHOUT:
        predictor = MAKERS[maker]()
        arrays = [NEW, NEW_Y] if view == "joint_log_density" else [NEW, NEW_Y]
        with pytest.raises(TypeError, match="normal noise|one latent"):
            getattr(predictor, view)(*nd(*arrays))


def test_every_view_has_a_row():
    """A new predictor or view without a check in all modes is found here."""
    known = {type(make()) for make in MAKERS.values()}
    every = {cls for cls in _below(gl.blocks.views.Viewed) if not cls.__subclasses__()}
    # Several outputs have tables of their own; what a test makes is its own, too.
    every = {cls for cls in every if cls.__module__.startswith("gluon_linalg")}
    assert every - known == {cls for cls in every if "multi_output" in cls.__module__}
    named = {*ROWS, *ELSEWHERE, *WITHOUT}
    for maker, make in MAKERS.items():
        for view in make().views:
            assert (maker, view) in named
            assert view in INPUTS


def _below(cls):
    for part in cls.__subclasses__():
        yield part
        yield from _below(part)
