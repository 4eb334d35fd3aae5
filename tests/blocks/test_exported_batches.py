"""Exported graphs take any number of series, whichever arguments stand for all of them."""

import mxnet as mx
import numpy as np
import pytest
from test_kalman import LAYERS, OPTIONS
from test_kalman_diffuse import diffuse_system

import gluon_linalg as gl

SHAREABLE = (
    "transition", "emission", "process_factor", "observation_factor", "prior_mean",
    "prior_factor", "diffuse_directions", "transition_offset", "emission_offset",
)  # fmt: skip


def outputs(block, *inputs):
    found = block(*(array for array in inputs if array is not None))
    return found if isinstance(found, (list, tuple)) else [found]


def check(block, inputs_of, path):
    """What it gives, and gives again where it was exported with two series, of 2, 5 and 1."""
    gl.export(block, str(path / "model"), *inputs_of(2))
    loaded = gl.load(str(path / "model"))
    for batch in (2, 5, 1):
        for a, b in zip(outputs(block, *inputs_of(batch)), outputs(loaded, *inputs_of(batch))):
            assert len(a) == batch
            np.testing.assert_allclose(b.asnumpy(), a.asnumpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("own", [(), ("prior_mean",), ("prior_factor",), ("diffuse_directions",)])
def test_a_kalman_layer_with_diffuse_directions(kind, own, tmp_path):
    """own: what each series has of its own; the likelihood of one tells that of all."""
    system = diffuse_system(
        5, 2, noise=kind == "sampler", B=5, T=4, d=3, p=2, steps=OPTIONS[kind].get("steps", 0)
    )
    layer = LAYERS[kind](3, 2, diffuse=2, **OPTIONS[kind])

    def inputs_of(batch):
        shared = [name for name in SHAREABLE if name not in own]
        arrays = [system[n][: 1 if n in shared else batch] for n, _ in layer.arguments]
        return [mx.nd.array(array, dtype="float64") for array in arrays]

    check(layer, inputs_of, tmp_path)
    together = outputs(layer, *inputs_of(5))
    for b in (1, 4):
        alone = [a[b : b + 1] if len(a) == 5 else a for a in inputs_of(5)]
        for a, one in zip(together, outputs(layer, *alone)):
            np.testing.assert_allclose(a[b].asnumpy(), one[0].asnumpy(), rtol=1e-9, atol=1e-9)


def test_a_forecaster_of_several_series_with_common_covariates(tmp_path):
    random = np.random.RandomState(1)
    y, x = random.randn(5, 8, 2), random.randn(1, 10, 1)
    model = gl.VARMAModel(2, (1, 0), covariates=1)
    model.initialize()
    model.cast("float64")
    model.effects.set_value([[0.5], [2.0]])

    def inputs_of(batch):
        return [mx.nd.array(a, dtype="float64") for a in (y[:batch], x, np.ones((batch, 8, 2)))]

    check(model.forecaster(2), inputs_of, tmp_path)
