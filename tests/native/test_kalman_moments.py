"""Moments of state space models in C++ against one dense Gaussian, gradients by complex step."""

import numpy as np
import pytest

import gluon_linalg as gl
from blocks import kalman_reference as reference
from gluon_linalg.native import kalman_moments as native
from gluon_linalg.native import library
from native.door import Door

pytestmark = pytest.mark.skipif(not library.PATH.exists(), reason="the operators were not compiled")

OPTIONS = ("mask", "transition_offset", "emission_offset")
ORACLES = {
    "predicted": reference.predicted,
    "filtered": reference.filtered,
    "steps": reference.step_log_likelihoods,
    "smoothed": lambda system: reference.smoothed(system)[:2],
    "lag_one": lambda system: reference.smoothed(system)[2],
}
# A batch of one goes by rows, others by lanes, the last of which are not full; noises of a few
# columns make singular covariances.
SYSTEMS = {
    "one": dict(B=1, T=4, d=3, p=2),
    "many": dict(B=9, T=3, d=2, p=2, q=3, s=3),
    "shared": dict(B=9, T=3, d=3, p=1, r=1, time_varying=False, shared=True),
    "changing for all": dict(B=3, T=3, d=2, p=1, r=1, s=1, shared=True),
    "constant for each": dict(B=3, T=3, d=1, p=3, time_varying=False),
    "one time": dict(B=2, T=1, d=2, p=2, missing=False),
}


@pytest.fixture(scope="module")
def door():
    return Door(library.PATH)


def called(door, system, wanted, dtype="float64", **keywords):
    """The node of a call, and the results by what was wanted, the status last."""
    given = [name for name in OPTIONS if system.get(name) is not None]
    arrays = [system[name].astype(dtype) for name in (*reference.ARGUMENTS[:7], *given)]
    keywords = {"following": True, **dict.fromkeys((*given, *wanted), True), **keywords}
    node = door.call("kalman_moments", *arrays, **keywords)
    *outputs, status = node.outputs
    results = {}
    for kind, count in native.KINDS.items():
        if kind in wanted:
            results[kind], outputs = outputs[:count], outputs[count:]
    return node, results, status


def oracle(kind, system):
    found = ORACLES[kind](system)
    return list(found) if isinstance(found, tuple) else [found]


def check(door, system, kinds, dtype, tolerance, random):
    """Values, and gradients along a random direction of each array; what is hidden is NaN."""
    system = dict(system, y=np.where(system["mask"] == 1, system["y"], np.nan))
    shown = dict(system, y=np.nan_to_num(system["y"]))
    node, results, status = called(door, system, kinds, dtype)
    assert (status == 0).all()
    expected = [array for kind in kinds for array in oracle(kind, shown)]
    found = [array for kind in kinds for array in results[kind]]
    for a, b in zip(found, expected):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * abs(b).max())
    heads = [random.randn(*array.shape) for array in expected]
    gradients = node.backward(*heads, np.zeros_like(status))
    given = (*reference.ARGUMENTS[:7], *OPTIONS)
    for argument, gradient in zip(given, gradients):
        if argument == "mask":
            assert not gradient.any()
            continue
        direction = random.randn(*system[argument].shape)

        def outputs(moved, kinds=kinds):
            return tuple(array for kind in kinds for array in oracle(kind, moved))

        moved = reference.derivative(outputs, shown, argument, direction)
        terms = [head * change for head, change in zip(heads, moved)]
        size = sum(abs(term).sum() for term in terms) + 1e-3
        difference = sum(term.sum() for term in terms) - (gradient * direction).sum()
        assert abs(difference) <= tolerance * size, (kinds, argument)


@pytest.mark.parametrize(
    "name, dtype, tolerance",
    [*((name, "float64", 1e-11) for name in SYSTEMS), ("one", "float32", 2e-3)],
)
def test_values_and_gradients(door, name, dtype, tolerance):
    system = reference.random_system(7, **SYSTEMS[name])
    random = np.random.RandomState(1)
    alone = [[kind] for kind in ORACLES] if name in ("one", "many") else []
    for kinds in [*alone, list(ORACLES)]:
        kinds = [kind for kind in kinds if kind != "lag_one" or SYSTEMS[name]["T"] > 1]
        check(door, system, kinds, dtype, tolerance, random)


def test_what_is_hidden_has_no_gradient(door):
    system = reference.random_system(3, B=9, T=3, d=2, p=2)
    node, results, status = called(door, system, ["smoothed"])
    gradients = node.backward(*map(np.ones_like, results["smoothed"]), status)
    for position in (0, 2, 4):
        gradient = gradients[position].reshape(9, 3, 2, -1)
        assert not gradient[system["mask"] == 0].any()
        assert gradient[system["mask"] == 1].any()


@pytest.mark.parametrize("batch", [1, 9])
def test_covariances_are_symmetric_to_the_last_bit(door, batch):
    system = reference.random_system(5, B=batch, T=4, d=3, p=1)
    _, results, _ = called(door, system, ["predicted", "filtered", "smoothed"])
    for _, covariance in results.values():
        np.testing.assert_array_equal(covariance, covariance.swapaxes(-1, -2))


def test_the_factor_is_that_of_the_filtered_covariance(door):
    system = reference.random_system(5, B=3, T=3, d=3, p=1)
    _, results, _ = called(door, system, ["filtered", "factor"])
    (factor,) = results["factor"]
    np.testing.assert_array_equal(factor, np.tril(factor))
    np.testing.assert_allclose(factor @ factor.swapaxes(-1, -2), results["filtered"][1], atol=1e-14)


def test_the_last_predictions_alone(door):
    system = reference.random_system(5, B=3, T=4, d=2, p=1)
    _, every, _ = called(door, system, ["predicted"])
    _, results, _ = called(door, system, ["predicted"], last=2)
    # What leads to the one that is left out does not count, however large.
    system["transition"][:, -1] = 1e300
    node, others, status = called(door, system, ["predicted"], last=2, following=False)
    for last, some, array in zip(results["predicted"], others["predicted"], every["predicted"]):
        np.testing.assert_array_equal(last, array[:, -2:])
        np.testing.assert_array_equal(some, array[:, -3:-1])
    assert not status.any()
    gradients = node.backward(*map(np.ones_like, node.outputs))
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(
    "argument, index, value",
    [
        ("y", (4, 1, 0), np.nan),
        ("transition", (4, 0, 1, 1), np.inf),
        ("observation_factor", (4, 2), 0.0),
        ("mask", (4, 0, 0), 0.5),
        ("prior_mean", (4, 0), np.nan),
    ],
)
def test_what_fails_leaves_its_neighbours_alone(door, argument, index, value):
    system = reference.random_system(11, B=9, T=3, d=2, p=3, missing=False)
    wanted = ["predicted", "filtered", "steps", "smoothed", "lag_one"]
    node, whole, status = called(door, system, wanted)
    heads = [np.ones_like(array) for array in node.outputs]
    expected = node.backward(*heads)
    broken = dict(system, **{argument: system[argument].copy()})
    broken[argument][index] = value
    if argument == "observation_factor":
        # Two of three observations without noise of a state with two numbers determine the third.
        broken["emission"] = broken["emission"].copy()
        broken["emission"][4, 2, 2] = broken["emission"][4, 2, :2].sum(axis=0)
    node, results, status = called(door, broken, wanted)
    np.testing.assert_array_equal(status, np.arange(9) == 4)
    others = np.arange(9) != 4
    for kind in wanted:
        for found, array in zip(results[kind], whole[kind]):
            assert np.isnan(found[4]).all()
            np.testing.assert_allclose(found[others], array[others], rtol=1e-12, atol=1e-12)
    for found, array in zip(node.backward(*heads), expected):
        np.testing.assert_allclose(found[others], array[others], rtol=1e-11, atol=1e-11)


def test_what_leads_on_from_the_last_step_does_not_count(door):
    system = reference.random_system(2, B=3, T=3, d=2, p=1)
    _, expected, _ = called(door, system, ["smoothed"])
    for name in ("transition", "process_factor", "transition_offset"):
        system[name][:, -1] = np.nan
    _, results, status = called(door, system, ["smoothed"])
    assert not status.any()
    for found, array in zip(results["smoothed"], expected["smoothed"]):
        np.testing.assert_array_equal(found, array)


def test_what_the_parallel_method_cannot_do_is_refused_if_asked(door):
    system = reference.random_system(6, B=9, T=3, d=2, p=1, missing=False)
    # Here only the uncertainty of the first state tells the second observation.
    system["observation_factor"][4, 1] = 0.0
    system["process_factor"][4, 0] = 0.0
    _, results, status = called(door, system, ["smoothed"])
    assert not status.any()
    for found, expected in zip(results["smoothed"], reference.smoothed(system)):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    _, _, status = called(door, system, ["smoothed"], regular=True)
    np.testing.assert_array_equal(status, np.arange(9) == 4)


@pytest.mark.parametrize("batch, length", [(0, 3), (2, 0)])
def test_empty_arrays(door, batch, length):
    system = reference.random_system(2, B=2, T=3, d=2, p=1, time_varying=False, shared=True)
    for name in ("y", "mask"):
        system[name] = system[name][:batch, :length]
    node, results, status = called(door, system, ["predicted", "smoothed"])
    assert results["predicted"][0].shape == (batch, length + 1, 2)
    assert results["smoothed"][1].shape == (batch, length, 2, 2)
    gradients = node.backward(*[np.ones_like(array) for array in node.outputs])
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("shared", [False, True])
def test_gradients_are_added_or_left_out(shared):
    import mxnet as mx

    system = reference.random_system(4, B=3, T=3, d=3, p=1, missing=False, shared=shared)
    with gl.use_backend("native"):
        arrays = [mx.nd.array(system[k], dtype="float64") for k in reference.ARGUMENTS]
        gradients = {}
        for times, request in ((1, "write"), (2, "add")):
            for array in arrays[:7]:
                array.attach_grad(request)
            arrays[1].attach_grad("null")
            for _ in range(times):
                with mx.autograd.record():
                    found = native.kalman_moments(mx.nd, *arrays)
                    loss = found.smoothed_mean.sum() + found.smoothed_covariance.sum()
                loss.backward()
            assert arrays[1].grad is None
            gradients[request] = [a.grad.asnumpy() for a in arrays[:7] if a.grad is not None]
    for once, twice in zip(gradients["write"], gradients["add"]):
        assert once.any()
        np.testing.assert_allclose(twice, 2.0 * once, rtol=1e-14)
