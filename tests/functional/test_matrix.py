"""Products and rearrangements against NumPy, on arrays and in a graph."""

import mxnet as mx
import numpy as np
import pytest

from gluon_linalg import functional as fn

A = np.random.RandomState(0).randn(2, 3, 3)
B = np.random.RandomState(1).randn(2, 3, 4)
D = np.random.RandomState(2).randn(2, 3)
TRANSPOSED = A.transpose(0, 2, 1)

CASES = {
    "product": (lambda F, a, b: fn.product(F, a, b), (A, B), A @ B),
    "product, transposed": (
        lambda F, a, b: fn.product(F, b, a, transpose_a=True, transpose_b=True),
        (A, B),
        B.transpose(0, 2, 1) @ TRANSPOSED,
    ),
    "transpose": (lambda F, b: fn.transpose(F, b), (B,), B.transpose(0, 2, 1)),
    "triangular product": (
        lambda F, a, b: fn.triangular_product(F, a, b),
        (np.tril(A), B),
        np.tril(A) @ B,
    ),
    "triangular product, transposed": (
        lambda F, a, b: fn.triangular_product(F, a, b, transpose=True),
        (np.tril(A), B),
        np.triu(TRANSPOSED) @ B,
    ),
    "column_squares": (lambda F, b: fn.column_squares(F, b), (B,), (B**2).sum(axis=1)),
    "symmetrize": (lambda F, a: fn.symmetrize(F, a), (A,), 0.5 * (A + TRANSPOSED)),
    "mirror_lower": (
        lambda F, a: fn.mirror_lower(F, a),
        (A,),
        np.tril(A) + np.tril(A, -1).transpose(0, 2, 1),
    ),
    "diagonal": (lambda F, a: fn.diagonal(F, a), (A,), A.diagonal(axis1=1, axis2=2)),
    "diagonal_matrix": (lambda F, d: fn.diagonal_matrix(F, d), (D,), D[:, None] * np.eye(3)),
    "add_diagonal": (lambda F, a, d: fn.add_diagonal(F, a, d), (A, D), A + D[:, None] * np.eye(3)),
    "identity_like": (lambda F, a: fn.identity_like(F, a), (A,), np.stack([np.eye(3)] * 2)),
    "inner": (lambda F, a, c: fn.inner(F, a, c), (A, A + 1), (A * (A + 1)).sum(axis=(1, 2))),
    "kronecker": (
        lambda F, a, b: fn.kronecker(F, a, b),
        (A, B),
        np.stack([np.kron(a, b) for a, b in zip(A, B)]),
    ),
    "kronecker, one for all": (
        lambda F, a, b: fn.kronecker(F, a, b),
        (A[:1], B),
        np.stack([np.kron(A[0], b) for b in B]),
    ),
    "log_determinant": (
        lambda F, a: fn.log_determinant(F, fn.product(F, a, a, transpose_b=True)),
        (A,),
        np.linalg.slogdet(A @ TRANSPOSED)[1],
    ),
    "finite": (
        lambda F, d: fn.finite(F, d),
        (np.array([[1.0, np.nan, np.inf, -np.inf, 0.0]]),),
        np.array([[1.0, 0.0, 0.0, 0.0, 1.0]]),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_value(name, hybridize, dtype):
    function, inputs, expected = CASES[name]

    class Block(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, *arrays):
            return function(F, *arrays)

    block = Block()
    block.hybridize(hybridize)
    found = block(*[mx.nd.array(value, dtype=dtype) for value in inputs])
    assert found.dtype == np.dtype(dtype).type
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(found.asnumpy(), expected, rtol=tolerance, atol=tolerance)


def test_symmetrize_is_bitwise_symmetric():
    found = fn.symmetrize(mx.nd, mx.nd.random.normal(shape=(3, 50, 50))).asnumpy()
    assert np.array_equal(found, found.transpose(0, 2, 1))


def test_the_gradient_of_a_kronecker_product():
    """Of Σ W (A ⊗ B) by A: Σ of each block of W times B; by B: the blocks weighted by A."""
    weights = np.random.RandomState(3).randn(2, 9, 12)
    a, b = mx.nd.array(A, dtype="float64"), mx.nd.array(B, dtype="float64")
    a.attach_grad()
    b.attach_grad()
    with mx.autograd.record():
        value = (fn.kronecker(mx.nd, a, b) * mx.nd.array(weights, dtype="float64")).sum()
    value.backward()
    blocks = weights.reshape(2, 3, 3, 3, 4)
    expected = np.einsum("bimjn,bmn->bij", blocks, B), np.einsum("bimjn,bij->bmn", blocks, A)
    for found, right in zip((a.grad, b.grad), expected):
        np.testing.assert_allclose(found.asnumpy(), right, rtol=1e-12)
