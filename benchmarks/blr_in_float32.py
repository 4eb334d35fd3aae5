"""Bayesian linear regression in float32: the LQ form against the plain Cholesky form.

    pip install ".[cpu]" && python benchmarks/blr_in_float32.py

Prints, for each feature matrix and noise variance, how far the negative log marginal likelihood φ,
its gradient by the features and its gradient by the logarithms of both variances are from float64,
relative to the largest element. Data: 27 Olympic marathons, year scaled to [0, 1], prior variance
1. Both forms get the same float32 features, targets and variances.
"""

import csv
import os

import mxnet as mx
import numpy as np

from gluon_linalg.blocks.blr import BLRLikelihoodLayer

DATA = os.path.join(os.path.dirname(__file__), "..", "examples", "data", "olympic_marathon.csv")
UNITS = 50
NOISES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8)


def features():
    """Name and matrix (27, d) of each problem, and the targets (27,)."""
    with open(DATA, newline="") as file:
        year, pace = np.array([[float(v) for v in row] for row in list(csv.reader(file))[1:]]).T
    scaled = ((year - year.min()) / (year.max() - year.min()))[:, None]
    random = np.random.RandomState(0)
    inside = 3.0 * scaled * random.randn(UNITS) + random.randn(UNITS)
    problems = {
        "powers 0 to 20": scaled ** np.arange(21),
        "50 tanh units": np.tanh(inside),
        "50 relu units": np.maximum(inside, 0.0),
    }
    return problems, pace


def by_lq(phi, y, noise, dtype):
    layer = BLRLikelihoodLayer(1.0, noise)
    layer.initialize()
    layer.cast(dtype)
    value, by_phi = _differentiate(layer, phi, y, dtype)
    variances = (layer.prior_variance, layer.noise_variance)
    # From the stored number to the logarithm of the variance.
    by_variances = [
        p.grad().asscalar() * p.value()[0] / (p.value()[0] - p.lower) for p in variances
    ]
    return value, by_phi, np.array(by_variances)


def by_cholesky(phi, y, noise, dtype):
    """Bishop, equations 3.81 to 3.86, differentiated by MXNet."""
    logs = mx.nd.array([0.0, np.log(noise)], dtype=dtype)
    logs.attach_grad()

    def likelihood(phi, y):
        prior = mx.nd.exp(logs[0]).reshape((1, 1, 1))
        variance = mx.nd.exp(logs[1]).reshape((1, 1, 1))
        scaled = mx.nd.broadcast_div(phi, variance)
        identity = mx.nd.eye(phi.shape[2], dtype=dtype).expand_dims(0)
        precision = mx.nd.batch_dot(scaled, phi, transpose_a=True)
        factor = mx.nd.linalg.potrf(precision + mx.nd.broadcast_div(identity, prior))
        y = y.expand_dims(2)
        right = mx.nd.batch_dot(scaled, y, transpose_a=True)
        mean = mx.nd.linalg.trsm(factor, mx.nd.linalg.trsm(factor, right), transpose=True)
        misfit = mx.nd.square(y - mx.nd.batch_dot(phi, mean)).sum() / variance
        return 0.5 * (
            misfit
            + mx.nd.square(mean).sum() / prior
            + 2.0 * mx.nd.linalg.sumlogdiag(factor).sum()
            + phi.shape[2] * logs[0]
            + phi.shape[1] * (logs[1] + np.log(2.0 * np.pi))
        )

    value, by_phi = _differentiate(likelihood, phi, y, dtype)
    return value, by_phi, logs.grad.asnumpy()


def _differentiate(likelihood, phi, y, dtype):
    phi, y = (mx.nd.array(array[None], dtype=dtype) for array in (phi, y))
    phi.attach_grad()
    with mx.autograd.record():
        value = likelihood(phi, y)
    value.backward()
    return value.asnumpy().ravel(), phi.grad.asnumpy()[0]


def errors(form, expected, *problem):
    try:
        found = form(*problem, "float32")
    except mx.base.MXNetError:
        return ["fails"] * 3
    pairs = zip(found, expected)
    return [f"{np.abs(a - e).max() / np.abs(e).max():.0e}" for a, e in pairs]


def main():
    problems, y = features()
    y = y.astype("float32")
    print("| features | noise | condition | LQ: φ | by Φ | by variances ", end="")
    print("| Cholesky: φ | by Φ | by variances |")
    print("|" + "---|" * 9)
    for name, phi in problems.items():
        phi = phi.astype("float32")
        for noise in NOISES:
            expected = by_lq(phi, y, noise, "float64")
            singular = np.linalg.svd(phi.astype("float64"), compute_uv=False)[0]
            row = [name, f"{noise:.0e}", f"{np.sqrt(1 + singular**2 / noise):.0e}"]
            for form in (by_lq, by_cholesky):
                row += errors(form, expected, phi, y, noise)
            print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
