"""The posterior in state space form against the dense one."""

import mxnet as mx
import numpy as np
import pytest
import state_space_gp_reference as reference
from scipy.stats import multivariate_normal, norm
from test_state_space_gp import (
    KERNELS,
    NOISE,
    RANDOM,
    TIMES,
    VALUES,
    nd,
    ready,
    simple_covariance,
    simple_layer,
)

import gluon_linalg as gl
from gluon_linalg import kernels as k
from gluon_linalg.blocks.explaining import listed
from harness import check_block
from plain_mxnet import run_plain

# Before, after, at, between and beside the data, in no order.
NEW = np.array([[0.3, -2.0, 0.2, 1e4, 0.2 + 3e-7, 703.0, TIMES[-1], 5.0, 0.3]])


@pytest.mark.parametrize("name", KERNELS)
def test_posterior_of_the_dense_process(name):
    kernel, formula, values = KERNELS[name]
    layer = gl.StateSpaceGPLayer(kernel(), noise_variance=NOISE, periodic_order=9)
    layer = ready(layer)
    mean, variance = reference.posterior(formula, TIMES, VALUES, values, NOISE, NEW[0])
    for noise in (False, True):
        predictor = layer.condition(TIMES, VALUES, include_noise=noise)
        found = [array.asnumpy()[0] for array in predictor(nd(NEW))]
        np.testing.assert_allclose(found[0], mean, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found[1], variance + NOISE * noise, rtol=1e-8, atol=1e-9)


X = np.array([[0.1, 0.5, 0.5, 1.7], [-1.0, 3.0, 3.4, 9.0]])
Y = RANDOM.randn(2, 4)


class InDtype:
    """A factory whose block is conditioned in the dtype that the harness casts it to."""

    def __init__(self, view=None, **options):
        self.view, self.options = view, options

    def of(self, dtype):
        layer = ready(simple_layer(**self.options), dtype)
        found = layer.condition(*nd(X, Y, dtype=dtype), include_noise=True)
        return found.view(self.view) if self.view else found

    def __call__(self):
        block = self.of("float64")
        block.cast = lambda dtype: block.__dict__.update(self.of(dtype).__dict__)
        return block


def dense_posterior(new):
    """Mean and covariance given X and Y."""
    both = simple_covariance(np.concatenate([X, new], axis=1))
    known, across, own = both[:, :4, :4] + 0.3 * np.eye(4), both[:, :4, 4:], both[:, 4:, 4:]
    solved = np.linalg.solve(known, across)
    return np.einsum("bij,bi->bj", solved, Y), own - np.einsum("bij,bik->bjk", across, solved)


CASES = [[np.array([[0.7, -3.0, 2.0], [0.0, 9.5, 3.1]])], [RANDOM.uniform(-2, 9, (2, 6))]]


def test_modes(tmp_path):
    """Also without loops: a graph of any number of new times."""

    def oracle(new, _):
        mean, covariance = dense_posterior(new)
        return mean, covariance.diagonal(axis1=1, axis2=2) + 0.3

    check_block(InDtype(), CASES, tmp_path, oracle)


@pytest.mark.slow
def test_covariances_in_all_modes(tmp_path):
    """A graph for any number of new times, between and beside the data, which exports."""
    cases = [CASES[0], [np.array([[0.5, 0.1, 0.3, 0.5, -2.0], [3.2, 3.1, 12.0, 9.0, 8.0]])]]
    oracle = lambda new, _: dense_posterior(new)[1]  # noqa: E731
    check_block(InDtype("covariance"), cases, tmp_path, oracle)


@pytest.mark.slow
def test_draws_in_all_modes(tmp_path):
    def oracle(new, noise, _):
        mean, covariance = dense_posterior(new)
        return np.linalg.cholesky(covariance) @ noise + mean[:, :, None]

    cases = [[*case, RANDOM.randn(2, case[0].shape[1], 3)] for case in CASES]
    check_block(InDtype("samples"), cases, tmp_path, oracle, oracle_tolerance=1e-9)


VIEWS = {
    "samples": RANDOM.randn(2, 6, 3),
    "joint_log_density": RANDOM.randn(2, 6),
    "gradient": None,
    "covariance": None,
    "log_density": RANDOM.randn(2, 6),
    "derivative": None,
}
SLOW = ["covariance", "log_density", "derivative"]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in VIEWS]
)
def test_views_on_plain_mxnet(name, tmp_path):
    """With a mask and a mean; the call has no arrays of the views."""
    rough = k.Matern12(1.3, 0.9) * k.Cosine(0.8, 1.2) + k.White(0.2)
    kernel = k.Matern32(1.3, 0.9) * k.Cosine(0.8, 1.2) if name == "derivative" else rough
    layer = gl.StateSpaceGPLayer(kernel, "linear", 0.2)
    seen = np.array([[1.0, 1, 0, 1], [1, 0, 1, 1]])
    predictor = ready(layer).condition(X, np.where(seen, Y, np.nan), mask=seen)
    own = ("closings", "steps", "noise_variance")
    assert not any(n.endswith(own) for n in predictor.collect_params())
    given = [a for a in (CASES[1][0], VIEWS[name]) if a is not None]
    arrays, view = [nd(a) for a in given], predictor.view(name)
    columns = listed(view(arrays[0].expand_dims(axis=2), *arrays[1:]))
    view.hybridize()
    expected = listed(view(*arrays))
    gl.export(view, str(tmp_path / "view"), *arrays)
    found = run_plain(tmp_path / "view", given, "float64", tmp_path)
    for column, right, plain in zip(columns, expected, found):
        np.testing.assert_array_equal(column.asnumpy(), right.asnumpy().reshape(column.shape))
        np.testing.assert_allclose(plain, right.asnumpy(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("noise", [False, True])
def test_densities_of_new_values(noise):
    predictor = ready(simple_layer()).condition(X, Y, include_noise=noise)
    new, y = CASES[1][0], VIEWS["log_density"]
    mean, covariance = dense_posterior(new)
    covariance = covariance + 0.3 * np.eye(6)
    deviation = np.sqrt(covariance.diagonal(axis1=1, axis2=2))
    each = predictor.log_density(*nd(new, y)).asnumpy()
    np.testing.assert_allclose(each, norm.logpdf(y, mean, deviation), rtol=1e-11)
    joint = predictor.joint_log_density(*nd(new, y)).asnumpy()
    right = [multivariate_normal.logpdf(*row) for row in zip(y, mean, covariance)]
    np.testing.assert_allclose(joint, right, rtol=1e-10)


SMOOTH = {
    "matern32": lambda: k.Matern32(1.3, 0.9),
    "matern72": lambda: k.Matern72(1.3, 0.9),
    "waves": lambda: k.Periodic(1.2, 1.5, 2.3) + k.Cosine(1.3, 2.2),
    "polynomial": lambda: k.Polynomial(2, 0.5, 1.3, 0.7) + k.Linear(0.4) + k.Constant(2.0),
    "product": lambda: k.Matern52(1.3, 0.9) * k.Linear() + 0.7 * (k.Matern32() * k.Cosine()),
    "batch": lambda: k.Batched(k.Matern32(1.3, 0.9), 2),
}
ROUGH = {
    "matern12": lambda: k.Matern12(1.3, 0.9),
    "among others": lambda: k.Matern12(1.3, 0.9) * k.Cosine(1.0, 2.2) + k.White(0.3) + k.RBF(),
}


@pytest.mark.parametrize("name", [*SMOOTH, *ROUGH])
def test_derivatives_in_time_are_those_of_the_dense_process(name):
    """Also beside the data, at their times, and at two times that are equal."""
    kernel, found = {**SMOOTH, **ROUGH}[name], []
    seen = np.array([[1.0, 1, 1, 1], [1, 0, 1, 1]])
    new = np.array([[0.5, 0.1, 0.3, 1.7, -1.0], [3.0, 9.5, 3.4, 3.2, 9.0]])
    for cls, x in ((gl.StateSpaceGPLayer, X), (gl.GPLikelihoodLayer, X[:, :, None])):
        options = {"rbf_order": 9, "periodic_order": 12} if cls is gl.StateSpaceGPLayer else {}
        layer = ready(cls(kernel(), "linear", noise_variance=0.2, **options))
        layer(*nd(x, Y))
        layer.mean.weight.set_data(nd([[0.3]]))
        predictor, times = layer.condition(x, Y, mask=seen), nd(new[:, :, None])
        found.append([*predictor.gradient(times)])
        if name in SMOOTH:
            found[-1] += predictor.derivative(times)
            continue
        with pytest.raises(ValueError, match="kernel Matern12 have no derivative"):
            predictor.derivative(times)
    # What an RBF of 9 states leaves out.
    tolerance = 1e-4 if name == "among others" else 1e-10
    for one, right in zip(*found):
        assert one.shape == right.shape
        np.testing.assert_allclose(one.asnumpy(), right.asnumpy(), rtol=1e-9, atol=tolerance)


def test_another_device():
    """All arrays follow `reset_ctx`, also those that views alone read."""
    predictor = ready(simple_layer()).condition(X, Y)
    other = mx.cpu(1)
    predictor.collect_params().reset_ctx(other)
    times, y = (a.as_in_context(other) for a in nd(CASES[1][0], RANDOM.randn(2, 6)))
    for found in (
        predictor(times)[0],
        predictor.covariance(times),
        predictor.sample(times, 2),
        predictor.joint_log_density(times, y),
        predictor.view("log_density")(times, y),
        predictor.leave_one_out().mean,
    ):
        assert found.context == other


def test_gradients_at_the_times_of_data():
    """Of moments and covariances by new times that are those of data, and by one another's."""
    layer = ready(gl.StateSpaceGPLayer(k.Matern32(1.3, 0.9), noise_variance=0.2))
    dense = ready(gl.GPLikelihoodLayer(k.Matern32(1.3, 0.9), noise_variance=0.2))
    new, found = np.array([[0.5, 0.1, 0.3, 1.7, 0.5], [3.4, -1.0, 9.0, 3.0, -2.0]]), []
    weights = nd(RANDOM.randn(2, 5)), nd(RANDOM.randn(2, 5, 5))
    for predictor in (layer.condition(X, Y), dense.condition(X[:, :, None], Y)):
        times = nd(new[:, :, None])
        times.attach_grad()
        with mx.autograd.record():
            (mean, variance), whole = predictor(times), predictor.covariance(times)
            total = ((mean + variance) * weights[0]).sum() + (whole * weights[1]).sum()
        total.backward()
        found.append(times.grad.asnumpy()[:, :, 0])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-9)


def test_leave_one_out():
    seen = np.array([[1, 1, 0, 1, 1, 1.0]])
    x, y = np.array([[0.0, 0.0, 0.3, 0.9, 2.0, 7.0]]), RANDOM.randn(1, 6)
    layer = ready(simple_layer())
    mean, variance = (a.asnumpy()[0] for a in layer.condition(x, y, mask=seen).leave_one_out())
    covariance = simple_covariance(x)[0] + 0.3 * np.eye(6)
    for i in range(6):
        if not seen[0, i]:
            assert np.isnan([mean[i], variance[i]]).all()
            continue
        keep = (np.arange(6) != i) & (seen[0] == 1)
        solved = np.linalg.solve(covariance[np.ix_(keep, keep)], covariance[keep, i])
        assert abs(mean[i] - solved @ y[0, keep]) < 1e-12
        assert abs(variance[i] - (covariance[i, i] - solved @ covariance[keep, i])) < 1e-12


def test_data_as_people_have_them():
    """With or without batch axis and column, of NumPy; masked data tell nothing."""
    layer = ready(simple_layer(), "float32")
    expected = layer.condition(TIMES, VALUES)(nd(NEW, dtype="float32"))[0].asnumpy()
    x = np.append(TIMES, TIMES[-1])
    y, seen = np.append(VALUES, np.nan), np.append(np.ones(12), 0.0)
    for data in (
        (TIMES[None, :, None], VALUES[None, :, None]),
        (TIMES[:, None], VALUES),
        (list(TIMES), nd(VALUES, dtype="float32")),
        (x, y, None, seen),
    ):
        found = layer.condition(*data)(nd(NEW[..., None], dtype="float32"))[0].asnumpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_bad_times_and_batches():
    predictor = ready(simple_layer()).condition(X, Y)
    with pytest.raises(gl.errors.NonFiniteError, match="statespacegppredictor.*number 1"):
        predictor(nd([[0.0, np.nan], [0.0, 1.0]]))
    with pytest.raises(gl.errors.ShapeError, match="batch 1; the data .* batch 2"):
        predictor(nd([[0.0]]))
    with pytest.raises(gl.errors.DtypeError, match="condition again"):
        predictor.cast("float32")
    with pytest.raises(ValueError, match="include_noise needs"):
        layer = gl.StateSpaceGPLayer(k.Matern12(), noise_variance=None)
        ready(layer).condition(X[1:], Y[1:], include_noise=True)


def test_without_noise_it_passes_through_the_data():
    layer = ready(gl.StateSpaceGPLayer(k.Matern32(1.3, 0.7), noise_variance=None))
    mean, variance = (a.asnumpy() for a in layer.condition(X[1:], Y[1:])(nd(X[1:])))
    np.testing.assert_allclose(mean, Y[1:], atol=1e-13)
    assert (variance > 0).all() and (variance < 1e-12).all()


@pytest.mark.parametrize(
    "name", ["matern52", "sum", pytest.param("product", marks=pytest.mark.slow)]
)
def test_several_times_together(name):
    """Covariances of the dense process, and draws that have its moments."""
    kernel, formula, values = KERNELS[name]
    seen = (np.arange(len(TIMES)) % 5 != 2).astype(float)
    layer = ready(gl.StateSpaceGPLayer(kernel(), noise_variance=NOISE, periodic_order=9))
    predictor = layer.condition(TIMES, np.where(seen, VALUES, np.nan), mask=seen)
    known, new = TIMES[seen == 1], NEW[0]
    dense = np.array(
        [[float(formula(s, t, *values)) for t in np.r_[known, new]] for s in np.r_[known, new]]
    )
    n = len(known)
    across = dense[:n, n:]
    solved = np.linalg.solve(dense[:n, :n] + NOISE * np.eye(n), np.c_[across, VALUES[seen == 1]])
    expected = dense[n:, n:] - across.T @ solved[:, :-1]
    found = predictor.covariance(nd(NEW)).asnumpy()[0]
    np.testing.assert_allclose(found, expected, atol=2e-8)
    size, mean = 500, across.T @ solved[:, -1]
    mx.random.seed(3)
    drawn = predictor.sample(nd(NEW), size).asnumpy()[:, 0]
    spread = np.sqrt(np.maximum(expected.diagonal(), 1e-12))
    assert (np.abs(drawn.mean(axis=0) - mean) < 6.0 * spread / size**0.5 + 1e-6).all()
    error = np.abs(np.cov(drawn.T) - expected) / np.outer(spread, spread)
    assert error.max() < 6.0 * (2.0 / size) ** 0.5
