"""Loops and branches of MXNet: what is right, and what this package must never use."""

import ast
import os
import re

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl

PACKAGE = os.path.dirname(gl.__file__)


class Loop(mx.gluon.HybridBlock):
    """Σ_t exp(x_t w) with w as a state of the loop, the only safe way to pass it."""

    def hybrid_forward(self, F, x, w):
        def step(data, weight):
            return F.exp(data * weight), F.identity(weight)

        outputs, weight = F.contrib.foreach(step, x, w)
        # What a loop returns has to be used, or its compiled backward pass is refused.
        return F.sum(outputs) + F.sum(0.0 * weight)


@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize("data_gradient", ["write", "null"])
def test_loop_gradients_do_not_need_gradients_of_the_data(data_gradient, hybridize):
    x, w = mx.nd.array([[0.0], [1.0], [2.0]], dtype="float64"), mx.nd.array([0.5], dtype="float64")
    x.attach_grad(data_gradient)
    w.attach_grad()
    block = Loop()
    block.hybridize(hybridize)
    with mx.autograd.record():
        total = block(x, w)
    total.backward()
    assert abs(w.grad.asscalar() - (np.exp(0.5) + 2.0 * np.exp(1.0))) < 1e-12


def test_no_conditional_operators_anywhere():
    """`contrib.cond` and `while_loop` give garbage gradients in compiled graphs: masks instead."""
    found = []
    for folder, _, files in os.walk(PACKAGE):
        for name in files:
            if name.endswith(".py"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    found += re.findall(r"contrib\.(?:cond|while_loop)\(", file.read())
    assert not found


def names_mxnet_linalg(text):
    """Whether a source names MXNet's operators of linear algebra: F.linalg, linalg_*, _internal."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else None
            if node.attr == "linalg" and owner not in ("np", "numpy", "scipy"):
                return True
            if node.attr.startswith("linalg_") or node.attr == "_internal":
                return True
    return False


def test_lapack_alone_names_the_operators_of_linear_algebra():
    for text in ("F.linalg.potrf(a)", "mx.nd.linalg_det(a)", "F.numpy._internal.svd(a)"):
        assert names_mxnet_linalg(text)
    found = []
    for folder, _, files in os.walk(PACKAGE):
        for name in files:
            path = os.path.join(folder, name)
            if name.endswith(".py"):
                with open(path, encoding="utf-8") as file:
                    if names_mxnet_linalg(file.read()):
                        found.append(os.path.relpath(path, PACKAGE))
    assert found == [os.path.join("functional", "lapack.py")]


def test_blocks_go_through_the_functional_layer():
    """No block or job calls an operator of linear algebra, or reads a shape in a graph, itself."""
    for part in ("blocks", "jobs"):
        for folder, _, files in os.walk(os.path.join(PACKAGE, part)):
            for name in files:
                if not name.endswith(".py"):
                    continue
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    text = file.read()
                assert not re.search(r"\b(F|nd|sym)\.linalg|batch_dot|BlockGrad|gemm", text), name
                for body in re.findall(
                    r"def hybrid_forward.*?(?=\n    def |\nclass |\Z)", text, re.DOTALL
                ):
                    assert not re.search(r"\.(shape|ndim)\b", body), name


class ComputedState(mx.gluon.HybridBlock):
    """A loop whose initial state is computed: with static_shape MXNet does not wait for it."""

    def hybrid_forward(self, F, matrices, start):
        def step(matrix, state):
            return F.identity(state), F.batch_dot(matrix, state)

        matrices = F.transpose(matrices, axes=(1, 0, 2, 3))
        outputs, _ = F.contrib.foreach(step, matrices, start * 1.0)
        return F.sum(F.transpose(outputs, axes=(1, 0, 2, 3)), axis=(2, 3))


def test_loops_are_right_with_static_shape():
    random = np.random.RandomState(0)
    matrices, start = (0.3 * random.randn(*shape) for shape in ((3, 12, 4, 4), (3, 4, 4)))
    expected, state = [], start
    for t in range(12):
        expected.append(state.sum(axis=(1, 2)))
        state = matrices[:, t] @ state
    arrays = [mx.nd.array(x, dtype="float64") for x in (matrices, start)]
    block = ComputedState()
    block.hybridize(static_alloc=True, static_shape=True)
    for _ in range(50):
        values = block(*arrays).asnumpy()
        np.testing.assert_allclose(values, np.transpose(expected), rtol=1e-12, atol=1e-15)


def test_recurrent_layers_are_right_with_static_shape():
    """Called without a record, then recorded as in inference, which MXNet alone refuses."""

    class Recurrent(mx.gluon.HybridBlock):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            with self.name_scope():
                self.before = mx.gluon.nn.Dense(6, flatten=False)
                self.recurrent = mx.gluon.rnn.LSTM(8, layout="NTC")
                self.after = mx.gluon.nn.Dense(1, flatten=False)

        def hybrid_forward(self, F, x):
            return self.after(self.recurrent(self.before(x)))

    net = Recurrent()
    net.initialize()
    x = mx.nd.random.normal(shape=(4, 5, 3))
    gradients = []
    for flags in (None, {"static_alloc": True, "static_shape": True}):
        if flags is not None:
            net.hybridize(**flags)
        net(x).wait_to_read()
        with mx.autograd.record(train_mode=False):
            loss = net(x).sum()
        loss.backward(train_mode=False)
        gradients.append([p.grad().asnumpy() for p in net.collect_params().values()])
    for found, expected in zip(gradients[1], gradients[0]):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
