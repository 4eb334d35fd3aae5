"""Gradients that replace what there is and gradients that are added, of blocks of one operator."""

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg.native import library, requests

pytestmark = pytest.mark.skipif(not library.PATH.exists(), reason="the operators were not compiled")

HYBRIDIZED = (None, {}, {"static_alloc": True, "static_shape": True})


@pytest.fixture(autouse=True)
def native():
    with gl.use_backend("native"):
        yield


def positive(batch=3, size=4):
    a = np.random.RandomState(0).normal(size=(batch, size, size))
    return a @ a.transpose(0, 2, 1) + np.eye(size)


def block_of(flags):
    block = gl.LogDetBlock()
    if flags is not None:
        block.hybridize(**flags)
    return block


@pytest.mark.parametrize("flags", HYBRIDIZED)
def test_gradients_that_replace_and_gradients_that_are_added(flags):
    """∂ log |A| / ∂A is the inverse."""
    block, a = block_of(flags), positive()
    inverse = np.linalg.inv(a)
    x = mx.nd.array(a, dtype="float64")
    for request, factors in (("write", (1, 1, 1)), ("add", (1, 2, 3)), ("write", (1, 1))):
        x.attach_grad(request)
        for factor in factors:
            with mx.autograd.record():
                value = block(x)
            value.backward()
            np.testing.assert_allclose(x.grad.asnumpy(), factor * inverse, rtol=1e-10)


@pytest.mark.parametrize("flags", HYBRIDIZED)
@pytest.mark.parametrize("request_", ["write", "add"])
@pytest.mark.parametrize("uses", [2, 8, 13])
def test_a_variable_that_is_used_often(flags, request_, uses):
    block, a = block_of(flags), positive()
    x = mx.nd.array(a, dtype="float64")
    x.attach_grad(request_)
    for call in (1, 2):
        with mx.autograd.record():
            total = mx.nd.sum(x)
            for k in range(uses):
                total = total + (k + 1) * mx.nd.sum(block(x))
        total.backward()
        expected = 1 + uses * (uses + 1) / 2 * np.linalg.inv(a)
        times = call if request_ == "add" else 1
        np.testing.assert_allclose(x.grad.asnumpy(), times * expected, rtol=1e-10)


def test_what_was_marked_behind_the_back_counts_as_added():
    x = mx.nd.array(positive(), dtype="float64")
    x.attach_grad()
    assert requests.replaces(x)
    # Another array, whatever it is a copy of, nobody has marked.
    assert not requests.replaces(x.copy())
    y = mx.nd.ones((2, 2))
    mx.autograd.mark_variables([y], [mx.nd.zeros((2, 2))])
    assert requests.replaces(y)
    y.attach_grad("add")
    # From now on nothing is known: this handle may come to be that of another array.
    assert not requests.replaces(y) and not requests.replaces(x)


def test_a_parameter_with_gradients_that_are_added():
    class Net(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.block = gl.LogDetBlock()
            self.a = self.params.get("a", shape=(3, 4, 4), dtype="float64")

        def hybrid_forward(self, F, x, a):
            return self.block(a) * x

    a = positive()
    net = Net()
    net.initialize()
    net.a.set_data(mx.nd.array(a, dtype="float64"))
    x = mx.nd.array([1.0, 2.0, 3.0], dtype="float64")
    for request, factors in (("write", (1, 1)), ("add", (1, 2))):
        net.a.grad_req = request
        net.a.zero_grad()
        for factor in factors:
            with mx.autograd.record():
                value = net(x)
            value.backward()
            expected = factor * np.array([1, 2, 3])[:, None, None] * np.linalg.inv(a)
            np.testing.assert_allclose(net.a.grad().asnumpy(), expected, rtol=1e-10)


def test_a_compiled_block_of_one_operator_is_exported_with_gluon(tmp_path, monkeypatch):
    """Its calls need no graph, and a file has one all the same."""
    block, a = block_of({}), positive()
    x = mx.nd.array(a, dtype="float64")
    block(x)
    with monkeypatch.context() as patch:
        patch.setattr(block, "_call_cached_op", None)
        block(x)
    block.export(str(tmp_path / "log_det"))
    loaded = mx.gluon.SymbolBlock.imports(str(tmp_path / "log_det-symbol.json"), ["data"])
    expected = np.linalg.slogdet(a)[1]
    np.testing.assert_allclose(loaded(x).asnumpy(), expected, rtol=1e-10)
    with gl.use_backend("mxnet"):
        np.testing.assert_allclose(block(x).asnumpy(), expected, rtol=1e-10)


def test_a_compiled_block_of_one_operator_names_what_fails():
    block, a = block_of({"static_alloc": True}), positive()
    block(mx.nd.array(a, dtype="float64"))
    a[1, 0, 0] = -1.0
    for _ in range(2):
        with pytest.raises(gl.errors.NotPositiveDefiniteError, match="batch element 1 of 3"):
            block(mx.nd.array(a, dtype="float64"))
