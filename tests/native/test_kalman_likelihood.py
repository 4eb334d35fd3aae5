"""The likelihood of state space models in C++ against one dense Gaussian, by complex step."""

import numpy as np
import pytest
from test_kalman_diffuse import diffuse_system, log_likelihood

import gluon_linalg as gl
from blocks import kalman_reference as reference
from gluon_linalg.native import kalman as native
from gluon_linalg.native import library
from native.door import Door

pytestmark = pytest.mark.skipif(not library.PATH.exists(), reason="the operators were not compiled")

FIRST, OPTIONS = reference.ARGUMENTS[:7], reference.ARGUMENTS[7:]
# A batch of one goes by rows of matrices, as do large systems; others by lanes, the last of which
# are not full. Noises of a few columns make singular covariances.
SYSTEMS = {
    "one": dict(B=1, T=4, d=3, p=2),
    "many": dict(B=9, T=3, d=2, p=2, q=3, s=3),
    "shared": dict(B=9, T=3, d=3, p=1, r=1, time_varying=False, shared=True),
    "shared, nothing missing": dict(
        B=9, T=3, d=2, p=2, r=1, time_varying=False, shared=True, missing=False
    ),
    "changing for all": dict(B=5, T=3, d=2, p=1, r=1, s=1, shared=True),
    "constant for each": dict(B=5, T=3, d=1, p=3, time_varying=False),
    "one time": dict(B=5, T=1, d=2, p=2, missing=False),
    # Arrays are read, and gradients written, some steps at a time.
    "many steps": dict(B=9, T=70, d=2, p=1, r=1),
    # Sizes that have code of their own.
    "four states": dict(B=9, T=9, d=4, p=2, r=1),
    "four states, one series": dict(B=1, T=9, d=4, p=2, r=1),
    "four states, shared": dict(B=9, T=5, d=4, p=2, q=1, time_varying=False, shared=True),
    "four states, one time": dict(B=5, T=1, d=4, p=2, missing=False),
    "large": dict(B=2, T=2, d=19, p=9, r=2, q=11, s=3, time_varying=False, shared=True),
}


@pytest.fixture(scope="module")
def door():
    return Door(library.PATH)


def called(door, system, dtype="float64", **keywords):
    """The node of a call, and its value, kinds of failure and times of failure."""
    names = ("directions", *OPTIONS)
    options = {name: system.get(name) for name in names if system.get(name) is not None}
    arrays = [system[name].astype(dtype) for name in FIRST]
    arrays += [array.astype(dtype) for array in options.values()]
    node = door.call("kalman_likelihood", *arrays, **{name: True for name in options}, **keywords)
    value, failure = node.outputs
    return node, value, failure[:, 0], failure[:, 1]


def check(door, system, function, dtype, tolerance):
    """Values, and gradients along a random direction of each array and of each of its elements."""
    node, value, kind, _ = called(door, system, dtype)
    assert not kind.any()
    expected = -function(system)
    np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)
    random = np.random.RandomState(1)
    head = random.randn(len(value))
    gradients = node.backward(head, np.zeros((len(value), 2)))
    names = [*FIRST, *(n for n in ("directions", *OPTIONS) if system.get(n) is not None)]
    for name, gradient in zip(names, gradients):
        if name == "mask":
            assert not gradient.any()
            continue
        for _ in range(3):
            # Signs, so that no element is small.
            direction = random.choice([-1.0, 1.0], size=system[name].shape)
            moved = reference.derivative(lambda s: (-function(s),), system, name, direction)[0]
            size = abs(head * moved).sum() + abs(gradient).max()
            difference = (head * moved).sum() - (gradient * direction).sum()
            assert abs(difference) <= tolerance * size, name


@pytest.mark.parametrize(
    "name, dtype, tolerance",
    [
        *((name, "float64", 1e-12) for name in SYSTEMS),
        ("one", "float32", 1e-4),
        ("shared", "float32", 1e-4),
        ("four states", "float32", 1e-4),
        ("four states, one series", "float32", 1e-4),
    ],
)
def test_values_and_gradients(door, name, dtype, tolerance):
    system = reference.random_system(7, **SYSTEMS[name])
    check(door, system, reference.log_likelihood, dtype, tolerance)


@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize("varies", [False, True])
def test_diffuse_directions(door, batch, varies):
    system = diffuse_system(3, B=batch, T=4, d=3, p=2, time_varying=varies, shared=not varies)

    def dense(moved):
        return log_likelihood(dict(moved, diffuse_directions=moved["directions"]))

    system["directions"] = system.pop("diffuse_directions")
    check(door, system, dense, "float64", 1e-11)


@pytest.mark.parametrize("diffuse", [False, True])
def test_transitions_that_are_mostly_zero(door, diffuse):
    """A trend and a season: products leave out what is 0 for all batch elements."""
    make = diffuse_system if diffuse else reference.random_system
    system = make(3, B=9, T=9, d=9, p=1, r=2, time_varying=False)
    transition = np.zeros((1, 1, 9, 9))
    transition[..., 0, :2] = transition[..., 1, 1] = 1.0
    transition[..., 2, 2:], transition[..., 3:, 2:8] = -1.0, np.eye(6)
    system["transition"] = transition
    system["emission"] = np.eye(9)[None, None, :1] + np.eye(9)[None, None, 2:3]
    system["process_factor"] = system["process_factor"] * np.eye(9, 2)

    def dense(moved):
        if not diffuse:
            return reference.log_likelihood(moved)
        return log_likelihood(dict(moved, diffuse_directions=moved["directions"]))

    system["directions"] = system.pop("diffuse_directions", None)
    check(door, system, dense, "float64", 1e-10)


@pytest.mark.parametrize("batch", [1, 5])
def test_directions_that_the_data_leave_open(door, batch):
    """Of two directions, one of which is seen, the likelihood is that of the one."""
    system = diffuse_system(3, B=batch, T=4, d=2, p=1, r=1, time_varying=False)
    system["transition"][...] = np.eye(2)
    system["emission"][...] = [1.0, 0.0]
    system["prior_factor"][...] = 0.0
    system["diffuse_directions"][...] = np.eye(2)
    alone = dict(system, diffuse_directions=system["diffuse_directions"][:, :, :1])
    system["directions"] = system["diffuse_directions"]
    node, value, _, _ = called(door, system)
    np.testing.assert_allclose(value, -log_likelihood(alone), rtol=1e-13)
    gradients = node.backward(np.ones(batch), np.zeros((batch, 2)))
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_singular_covariances(door):
    """Without noise of the observation, the process or the prior, as long as others are there."""
    for name in ("observation_factor", "process_factor", "prior_factor"):
        for batch in (1, 5):
            system = reference.random_system(5, B=batch, T=4, d=4, p=1, missing=False)
            system[name][...] = 0.0
            check(door, system, reference.log_likelihood, "float64", 1e-9)


@pytest.mark.parametrize("batch", [1, 5])
def test_states_without_any_variance(door, batch):
    """Rows of zeros, whose length is in other units."""
    system = reference.random_system(5, B=batch, T=4, d=4, p=2, r=1)
    system["prior_factor"][...] = 0.0
    system["process_factor"][:, :, 2:] = 0.0
    check(door, system, reference.log_likelihood, "float64", 1e-9)


@pytest.mark.parametrize("sizes", [dict(B=5, d=3, p=1), dict(B=9, d=4, p=2), dict(B=2, d=9, p=1)])
def test_constants_have_no_gradient(door, sizes):
    system = reference.random_system(5, T=4, **sizes)
    names = [*FIRST, *OPTIONS]
    heads = np.ones(sizes["B"]), np.zeros((sizes["B"], 2))
    every, expected, *_ = called(door, system)
    every = every.backward(*heads)
    for constants in (["transition"], ["y", "emission", "transition"], names):
        keywords = {f"constant_{name}": True for name in constants}
        node, value, *_ = called(door, system, **keywords)
        np.testing.assert_array_equal(value, expected)
        for name, gradient, full in zip(names, node.backward(*heads), every):
            full = 0.0 * full if name in constants else full
            np.testing.assert_allclose(gradient, full, rtol=1e-13, atol=0, err_msg=name)


@pytest.mark.parametrize("batch", [1, 9])
@pytest.mark.parametrize("unit", [1e20, 1e-20])
def test_float32_in_any_unit(door, batch, unit):
    system = reference.random_system(5, B=batch, T=4, d=2, p=2)
    scaled = dict(system)
    for name in ("y", *FIRST[3:], *OPTIONS[1:]):
        scaled[name] = unit * system[name]
    node, value, kind, _ = called(door, scaled, "float32")
    assert not kind.any()
    plain, expected, _, _ = called(door, system)
    shift = system["mask"].sum(axis=(1, 2)) * np.log(unit)
    np.testing.assert_allclose(value, expected + shift, rtol=1e-5)
    head = np.ones(batch), np.zeros((batch, 2))
    for name, a, b in zip(FIRST, node.backward(*head), plain.backward(*head)):
        b = b if name in ("transition", "emission") else b / unit
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * abs(b).max(), err_msg=name)


def long_system(length, **sizes):
    """Constant arrays, and a short draw again and again."""
    system = reference.random_system(5, T=20, p=1, time_varying=False, missing=False, **sizes)
    return dict(system, y=np.tile(system["y"], (1, length // 20, 1)), mask=None)


@pytest.mark.parametrize("batch", [1, 4])
def test_long_sums_in_float32(door, batch):
    """Gradients of constant arrays are sums over time, which float32 must not lose."""
    system = long_system(20000, B=batch, d=1)
    results = {}
    for dtype in ("float32", "float64"):
        exact = {k: None if v is None else v.astype("float32") for k, v in system.items()}
        node, value, _, _ = called(door, exact, dtype)
        gradients = node.backward(np.ones(batch), np.zeros((batch, 2)))
        results[dtype] = [value, *gradients[1:5], gradients[-1]]
    for a, b in zip(results["float32"], results["float64"]):
        np.testing.assert_allclose(a, b, rtol=0, atol=3e-5 * abs(b).max())


FAILURES = [
    ("y", (3, 1, 0), np.nan, native.BAD_OBSERVATION, 1),
    ("y", (3, 2, 1), np.inf, native.BAD_OBSERVATION, 2),
    ("mask", (3, 1, 1), 0.5, native.BAD_MASK, 1),
    ("transition", (3, 0, 1, 0), np.inf, native.NOT_FINITE, 0),
    ("emission_offset", (3, 2, 0), np.nan, native.NOT_FINITE, 2),
    ("prior_mean", (3, 0), np.nan, native.NOT_FINITE, 0),
    ("observation_factor", (3, 2), 0.0, native.SINGULAR, 2),
]


@pytest.mark.parametrize("argument, index, value, kind, time", FAILURES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_fails_leaves_its_neighbours_alone(door, argument, index, value, kind, time, dtype):
    system = reference.random_system(11, B=7, T=4, d=2, p=3, missing=False)
    heads = np.ones(7), np.zeros((7, 2))
    node, good, *_ = called(door, system, dtype)
    expected = node.backward(*heads)
    broken = dict(system, **{argument: system[argument].copy()})
    broken[argument][index] = value
    if kind == native.SINGULAR:
        # Two of three observations without noise of a state with two numbers determine the third.
        broken["emission"] = broken["emission"].copy()
        broken["emission"][3, 2, 2] = broken["emission"][3, 2, :2].sum(axis=0)
    node, found, kinds, times = called(door, broken, dtype)
    others = np.arange(7) != 3
    np.testing.assert_array_equal(kinds, np.where(others, 0, kind))
    assert times[3] == time
    assert np.isnan(found[3])
    tolerance = 1e-11 if dtype == "float64" else 1e-3
    np.testing.assert_allclose(found[others], good[others], rtol=tolerance)
    for a, b in zip(node.backward(*heads), expected):
        close = dict(rtol=tolerance, atol=tolerance * abs(b).max())
        np.testing.assert_allclose(a[others], b[others], **close)


@pytest.mark.parametrize("batch", [1, 5])
def test_what_is_hidden_does_not_count(door, batch):
    """Behind the mask, and what leads on from the last step, anything may stand."""
    system = reference.random_system(3, B=batch, T=3, d=2, p=2)
    system["mask"][0, 1, 0] = system["mask"][0, 2, 1] = 0.0
    node, expected, _, _ = called(door, system)
    heads = np.ones(batch), np.zeros((batch, 2))
    gradients = node.backward(*heads)
    hidden = system["mask"] == 0
    for name in ("y", "emission", "observation_factor", "emission_offset"):
        system[name][hidden] = np.nan
    for name in ("transition", "process_factor", "transition_offset"):
        system[name][:, -1] = np.inf
    node, value, kind, _ = called(door, system)
    assert not kind.any()
    np.testing.assert_array_equal(value, expected)
    for name, a, b in zip(reference.ARGUMENTS, node.backward(*heads), gradients):
        np.testing.assert_array_equal(a, b, err_msg=name)
        if name in ("y", "emission", "observation_factor", "emission_offset"):
            assert not a[hidden].any()


@pytest.mark.parametrize("missing", [False, True])
def test_threads_change_nothing_but_rounding(door, monkeypatch, missing):
    """Enough work for three threads, also where series share their model."""
    system = reference.random_system(
        3, B=20, T=40, d=8, p=1, time_varying=False, shared=True, missing=missing
    )
    system.update((name, np.tile(system[name], (100, 1, 1))) for name in ("y", "mask"))
    heads = np.ones(2000), np.zeros((2000, 2))
    results = []
    for threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        node, value, _, _ = called(door, system)
        results.append([value, *node.backward(*heads)])
    np.testing.assert_array_equal(results[0][0], results[1][0])
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11 * abs(b).max())


@pytest.mark.parametrize("length, d", [(30000, 3), (3000, 16)])
def test_what_is_not_kept_is_computed_again(door, length, d):
    """Alike with and without a record: here too long to be kept, there one element of it.

    Of large systems more is kept.
    """
    system = long_system(length, B=1, d=d)
    many = dict(system, y=np.concatenate([system["y"]] * 3))
    node, value, _, _ = called(door, system)
    all_at_once, values, _, _ = called(door, many)
    np.testing.assert_allclose(values, np.tile(value, 3), rtol=1e-14)
    gradients = node.backward(np.ones(1), np.zeros((1, 2)))
    others = all_at_once.backward(np.ones(3), np.zeros((3, 2)))
    for a, b in zip(gradients[1:], others[1:]):
        np.testing.assert_allclose(b, 3.0 * a, rtol=1e-10, atol=1e-10 * abs(a).max())


@pytest.mark.parametrize("batch, length", [(0, 3), (2, 0)])
def test_empty_arrays(door, batch, length):
    system = reference.random_system(2, B=2, T=3, d=2, p=1, time_varying=False, shared=True)
    for name in ("y", "mask"):
        system[name] = system[name][:batch, :length]
    node, value, _, _ = called(door, system)
    assert value.shape == (batch,)
    assert not value.any()
    for gradient in node.backward(np.ones(batch), np.zeros((batch, 2))):
        assert not gradient.any()


def test_shapes_that_do_not_fit(door):
    system = reference.random_system(2, B=2, T=3, d=2, p=1)
    for name in FIRST[1:]:
        wrong = dict(system, **{name: np.concatenate([system[name]] * 2, axis=1)})
        with pytest.raises(ValueError, match="do not fit"):
            called(door, wrong)


@pytest.mark.parametrize("request_", ["write", "add"])
def test_one_array_in_many_calls_of_a_static_graph(request_):
    """More uses of an array than MXNet adds up without asking the operator."""
    import mxnet as mx

    class Network(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.layer = gl.KalmanFilterLayer(2, 1)

        def hybrid_forward(self, F, *arrays):
            return sum(k * self.layer(*arrays) for k in range(1, 10))

    system = reference.random_system(4, B=3, T=3, d=2, p=1, missing=False)
    arrays = [mx.nd.array(system[k], dtype="float64") for k in FIRST]
    with gl.use_backend("native"):
        for array in arrays:
            array.attach_grad()
        with mx.autograd.record():
            loss = gl.KalmanFilterLayer(2, 1)(*arrays)
        loss.backward()
        expected = [45.0 * array.grad.asnumpy() for array in arrays]
        network = Network()
        network.hybridize(static_alloc=True, static_shape=True)
        for array in arrays:
            array.attach_grad(request_)
        for calls in (1, 2):
            with mx.autograd.record():
                loss = network(*arrays)
            loss.backward()
            factor = calls if request_ == "add" else 1
            for array, gradient in zip(arrays, expected):
                found = array.grad.asnumpy()
                np.testing.assert_allclose(found, factor * gradient, rtol=1e-11, atol=1e-12)


def test_the_layer_tells_what_failed_and_where():
    import mxnet as mx

    system = reference.random_system(4, B=3, T=3, d=2, p=1, missing=False)
    system["observation_factor"][2] = system["process_factor"][2] = 0.0
    system["prior_factor"][2] = 0.0
    arrays = [mx.nd.array(system[k], dtype="float64") for k in FIRST]
    for backend in ("native", "mxnet"):
        for form in ("square_root", "covariance"):
            layer = gl.KalmanFilterLayer(2, 1, form=form)
            with gl.use_backend(backend), pytest.raises(
                gl.errors.SingularMatrixError, match="batch element 2, t = 0"
            ):
                layer(*arrays)
