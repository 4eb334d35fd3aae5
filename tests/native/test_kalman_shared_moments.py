"""Moments of series that share their model: covariances once for all of them."""

import numpy as np
import pytest
from test_kalman_moments import OPTIONS, ORACLES, called, check
from test_kalman_shared import OF_MODEL, check_summed, shared_model

from blocks import kalman_reference as reference
from gluon_linalg.native import library
from native.door import Door

pytestmark = pytest.mark.skipif(not library.PATH.exists(), reason="the operators were not compiled")

ARRAYS = (*reference.ARGUMENTS[:7], *OPTIONS)
# Of three states: few series with less than that are computed one beside the other.
MODELS = {
    "constant": dict(B=9, T=4, d=3, p=2, r=1, time_varying=False, missing=False),
    "changing": dict(B=5, T=3, d=3, p=2, q=3, s=2, missing=False),
    "one time": dict(B=5, T=1, d=3, p=2, missing=False),
    "changing, alike missing": dict(B=6, T=4, d=3, p=3, r=1),
}


@pytest.fixture(scope="module")
def door():
    return Door(library.PATH)


@pytest.mark.parametrize("own", [(), ("prior_mean", "transition_offset", "emission_offset")])
@pytest.mark.parametrize("name", MODELS)
def test_moments_and_gradients_of_series_that_share_their_model(door, name, own):
    system = shared_model(MODELS[name], own)
    every = [kind for kind in ORACLES if kind != "lag_one" or MODELS[name]["T"] > 1]
    alone = [[kind] for kind in every] if name == "changing, alike missing" and own else []
    random = np.random.RandomState(1)
    for kinds in [*alone, every]:
        check(door, system, kinds, "float64", 1e-11, random)
    if alone:
        check(door, system, every, "float32", 2e-3, random)


# Chunks of several registers, of which the last is not full, and of all that may be asked for.
@pytest.mark.parametrize("keywords", [{}, {"last": 3}, {"following": False, "factor": True}])
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-13), ("float32", 1e-5)])
def test_a_shared_model_gives_what_its_copies_give(door, dtype, tolerance, keywords):
    """Beside arrays for each series, hidden numbers that are NaN, and steps behind the last one."""
    system = shared_model(dict(B=70, T=30, d=5, p=2, r=2), ["emission_offset"])
    hidden = system["mask"] == 0
    for name in ("emission", "observation_factor"):
        system[name][hidden[:1]] = np.nan
    system["y"][hidden] = np.nan
    if keywords.get("following") is False:
        for name in ("transition", "process_factor", "transition_offset"):
            system[name][:, -1] = np.inf
    apart = {k: np.repeat(a, 70, axis=0) if k in OF_MODEL else a for k, a in system.items()}
    wanted, random, heads, found = [*ORACLES], np.random.RandomState(1), None, []
    for arrays in (system, apart):
        node, _, status = called(door, arrays, wanted, dtype, **keywords)
        assert not status.any()
        heads = heads or [random.randn(*a.shape) for a in node.outputs]
        found.append([*node.outputs, *node.backward(*heads)])
    names = [f"output {i}" for i in range(len(heads))] + [*ARRAYS]
    check_summed(names, found, tolerance)


def test_what_fails_in_a_shared_model_of_moments(door):
    """A series fails alone, at calls of one node that did not fail before and after; a model fails
    for all of them."""
    system = shared_model(dict(B=6, T=4, d=3, p=2, time_varying=False, missing=False))
    node, _, status = called(door, system, ["filtered", "steps", "smoothed"])
    good, heads = [a.copy() for a in node.outputs], [np.ones_like(a) for a in node.outputs]
    expected = node.backward(*heads)
    others = np.arange(6) != 2
    y = node._inputs[0]
    kept = y[2, 1, 0]
    for number in (np.nan, kept, 1e200, kept):
        y[2, 1, 0] = number
        node._run(True, node._inputs, node.outputs)
        np.testing.assert_array_equal(node.outputs[-1] != 0, ~others & (number != kept))
        gradients = node.backward(*heads)
        for a, b in zip(node.outputs[:-1], good):
            np.testing.assert_allclose(a[others], b[others], rtol=1e-12, atol=1e-12)
            assert np.isnan(a[2]).all() == (number != kept)
        np.testing.assert_allclose(gradients[0][others], expected[0][others], atol=1e-11)
        if number == kept:
            for a, b in zip(gradients, expected):
                np.testing.assert_array_equal(a, b)
    system["observation_factor"] = np.zeros_like(system["observation_factor"])
    system["process_factor"] = np.zeros_like(system["process_factor"])
    system["prior_factor"] = np.zeros_like(system["prior_factor"])
    _, results, status = called(door, system, ["smoothed"])
    assert status.all() and np.isnan(results["smoothed"][0]).all()


def test_a_gradient_in_the_prior_covariance_of_all_series_or_of_each(door):
    """In place of that in its factor: Σ S̄ = 2 Σ P̄ S."""
    system = shared_model(dict(B=9, T=3, d=3, p=2, missing=False))
    arrays = [system[name] for name in reference.ARGUMENTS[:7]]
    heads, factor = None, system["prior_factor"][0]
    expected = None
    for batch in (None, 1, 9):
        covariance = [] if batch is None else [np.zeros((batch, 3, 3))]
        flags = {"prior_covariance": True} if covariance else {}
        node = door.call("kalman_moments", *arrays, *covariance, smoothed=True, **flags)
        if heads is None:
            heads = [np.random.RandomState(1).randn(*a.shape) for a in node.outputs]
        gradients = node.backward(*heads)
        if batch is None:
            expected = gradients[6][0]
            continue
        assert not gradients[6].any()
        found = 2.0 * gradients[7].sum(axis=0) @ factor
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
