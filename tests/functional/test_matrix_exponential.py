"""Exponentials and discretized stochastic differential equations against mpmath."""

import mpmath
import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import functional as fn
from gluon_linalg.blocks.base import LinearAlgebraBlock
from harness import check_block

DRIFT = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, -3.0, -3.0]])
DIFFUSION = np.array([[0.0], [0.0], [2.0]])


def nd(*values):
    arrays = [mx.nd.array(value, dtype="float64") for value in values]
    return arrays[0] if len(arrays) == 1 else arrays


def exact(drift, diffusion, gap):
    """A and Q by Van Loan's block matrix, with 80 digits."""
    d = len(drift)
    with mpmath.workdps(80):
        block = mpmath.zeros(2 * d)
        noise = mpmath.matrix(diffusion @ diffusion.T)
        for i in range(d):
            for j in range(d):
                block[i, j] = -mpmath.mpf(drift[i, j])
                block[d + i, d + j] = mpmath.mpf(drift[j, i])
                block[i, d + j] = noise[i, j]
        found = mpmath.expm(block * mpmath.mpf(gap), method="taylor")
        transition = found[d:, d:].T
        return transition, transition * found[:d, d:]


def numbers(matrix):
    return np.array(matrix.tolist(), dtype="float64")


@pytest.mark.parametrize("size", [0.0, 1e-9, 0.3, 7.0, 900.0])
def test_exponential(size):
    a = size * np.random.RandomState(0).randn(2, 1, 4, 4)
    a = a - 2.0 * size * np.eye(4)
    found = fn.matrix_exponential(mx.nd, nd(a)).asnumpy()
    for own, matrix in zip(found[:, 0], a[:, 0]):
        with mpmath.workdps(60):
            expected = numbers(mpmath.expm(mpmath.matrix(matrix), method="taylor"))
        np.testing.assert_allclose(own, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_exponential_gradient():
    """By the block matrix [[A, E], [0, A]], whose exponential has the derivative in E."""
    random = np.random.RandomState(1)
    a, weight = random.randn(3, 3) * 2.0, random.randn(3, 3)
    array = nd(a[None, None])
    array.attach_grad()
    with mx.autograd.record():
        loss = (fn.matrix_exponential(mx.nd, array) * nd(weight[None, None])).sum()
    loss.backward()
    for i, j in np.ndindex(3, 3):
        block = np.zeros((6, 6))
        block[:3, :3] = block[3:, 3:] = a
        block[i, 3 + j] = 1.0
        derivative = numbers(mpmath.expm(mpmath.matrix(block)))[:3, 3:]
        assert abs(array.grad[0, 0, i, j].asscalar() - (derivative * weight).sum()) < 1e-10


@pytest.mark.parametrize("gap", [1e-6, 1e-2, 0.7, 30.0, 1000.0])
def test_discretized(gap):
    transition, factor = fn.discretized(
        mx.nd, nd(DRIFT[None, None]), nd(DIFFUSION[None, None]), nd([[[gap]]])
    )
    expected, noise = exact(DRIFT, DIFFUSION, gap)
    found = transition.asnumpy()[0, 0]
    np.testing.assert_allclose(found, numbers(expected), rtol=0, atol=1e-13)
    # Each entry of Q to all digits beside its diagonal, which is as gap⁵ to gap; and its smallest
    # eigenvalue, as gap⁵ where the largest is as gap, which no float64 matrix Q could hold.
    own = factor.asnumpy()[0, 0, :, :3]
    scale = np.sqrt(np.diag(numbers(noise)))
    difference = (own @ own.T - numbers(noise)) / np.outer(scale, scale)
    assert np.abs(difference).max() < 1e-13
    with mpmath.workdps(80):
        pivots = mpmath.cholesky(noise)
        expected = np.array([float(pivots[i, i]) for i in range(3)])
    np.testing.assert_allclose(np.abs(np.diag(own)), expected, rtol=1e-9)


@pytest.mark.parametrize("gap", [0.0, 0.4, 5.0])
def test_gradient_of_the_noise(gap):
    """d tr(W G Gᵀ) by each entry of F and L, and by the gap; of Q of any rank."""
    weight = np.array([[1.0, 0.3, -0.2], [0.3, 2.0, 0.1], [-0.2, 0.1, 0.7]])
    given = [DRIFT[None, None], DIFFUSION[None, None], np.array([[[gap]]])]
    arrays = nd(*given)
    for array in arrays:
        array.attach_grad()
    with mx.autograd.record():
        _, factor = fn.discretized(mx.nd, *arrays)
        # As a Kalman layer gives it: 2 W G.
        adjoint = mx.nd.batch_dot(nd(weight[None, None]), factor).detach()
        loss = (2.0 * adjoint * factor).sum()
    loss.backward()

    def value(drift, diffusion, gap):
        return float(np.trace(weight @ numbers(exact(drift[0, 0], diffusion[0, 0], gap.item())[1])))

    for position, array in enumerate(arrays):
        for index in np.ndindex(*array.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [np.array(v) for v in given]
                moved[position][index] += step
                ends.append(value(*moved))
            expected = (ends[0] - ends[1]) / 2e-5
            assert abs(array.grad[index].asscalar() - expected) < 1e-7 * max(1.0, abs(expected))


class Discretization(LinearAlgebraBlock):
    """A and Q, by the factors of Q."""

    arguments = (("drift", "B n d d"), ("diffusion", "B n d r"), ("gaps", "B n 1"))

    def hybrid_forward(self, F, drift, diffusion, gaps):
        transition, factor = fn.discretized(F, drift, diffusion, gaps, squarings=2)
        return transition, fn.product(F, factor, factor, transpose_b=True)


def test_modes(tmp_path):
    random = np.random.RandomState(2)
    cases = [
        [random.randn(b, n, d, d), random.randn(b, n, d, r), random.uniform(0, 0.5, (b, n, 1))]
        for b, n, d, r in ((1, 2, 2, 1), (2, 1, 3, 2))
    ]
    check_block(Discretization, cases, tmp_path)


def test_what_is_too_large_is_an_error():
    gaps = nd([[[1.0], [1e9]]])
    with pytest.raises(gl.errors.NonFiniteError, match="another unit of time"):
        fn.discretized(mx.nd, nd(DRIFT[None, None]), nd(DIFFUSION[None, None]), gaps)
