"""`fit`: the optimum of every likelihood layer, and how a search is told what to do."""

import mxnet as mx
import numpy as np
import pytest
from scipy.optimize import minimize

import gluon_linalg as gl


def nile():
    from statsmodels.datasets import nile as dataset

    return dataset.load_pandas().data["volume"]


def regression(n=60, seed=0):
    random = np.random.RandomState(seed)
    x = np.sort(random.uniform(0, 4, size=(n, 1)), axis=0)
    return x, np.sin(2 * x[:, 0]) + 0.2 * random.normal(size=n)


def process(**keywords):
    layer = gl.GPLikelihoodLayer(gl.kernels.RBF(**keywords), noise_variance=1.0)
    layer.initialize()
    layer.cast("float64")
    return layer


def dense_loss(theta, x, y):
    """-log p(y) of the process in NumPy, of the logarithms of its three parameters."""
    variance, lengthscale, noise = np.exp(theta)
    square = (x - x.T) ** 2
    matrix = variance * np.exp(-0.5 * square / lengthscale**2) + noise * np.eye(len(y))
    _, log_determinant = np.linalg.slogdet(matrix)
    return 0.5 * (y @ np.linalg.solve(matrix, y) + log_determinant + len(y) * np.log(2 * np.pi))


@pytest.mark.parametrize("grad_req", ["write", "add"])
def test_the_optimum_is_that_of_a_dense_process(grad_req):
    x, y = regression()
    layer = process()
    layer.collect_params().setattr("grad_req", grad_req)
    result = gl.fit(layer, x, y)
    expected = minimize(dense_loss, np.zeros(3), args=(x, y), method="Nelder-Mead",
                        options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000})  # fmt: skip
    assert result.converged and result.loss == pytest.approx(expected.fun, abs=1e-7)
    names = ["kernel.variance", "kernel.lengthscale", "noise_variance"]
    found = [float(result.parameters[name].ravel()[0]) for name in names]
    np.testing.assert_allclose(found, np.exp(expected.x), rtol=1e-3)
    # The layer has them, and is called as before.
    assert layer.noise_variance.value() == pytest.approx(result.parameters["noise_variance"])
    assert not layer._active
    assert result.loss < result.start_loss == result.curve[0]
    assert result.iterations == len(result.curve) - 1 <= result.evaluations


def test_a_fit_inside_of_a_record():
    x, y = regression()
    layer = process()
    with mx.autograd.record():
        result = gl.fit(layer, x, y)
    assert result.loss == pytest.approx(gl.fit(process(), x, y).loss, rel=1e-12)


def test_pandas_and_arguments_by_name():
    y = nile()
    model = gl.StructuralModel(gl.structural.LocalLevel(1e3), noise_variance=1e4)
    model.initialize()
    model.cast("float64")
    result = gl.fit(model, y=y)
    # Durbin & Koopman 2012, table 2.1.
    assert result.parameters["noise_variance"] == pytest.approx(15099, rel=1e-3)
    assert result.observations == 100


def test_bounds_hold():
    x, y = regression()
    result = gl.fit(process(), x, y, bounds={"kernel.lengthscale": (1.5, 3.0)})
    assert result.parameters["kernel.lengthscale"] == pytest.approx(1.5, rel=1e-6)
    with pytest.raises(ValueError, match="bounds for lengthscale; the parameters are .*kernel"):
        gl.fit(process(), x, y, bounds={"lengthscale": (1.5, 3.0)})


def test_restarts_leave_a_local_minimum():
    x, y = regression()
    # So long a lengthscale calls everything noise.
    stuck = gl.fit(process(lengthscale=300.0, variance=1e-4), x, y)
    found = gl.fit(process(lengthscale=300.0, variance=1e-4), x, y, restarts=6, spread=4.0)
    assert found.loss < stuck.loss - 10
    again = gl.fit(process(lengthscale=300.0, variance=1e-4), x, y, restarts=6, spread=4.0)
    assert again.loss == found.loss


def test_a_gluon_optimizer_comes_to_the_same_place():
    x, y = regression()
    expected = gl.fit(process(), x, y)
    result = gl.fit(process(), x, y, method="adam", learning_rate=0.1, iterations=200)
    assert not result.converged
    assert result.loss == pytest.approx(expected.loss, abs=1e-2)
    assert result.loss == min(result.curve)


def test_an_objective_adds_a_penalty():
    x, y = regression()

    def penalized(layer, x, y):
        return layer(x, y).sum() + 100.0 * mx.nd.square(layer.noise_variance.data()).sum()

    result = gl.fit(process(), x, y, objective=penalized)
    assert 0.8 < result.parameters["noise_variance"] < 1.0
    assert np.isnan(result.aic)


def test_callbacks_and_patience_end_a_search():
    x, y = regression()
    told = []
    result = gl.fit(process(), x, y, callbacks=[lambda p: told.append(p) or p.iteration == 3])
    assert [p.iteration for p in told] == [1, 2, 3]
    assert (result.iterations, result.converged) == (3, False)
    assert result.message == "a callback ended the search"
    # A learning rate that only jumps about.
    result = gl.fit(process(), x, y, method="sgd", learning_rate=1.0, patience=4)
    assert "patience" in result.message and result.iterations < 500


def test_an_interruption_keeps_the_best_point():
    x, y = regression()
    layer = process()

    def interrupt(progress):
        if progress.iteration == 4:
            raise KeyboardInterrupt

    result = gl.fit(layer, x, y, callbacks=[interrupt])
    assert result.message == "interrupted" and result.loss == min(result.curve)
    assert layer(*layer._from_data(x, y)).asscalar() == pytest.approx(result.loss, rel=1e-12)


def test_a_block_of_ones_own_and_batches():
    random = np.random.RandomState(0)
    x = random.normal(size=(64, 3)).astype("float32")
    target = x @ np.array([1.0, -2.0, 0.5], dtype="float32")

    class Squares(mx.gluon.HybridBlock):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            with self.name_scope():
                self.dense = mx.gluon.nn.Dense(1)

        def hybrid_forward(self, F, x, target):
            return F.square(self.dense(x).reshape((-1,)) - target)

    def fresh():
        net = Squares()
        net.initialize(mx.init.Zero())
        return net

    result = gl.fit(fresh(), x, target)
    np.testing.assert_allclose(result.parameters["dense.weight"][0], [1, -2, 0.5], atol=1e-3)
    data = mx.gluon.data.ArrayDataset(mx.nd.array(x), mx.nd.array(target))
    loader = mx.gluon.data.DataLoader(data, batch_size=16)
    result = gl.fit(fresh(), loader, method="adam", learning_rate=0.05, iterations=300)
    np.testing.assert_allclose(result.parameters["dense.weight"][0], [1, -2, 0.5], atol=0.05)


@pytest.mark.parametrize(
    "keywords, text",
    [
        ({"method": "newton"}, "method is 'newton', expected 'lbfgs' or one of"),
        ({"iterations": 0}, "iterations is 0"),
        ({"restarts": -1}, "restarts is -1"),
        ({"learning_rate": 0.1}, "'lbfgs' has no learning_rate"),
        ({"method": "adam", "bounds": {"noise_variance": (1, 2)}}, "bounds are for"),
        ({"method": "adam", "restarts": 2}, "restarts are for"),
    ],
)
def test_what_does_not_fit_together_is_refused(keywords, text):
    x, y = regression(8)
    with pytest.raises(ValueError, match=text):
        gl.fit(process(), x, y, **keywords)


def test_a_start_without_a_loss_is_an_error():
    x, y = regression(8)
    layer = process()
    layer.noise_variance.set_value(1e-9)
    layer.cast("float32")
    # All rows alike: the matrix is singular at the start, and the layer says so.
    with pytest.raises(gl.errors.NotPositiveDefiniteError):
        gl.fit(layer, np.zeros((200, 1)), np.zeros(200))


def test_a_block_without_parameters_is_refused():
    block = gl.LogDetBlock()
    with pytest.raises(ValueError, match="no parameter with a gradient"):
        gl.fit(block, np.eye(3))


@pytest.mark.parametrize("unit", [1e6, 1e9])
def test_a_start_far_above_the_minimum_ends_no_search_early(unit):
    """The loss falls from 1e12 and more, of which the tolerance is a share."""
    y, found = np.random.RandomState(0).randn(40).cumsum(), []
    for size in (1.0, unit):
        model = gl.StructuralModel(gl.structural.LocalLevel(1.0), 1.0)
        model.initialize()
        model.cast("float64")
        result = gl.fit(model, y * size)
        found.append(result.loss - 39 * np.log(size))
    assert found[1] == pytest.approx(found[0], abs=1e-5)
