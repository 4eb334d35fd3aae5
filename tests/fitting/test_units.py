"""`fit` of the same data in other units: loss(c y) = loss(y) + n log c, at the same model."""

import re
import unicodedata

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import kernels
from gluon_linalg.errors import suggestion
from gluon_linalg.jobs.reading import read_job


def data(n=40):
    random = np.random.RandomState(0)
    x = np.sort(random.uniform(0, 10, n))[:, None]
    return x, np.sin(x[:, 0]) + 0.1 * random.randn(n)


LAYERS = {
    "exact": lambda x: gl.GPLikelihoodLayer(kernels.RBF(), mean="constant"),
    "composed": lambda x: gl.GPLikelihoodLayer(
        kernels.RBF() * kernels.Matern52() + kernels.Linear(), mean="linear"
    ),
    "sparse": lambda x: gl.SGPRLikelihoodLayer(kernels.RBF(), x[::5].copy()),
    "in time": lambda x: gl.StateSpaceGPLayer(kernels.Matern32()),
    "regression": lambda x: gl.BLRLikelihoodLayer(),
}


def fitted(kind, x, y):
    layer = LAYERS[kind](x)
    layer.initialize()
    layer.cast("float64")
    return gl.fit(layer, x[:, 0] if kind == "in time" else x, y)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_fit_in_other_units_is_the_same_fit(kind):
    x, y = data()
    expected = fitted(kind, x, y)
    for unit, length in ((1e9, 1.0), (1e-2, 1e6), (1.0, 1e-6)):
        found = fitted(kind, length * x, unit * y)
        assert found.converged
        np.testing.assert_allclose(
            found.loss - len(y) * np.log(unit), expected.loss, rtol=0, atol=1e-6
        )


def test_the_regression_is_that_of_the_closed_form():
    x, y = 1e6 * data()[0], 1e9 * data()[1]
    layer = LAYERS["regression"](x)
    layer.initialize()
    layer.cast("float64")
    found = gl.fit(layer, x, y)
    prior, noise = (found.parameters[name][0] for name in ("prior_variance", "noise_variance"))
    unit = 1e9
    matrix = (prior * x @ x.T + noise * np.eye(len(y))) / unit**2
    value = 0.5 * (y / unit @ np.linalg.solve(matrix, y / unit) + np.linalg.slogdet(matrix)[1])
    value += len(y) * (0.5 * np.log(2 * np.pi) + np.log(unit))
    np.testing.assert_allclose(found.loss, value, rtol=1e-9)


def test_what_was_set_begins_where_it_was_set():
    x, y = data()
    layer = gl.GPLikelihoodLayer(2.0 * kernels.RBF(lengthscale=1.0), noise_variance=1.0)
    layer.initialize()
    layer.cast("float64")
    layer.kernel.kernel.variance.grad_req = "null"
    arrays = (mx.nd.array(array[None], dtype="float64") for array in (x, 1e3 * y))
    expected = layer(*arrays)
    found = gl.fit(layer, x, 1e3 * y, iterations=1)
    np.testing.assert_allclose(found.start_loss, expected.asscalar(), rtol=1e-12)
    assert layer.kernel.kernel.variance.value() == 1.0


def test_at_the_lower_end_of_a_variance_nothing_has_converged():
    x, y = data()
    with pytest.warns(UserWarning, match="noise_variance at the lower end"):
        found = fitted("exact", x, 1e-9 * y)
    assert not found.converged and "larger units" in found.message


def test_values_of_small_units_can_be_given():
    x, y = data()
    expected = fitted("exact", x, y)
    layer = gl.GPLikelihoodLayer(kernels.RBF(variance=1e-18), mean="constant", noise_variance=1e-18)
    layer.initialize()
    layer.cast("float64")
    found = gl.fit(layer, x, 1e-9 * y)
    assert found.converged
    np.testing.assert_allclose(found.loss - len(y) * np.log(1e-9), expected.loss, atol=1e-6)


def test_a_sum_of_kernels_and_a_number_beside_one():
    parts = [kernels.RBF(2.0), kernels.Constant(3.0)]
    total = sum(parts)
    total.initialize()
    assert total.diag(mx.nd.zeros((1, 1, 1))).asscalar() == 5.0
    for wrong in (lambda: parts[0] + 1, lambda: 1.5 + parts[0]):
        with pytest.raises(TypeError, match=r"kernels\.Constant\(1"):
            wrong()


def test_names_that_look_the_same():
    own = unicodedata.normalize("NFD", "größe")
    assert "Unicode" in suggestion("größe", ["x", own])
    assert "Unicode" not in suggestion("große", ["größe"])


def test_a_summary_has_the_parameters_of_the_kernel():
    x, y = data()
    layer = gl.GPLikelihoodLayer(kernels.RBF(variance=2.5), mean="constant", noise_variance=0.25)
    layer.initialize()
    text = gl.analyze(layer, x, y).summary()
    for line in (r"kernel\.variance +2\.5", r"noise_variance +0\.25", r"mean\.constant +0"):
        assert re.search(line, text), text


def test_a_path_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "job.yaml").write_text(
        "task: gp\ndata: {path: ~/d.csv, inputs: [x], target: y}\nmodel: {kernel: {rbf: {}}}\n"
        "output: ~/out\n"
    )
    job = read_job(str(tmp_path / "job.yaml"))
    assert (job.output, job.data.path) == (str(tmp_path / "out"), str(tmp_path / "d.csv"))
