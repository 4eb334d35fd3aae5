"""One block of each family with the arrays of a call, for what holds of all of them."""

import mxnet as mx
import numpy as np

import gluon_linalg as gl
from gluon_linalg import kernels as k
from gluon_linalg import structural as s

BATCH, COUNT = 2, 6
RANDOM = np.random.RandomState(5)
X, Y = RANDOM.randn(BATCH, COUNT, 2), RANDOM.randn(BATCH, COUNT)
ONES = np.ones((BATCH, COUNT))
TIMES = np.cumsum(np.abs(Y), axis=1)
SYSTEM = [np.ones((1, 1, 1, 1))] * 4 + [np.zeros((1, 1)), np.ones((1, 1, 1))]


def ready(block, dtype="float32"):
    block.initialize()
    block.cast(dtype)
    return block


def arrays(values, dtype="float32", ctx=None):
    return [None if v is None else mx.nd.array(v, dtype=dtype, ctx=ctx) for v in values]


def gp(**options):
    kernel = k.RBF(lengthscale=[1.0, 2.0]) + k.Linear(active_dims=[0])
    return gl.GPLikelihoodLayer(kernel, mean="linear", noise_variance=0.1, **options)


def in_time():
    return gl.StateSpaceGPLayer(k.Matern32() + k.Cosine(), mean="linear", noise_variance=0.1)


def structural():
    return gl.StructuralModel(s.LocalLevel(0.1), 0.2)


def ppca(dtype):
    # It begins random.
    mx.random.seed(1)
    return ready(gl.PPCALikelihoodLayer(1, in_features=2), dtype)


def conditioned(layer, dtype, *values):
    return ready(layer, dtype).condition(*arrays(values, dtype))


def sparse(cls, **options):
    return cls(k.RBF(lengthscale=[1.0, 2.0]), X[0, :3], noise_variance=0.1, **options)


def outputs():
    return gl.MultiOutputGPLikelihoodLayer(k.RBF(), 2, mean="linear", noise_variance=0.1)


def svgp():
    block = gl.SVGPLikelihoodLayer(k.RBF(), X[0, :3], gl.likelihoods.StudentT(), batch=BATCH)
    # At the prior the kernel's lengthscale and the points have no gradient.
    block.variational_mean.set_value(0.3)
    return block


def nonlinear():
    transition, emission = (mx.gluon.nn.Dense(1, "tanh", in_units=1) for _ in range(2))
    return gl.NonlinearFilterLayer(transition, emission, 1, length=Y.shape[1])


# name: (dtype -> block ready to be called, the arguments of a call)
BLOCKS = {
    "gp": (lambda d: ready(gp(), d), [X, Y]),
    "gp in float64": (lambda d: ready(gp(precision="float64"), d), [X, Y, ONES]),
    "gp of two outputs": (lambda d: ready(outputs(), d), [X, np.stack([Y, -Y], axis=2)]),
    "sgpr": (lambda d: ready(sparse(gl.SGPRLikelihoodLayer), d), [X, Y, None, ONES]),
    "fitc": (lambda d: ready(sparse(gl.FITCLikelihoodLayer, precision=None), d), [X, Y, ONES]),
    "svgp": (lambda d: ready(svgp(), d), [X, Y]),
    "state space gp": (lambda d: ready(in_time(), d), [TIMES, Y, None, ONES]),
    "likelihood": (lambda d: ready(gl.likelihoods.StudentT(), d), [Y, ONES, Y]),
    "blr": (lambda d: ready(gl.BLRLikelihoodLayer(), d), [X, Y, None, ONES]),
    "kernel": (lambda d: ready(k.RBF() * k.Periodic(), d), [X]),
    "pca": (lambda d: ready(gl.PCABlock(1), d), [X]),
    "ppca": (ppca, [X]),
    "whitening": (lambda d: ready(gl.WhiteningBlock(), d), [X]),
    "least squares": (lambda d: ready(gl.LeastSquaresBlock(0.1), d), [X, Y, ONES]),
    "kalman": (lambda d: ready(gl.KalmanFilterLayer(1), d), [Y[:, :, None], *SYSTEM]),
    "kalman in float64": (
        lambda d: ready(gl.KalmanFilterLayer(1, precision="float64"), d),
        [Y[:, :, None], *SYSTEM, ONES[:, :, None]],
    ),
    "nonlinear": (lambda d: ready(nonlinear(), d), [Y[:, :, None], *SYSTEM[2:]]),
    "structural": (lambda d: ready(structural(), d), [Y, ONES]),
    "component": (lambda d: ready(s.LocalLevel(0.1), d), [Y]),
    "cholesky": (lambda d: ready(gl.CholeskyBlock(), d), [np.eye(3)[None]]),
    "gp predictor": (lambda d: conditioned(gp(), d, X, Y), [X]),
    "gp predictor in float64": (lambda d: conditioned(gp(precision="float64"), d, X, Y), [X]),
    "view of a gp predictor": (
        lambda d: conditioned(gp(), d, X, Y).view("gradient"),
        [X],
    ),
    "predictor of two outputs": (
        lambda d: conditioned(outputs(), d, X, np.stack([Y, -Y], axis=2)),
        [X],
    ),
    "sparse predictor": (
        lambda d: conditioned(sparse(gl.SGPRLikelihoodLayer), d, X, Y),
        [X],
    ),
    "state space predictor": (lambda d: conditioned(in_time(), d, TIMES, Y), [X[:, :, 0]]),
    "blr predictor": (lambda d: conditioned(gl.BLRLikelihoodLayer(), d, X, Y), [X]),
    "projection": (lambda d: gl.PCABlock(1).fit(X.astype(d)), [X]),
    "forecaster": (lambda d: ready(structural(), d).forecaster(2), [Y]),
}


class Network(mx.gluon.HybridBlock):
    """A network of another's making around a block, in which none of our Python runs compiled."""

    def __init__(self, block, **kwargs):
        super().__init__(**kwargs)
        self.block = block

    def hybrid_forward(self, F, *inputs):
        return self.block(*inputs)


def listed(outputs):
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def values(outputs):
    return [output.asnumpy() for output in listed(outputs)]


def difference(found, expected):
    return max(np.abs(a - b).max() for a, b in zip(found, expected))
