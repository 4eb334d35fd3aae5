"""The decomposition and solve blocks through the shared harness."""

import numpy as np
import pytest
import scipy.linalg

import gluon_linalg as gl
from harness import check_block


def positive_definite(batch, n, seed=0):
    """Eigenvalues between 1 and 4 or so, well separated."""
    random = np.random.RandomState(seed)
    q = np.stack([np.linalg.qr(random.randn(n, n))[0] for _ in range(batch)])
    return q * np.linspace(1.0, 4.0, n) @ q.transpose(0, 2, 1)


def rectangular(batch, m, n, seed=1):
    return np.random.RandomState(seed).randn(batch, m, n) + 2.0 * np.eye(m, n)


def each(function):
    return lambda *args: [np.stack(x) for x in zip(*(function(*a) for a in zip(*args[:-1])))]


CASES = {
    "cholesky": (
        gl.CholeskyBlock,
        [[positive_definite(2, 3)], [positive_definite(3, 5)], [positive_definite(1, 1)]],
        each(lambda a: (np.linalg.cholesky(a),)),
        (0,),
    ),
    "cholesky, relative jitter": (
        lambda: gl.CholeskyBlock(jitter=0.1),
        [[positive_definite(2, 3)], [positive_definite(3, 5)]],
        each(lambda a: (np.linalg.cholesky(a + 0.1 * np.mean(np.diag(a)) * np.eye(len(a))),)),
        (0,),
    ),
    "cholesky, automatic jitter, untouched": (
        lambda: gl.CholeskyBlock(jitter="auto"),
        [[positive_definite(2, 3)], [positive_definite(3, 5)]],
        each(lambda a: (np.linalg.cholesky(a),)),
        (0,),
    ),
    "cholesky solve": (
        gl.CholeskySolveBlock,
        [
            [positive_definite(2, 3), rectangular(2, 3, 2)],
            [positive_definite(1, 4), rectangular(1, 4, 1)],
        ],
        each(lambda a, b: (np.linalg.solve(a, b),)),
        (0,),
    ),
    "log determinant": (
        gl.LogDetBlock,
        [[positive_definite(2, 3)], [positive_definite(3, 5)]],
        each(lambda a: (np.linalg.slogdet(a)[1],)),
        (0,),
    ),
    "inverse": (
        gl.InverseBlock,
        [[rectangular(2, 3, 3)], [rectangular(1, 5, 5)]],
        each(lambda a: (np.linalg.inv(a),)),
        (),
    ),
    "inverse, positive definite": (
        lambda: gl.InverseBlock(positive_definite=True),
        [[positive_definite(2, 3)], [positive_definite(3, 5)]],
        each(lambda a: (np.linalg.inv(a),)),
        (0,),
    ),
    "determinant": (
        gl.DetBlock,
        [[rectangular(2, 3, 3)], [rectangular(1, 5, 5)]],
        each(lambda a: (np.linalg.det(a),)),
        (),
    ),
    "sign and logarithm of the determinant": (
        gl.SLogDetBlock,
        [[rectangular(1, 3, 3)], [-rectangular(2, 1, 1)]],
        each(np.linalg.slogdet),
        (),
    ),
    "triangular solve": (
        gl.TriangularSolveBlock,
        [
            [np.tril(rectangular(2, 3, 3)), rectangular(2, 3, 2)],
            [np.tril(rectangular(1, 4, 4)), rectangular(1, 4, 1)],
        ],
        each(lambda a, b: (scipy.linalg.solve_triangular(a, b, lower=True),)),
        (),
    ),
    "triangular solve, transposed": (
        lambda: gl.TriangularSolveBlock(transpose=True),
        [
            [np.tril(rectangular(2, 3, 3)), rectangular(2, 3, 2)],
            [np.tril(rectangular(1, 4, 4)), rectangular(1, 4, 1)],
        ],
        each(lambda a, b: (scipy.linalg.solve_triangular(a, b, lower=True, trans=1),)),
        (),
    ),
    "triangular solve, upper": (
        lambda: gl.TriangularSolveBlock(lower=False),
        [
            [np.triu(rectangular(2, 3, 3)), rectangular(2, 3, 2)],
            [np.triu(rectangular(1, 4, 4)), rectangular(1, 4, 1)],
        ],
        each(lambda a, b: (scipy.linalg.solve_triangular(a, b),)),
        (),
    ),
    "lq": (
        gl.LQBlock,
        [[rectangular(2, 2, 3)], [rectangular(3, 4, 4)], [rectangular(1, 1, 5)]],
        each(lambda a: _positive_lq(a)),
        (),
    ),
    "qr": (
        gl.QRBlock,
        [[rectangular(2, 3, 2)], [rectangular(3, 4, 4)], [rectangular(1, 5, 1)]],
        each(lambda a: tuple(x.T for x in _positive_lq(a.T))),
        (),
    ),
}


def _positive_lq(a):
    q, r = np.linalg.qr(a.T)
    sign = np.sign(np.diag(r))
    return sign[:, None] * q.T, r.T * sign


@pytest.mark.parametrize("name", CASES)
def test_block(name, tmp_path):
    factory, cases, oracle, symmetric = CASES[name]
    check_block(factory, cases, tmp_path, oracle, symmetric)


class EigenProjector(gl.blocks.LinearAlgebraBlock):
    """Sign-invariant functions of the eigendecomposition: eigenvalues and squared eigenvectors."""

    arguments = (("a", "B n n"),)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.eig = gl.EigBlock()

    def hybrid_forward(self, F, a):
        u, eigenvalues = self.eig(a)
        return F.square(u), eigenvalues


def test_eig(tmp_path):
    def oracle(a, _):
        eigenvalues, vectors = np.linalg.eigh(a)
        return vectors.transpose(0, 2, 1) ** 2, eigenvalues

    cases = [[positive_definite(2, 4)], [positive_definite(1, 1)], [positive_definite(3, 6)]]
    check_block(EigenProjector, cases, tmp_path, oracle, symmetric=(0,))


def test_eig_reconstructs():
    import mxnet as mx

    a = positive_definite(3, 5)
    u, eigenvalues = (x.asnumpy() for x in gl.EigBlock()(mx.nd.array(a, dtype="float64")))
    rebuilt = u.transpose(0, 2, 1) * eigenvalues[:, None, :] @ u
    np.testing.assert_allclose(rebuilt, a, atol=1e-13)
