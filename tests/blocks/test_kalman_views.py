"""The views of the filter: values and gradients against a dense Gaussian, modes, errors."""

import kalman_reference as reference
import mxnet as mx
import numpy as np
import pytest
import views_reference as dense
from kalman_reference import ARGUMENTS, random_system
from test_kalman import METHODS, WithMask
from test_kalman_diffuse import diffuse_system

import gluon_linalg as gl
from gluon_linalg.blocks.kalman_views import VIEWS
from harness import assert_runs_on_gpu
from harness import block as harness
from plain_mxnet import run_plain

LAG = 2
# Each view by the dense Gaussian, as a tuple of arrays.
EXPECTED = {
    "log_likelihood": lambda s: (reference.step_log_likelihoods(s),),
    "predicted": lambda s: dense.states(s, -1),
    "filtered": lambda s: dense.states(s, 0),
    "smoothed": lambda s: dense.states(s, None),
    "fixed_lag": lambda s: dense.states(s, LAG),
    "lag_covariance": lambda s: (dense.lag_covariance(s, LAG),),
    "predicted_observation": lambda s: dense.observations(s, -1),
    "filtered_signal": lambda s: dense.observations(s, 0, noise=False),
    "smoothed_signal": lambda s: dense.observations(s, None, noise=False),
    "innovations": lambda s: (dense.innovations(s),),
    "observation_disturbance": lambda s: dense.disturbances(s, "observation"),
    "process_disturbance": lambda s: dense.disturbances(s, "process"),
    "auxiliary_residuals": dense.auxiliary_residuals,
    "weights": lambda s: (dense.weights(s, 2),),
}
# Those that mean something before all directions are known.
ALL_DATA = [
    "smoothed",
    "lag_covariance",
    "smoothed_signal",
    "observation_disturbance",
    "process_disturbance",
    "auxiliary_residuals",
    "weights",
]
ORDER = (*ARGUMENTS[:7], "diffuse_directions", "fresh", *ARGUMENTS[7:])


def arrays(system, dtype="float64"):
    names = [name for name in ORDER if name in system or name in ARGUMENTS]
    return [None if system.get(n) is None else mx.nd.array(system[n], dtype=dtype) for n in names]


def layer_of(outputs, system, method="sequential", **options):
    length, p = system["y"].shape[1:]
    d = system["transition"].shape[-1]
    if "diffuse_directions" in system:
        options["diffuse"] = system["diffuse_directions"].shape[2]
    length = length if method == "parallel" else None
    options = {"lag": LAG, "at": 2, **options}
    return gl.KalmanViewsLayer(d, p, outputs, method=method, length=length, **options)


def listed(results):
    return list(results) if isinstance(results, (list, tuple)) else [results]


def check_values(system, outputs, method="sequential", tolerance=1e-10):
    layer = layer_of(outputs, system, method)
    found = dict(zip(layer.names, (a.asnumpy() for a in listed(layer(*arrays(system))))))
    for output in outputs:
        for name, right in zip(VIEWS[output].names, EXPECTED[output](system)):
            scale = max(1.0, np.abs(right).max())
            assert found[name].shape == right.shape, name
            np.testing.assert_allclose(
                found[name], right, rtol=0, atol=tolerance * scale, err_msg=name
            )


@METHODS
@pytest.mark.parametrize("sizes", [{}, {"time_varying": False, "shared": True, "r": 1, "q": 3}])
def test_values(method, sizes):
    check_values(random_system(3, B=2, T=5, d=3, p=2, **sizes), list(EXPECTED), method)


@METHODS
def test_values_with_diffuse_directions(method):
    system = diffuse_system(3, 2, B=2, T=5, d=3, p=2)
    check_values(system, ALL_DATA, method, 1e-9)


@METHODS
def test_what_is_known_as_time_goes_on(method):
    """With diffuse directions: given y_1..y_t all is that of a smoother of these alone."""
    system = diffuse_system(5, 2, B=2, T=5, d=3, p=1, missing=False)
    system["mask"][1, 3] = 0.0
    outputs = ["predicted", "filtered", "fixed_lag", "predicted_observation", "innovations"]
    outputs += ["log_likelihood", "filtered_signal"]
    layer = layer_of(outputs, system, method)
    found = {k: v.asnumpy() for k, v in layer.named(*arrays(system)).items()}
    # Two observations tell two directions.
    known = slice(2, None)
    for name, until, rest in (
        ("predicted", -1, known),
        ("filtered", 0, slice(1, None)),
        ("fixed_lag", LAG, slice(0, None)),
    ):
        for part, own in zip(("mean", "covariance"), (0, 1)):
            right = _known_states(system, until)[own]
            got = found[f"{name}_{part}"]
            np.testing.assert_allclose(got[:, rest], right[:, rest], rtol=1e-8, atol=1e-9)
    right = _known_states(system, -1, dense.observations)
    np.testing.assert_allclose(
        found["predicted_observation_mean"][:, known], right[0][:, known], rtol=1e-8
    )
    np.testing.assert_allclose(
        found["predicted_observation_covariance"][:, known], right[1][:, known], rtol=1e-8
    )
    deviation = np.sqrt(right[1][:, :, :, 0])
    innovation = system["mask"] * (system["y"] - right[0]) / deviation
    np.testing.assert_allclose(found["innovations"][:, known], innovation[:, known], rtol=1e-8)
    assert (found["innovations"][:, :2] == 0).all()
    density = -0.5 * innovation**2 - system["mask"] * np.log(deviation * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(
        found["log_likelihood"][:, known], density[:, known, 0], rtol=1e-8, atol=1e-10
    )
    total = -gl.KalmanFilterLayer(3, diffuse=2)(*arrays(system)).asnumpy()
    np.testing.assert_allclose(found["log_likelihood"].sum(axis=1), total, rtol=1e-10)
    # Nothing is known of the first state in the directions.
    variances = np.diagonal(found["predicted_covariance"], axis1=2, axis2=3)
    assert np.isinf(variances[:, 0]).all()
    assert np.isinf(found["predicted_observation_covariance"][:, :2]).all()


def _known_states(system, until, function=dense.states):
    """The moments where the data tell all directions, NaN elsewhere."""

    def solved(*args):
        try:
            return given(*args)
        except np.linalg.LinAlgError:
            return args[2] * np.nan, args[3] @ args[3].T * np.nan

    given = dense.given
    dense.given = solved
    try:
        return function(system, until)
    finally:
        dense.given = given


def check_gradients(system, outputs, expected, method="sequential", tolerance=1e-8, **options):
    """Every element of every gradient, relative to the largest of its array."""
    layer = layer_of(outputs, system, method, **options)
    random = np.random.RandomState(0)
    right = expected(system)
    weights = [random.uniform(0.5, 1.5, size=array.shape) for array in right]
    names = [name for name in ORDER if name in system or name in ARGUMENTS]
    inputs = dict(zip(names, arrays(system)))
    inputs = {name: array for name, array in inputs.items() if array is not None}
    for name, array in inputs.items():
        if name not in ("mask", "fresh"):
            array.attach_grad()
    with mx.autograd.record():
        found = listed(layer(**inputs))
        assert len(found) == len(right)
        total = sum((o * mx.nd.array(w, dtype="float64")).sum() for o, w in zip(found, weights))
    total.backward()
    for name in inputs:
        if name in ("mask", "fresh"):
            continue
        gradient = reference.gradient(expected, system, name, weights)
        difference = np.abs(inputs[name].grad.asnumpy() - gradient).max()
        assert difference <= tolerance * max(1.0, np.abs(gradient).max()), name


@METHODS
@pytest.mark.parametrize("outputs", [list(EXPECTED)[:-1]], ids=["all"])
def test_gradients(outputs, method):
    system = random_system(4, B=1, T=4, d=2, p=2)

    def expected(moved):
        return tuple(array for name in outputs for array in EXPECTED[name](moved))

    check_gradients(system, outputs, expected, method)


@METHODS
def test_gradients_with_diffuse_directions(method):
    system = diffuse_system(4, 1, B=1, T=4, d=2, p=2)
    outputs = ALL_DATA[:-1]

    def expected(moved):
        return tuple(array for name in outputs for array in EXPECTED[name](moved))

    check_gradients(system, outputs, expected, method)


def test_gradients_as_time_goes_on():
    """Of moments and step likelihoods at the last step, when all directions are known."""
    system = diffuse_system(4, 1, B=1, T=3, d=2, p=1, missing=False)
    outputs = ["predicted", "filtered", "fixed_lag", "predicted_observation", "log_likelihood"]
    layer = layer_of(outputs, system)

    def last(moved):
        found = []
        for until in (-1, 0, LAG):
            found += [array[:, 1:] for array in _known_states(moved, until)]
        mean, variance = _known_states(moved, -1, dense.observations)
        found += [mean[:, 1:], variance[:, 1:]]
        mean, variance = mean[:, 1:], variance[:, 1:, :, 0]
        density = -0.5 * (moved["y"][:, 1:] - mean) ** 2 / variance
        return (*found, (density - 0.5 * np.log(2 * np.pi * variance))[..., 0])

    random = np.random.RandomState(0)
    right = last(system)
    weights = [random.uniform(0.5, 1.5, size=array.shape) for array in right]
    inputs = dict(zip([n for n in ORDER if n in system], arrays(system)))
    for name, array in inputs.items():
        if name != "mask":
            array.attach_grad()
    with mx.autograd.record():
        found = [array[:, 1:] for array in layer(**inputs)]
        total = sum((o * mx.nd.array(w, dtype="float64")).sum() for o, w in zip(found, weights))
    total.backward()
    for value, array in zip(found, right):
        np.testing.assert_allclose(value.asnumpy(), array, rtol=1e-8, atol=1e-9)
    for name, array in inputs.items():
        if name != "mask":
            gradient = reference.gradient(last, system, name, weights)
            difference = np.abs(array.grad.asnumpy() - gradient).max()
            assert difference <= 1e-8 * max(1.0, np.abs(gradient).max()), name


def test_forecasts_and_news():
    """What new observations change in a forecast is the sum of their impacts."""
    steps = 2
    system = random_system(6, B=2, T=5, d=3, p=2, steps=steps)
    fresh = np.zeros_like(system["y"])
    fresh[:, 3:] = 1.0
    fresh[0, 1, 0] = 1.0
    system["mask"][0, 1, 0] = 1.0
    layer = layer_of(["news", "predicted_observation"], system, steps=steps)
    found = layer(*arrays(dict(system, fresh=fresh)))
    news, impact, mean, covariance = (array.asnumpy() for array in found)
    _, _, *forecast = reference.forecast(system, steps)
    np.testing.assert_allclose(mean[:, -steps:], forecast[0], rtol=1e-10)
    np.testing.assert_allclose(covariance[:, -steps:], forecast[1], rtol=1e-10)
    old = dict(system, mask=system["mask"] * (1.0 - fresh))
    expected = dense.observations(old, None, steps=steps)[0][:, :5]
    is_new = system["mask"] * fresh
    right = is_new * (system["y"] - expected)
    np.testing.assert_allclose(news[:, :5], right, rtol=1e-9, atol=1e-10)
    before = reference.forecast(old, steps)[2]
    np.testing.assert_allclose(
        impact.sum(axis=(2, 3)), forecast[0][:, -1] - before[:, -1], rtol=1e-9
    )
    share = dense.weights(system, -1, steps, "observation") * right[:, None]
    np.testing.assert_allclose(impact[:, :, :5], share, rtol=1e-9, atol=1e-10)


def test_harness(tmp_path):
    """Every execution mode, grad_req, nesting, float32, values, GPU operators."""
    T, d, p = 3, 2, 1
    outputs = [name for name in EXPECTED if name not in ("weights", "auxiliary_residuals")]
    cases = []
    for B, varies in ((1, False), (2, True)):
        system = random_system(
            14, B=B, T=T, d=d, p=p, time_varying=varies, shared=not varies, missing=False
        )
        system["y"] = 2.0 + np.tanh(system["y"])
        system["y"][-1, 1] = 5.0
        del system["mask"]
        cases.append(list(system.values()))
    names = tuple(system)

    def factory():
        return WithMask(gl.KalmanViewsLayer(d, p, outputs, lag=LAG), names, ARGUMENTS)

    def oracle(*inputs_and_block):
        system = dict(zip(names, inputs_and_block))
        system["mask"] = (system["y"] < 4.0).astype("float64")
        return [array for name in outputs for array in EXPECTED[name](system)]

    harness.check_modes(factory, cases, tmp_path, "float64")
    harness.check_add_and_null(factory, cases[0])
    harness.check_float32(factory, cases, 1e-3)
    harness.check_oracle(factory, cases, oracle, 1e-10)
    assert_runs_on_gpu(factory, cases[0], "float32", tmp_path)


def test_diffuse_views_run_without_this_package(tmp_path):
    system = diffuse_system(5, 2, B=2, T=5, d=3, p=1, missing=False)
    layer = layer_of(["filtered", "innovations", "log_likelihood", "weights"], system)
    path = str(tmp_path / "model")
    gl.export(layer, path, *arrays(system))
    found = run_plain(path, list(system.values()), "float64", tmp_path)
    for a, b in zip(found, layer(*arrays(system))):
        np.testing.assert_allclose(a, b.asnumpy(), rtol=1e-9, atol=1e-9)


def test_only_what_is_asked_for_is_computed():
    """The graph of the filter alone has no pass back in time."""
    loops = {}
    for outputs in (["log_likelihood"], ["log_likelihood", "smoothed"]):
        layer = gl.KalmanViewsLayer(2, 1, outputs)
        symbol = layer(*(mx.sym.var(name) for name in ARGUMENTS[:7]))
        symbol = mx.sym.Group(listed(symbol))
        loops[len(outputs)] = symbol.tojson().count('"op": "_foreach"')
    assert loops[1] < loops[2]


def test_outliers_and_shifts_are_found():
    """Of a random walk in noise with an outlier at t = 30 and a shift from t = 61 on."""
    random = np.random.RandomState(0)
    y = np.cumsum(0.1 * random.randn(100)) + random.randn(100)
    y[30] += 8.0
    y[61:] += 5.0
    arrays = gl.kalman_arrays(y, 1.0, 1.0, 0.01, 1.0, diffuse_directions=np.ones((1, 1)))
    found = gl.KalmanViewsLayer(1, outputs=["auxiliary_residuals"], diffuse=1).named(**arrays)
    outliers = found["observation_residuals"].asnumpy().ravel()
    shifts = found["state_residuals"].asnumpy().ravel()
    assert np.abs(outliers).argmax() == 30
    assert np.abs(outliers[30]) > 5
    assert np.abs(shifts).argmax() in (60, 61, 59)


def test_nan_behind_the_mask():
    """Of H and d, too: no gradient is NaN, and what nobody knows is NaN."""
    system = random_system(3, B=1, T=4, d=2, p=2, missing=False)
    system["mask"][0, 1, 0] = 0.0
    outputs = ["smoothed", "smoothed_signal", "innovations"]
    right = [a.asnumpy() for a in layer_of(outputs, system)(*arrays(system))]
    for name in ("emission", "observation_factor", "emission_offset"):
        system[name][0, 1, 0] = np.nan
    inputs = arrays(system)
    for array in inputs:
        array.attach_grad()
    with mx.autograd.record():
        found = layer_of(outputs, system)(*inputs)
        total = found[0].sum() + found[2][:, :1].sum() + found[3][:, :1].sum()
    total.backward()
    assert all(np.isfinite(array.grad.asnumpy()).all() for array in inputs)
    for index, (a, b) in enumerate(zip(found, right)):
        a = a.asnumpy()
        if index in (2, 3):
            assert index == 3 or np.isnan(a[0, 1, 0])
            a, b = a[:, [0, 2, 3]], b[:, [0, 2, 3]]
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_bad_arguments():
    with pytest.raises(ValueError, match="no view 'smothed'; did you mean 'smoothed'"):
        gl.KalmanViewsLayer(2, outputs=["smothed"])
    with pytest.raises(ValueError, match="outputs is empty"):
        gl.KalmanViewsLayer(2, outputs=[])
    with pytest.raises(ValueError, match="news are told for a forecast"):
        gl.KalmanViewsLayer(2, outputs=["news"])
    with pytest.raises(ValueError, match="lag is 0"):
        gl.KalmanViewsLayer(2, outputs=["fixed_lag"], lag=0)
    system = random_system(3, B=1, T=4, d=2, p=1)
    with pytest.raises(gl.errors.ShapeError, match="covariances over 4 steps"):
        layer_of(["lag_covariance"], system, lag=4)(*arrays(system))
    with pytest.raises(gl.errors.ShapeError, match="at is 4, but there are 4 steps"):
        layer_of(["weights"], system, at=4)(*arrays(system))
