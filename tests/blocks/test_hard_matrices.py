"""Hard matrices for the decompositions, in every execution mode: a value or a clear error."""

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import errors
from harness.modes import MODES, in_mode

EVERY_MODE = pytest.mark.parametrize("mode", MODES)
BOTH = pytest.mark.parametrize("dtype", ["float32", "float64"])


def nd(value, dtype="float64"):
    return mx.nd.array(value, dtype=dtype)


def prepared(block, mode, good, folder):
    """The block in a mode, having seen a good input first."""
    block.initialize()
    return in_mode(block, mode, [nd(good)] if not isinstance(good, list) else good, folder)


# Cholesky, triangular solves, inverses.


@EVERY_MODE
@BOTH
def test_one_bad_matrix_in_a_batch(mode, dtype, tmp_path):
    """The error names the block and the batch element, and the process goes on."""
    good = nd([np.eye(2), 2 * np.eye(2)], dtype)
    block = prepared(gl.CholeskyBlock(prefix="factor_"), mode, [good], tmp_path)
    bad = nd([np.diag([3.0, -1.0]), np.diag([4.0, 9.0])], dtype)
    for _ in range(2):
        with pytest.raises(errors.NotPositiveDefiniteError) as caught:
            block(bad).asnumpy()
        assert ("model" if mode == "exported" else "factor") in str(caught.value)
        assert "batch element 0 of 2" in str(caught.value)
        np.testing.assert_array_equal(
            block(nd([[[4.0, 0.0], [0.0, 1.0]]] * 2, dtype)).asnumpy()[0], np.diag([2.0, 1.0])
        )


@EVERY_MODE
def test_the_lower_triangle_is_read(mode, tmp_path):
    a = nd([[[1.0, 9.0], [1.0, 16.0]]])
    for block, expected in (
        (gl.CholeskyBlock(), [[1.0, 0.0], [1.0, np.sqrt(15.0)]]),
        (gl.LogDetBlock(), np.log(15.0)),
        (gl.InverseBlock(positive_definite=True), [[16 / 15, -1 / 15], [-1 / 15, 1 / 15]]),
    ):
        found = prepared(block, mode, [a], tmp_path)(a).asnumpy()
        np.testing.assert_allclose(found[0], expected, rtol=1e-12)
    _, eigenvalues = prepared(gl.EigBlock(), mode, [a], tmp_path)(a)
    expected = np.linalg.eigvalsh([[1.0, 1.0], [1.0, 16.0]])
    np.testing.assert_allclose(eigenvalues.asnumpy()[0], expected, rtol=1e-12)


@BOTH
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("jitter", [0.0, "auto"])
def test_singular_matrix(batch, jitter, dtype):
    """ones(2, 2): an error without jitter, a factor with it; the same for every batch size."""
    a = nd(np.ones((batch, 2, 2)), dtype)
    block = gl.CholeskyBlock(jitter=jitter)
    for flags in (None, {}, {"static_alloc": True, "static_shape": True}):
        block.hybridize(flags is not None, **(flags or {}))
        if jitter == 0.0:
            with pytest.raises(errors.NotPositiveDefiniteError, match="jitter"):
                block(a)
        else:
            factor = block(a).asnumpy()
            np.testing.assert_allclose(factor @ factor.transpose(0, 2, 1), a.asnumpy(), atol=1e-5)


@BOTH
@pytest.mark.parametrize("jitter", [0.0, 1e-6, "auto"])
@pytest.mark.parametrize("block", [gl.CholeskyBlock, gl.LogDetBlock, gl.CholeskySolveBlock])
@pytest.mark.parametrize("nan", [[[1, np.nan], [np.nan, 2]], [[np.nan, 0], [0, 1]]])
def test_nan_is_reported_and_never_repaired(block, jitter, dtype, nan):
    block = block(jitter=jitter)
    good = np.broadcast_to(np.eye(2), (2, 2, 2)).copy()
    bad = good.copy()
    bad[1] = nan
    more = [nd(np.ones((2, 2, 1)), dtype)] if isinstance(block, gl.CholeskySolveBlock) else []
    for flags in (None, {}, {"static_alloc": True, "static_shape": True}):
        block.hybridize(flags is not None, **(flags or {}))
        with pytest.raises(errors.NonFiniteError, match="NaN.* 1 of 2"):
            block(nd(bad, dtype), *more)
        assert np.isfinite(block(nd(good, dtype), *more).asnumpy()).all()


def test_nan_in_an_exported_graph_leaves_no_finite_entry(tmp_path):
    good = nd(np.broadcast_to(np.eye(2), (2, 2, 2)))
    bad = good.copy()
    bad[1, 0, 1] = bad[1, 1, 0] = np.nan
    for jitter in (0.0, "auto"):
        found = prepared(gl.CholeskyBlock(jitter), "exported", [good], tmp_path)(bad).asnumpy()
        assert np.isnan(found[1]).all()
        np.testing.assert_allclose(found[0], np.eye(2), atol=1e-12)


def test_gradients_are_symmetric():
    a = nd([[[4.0, 2.0], [2.0, 3.0]]])
    a.attach_grad()
    for block in (gl.InverseBlock(positive_definite=True), gl.InverseBlock()):
        with mx.autograd.record():
            trace = (block(a) * nd(np.eye(2))[None]).sum()
        trace.backward()
        expected = [[-0.203125, 0.21875], [0.21875, -0.3125]]
        np.testing.assert_allclose(a.grad.asnumpy()[0], expected, rtol=1e-12)
    with mx.autograd.record():
        trace = (gl.CholeskySolveBlock()(a, nd(np.eye(2)[None])) * nd(np.eye(2))[None]).sum()
    trace.backward()
    np.testing.assert_allclose(a.grad.asnumpy()[0], expected, rtol=1e-12)
    b = nd([[[9.0, 3.0], [3.0, 5.0]]])
    b.attach_grad()
    with mx.autograd.record():
        total = gl.CholeskyBlock()(b).sum()
    total.backward()
    expected = [[5 / 36, 1 / 12], [1 / 12, 0.25]]
    np.testing.assert_allclose(b.grad.asnumpy()[0], expected, rtol=1e-12)


@BOTH
@pytest.mark.parametrize("scale", [1e12, 1.0, 1e-8])
@EVERY_MODE
def test_jitter_is_relative(scale, dtype, mode, tmp_path):
    a = nd(scale * np.ones((1, 2, 2)), dtype)
    relative = 1e-6 if dtype == "float32" else 1e-12
    for jitter in ("auto", relative):
        block = prepared(gl.CholeskyBlock(jitter=jitter), mode, [a], tmp_path)
        factor = block(a).asnumpy().astype("float64")[0]
        error = np.linalg.norm(factor @ factor.T - scale) / (2 * scale)
        assert 0 < error < (1e-5 if dtype == "float32" else 1e-11)


@BOTH
def test_automatic_jitter_reports_and_leaves_alone(dtype):
    good = np.array([[4.0, 1.0], [1.0, 3.0]])
    a = nd([good, np.ones((2, 2))], dtype)
    factor, shift = gl.CholeskyBlock(jitter="auto", return_jitter=True)(a)
    shift = shift.asnumpy()[:, 0]
    assert shift[0] == 0.0
    assert 0.0 < shift[1] < (1e-5 if dtype == "float32" else 1e-14)
    plain = gl.CholeskyBlock()(nd([good], dtype)).asnumpy()
    assert np.array_equal(factor.asnumpy()[:1], plain)


@BOTH
@pytest.mark.parametrize("rank", [1, 5])
@pytest.mark.parametrize("n", [2, 10, 60, 200])
def test_automatic_jitter_suffices_for_low_rank(n, rank, dtype):
    random = np.random.RandomState(n)
    for scale in (1e-6, 1.0, 1e6):
        b = random.randn(20, n, min(rank, n)) * scale
        a = nd(b @ b.transpose(0, 2, 1), dtype)
        assert np.isfinite(gl.CholeskyBlock(jitter="auto")(a).asnumpy()).all()


@EVERY_MODE
def test_automatic_jitter_is_bounded(mode, tmp_path):
    good, bad = nd([np.eye(2)]), nd([np.diag([1.0, -1e-3])])
    block = prepared(gl.CholeskyBlock(jitter="auto"), mode, [good], tmp_path)
    if mode == "exported":
        assert np.isnan(block(bad).asnumpy()).all()
        return
    with pytest.raises(errors.NotPositiveDefiniteError, match="more than rounding"):
        block(bad)


def test_positive_semidefinite_by_rounding_only():
    x = np.linspace(0.0, 1.0, 60).astype("float32")
    gram = np.exp(-0.5 * np.subtract.outer(x, x) ** 2).astype("float32")
    a = nd(gram[None], "float32")
    with pytest.raises(errors.NotPositiveDefiniteError, match="jitter='auto'.*float64"):
        gl.CholeskyBlock()(a)
    factor = gl.CholeskyBlock(jitter="auto")(a).asnumpy()[0].astype("float64")
    assert np.linalg.norm(factor @ factor.T - gram) / np.linalg.norm(gram) < 1e-4


def test_very_many_right_hand_sides():
    factor = nd(2.0 * np.eye(2)[None], "float32")
    b = mx.nd.ones((1, 2, 524289))
    assert (gl.TriangularSolveBlock()(factor, b).asnumpy() == 0.5).all()


@BOTH
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("n", [1, 3, 17, 64])
@pytest.mark.parametrize("positive_definite", [False, True])
def test_inverse(n, batch, dtype, positive_definite):
    a = nd(np.broadcast_to(np.eye(n) + 0.1, (batch, n, n)), dtype)
    inverse = gl.InverseBlock(positive_definite=positive_definite)(a).asnumpy()
    limit = 1e-5 if dtype == "float32" else 1e-13
    assert np.abs(a.asnumpy() @ inverse - np.eye(n)).max() < limit


@EVERY_MODE
def test_inverse_of_nan_and_of_singular_matrices(mode, tmp_path):
    good = nd(np.eye(8)[None])
    block = prepared(gl.InverseBlock(), mode, [good], tmp_path)
    bad = nd(np.full((1, 8, 8), np.nan))
    if mode == "exported":
        assert np.isnan(block(bad).asnumpy()).all()
    else:
        with pytest.raises(errors.NonFiniteError, match="0 of 1"):
            block(bad)
    block = prepared(gl.InverseBlock(), mode, [nd(np.eye(2)[None])], tmp_path)
    with pytest.raises(errors.SingularMatrixError, match="singular"):
        block(nd([[[1.0, 2.0], [2.0, 4.0]]])).asnumpy()
    np.testing.assert_array_equal(block(nd([2 * np.eye(2)])).asnumpy(), [0.5 * np.eye(2)])


@pytest.mark.parametrize("lower", [False, True])
def test_a_factor_with_a_zero_pivot(lower):
    block = gl.TriangularSolveBlock(lower=lower)
    b = nd(np.ones((2, 2, 1)))
    factor = nd([np.eye(2), np.diag([1.0, 0.0])])
    for flags in (None, {}, {"static_alloc": True, "static_shape": True}):
        block.hybridize(flags is not None, **(flags or {}))
        with pytest.raises(errors.SingularMatrixError, match="1 of 2"):
            block(factor, b)


# LQ.


@EVERY_MODE
@pytest.mark.parametrize("unused", ["Q", "L"])
def test_gradient_through_one_output_of_lq(mode, unused, tmp_path):
    a = nd([[[3.0, 0.0, 4.0], [1.0, 2.0, 2.0]]])
    block = prepared(gl.LQBlock(), mode, [a], tmp_path)
    a.attach_grad()
    weights = nd([[[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]]])
    with mx.autograd.record():
        q, factor = block(a)
        loss = factor.sum() if unused == "Q" else (q * q * weights).sum()
    loss.backward()
    np.testing.assert_allclose(factor.asnumpy()[0], [[5, 0], [2.2, np.sqrt(4.16)]], rtol=1e-12)
    if unused == "Q":
        expected = [[0.605033, -0.0314555, 0.796225], [0.443107, 0.980581, 0.917670]]
    else:
        expected = _differences_of_q(a.asnumpy()[0], weights.asnumpy()[0])
    np.testing.assert_allclose(a.grad.asnumpy()[0], expected, rtol=1e-5, atol=1e-8)


def _differences_of_q(a, weights, h=1e-6):
    gradient = np.zeros_like(a)
    for index in np.ndindex(a.shape):
        moved = np.zeros_like(a)
        moved[index] = h
        values = [(np.linalg.qr((a + s * moved).T)[0].T ** 2 * weights).sum() for s in (1, -1)]
        gradient[index] = (values[0] - values[1]) / (2 * h)
    return gradient


@EVERY_MODE
def test_diagonal_of_l_is_positive(mode, tmp_path):
    a = nd([[[1.0, 2.0, 2.0], [4.0, 0.0, 3.0]]])
    q, factor = prepared(gl.LQBlock(), mode, [a], tmp_path)(a)
    expected = [[3.0, 0.0], [10.0 / 3.0, np.sqrt(25.0 - 100.0 / 9.0)]]
    np.testing.assert_allclose(factor.asnumpy()[0], expected, rtol=1e-12)
    np.testing.assert_allclose((factor.asnumpy() @ q.asnumpy())[0], a.asnumpy()[0], atol=1e-14)
    one = nd([[[-2.0]]])
    q, factor = prepared(gl.LQBlock(), mode, [one], tmp_path)(one)
    assert (q.asscalar(), factor.asscalar()) == (-1.0, 2.0)


def test_tall_and_wide_are_told_apart():
    for flags in (None, {}):
        lq, qr = gl.LQBlock(), gl.QRBlock()
        for block in (lq, qr):
            block.hybridize(flags is not None)
        with pytest.raises(errors.ShapeError, match="3 rows and 2 columns.*QRBlock.*transpose"):
            lq(nd(np.ones((1, 3, 2))))
        with pytest.raises(ValueError, match="2 rows and 3 columns.*LQBlock.*transpose"):
            qr(nd(np.ones((1, 2, 3))))


@BOTH
def test_very_wide(dtype):
    a = nd(np.random.RandomState(0).randn(1, 5, 40000), dtype)
    q, _ = gl.LQBlock()(a)
    limit = 1e-10 if dtype == "float64" else 1e-5
    assert np.abs(q.asnumpy()[0] @ q.asnumpy()[0].T - np.eye(5)).max() < limit


# Symmetric eigendecomposition.


@EVERY_MODE
def test_eigenvalues_only(mode, tmp_path):
    a = nd([[[2.0, 1.0], [1.0, 3.0]]])
    block = prepared(gl.EigBlock(), mode, [a], tmp_path)
    a.attach_grad()
    with mx.autograd.record():
        loss = mx.nd.log(block(a)[1]).sum()
    loss.backward()
    np.testing.assert_allclose(a.grad.asnumpy()[0], [[0.6, -0.2], [-0.2, 0.4]], rtol=1e-12)
    identity = nd(np.eye(3)[None])
    block = prepared(gl.EigBlock(), mode, [identity], tmp_path)
    identity.attach_grad()
    with mx.autograd.record():
        loss = (block(identity)[1] * nd([[1.0, 2.0, 3.0]])).sum()
    loss.backward()
    gradient = identity.grad.asnumpy()[0]
    assert np.isfinite(gradient).all()
    assert abs(np.trace(gradient) - 6.0) < 1e-12


@EVERY_MODE
def test_eig_of_nan_and_infinity(mode, tmp_path):
    block = prepared(gl.EigBlock(), mode, [nd(np.eye(2)[None])], tmp_path)
    bad = nd([[[0.0, np.nan], [np.nan, np.inf]]])
    if mode == "exported":
        assert all(np.isnan(output.asnumpy()).all() for output in block(bad))
    else:
        with pytest.raises(errors.NonFiniteError, match="0 of 1"):
            block(bad)


# What every block refuses.

BLOCKS = {
    "cholesky": (gl.CholeskyBlock, 1),
    "cholesky solve": (gl.CholeskySolveBlock, 2),
    "log determinant": (gl.LogDetBlock, 1),
    "inverse": (gl.InverseBlock, 1),
    "triangular solve": (gl.TriangularSolveBlock, 2),
    "lq": (gl.LQBlock, 1),
    "qr": (gl.QRBlock, 1),
    "eig": (gl.EigBlock, 1),
}


@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize("name", BLOCKS)
def test_refuses(name, hybridize):
    constructor, inputs = BLOCKS[name]
    block = constructor(prefix="named_")
    block.hybridize(hybridize)
    good = np.eye(2)[None]
    for dtype in ("float16", "int32"):
        with pytest.raises(errors.DtypeError, match=f"named.*{dtype}"):
            block(*[nd(good, dtype)] * inputs)
    half = nd(good, "float32").astype(np.dtype([("bfloat16", np.uint16)]))
    with pytest.raises(errors.DtypeError, match="named.*is bfloat16"):
        block(*[half] * inputs)
    with pytest.raises(errors.ShapeError, match="named.*batch axis"):
        block(*[nd(np.eye(2))] * inputs)
    with pytest.raises(errors.ShapeError, match="named.*empty"):
        block(*[nd(np.zeros((0, 2, 2)))] * inputs)
    with pytest.raises(TypeError, match="named.*ndarray"):
        block(*[good] * inputs)
    with pytest.raises(TypeError, match="named.*arguments"):
        block(*[nd(good)] * (inputs + 1))
    if name not in ("lq", "qr"):
        with pytest.raises(errors.ShapeError, match="named"):
            block(*[nd(np.ones((1, 2, 3)))] * inputs)
    if inputs == 2:
        with pytest.raises(errors.DtypeError, match="named.*mixed"):
            block(nd(good), nd(good, "float32"))
        with pytest.raises(errors.ShapeError, match="named"):
            block(nd(good), nd(np.ones((2, 2, 2))))


@pytest.mark.parametrize("name", BLOCKS)
def test_numpy_mode_is_explained(name):
    constructor, inputs = BLOCKS[name]
    block = constructor()
    try:
        mx.npx.set_np()
        values = [mx.np.array(np.eye(2)[None])] * inputs
        with pytest.raises(TypeError, match="reset_np"):
            block(*values)
    finally:
        mx.npx.reset_np()
    with pytest.raises(TypeError, match="as_nd_ndarray"):
        block(*values)
    block(*[value.as_nd_ndarray() for value in values])


@pytest.mark.parametrize("hybridize", [False, True])
def test_jitter_meets_nan_in_matrices_of_any_size(hybridize):
    """At 8 x 8 and more the eigenvalues of NaN fail in LAPACK, or are numbers."""
    for n in (8, 30):
        matrices = np.stack([np.eye(n), np.eye(n)])
        matrices[1, 2, 1] = np.nan
        block = gl.CholeskyBlock(jitter="auto")
        block.hybridize(hybridize)
        with pytest.raises(gl.errors.NonFiniteError, match="1 of 2"):
            block(mx.nd.array(matrices))
