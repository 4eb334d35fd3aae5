"""Series that share their model: gains once for all of them, against the dense Gaussian of each."""

import numpy as np
import pytest
from test_kalman_likelihood import FIRST, OPTIONS, called, check

from blocks import kalman_reference as reference
from gluon_linalg.native import kalman as native
from gluon_linalg.native import library
from native.door import Door

pytestmark = pytest.mark.skipif(not library.PATH.exists(), reason="the operators were not compiled")


@pytest.fixture(scope="module")
def door():
    return Door(library.PATH)


# Gains and covariances are found once, means some series at a time, of which the last are not full.
MODELS = {
    "constant": dict(B=9, T=4, d=3, p=2, r=1, time_varying=False, missing=False),
    "changing": dict(B=5, T=3, d=3, p=2, q=3, s=2, missing=False),
    "chunks": dict(B=35, T=3, d=2, p=1, r=1, time_varying=False, missing=False),
    "four states": dict(B=3, T=4, d=4, p=2, r=2, missing=False),
    "one time": dict(B=5, T=1, d=2, p=2, missing=False),
    "alike missing": dict(B=6, T=5, d=3, p=2, time_varying=False),
    "changing, alike missing": dict(B=6, T=4, d=2, p=3, r=1),
}
OF_MODEL = ("transition", "emission", "process_factor", "observation_factor", "prior_factor")


def shared_model(sizes, own=()):
    """Series with one model, and with the arrays `own` for each."""
    system = reference.random_system(7, shared=True, **sizes)
    random = np.random.RandomState(2)
    for name in own:
        shape = (len(system["y"]), *system[name].shape[1:])
        system[name] = system[name] + random.randn(*shape)
    system["mask"][1:] = system["mask"][:1]
    return system


def check_summed(names, found, tolerance):
    """What shared arrays gave is what own ones gave, whose gradients are summed over the batch."""
    for name, a, b in zip(names, *found):
        b = b if a.shape == b.shape else b.sum(axis=0, keepdims=True)
        np.testing.assert_allclose(
            a, b, rtol=0, atol=tolerance * 10 * max(abs(b).max(), 1.0), err_msg=name
        )


@pytest.mark.parametrize("own", [(), ("prior_mean", "transition_offset", "emission_offset")])
@pytest.mark.parametrize("name", MODELS)
def test_series_that_share_their_model(door, name, own):
    system = shared_model(MODELS[name], own)
    check(door, system, reference.log_likelihood, "float64", 1e-12)
    if name in ("constant", "changing, alike missing"):
        check(door, system, reference.log_likelihood, "float32", 1e-4)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-13), ("float32", 1e-4)])
def test_a_shared_model_is_that_of_each_series(door, dtype, tolerance):
    """Beside arrays for each series, hidden numbers that are NaN, and steps behind the last one."""
    system = shared_model(dict(B=70, T=40, d=5, p=2, r=2), ["emission_offset"])
    hidden = system["mask"] == 0
    for name in ("emission", "observation_factor"):
        system[name][hidden[:1]] = np.nan
    system["y"][hidden] = np.nan
    system["transition"][:, -1] = system["process_factor"][:, -1] = np.inf
    apart = {k: np.repeat(a, 70, axis=0) if k in OF_MODEL else a for k, a in system.items()}
    heads = np.random.RandomState(1).randn(70), np.zeros((70, 2))
    results = []
    for arrays in (system, apart):
        node, value, kind, _ = called(door, arrays, dtype)
        assert not kind.any()
        results.append([value, *node.backward(*heads)])
    check_summed(["value", *FIRST, *OPTIONS], results, tolerance)


def test_what_fails_in_a_shared_model(door):
    """A series fails alone, at calls of one node that did not fail before and after; a model fails
    for all of them."""
    system = shared_model(dict(B=6, T=4, d=3, p=2, time_varying=False, missing=False))
    heads = np.ones(6), np.zeros((6, 2))
    node, good, *_ = called(door, system)
    expected = node.backward(*heads)
    others = np.arange(6) != 2
    y = node._inputs[0]
    kept = y[2, 1, 0]
    for number, kind in ((np.nan, native.BAD_OBSERVATION), (kept, 0), (1e200, 0)):
        y[2, 1, 0] = number
        node._run(True, node._inputs, node.outputs)
        value, failure = node.outputs
        np.testing.assert_array_equal(failure[:, 0], np.where(others, 0, kind))
        np.testing.assert_allclose(value[others], good[others], rtol=1e-13)
        found = node.backward(*heads)
        np.testing.assert_allclose(found[0][others], expected[0][others], rtol=1e-9, atol=1e-9)
        if number == kept:
            for a, b in zip(found, expected):
                np.testing.assert_array_equal(a, b)
    assert np.isinf(value[2])
    system["observation_factor"] = np.repeat(system["observation_factor"], 4, axis=1)
    system["observation_factor"][0, 2, 1] = system["observation_factor"][0, 2, 0]
    system["emission"] = np.repeat(system["emission"], 4, axis=1)
    system["emission"][0, 2, 1] = system["emission"][0, 2, 0]
    _, value, kind, time = called(door, system)
    assert np.isnan(value).all()
    assert (kind == native.SINGULAR).all()
    assert (time == 2).all()
