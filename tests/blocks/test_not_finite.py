"""NaN or infinity in any input of any block: an error that names the block, at the call."""

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl

random = np.random.RandomState(0)
SPD = 2.0 * np.eye(3)[None]
SAMPLES = random.randn(1, 9, 3)
VALUES = random.randn(1, 9)
LABELS = np.arange(9.0)[None] % 2

CASES = {
    "cholesky": (gl.CholeskyBlock, [SPD]),
    "cholesky solve": (gl.CholeskySolveBlock, [SPD, random.randn(1, 3, 2)]),
    "log determinant": (gl.LogDetBlock, [SPD]),
    "determinant": (gl.DetBlock, [SPD]),
    "sign and logarithm": (gl.SLogDetBlock, [SPD]),
    "inverse": (gl.InverseBlock, [SPD]),
    "inverse, positive definite": (lambda: gl.InverseBlock(positive_definite=True), [SPD]),
    "triangular solve": (gl.TriangularSolveBlock, [SPD, random.randn(1, 3, 2)]),
    "lq": (gl.LQBlock, [random.randn(1, 2, 3)]),
    "qr": (gl.QRBlock, [random.randn(1, 3, 2)]),
    "eig": (gl.EigBlock, [SPD]),
    "svd": (gl.SVDBlock, [random.randn(1, 2, 3)]),
    "root": (gl.MatrixSqrtBlock, [SPD]),
    "exponential": (gl.MatrixExpBlock, [SPD]),
    "least squares": (gl.LeastSquaresBlock, [SAMPLES, VALUES, np.ones((1, 9))]),
    "minimum norm": (
        lambda: gl.LeastSquaresBlock(wide=True),
        [random.randn(1, 2, 3), random.randn(1, 2)],
    ),
    "regression": (gl.BLRLikelihoodLayer, [SAMPLES, VALUES]),
    "gp": (lambda: gl.GPLikelihoodLayer(gl.kernels.Matern32()), [SAMPLES, VALUES]),
    "gp in time": (
        lambda: gl.StateSpaceGPLayer(gl.kernels.Matern32()),
        [np.arange(9.0)[None], VALUES],
    ),
    "gp of outputs": (
        lambda: gl.MultiOutputGPLikelihoodLayer(gl.kernels.Matern32(), 2),
        [SAMPLES, random.randn(1, 9, 2)],
    ),
    "lda": (lambda: gl.LDABlock(2), [SAMPLES, LABELS]),
    "cca": (lambda: gl.CCABlock(1), [SAMPLES, random.randn(1, 9, 2)]),
    "pca": (lambda: gl.PCABlock(1, momentum=None), [SAMPLES]),
    "whitening": (lambda: gl.WhiteningBlock(momentum=None), [SAMPLES]),
    "probabilistic pca": (lambda: gl.PPCALikelihoodLayer(1), [SAMPLES]),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_every_input(case, compiled):
    factory, inputs = CASES[case]
    block = factory()
    block.initialize()
    block.cast("float64")
    block.hybridize(compiled)
    for position in range(len(inputs)):
        for bad in (np.nan, np.inf):
            arrays = [np.array(value) for value in inputs]
            arrays[position].flat[0] = bad
            with pytest.raises(ValueError, match=block.name):
                block(*[mx.nd.array(value, dtype="float64") for value in arrays])
    good = block(*[mx.nd.array(value, dtype="float64") for value in inputs])
    good = good if isinstance(good, (list, tuple)) else [good]
    assert all(np.isfinite(output.asnumpy()).all() for output in good)
