"""Models whose transition and emission are blocks: filter, smoother and forecast."""

import json

import mxnet as mx
import nonlinear_reference as reference
import nonlinear_references as stored
import numpy as np
import pytest
from nonlinear_blocks import Affine, Network, Pendulum, evaluated

import gluon_linalg as gl
from gluon_linalg import sigma_points
from harness import block as harness
from harness import check_block

REFERENCES = json.loads(stored.PATH.read_text(encoding="utf-8"))
B, T, D, P = 2, 3, 3, 2


def f64(values):
    return mx.nd.array(values, dtype="float64")


def linear_system(seed=0, steps=T, prior_columns=2):
    """The arrays of a Kalman layer, A, H and their offsets without axes of batch and time."""
    random = np.random.RandomState(seed)
    return {
        "y": random.randn(B, T, P),
        "transition": 0.5 * random.randn(D, D),
        "emission": random.randn(P, D),
        "process_factor": random.randn(1, 1, D, 2),
        "observation_factor": random.randn(B, steps, P, P),
        "prior_mean": random.randn(1, D),
        "prior_factor": random.randn(B, D, prior_columns),
        "mask": (random.rand(B, T, P) > 0.3).astype("float64"),
        "transition_offset": random.randn(D),
        "emission_offset": random.randn(P),
    }


LINEAR = {
    "filter": (gl.KalmanFilterLayer, gl.NonlinearFilterLayer, {"moments": True}, {"updates": 1}),
    "smoother": (gl.KalmanSmootherLayer, gl.NonlinearSmootherLayer, {"lag_one": True}, {}),
    "iterated": (
        gl.KalmanSmootherLayer,
        gl.NonlinearSmootherLayer,
        {"lag_one": True},
        {"iterations": 1, "step": 0.5},
    ),
    "forecast": (gl.KalmanForecastLayer, gl.NonlinearForecastLayer, {"steps": 2}, {}),
}
RULES = {
    "filter": sigma_points.Unscented(),
    "smoother": sigma_points.Cubature(),
    "iterated": sigma_points.GaussHermite(3),
    "forecast": sigma_points.Extended(),
}


@pytest.mark.parametrize(
    "kind, rule",
    [
        *RULES.items(),
        *(
            pytest.param(kind, rule, marks=pytest.mark.slow)
            for kind in RULES
            for rule in RULES.values()
            if rule is not RULES[kind]
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else type(x).__name__,
)
def test_affine_blocks_give_the_kalman_layers(kind, rule):
    """Values and all gradients, with a singular prior, missing elements and batches of 1."""
    kalman, nonlinear, shared, own = LINEAR[kind]
    system = linear_system(steps=T + shared.get("steps", 0))
    blocks = [
        Affine(system[a], system[b], isinstance(rule, sigma_points.Extended))
        for a, b in (("transition", "transition_offset"), ("emission", "emission_offset"))
    ]
    arrays = {
        k: a[None, None] if k in ("transition", "emission") or k.endswith("offset") else a
        for k, a in system.items()
    }
    expected, right = evaluated(kalman(D, P, **shared), arrays)
    names = ("y", "process_factor", "observation_factor", "prior_mean", "prior_factor", "mask")
    layer = nonlinear(*blocks, D, P, rule=rule, **shared, **own)
    found, gradients = evaluated(layer, {name: system[name] for name in names})
    for name, block in zip(("transition", "emission"), blocks):
        gradients[name] = block.matrix.grad().asnumpy()
        gradients[f"{name}_offset"] = block.offset.grad().asnumpy()
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    for name, gradient in gradients.items():
        if name != "mask":
            np.testing.assert_allclose(
                gradient, right[name].reshape(gradient.shape), rtol=1e-9, atol=1e-11, err_msg=name
            )


def of_references(name, layer, rule, **options):
    """Results for the series of a stored model, without the batch axis."""
    _, _, process, noise = stored.MODELS[name]()
    make = {"pendulum": Pendulum, "network": Network}[name]
    block = layer(*make(rule == "extended"), 2, len(noise), rule=rule, **options)
    factors = (np.linalg.cholesky(x) for x in (process, noise))
    results = block(
        f64(stored.series(name)[None]),
        *(f64(x[None, None]) for x in factors),
        f64(stored.PRIOR_MEAN[None]),
        f64(np.linalg.cholesky(stored.PRIOR)[None]),
    )
    return [result.asnumpy()[0] for result in results]


@pytest.mark.parametrize("rule", ["unscented", "extended"])
@pytest.mark.parametrize("name", ["pendulum", "network"])
def test_values_of_dynamax(name, rule):
    right = REFERENCES[name]["dynamax"][rule]
    loss, *moments = of_references(name, gl.NonlinearFilterLayer, rule, moments=True)
    np.testing.assert_allclose(-loss, right["marginal_loglik"], rtol=1e-9)
    moments += of_references(name, gl.NonlinearSmootherLayer, rule)
    keys = ("filtered_means", "filtered_covariances", "smoothed_means", "smoothed_covariances")
    for found, key in zip(moments, keys):
        np.testing.assert_allclose(found, right[key], rtol=1e-8, atol=1e-9, err_msg=key)
