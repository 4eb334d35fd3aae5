"""Kalman views against KFAS and statsmodels.

tests/data/kfas_*.csv are results of the R package KFAS as statsmodels has them among its own tests.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

import gluon_linalg as gl

DATA = Path(__file__).parent.parent / "data"
CASES = {
    "local_level": (np.r_[10.2394, np.ones(9)], np.eye(1), np.diag([8.253])),
    "trend_missing": (
        np.r_[10.2394, np.nan, 6.123123, np.ones(7)],
        np.array([[1.0, 1.0], [0.0, 1.0]]),
        np.diag([8.253, 2.334]),
    ),
}
OUTPUTS = (
    "log_likelihood",
    "predicted",
    "filtered",
    "smoothed",
    "observation_disturbance",
    "process_disturbance",
)


@pytest.mark.parametrize("method", ["sequential", "parallel"])
@pytest.mark.parametrize("name", CASES)
def test_exact_diffuse_as_kfas(name, method):
    """Smoothed states and disturbances, and from when all is known on also other moments."""
    y, transition, process = CASES[name]
    right = pd.read_csv(DATA / f"kfas_{name}.csv")
    d, n = len(transition), len(y)
    emission, factor = np.eye(d)[0], np.sqrt(process)
    arrays = gl.kalman_arrays(y, transition, emission, process, 1.993, diffuse_directions=np.eye(d))
    layer = gl.KalmanViewsLayer(d, outputs=OUTPUTS, diffuse=d, method=method)
    found = {k: v.asnumpy()[0] for k, v in layer.named(**arrays).items()}

    def columns(key, count, rows=n):
        names = [f"{key}_{i + 1}" for i in range(count)]
        return right[names].to_numpy()[:rows]

    close = dict(rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found["smoothed_mean"], columns("alphahat", d), **close)
    # Of matrices the file has the sums of all elements.
    total = found["smoothed_covariance"].sum(axis=(1, 2))
    np.testing.assert_allclose(total, right["sumV"][:n], **close)
    eta = found["process_disturbance_mean"] @ factor
    np.testing.assert_allclose(eta, columns("etahat", d), **close)
    eps = found["observation_disturbance_mean"][:, 0] * np.sqrt(1.993)
    np.testing.assert_allclose(eps, columns("epshat", 1)[:, 0], **close)
    # Until then KFAS tells the part of each moment that is not infinite.
    known = int(np.isfinite(found["filtered_covariance"]).all(axis=(1, 2)).argmax())
    np.testing.assert_allclose(found["filtered_mean"][known:], columns("att", d)[known:], **close)
    np.testing.assert_allclose(
        found["predicted_mean"][known + 1 :], columns("a", d)[known + 1 :], **close
    )
    np.testing.assert_allclose(found["log_likelihood"].sum(), right["llf"].iloc[0], rtol=1e-10)


def test_what_is_certain_as_statsmodels_treats_it():
    """A repeated sensor without noise: likelihood and smoothed states of the univariate filter."""
    random = np.random.RandomState(0)
    level = np.cumsum(random.randn(20))
    y = np.stack([level, 2.0 * level, level + random.randn(20)], axis=1)
    y[4, 0] = y[7] = np.nan
    emission = np.array([[1.0], [2.0], [1.0]])
    noise = np.diag([0.0, 0.0, 1.0])
    model = KalmanSmoother(k_endog=3, k_states=1, k_posdef=1)
    model.bind(y)
    model["design"], model["transition"], model["selection"] = emission, [[1.0]], [[1.0]]
    model["obs_cov"], model["state_cov"] = noise, [[0.8]]
    model.initialize_known(np.zeros(1), np.array([[4.0]]))
    model.filter_univariate = True
    right = model.smooth()
    arrays = gl.kalman_arrays(y, 1.0, emission, 0.8, noise, prior_covariance=4.0)
    loss = gl.KalmanFilterLayer(1, 3, singular="skip")(**arrays).asscalar()
    np.testing.assert_allclose(-loss, right.llf, rtol=1e-9)
    mean, covariance = gl.KalmanSmootherLayer(1, 3, singular="skip")(**arrays)
    np.testing.assert_allclose(mean[0].asnumpy().T, right.smoothed_state, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        covariance[0, :, 0, 0].asnumpy(), right.smoothed_state_cov[0, 0], rtol=1e-8, atol=1e-9
    )
