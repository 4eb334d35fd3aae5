"""LeastSquaresBlock: harness, closed forms, hard matrices, and how rank is judged."""

import mxnet as mx
import numpy as np
import pytest
import scipy.linalg

import gluon_linalg as gl
from gluon_linalg.blocks.least_squares import LeastSquaresBlock
from harness import check_block

RIDGE = 0.3


def matrices(batch, m, n, targets=None, seed=0):
    random = np.random.RandomState(seed)
    shape = (batch, m) if targets is None else (batch, m, targets)
    return random.randn(batch, m, n) + 2.0 * np.eye(m, n), random.randn(*shape)


def weights(batch, m):
    return np.random.RandomState(9).uniform(0.2, 2.0, size=(batch, m))


def nd(*values, dtype="float64"):
    arrays = [mx.nd.array(value, dtype=dtype) for value in values]
    return arrays[0] if len(arrays) == 1 else arrays


def ready(dtype="float64", **options):
    block = LeastSquaresBlock(**options)
    block.initialize()
    block.cast(dtype)
    return block


def solve(block, *inputs):
    """x and the gradients of its weighted sum by every input and by the stored ridge."""
    for array in inputs:
        array.attach_grad()
    with mx.autograd.record():
        x = block(*inputs)
        loss = (x * mx.nd.arange(1, x.size + 1, dtype=x.dtype).reshape(x.shape)).sum()
    loss.backward()
    stored = [p.grad().asnumpy() for p in block.collect_params().values()]
    return x.asnumpy(), [array.grad.asnumpy() for array in inputs] + stored


def oracle(ridge=0.0):
    """SciPy's SVD solver on the weighted and augmented system: least squares or minimum norm."""

    def each(a, b, weight):
        scale = np.sqrt(weight)
        rows = np.vstack([scale[:, None] * a, np.sqrt(ridge) * np.eye(a.shape[1])])
        right = (scale * b.T).T
        right = np.concatenate([right, np.zeros((a.shape[1], *b.shape[1:]))])
        return scipy.linalg.lstsq(rows, right)[0]

    def function(a, b, *rest):
        weight = rest[0] if len(rest) > 1 else np.ones(a.shape[:2])
        return np.stack([each(*one) for one in zip(a, b, weight)])

    return function


CASES = {
    "tall, weighted": (
        {},
        [[*matrices(2, 4, 2), weights(2, 4)], [*matrices(1, 5, 3), weights(1, 5)]],
    ),
    "ridge, tall and wide, weighted, two targets": (
        {"ridge": RIDGE, "targets": 2},
        [
            [*matrices(2, 2, 3, targets=2), weights(2, 2)],
            [*matrices(1, 4, 2, targets=2), weights(1, 4)],
        ],
    ),
    "wide, two targets": (
        {"wide": True, "targets": 2},
        [matrices(2, 2, 4, targets=2), matrices(1, 3, 3, targets=2)],
    ),
    "wide with ridge": (
        {"wide": True, "ridge": RIDGE},
        [matrices(2, 2, 3), matrices(1, 2, 2)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_harness(case, tmp_path):
    options, inputs = CASES[case]
    check_block(
        lambda: LeastSquaresBlock(**options), inputs, tmp_path, oracle(options.get("ridge", 0.0))
    )


@pytest.mark.parametrize("options", [{}, {"ridge": RIDGE}, {"wide": True, "ridge": RIDGE}])
def test_without_weights(options):
    a, b = matrices(2, 5, 3)
    found = ready(**options)(*nd(a, b)).asnumpy()
    np.testing.assert_allclose(found, oracle(options.get("ridge", 0.0))(a, b), rtol=1e-12)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-13), ("float32", 1e-6)])
def test_one_by_one_and_a_short_wide_matrix(dtype, tolerance):
    """Case L2: the sign of LAPACK's factor must not matter."""
    for wide in (False, True):
        block = ready(dtype, wide=wide)
        assert block(*nd([[[-2.0]]], [[3.0]], dtype=dtype)).asscalar() == -1.5
    block = ready(dtype, wide=True)
    x = block(*nd([[[1.0, 2.0, 2.0], [4.0, 0.0, 3.0]]], [[9.0, 0.0]], dtype=dtype)).asnumpy()
    expected = np.linalg.pinv([[1.0, 2.0, 2.0], [4.0, 0.0, 3.0]]) @ [9.0, 0.0]
    np.testing.assert_allclose(x[0], expected, rtol=10 * tolerance)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-11), ("float32", 1e-3)])
def test_very_wide(dtype, tolerance):
    """Case L6."""
    a = np.random.RandomState(0).randn(1, 5, 40000)
    x = ready(dtype, wide=True)(*nd(a, np.ones((1, 5)), dtype=dtype)).asnumpy()[0]
    np.testing.assert_allclose(a[0] @ x, np.ones(5), rtol=tolerance)
    np.testing.assert_allclose(x, np.linalg.pinv(a[0]) @ np.ones(5), atol=tolerance * 1e-3)


@pytest.mark.parametrize("ridge", [0.0, RIDGE])
def test_weight_zero_is_dropping(ridge):
    """The value, and the gradient of the weight, ∂x/∂w = H⁻¹ a (b - aᵀx), which is finite."""
    a, b = matrices(1, 5, 2)
    weight = np.array([[1.0, 0.0, 2.0, 0.0, 0.5]])
    found, gradients = solve(ready(ridge=ridge), *nd(a, b, weight))
    keep = weight[0] > 0
    expected = oracle(ridge)(a[:, keep], b[:, keep], weight[:, keep], None)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    hessian = a[0].T * weight[0] @ a[0] + ridge * np.eye(2)
    adjoint = np.linalg.solve(hessian, [1.0, 2.0])
    by_weight = a[0] @ adjoint * (b[0] - a[0] @ found[0])
    np.testing.assert_allclose(gradients[2][0], by_weight, rtol=1e-11)
    assert not gradients[0][0, ~keep].any() and not gradients[1][0, ~keep].any()


@pytest.mark.parametrize("wide", [False, True])
def test_small_ridge_tends_to_the_minimum_norm_solution(wide):
    a, b = matrices(1, 3, 5)
    x = ready(ridge=1e-10, wide=wide)(*nd(a, b)).asnumpy()
    np.testing.assert_allclose(x, oracle()(a, b), rtol=1e-4 if not wide else 1e-8)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_ridge_repairs_deficient_rank(dtype, wide):
    a, b = matrices(1, 6, 4)
    a[0, :, 2] = a[0, :, 0]
    a[0, :, 3] = 0.0
    found, gradients = solve(ready(dtype, ridge=RIDGE, wide=wide), *nd(a, b, dtype=dtype))
    np.testing.assert_allclose(found, oracle(RIDGE)(a, b), atol=1e-6 if dtype == "float32" else 0)
    assert all(np.isfinite(g).all() for g in gradients)


def singular():
    """Matrices of deficient rank: duplicates, zeros, sums, and rounding in between."""
    random = np.random.RandomState(3)
    duplicate = random.randn(9, 4)
    duplicate[:, 3] = duplicate[:, 1]
    zero = random.randn(9, 4)
    zero[:, 2] = 0.0
    scaled = (random.randn(9, 2) @ random.randn(2, 4)) * [1e8, 1.0, 1e-8, 1.0]
    return {
        "duplicate": duplicate,
        "zero": zero,
        "scaled": scaled,
        "ones": np.ones((9, 3)),
        "large": random.randn(300, 30) @ np.eye(30)[:, random.randint(0, 29, 30)],
        "all zero": np.zeros((4, 2)),
    }


@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", singular())
def test_deficient_rank_is_an_error_that_names_the_ridge(kind, dtype, wide, hybridize):
    a = singular()[kind]
    good = np.random.RandomState(1).randn(*a.shape)
    batch = np.stack([good, a])
    batch = batch.transpose(0, 2, 1) if wide else batch
    block = ready(dtype, wide=wide)
    if hybridize:
        block.hybridize(static_alloc=True, static_shape=True)
    inputs = nd(batch, np.ones(batch.shape[:2]), dtype=dtype)
    with pytest.raises(gl.errors.SingularMatrixError, match=r"ridge.*elements: 1 of 2"):
        block(*inputs)
    assert np.isfinite(block(inputs[0][:1], inputs[1][:1]).asnumpy()).all()


def test_ill_conditioned_is_not_singular():
    """The rule is about columns of length 1: neither units nor a condition of 1e10 trip it."""
    hilbert = scipy.linalg.hilbert(8)
    b = hilbert @ np.arange(1.0, 9.0)
    x = ready()(*nd(hilbert[None], b[None])).asnumpy()[0]
    np.testing.assert_allclose(x, np.arange(1.0, 9.0), rtol=1e-4)
    a, b = matrices(1, 6, 3)
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-5)):
        units = np.array([1e24, 1.0, 1e-24])
        x = ready(dtype)(*nd(a * units, b, dtype=dtype)).asnumpy()
        np.testing.assert_allclose(x * units, oracle()(a, b), rtol=tolerance)


def test_a_ridge_lost_in_rounding_is_an_error():
    with pytest.raises(gl.errors.SingularMatrixError, match="larger"):
        ready(ridge=1e-40)(*nd(np.ones((1, 4, 2)), np.ones((1, 4))))


def test_ridge_can_be_frozen():
    block = ready(ridge=RIDGE)
    block.ridge.grad_req = "null"
    a, b = nd(*matrices(1, 4, 2))
    a.attach_grad()
    with mx.autograd.record():
        loss = block(a, b).sum()
    loss.backward()
    assert np.isfinite(a.grad.asnumpy()).all()
    assert abs(block.ridge.value()[0] - RIDGE) < 1e-15


@pytest.mark.parametrize("hybridize", [False, True])
def test_errors_say_what_is_wrong(hybridize):
    """Cases L3 and L5 among others."""
    tall, wide, weighted = ready(), ready(wide=True), ready()
    if hybridize:
        for block in (tall, wide, weighted):
            block.hybridize()
    a, b = matrices(2, 3, 2)
    with pytest.raises(gl.errors.ShapeError, match=r"m >= n.*wide=True"):
        tall(*nd(*matrices(1, 2, 3)))
    with pytest.raises(gl.errors.ShapeError, match=r"m <= n.*wide=False"):
        wide(*nd(np.ones((1, 3, 2)), np.ones((1, 3))))
    with pytest.raises(TypeError, match="wide=False"):
        wide(*nd(*matrices(1, 2, 3), np.ones((1, 2))))
    for dtype in ("float16", "int32"):
        with pytest.raises(TypeError, match=dtype):
            tall(*nd(a, b, dtype=dtype))
    with pytest.raises(gl.errors.ShapeError, match="expected 2 axes"):
        tall(*nd(a, b[:, :, None]))
    with pytest.raises(gl.errors.ShapeError, match="targets=3"):
        ready(targets=3)(*nd(*matrices(2, 3, 2, targets=2)))
    with pytest.raises(gl.errors.NonFiniteError, match=r"weight.*elements: 1 of 2"):
        weighted(*nd(a, b, [[1.0, 1.0, 1.0], [1.0, -1.0, 1.0]]))
    for position, name in ((0, "'a'"), (1, "'b'")):
        bad = [a.copy(), b.copy()]
        bad[position][1, 2] = np.nan
        with pytest.raises(gl.errors.NonFiniteError, match=rf"{name}.*elements: 1 of 2"):
            tall(*nd(*bad))
    with pytest.raises(gl.errors.ShapeError, match="empty"):
        tall(*nd(np.zeros((0, 3, 2)), np.zeros((0, 3))))
    with pytest.raises(ValueError, match="-1.0"):
        LeastSquaresBlock(ridge=-1.0)
    with pytest.raises(ValueError, match="targets"):
        LeastSquaresBlock(targets=0)
    np.testing.assert_allclose(tall(*nd(a, b)).asnumpy(), oracle()(a, b), rtol=1e-12)
