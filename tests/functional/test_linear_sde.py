"""Kernels as stochastic differential equations: their gaps with many digits, and their errors."""

import mpmath
import mxnet as mx
import numpy as np
import pytest

from gluon_linalg import functional as fn
from gluon_linalg.functional.rbf_chains import RBF_CHAINS


def nd(value):
    return mx.nd.array(value, dtype="float64")


def exact(size, gap):
    """A and Q of the chain of a Matérn kernel, from its couplings alone, with 60 digits."""
    couplings = {
        1: [],
        2: [1],
        3: [1 / mpmath.sqrt(3), mpmath.sqrt(8) / mpmath.sqrt(3)],
        4: [1 / mpmath.sqrt(5), 2 / mpmath.sqrt(5), mpmath.sqrt(5)],
    }[size]
    drift = mpmath.zeros(size)
    for i, coupling in enumerate(couplings):
        drift[i, i + 1], drift[i + 1, i] = coupling, -coupling
    drift[size - 1, size - 1] = -size
    transition = mpmath.expm(drift * gap, method="taylor")
    return transition, mpmath.eye(size) - transition * transition.T


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("gap", [1e-9, 1e-6, 1e-3, 0.3, 1.9, 2.1, 30.0, 400.0, 1e200])
def test_every_digit_of_matern_gaps(size, gap, dtype):
    """Of A, of Q beside its diagonal, and of the pivots of Q, which are as gap^(2 size - 1)."""
    sde = fn.Matern(size, nd([[1.0]]))
    gaps = nd([[[gap]]])
    transition = sde.transition(mx.nd, gaps).astype(dtype).asnumpy()[0, 0].astype("float64")
    factor = sde.process_factor(mx.nd, gaps).astype(dtype).asnumpy()[0, 0].astype("float64")
    with mpmath.workdps(150):
        own, noise = exact(size, min(mpmath.mpf(gap), 1000))
        lower = mpmath.cholesky(noise)
        pivots = np.array([float(lower[i, i]) for i in range(size)])
        own, noise = (np.array(m.tolist(), dtype="float64") for m in (own, noise))
    digits = 1e-13 if dtype == "float64" else 1e-6
    np.testing.assert_allclose(transition, own, rtol=digits, atol=digits * 0.1)
    scale = np.sqrt(np.diag(noise))
    difference = (factor @ factor.T - noise) / np.outer(scale, scale)
    assert np.abs(difference).max() < digits
    # Row by row: rounding of a row of G is relative to it.
    found = np.abs(np.diag(np.linalg.qr((factor / scale[:, None]).T, mode="r")))
    np.testing.assert_allclose(found, pivots / scale, rtol=100 * digits)


def test_the_error_that_is_stated_for_rbf_is_its_error():
    """By eigenvalues of F, with 30 digits; of all orders."""
    gaps = np.linspace(0.0, 12.0, 1201)
    for order, (chain, stated) in RBF_CHAINS.items():
        assert len(chain) == order
        drift = np.diag(chain[:-1], 1) - np.diag(chain[:-1], -1)
        drift[-1, -1] = -chain[-1]
        with mpmath.workdps(30):
            values, left, right = mpmath.eig(mpmath.matrix(drift), left=True, right=True)
            weights = [
                right[0, k] * left[k, 0] / (left[k, :] * right[:, k])[0] for k in range(order)
            ]
            parts = np.array([[complex(w), complex(v)] for w, v in zip(weights, values)])
        covariance = (parts[:, 0] * np.exp(np.outer(gaps, parts[:, 1]))).sum(axis=1).real
        found = np.abs(covariance - np.exp(-0.5 * gaps**2)).max()
        assert 0.99 * stated < found <= stated


@pytest.mark.parametrize("lengthscale", [0.3, 1.0, 5.0])
def test_the_error_that_is_stated_for_periodic(lengthscale):
    """What harmonics of Bessel functions leave out, and what the features do."""
    z = 1.0 / mpmath.mpf(lengthscale) ** 2
    for order in (1, 4, 9):
        kept = mpmath.besseli(0, z) + 2 * sum(mpmath.besseli(j, z) for j in range(1, order + 1))
        expected = float(1 - kept * mpmath.exp(-z))
        stated = fn.periodic_error(order, lengthscale)
        assert abs(stated - expected) < 1e-14
        times = np.linspace(-3.0, 5.0, 17)
        sde = fn.periodic_features(order, nd([[lengthscale]]), nd([[1.7]]))
        features = sde.emission(mx.nd, nd(times[None, :, None])).asnumpy()[0, :, 0]
        lags = np.subtract.outer(times, times)
        kernel = np.exp(-2.0 * np.sin(np.pi * lags / 1.7) ** 2 / lengthscale**2)
        assert np.abs(features @ features.T - kernel).max() < stated + 1e-13
