"""Kernels whose hyperparameters are arrays, one set for each element of the batch."""

import kernel_formulas as formulas
import mxnet as mx
import numpy as np
import pytest
from test_kernels import KERNELS, points

import gluon_linalg as gl
from gluon_linalg import kernels as k
from harness import check_block


def nd(value, dtype="float64"):
    return mx.nd.array(value, dtype=dtype)


def emitted(initial, batch, seed=0):
    """Other values than the initial ones, (batch, k) for each."""
    random = np.random.RandomState(seed)
    return [v * random.uniform(0.7, 1.4, size=(batch, len(v))) for v in initial.values()]


def of_element(names, values, element):
    """The hyperparameters of one element of the batch as a formula takes them."""
    rows = [value[min(element, len(value) - 1)] for value in values]
    return {n: row[0] if len(row) == 1 else row for n, row in zip(names, rows)}


@pytest.mark.parametrize("name", KERNELS)
def test_each_element_has_its_own(name):
    formula, constructor, _, parameters = KERNELS[name]
    block = k.Emitted(constructor(**parameters), "float64")
    values = emitted(block.initial, 3)
    settings = {"degree": 2} if name == "Polynomial" else {}
    x, z = points(3, 4, 2), points(3, 2, 2, seed=1)
    whole, cross = (block(nd(x), *map(nd, values), *more).asnumpy() for more in ([], [nd(z)]))
    for element in range(3):
        own = {**of_element(block.initial, values, element), **settings}
        for found, other in ((whole, x), (cross, z)):
            left, right = x[element : element + 1], other[element : element + 1]
            expected = formulas.matrix(formula, left, right, **own)[0]
            np.testing.assert_allclose(found[element], expected, rtol=1e-10, atol=1e-13)
    assert np.array_equal(whole, whole.transpose(0, 2, 1))


def test_a_composite_in_every_mode(tmp_path):
    """Emitted for each element, or one for all; with the gradients of what emits them."""

    def factory():
        return k.Emitted(1.5 * k.RBF(2.0, [0.7, 1.2]) + k.Linear(0.3, active_dims=[1]))

    def oracle(x, *arrays):
        *values, block = arrays
        result = []
        for element in range(len(x)):
            own = of_element(block.initial, values, element)
            x1 = x[element : element + 1]
            scale = {
                "variance": own["0.kernel.variance"],
                "lengthscale": own["0.kernel.lengthscale"],
            }
            rbf = formulas.matrix(formulas.rbf, x1, x1, **scale)[0]
            result.append(
                own["0.variance"] * rbf + own["1.variance"] * np.outer(x1[0, :, 1], x1[0, :, 1])
            )
        return np.array(result)

    initial = factory().initial
    cases = [
        [points(2, 3, 2), *emitted(initial, 2)],
        [points(3, 5, 2), *emitted(initial, 1)[:2], *emitted(initial, 3)[2:]],
    ]
    check_block(factory, cases, tmp_path, oracle)


@pytest.mark.parametrize("dtype, size", [("float32", 1e19), ("float64", 1e160)])
@pytest.mark.parametrize("constructor", [k.RBF, k.Matern12, k.Matern32, k.Matern52])
def test_points_very_many_lengthscales_apart(constructor, dtype, size):
    """variance · I, with finite gradients, whatever is emitted."""
    block = k.Emitted(constructor(), dtype)
    x = nd(size * np.array([[[0.0], [1.0], [3.0]]] * 2), dtype)
    values = [nd([[2.0], [0.5]], dtype), nd([[1.0], [0.1]], dtype)]
    for value in values:
        value.attach_grad()
    with mx.autograd.record():
        matrix = block(x, *values)
    matrix.backward()
    expected = np.array([[[2.0]], [[0.5]]]) * np.eye(3)
    np.testing.assert_allclose(matrix.asnumpy(), expected, atol=1e-12)
    assert np.isfinite(values[1].grad.asnumpy()).all()


def test_a_network_that_emits_is_trained_as_any():
    """The kernel's own parameters are none of the network, and a trainer misses no gradient."""

    class Emitting(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.scale = mx.gluon.nn.Dense(2, activation="softrelu", in_units=3)
            self.kernel = k.Emitted(k.RBF())

        def hybrid_forward(self, F, x, about):
            variance, lengthscale = F.split(self.scale(about), num_outputs=2, axis=1)
            return self.kernel(x, lengthscale=lengthscale, variance=variance)

    network = Emitting()
    network.initialize()
    network.hybridize()
    assert len(list(network.collect_params())) == 2
    trainer = mx.gluon.Trainer(network.collect_params(), "sgd", {"learning_rate": 0.1})
    x, about = nd(points(3, 4, 2), "float32"), nd(np.eye(3), "float32")
    with mx.autograd.record():
        loss = network(x, about).sum()
    loss.backward()
    trainer.step(1)
    assert network(x, about).sum().asscalar() < loss.asscalar()


class Around(mx.gluon.HybridBlock):
    def __init__(self, block):
        super().__init__()
        self.block = block

    def hybrid_forward(self, F, *inputs):
        return self.block(*inputs)


def test_what_does_not_fit():
    block = k.Emitted(k.RBF(lengthscale=[1.0, 2.0]) + k.Linear())
    x, one, two = mx.nd.ones((3, 4, 2)), mx.nd.ones((3, 1)), mx.nd.ones((3, 2))
    assert block(x, one, two, one).shape == (3, 4, 4)
    with pytest.raises(gl.errors.ShapeError, match="'0.lengthscale' has 1 values.* has 2"):
        block(x, one, one, one)
    with pytest.raises(gl.errors.ShapeError, match="'1.variance' has shape.*but B is 3 in 'x'"):
        block(x, one, two, mx.nd.ones((2, 1)))
    with pytest.raises(TypeError, match="without '1.variance'"):
        block(x, one, two)
    with pytest.raises(gl.errors.ShapeError, match="'lengthscale' has 2 values"):
        block(mx.nd.ones((3, 4, 1)), one, two, one)
    with pytest.raises(gl.errors.DtypeError, match="block is float32"):
        block(*(array.astype("float64") for array in (x, one, two, one)))
    with pytest.raises(TypeError, match="kernel is 'rbf'"):
        k.Emitted("rbf")
    network = Around(k.Emitted(k.RBF()))
    network.hybridize()
    # Broadcasting would take one column for three.
    with pytest.raises(mx.base.MXNetError, match="Cannot reshape"):
        network(mx.nd.ones((3, 4, 1)), one, mx.nd.ones((3, 3))).asnumpy()


@pytest.mark.parametrize(
    "active_dims, columns",
    [([1, slice(3, None)], [1, 3, 4]), (slice(2, 4), [2, 3]), ([slice(4, 5), 0], [4, 0])],
)
def test_slices_of_columns(active_dims, columns):
    x, lengthscale = points(2, 3, 5), [0.5, 1.0, 2.0][: len(columns)]
    kernel = k.RBF(lengthscale=lengthscale, active_dims=active_dims)
    kernel.initialize()
    kernel.cast("float64")
    own = {"lengthscale": np.array(lengthscale)}
    expected = formulas.matrix(formulas.rbf, x[:, :, columns], x[:, :, columns], **own)
    for flags in ({"active": False}, {}):
        kernel.hybridize(**flags)
        np.testing.assert_allclose(kernel(nd(x)).asnumpy(), expected, rtol=1e-12)


def test_slices_beyond_the_columns():
    kernel = k.RBF(active_dims=[0, slice(3, None)])
    network = Around(kernel)
    network.initialize()
    with pytest.raises(gl.errors.ShapeError, match="active_dims has column 3, but 'x' has"):
        kernel(mx.nd.ones((1, 2, 3)))
    network.hybridize()
    with pytest.raises(gl.errors.ShapeError, match="active_dims has column 3, but 'x' has"):
        network(mx.nd.ones((1, 2, 3))).asnumpy()
    wrong = k.RBF(lengthscale=[1.0, 2.0], active_dims=slice(1, None))
    wrong.initialize()
    with pytest.raises(gl.errors.ShapeError, match="'lengthscale' has 2 values.*3 columns"):
        wrong(mx.nd.ones((1, 2, 4)))
    for bad in (slice(2, 1), slice(0, 4, 2), slice(-2, None), [slice(1, -1)]):
        with pytest.raises(gl.errors.ShapeError, match="active_dims"):
            k.RBF(active_dims=bad)
