"""Priors that come from the system, and certain observations, in every execution mode."""

import numpy as np
import pytest
from test_kalman import LAYERS, OPTIONS, expected_outputs, with_noise
from test_kalman_priors import certain_system, stationary_system

from harness import assert_runs_on_gpu
from harness import block as harness

# One quick case of each option; the others are as long, and tell the same of other layers.
QUICK = [("filter", "stationary"), ("smoother", "skip")]
CASES = [
    pytest.param(kind, option, marks=[pytest.mark.slow] * ((kind, option) not in QUICK))
    for option in ("stationary", "skip")
    for kind in LAYERS
]


@pytest.mark.parametrize("kind, option", CASES)
def test_harness(kind, option, tmp_path):
    """Every execution mode, exported too, float32, and values by dense normals."""
    steps, cases, given = OPTIONS[kind].get("steps", 0), [], []
    for B in (1, 2):
        if option == "stationary":
            system = stationary_system(2 + B, B=B, T=3, d=2, p=1, missing=False, steps=steps)
        else:
            system = exactly_certain(certain_system(5 + B, B=B, T=2, d=3, steps=steps))
        if kind == "sampler":
            system = with_noise(system)
        given.append(system)
    d, p = system["transition"].shape[-1], system["y"].shape[-1]

    def factory():
        choice = {"prior": "stationary"} if option == "stationary" else {"singular": "skip"}
        return LAYERS[kind](d, p, **choice, **OPTIONS[kind])

    names = [name for name, _ in factory().arguments]
    if option == "stationary" and kind == "sampler":
        # Its prior factor is square, whatever that of the oracle is.
        for system in given:
            system["prior_noise"] = 0.0 * system["prior_mean"] + system["prior_noise"][:, :1]
    for system in given:
        cases.append([system[name] for name in names])

    def oracle(*inputs_and_block):
        system = dict(zip(names, inputs_and_block))
        if option == "skip":
            system["mask"] = system["mask"].copy()
            system["mask"][..., 1] = 0.0
        else:
            own = next(s for s in given if s["y"].shape == system["y"].shape)
            system.update(prior_mean=own["prior_mean"], prior_factor=own["prior_factor"])
        return expected_outputs(kind, system, **OPTIONS[kind])

    for dtype in ("float64", "float32"):
        harness.check_modes(factory, cases, tmp_path, dtype)
    harness.check_float32(factory, cases, 1e-3)
    harness.check_oracle(factory, cases, oracle, 1e-8)
    assert_runs_on_gpu(factory, cases[0], "float32", tmp_path)


def exactly_certain(system):
    """With numbers that float32 holds, so that the sensors agree there as well."""
    for name in ("y", "emission", "emission_offset"):
        system[name] = np.round(64.0 * system[name]) / 64.0
    y, H, d = (system[name] for name in ("y", "emission", "emission_offset"))
    H[:, :, 1], d[:, :, 1], y[..., 1] = 2 * H[:, :, 0], 1 + 2 * d[:, :, 0], 1 + 2 * y[..., 0]
    return system
