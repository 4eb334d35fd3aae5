"""MXNet 1.9.1 as it is, and the functional layer that has to be right all the same.

Each fact is first shown on the raw operator, so that a test here fails when a fact is no longer
one, and then on ours.
"""

import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest

from gluon_linalg import functional as fn


class Uses(mx.gluon.HybridBlock):
    """Σ over `count` products that all share the input a."""

    def __init__(self, product, count):
        super().__init__()
        self.product, self.count = product, count

    def hybrid_forward(self, F, a, b):
        total = 0.0
        for i in range(self.count):
            # Each product differs, or MXNet would compute one for all.
            total = total + F.sum(self.product(F, a, (i + 1.0) * b))
        return total


def gradients(block, inputs, grad_req="write", repeats=1):
    inputs = inputs if isinstance(inputs, list) else [inputs]
    for array in inputs:
        array.attach_grad(grad_req)
    for _ in range(repeats):
        with mx.autograd.record():
            loss = block(*inputs)
        loss.backward()
    return [array.grad.asnumpy() for array in inputs]


def compiled_error(product, count):
    """How far the statically compiled gradient is from the imperative one, relatively."""
    random = np.random.RandomState(0)
    a, b = (mx.nd.array(random.randn(2, 3, 3), dtype="float64") for _ in range(2))
    results = []
    for static in (False, True):
        block = Uses(product, count)
        if static:
            block.hybridize(static_alloc=True, static_shape=True)
        results.append(gradients(block, [a, b]))
    return max(np.abs(x - y).max() / np.abs(x).max() for x, y in zip(*results))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 20])
def test_products_that_share_an_input(count):
    raw = compiled_error(lambda F, a, b: F.linalg.gemm2(a, b), count)
    # What is wrong may also be NaN.
    assert (not raw <= 1e-3) == (count >= 8), "the fact about gemm2 no longer holds"
    assert compiled_error(lambda F, a, b: fn.product(F, a, b), count) < 1e-14


OPERATIONS = {
    "triangular_solve": (lambda F, a: fn.triangular_solve(F, a, a), True),
    "cholesky": (lambda F, a: fn.cholesky(F, a), True),
    "cholesky_solve": (lambda F, a: fn.cholesky_solve(F, fn.cholesky(F, a), a), True),
    "log_determinant": (lambda F, a: fn.log_determinant(F, a), True),
    "inverse": (lambda F, a: fn.inverse(F, a), True),
    "inverse_spd": (lambda F, a: fn.inverse_spd(F, a), True),
    "lq": (lambda F, a: fn.lq(F, a)[1], True),
    "eigh": (lambda F, a: fn.eigh(F, a)[1], True),
    "gaussian_nll": (lambda F, a: fn.gaussian_nll(F, a, fn.diagonal(F, a)), True),
    "symmetrize": (lambda F, a: F.square(fn.symmetrize(F, a)), True),
    "mirror_lower": (lambda F, a: F.square(fn.mirror_lower(F, a)), True),
    "jitter": (lambda F, a: fn.add_jitter(F, a, 0.1), True),
}


def positive_definite():
    b = np.random.RandomState(0).randn(2, 3, 3)
    return mx.nd.array(b @ b.transpose(0, 2, 1) + 3.0 * np.eye(3), dtype="float64")


@pytest.mark.parametrize("static", [None, False, True])
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_adds_when_asked_to(name, static):
    """grad_req 'add' on an array that is itself the operator's input."""
    operation, _ = OPERATIONS[name]

    class Sum(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, a):
            return F.sum(operation(F, a))

    block, a = Sum(), positive_definite()
    if static is not None:
        block.hybridize(static_alloc=static, static_shape=static)
    once = gradients(block, a)[0]
    np.testing.assert_allclose(gradients(block, a, grad_req="add", repeats=3)[0], 3.0 * once)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_may_be_used_many_times(name):
    operation, _ = OPERATIONS[name]

    class Sum(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, a):
            total = 0.0
            for i in range(9):
                # Each use differs, or MXNet would compute one for all.
                total = total + F.sum(operation(F, fn.add_jitter(F, a, 0.1 * i)))
            return total

    results = []
    for flags in (None, {}, {"static_alloc": True, "static_shape": True}):
        block, a = Sum(), positive_definite()
        if flags is not None:
            block.hybridize(**flags)
        results.append(gradients(block, a)[0])
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=1e-12, atol=1e-13)


RAW = {
    "trsm": lambda a, b: mx.nd.linalg.trsm(a, b) ** 2,
    "gelqf": lambda a, b: sum(output**3 for output in mx.nd.linalg.gelqf(a)) + b,
    "syevd": lambda a, b: mx.nd.linalg.syevd(a)[1] ** 2 + mx.nd.sum(b),
    "inverse": lambda a, b: mx.nd.linalg.inverse(a) + b,
    "mean": lambda a, b: mx.nd.mean(a, axis=1) ** 2 + mx.nd.sum(b),
}


@pytest.mark.parametrize("name", RAW)
def test_raw_operators_do_not_add(name):
    """The reason for `guarded`."""
    errors = []
    for guard in (lambda a: a, lambda a: fn.guarded(mx.nd, a)):

        def loss(a, b, guard=guard):
            return RAW[name](guard(a), guard(b)).sum()

        inputs = [positive_definite(), positive_definite() * 2.0]
        once = gradients(loss, inputs)[0]
        twice = gradients(loss, inputs, "add", 2)[0]
        errors.append(np.abs(twice - 2.0 * once).max() / np.abs(once).max())
    assert errors[0] > 1e-3, "the fact about this operator no longer holds"
    assert errors[1] < 1e-14


CRASH = """
from gluon_linalg import functional as fn
import mxnet as mx
x = mx.nd.ones((1, 6, 2))
x.attach_grad()
with mx.autograd.record():
    product = mx.nd.exp(mx.nd.batch_dot(x, x, transpose_b=True))
    total = {stop}.sum() + x.sum()
total.backward()
print(x.grad.asnumpy().tolist())
"""


def test_blocked_gradients_do_not_crash_the_process():
    """`stop` where BlockGrad, met by batch_dot in an imperative backward pass, kills Python."""
    raw = _run(CRASH.format(stop="mx.nd.BlockGrad(product)"))
    assert raw.returncode != 0, "the fact about BlockGrad no longer holds"
    ours = ("fn.stop(mx.nd, product)", "fn.ones_like(mx.nd, product)")
    run = _run("".join(CRASH.format(stop=stop) for stop in ours))
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == 2 * str([[[1.0, 1.0]] * 6]).split()


def _run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_one_nan_makes_raw_inverse_return_zeros():
    """The reason for the check in `inverse`."""
    raw = mx.nd.linalg.inverse(mx.nd.full((1, 8, 8), np.nan)).asnumpy()
    assert (raw == 0.0).any()


@pytest.mark.parametrize("dtype, expected", [("float32", 2.0**-24), ("float64", 2.0**-53)])
def test_unit_roundoff_is_measured_in_the_graph(dtype, expected):
    class Roundoff(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, x):
            return fn.unit_roundoff(F, x)

    for flags in (None, {}, {"static_alloc": True, "static_shape": True}):
        block = Roundoff()
        if flags is not None:
            block.hybridize(**flags)
        assert (block(mx.nd.array([3.0, 1e10], dtype=dtype)).asnumpy() == expected).all()


def test_with_gradient_gives_the_value_of_one_and_the_gradient_of_the_other():
    x = mx.nd.array([[1.0, 2.0]], dtype="float64")
    found = gradients(lambda x: fn.with_gradient(mx.nd, mx.nd.exp(x), 3.0 * x).sum(), x)[0]
    assert (found == 3.0).all()
    value = fn.with_gradient(mx.nd, mx.nd.exp(x), 1e8 * x).asnumpy()
    assert np.array_equal(value, np.exp(x.asnumpy())) or np.allclose(value, np.exp([[1, 2]]), 1e-15)


def test_second_derivatives_are_refused_and_not_wrong():
    a = positive_definite()
    a.attach_grad()
    with pytest.raises(mx.base.MXNetError, match="(?i)gradient"):
        with mx.autograd.record():
            loss = fn.cholesky(mx.nd, a).sum()
            gradient = mx.autograd.grad(loss, a, create_graph=True, retain_graph=True)[0]
            total = (gradient * gradient).sum()
        total.backward()
        total.wait_to_read()


def test_a_reshape_to_less_drops_values():
    x = mx.nd.arange(6).reshape((2, 3))
    np.testing.assert_array_equal(mx.nd.reshape(x, shape=(0, 2)).asnumpy(), [[0, 1], [2, 3]])
    reshaped = mx.sym.reshape(mx.sym.var("x"), shape=(0, 2))
    assert reshaped.infer_shape(x=(2, 3))[1] == [(2, 2)]
    # What is done here.
    like = mx.sym.reshape_like(
        mx.sym.var("x"), mx.sym.zeros(shape=(2,)), lhs_begin=1, lhs_end=2, rhs_begin=0, rhs_end=1
    )
    with pytest.raises(mx.base.MXNetError):
        like.infer_shape(x=(2, 3))
