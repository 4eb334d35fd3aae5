"""Priors of Kalman layers that come from the system, and observations that are certain."""

import kalman_reference as reference
import mxnet as mx
import numpy as np
import pytest
import scipy.linalg
import views_reference as dense
from kalman_reference import ARGUMENTS, random_system
from test_kalman import LAYERS, METHODS, MODES, NOISES, OPTIONS, expected_outputs, with_noise
from test_kalman_diffuse import diffuse_system

import gluon_linalg as gl


def call(layer, system, **changes):
    system = {**system, **changes}
    arrays = {name: system[name] for name, _ in layer.arguments if system.get(name) is not None}
    found = layer(**{name: mx.nd.array(a, dtype="float64") for name, a in arrays.items()})
    found = found if isinstance(found, (list, tuple)) else [found]
    return [array.asnumpy() for array in found]


def stationary_system(seed, diffuse=False, **sizes):
    """A constant system and its stationary prior, by scipy; with a random walk for `diffuse`."""
    system = random_system(seed, **{"time_varying": False, "shared": True, **sizes})
    A, G = system["transition"][0, 0], system["process_factor"][0, 0]
    b = system["transition_offset"][0, 0]
    if diffuse:
        A[0], A[1:, 0], b[0] = np.eye(len(A))[0], 0.0, 0.0
        system["diffuse_directions"] = np.eye(len(A))[None, :, :1]
    part = slice(int(diffuse), None)
    A, G, b = A[part, part], G[part], b[part]
    P = scipy.linalg.solve_discrete_lyapunov(A, G @ G.T)
    d, begin = system["transition"].shape[-1], int(diffuse)
    factor, mean = np.zeros((1, d, d)), np.zeros((1, d))
    factor[0, begin:, begin:] = np.linalg.cholesky(P)
    mean[0, begin:] = np.linalg.solve(np.eye(len(A)) - A, b)
    return dict(system, prior_mean=mean, prior_factor=factor)


@METHODS
@pytest.mark.parametrize("kind", LAYERS)
def test_stationary(kind, method):
    """Each layer as with the prior that scipy's Lyapunov equation gives."""
    steps = OPTIONS[kind].get("steps", 0)
    system = stationary_system(3, B=2, T=5, d=3, p=2)
    if kind == "sampler":
        system = {**with_noise(system), "prior_noise": np.zeros((2, 3))}
    options = dict(OPTIONS[kind], method=method, length=5 if method == "parallel" else None)
    found = call(LAYERS[kind](3, 2, prior="stationary", **options), system)
    for a, b in zip(found, expected_outputs(kind, system, **OPTIONS[kind])):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    assert steps in (0, 2)


@pytest.mark.parametrize("flags", [None, MODES[-1]])
@pytest.mark.parametrize("diffuse", [False, True])
def test_gradient_of_the_stationary_likelihood(diffuse, flags):
    """Against central differences of the value with scipy's prior."""
    sizes = dict(B=2, T=6, d=3, p=2)
    system = stationary_system(4, diffuse, **sizes)
    layer = gl.KalmanFilterLayer(3, 2, prior="stationary", diffuse=int(diffuse))
    if flags is not None:
        layer.hybridize(**flags)
    inputs = {
        name: mx.nd.array(system[name], dtype="float64")
        for name, _ in layer.arguments
        if system.get(name) is not None
    }
    known = gl.KalmanFilterLayer(3, 2, diffuse=int(diffuse))
    np.testing.assert_allclose(layer(**inputs).asnumpy(), call(known, system)[0], rtol=1e-10)
    names = ("transition", "process_factor", "transition_offset")
    for name in names:
        inputs[name].attach_grad()
    with mx.autograd.record():
        loss = layer(**inputs).sum()
    loss.backward()

    def value(name, move):
        moved = dict(system, **{name: system[name] + move})
        part = slice(int(diffuse), None)
        A, G = moved["transition"][0, 0][part, part], moved["process_factor"][0, 0][part]
        P = scipy.linalg.solve_discrete_lyapunov(A, G @ G.T)
        moved["prior_factor"] = np.zeros((1, 3, 3))
        moved["prior_factor"][0, part, part] = np.linalg.cholesky(P)
        moved["prior_mean"] = np.zeros((1, 3))
        b = moved["transition_offset"][0, 0][part]
        moved["prior_mean"][0, part] = np.linalg.solve(np.eye(len(A)) - A, b)
        return call(known, moved)[0].sum()

    for name in names:
        gradient = inputs[name].grad.asnumpy()
        for index in np.ndindex(system[name].shape):
            if diffuse and name == "transition" and 0 in index[2:]:
                # There it leads out of the direction, or a direction grows.
                continue
            move = np.zeros(system[name].shape)
            move[index] = 1e-5
            right = (value(name, move) - value(name, -move)) / 2e-5
            assert gradient[index] == pytest.approx(right, rel=1e-6, abs=1e-6), (name, index)


@pytest.mark.parametrize("flags", [None, MODES[-1]])
def test_what_is_not_stationary(flags):
    system = random_system(3, B=1, T=4, d=2, p=1, time_varying=False, shared=True)
    system["transition"][:] = [[1.0, 0.0], [0.0, 0.5]]
    layer = gl.KalmanFilterLayer(2, prior="stationary")
    if flags is not None:
        layer.hybridize(**flags)
    with pytest.raises(gl.errors.LinearAlgebraError, match="not stationary"):
        call(layer, system)
    with pytest.raises(ValueError, match="prior is 'flat'"):
        gl.KalmanFilterLayer(2, prior="flat")
    with pytest.raises(ValueError, match="singular is 'drop'"):
        gl.KalmanFilterLayer(2, singular="drop")


@METHODS
def test_filtered_moments_with_diffuse_directions(method):
    """From the second of two directions on what a smoother of y_1..y_t says of x_t."""
    system = diffuse_system(5, 2, B=2, T=5, d=3, p=1, missing=False)
    length = 5 if method == "parallel" else None
    options = {"method": method, "length": length, "diffuse": 2}
    loss, mean, covariance = call(gl.KalmanFilterLayer(3, moments=True, **options), system)
    np.testing.assert_allclose(loss, call(gl.KalmanFilterLayer(3, **options), system)[0])
    assert np.isinf(np.diagonal(covariance[:, 0], axis1=1, axis2=2)).any()
    for t in range(1, 5):
        cut = dict(system, y=system["y"][:, : t + 1], mask=system["mask"][:, : t + 1])
        for name in reference.OVER_TIME:
            cut[name] = system[name][:, : t + 1]
        right = dense.states(cut, None)
        np.testing.assert_allclose(mean[:, t], right[0][:, t], rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(covariance[:, t], right[1][:, t], rtol=1e-8, atol=1e-8)


def certain_system(seed=2, **sizes):
    """Two sensors without noise, the second one twice the first, and one with noise."""
    system = random_system(seed, **{**dict(B=2, T=5, d=3, p=3, missing=False), **sizes})
    H, D, d = (system[k] for k in ("emission", "observation_factor", "emission_offset"))
    D[:, :, :2] = 0.0
    H[:, :, 1], d[:, :, 1] = 2.0 * H[:, :, 0], 1.0 + 2.0 * d[:, :, 0]
    system["y"][..., 1] = 1.0 + 2.0 * system["y"][..., 0]
    return system


@METHODS
@pytest.mark.parametrize("kind", LAYERS)
def test_a_repeated_sensor_is_skipped(kind, method):
    """All results are those without it, and it may be the only one where the other is missing."""
    steps = OPTIONS[kind].get("steps", 0)
    system = certain_system(steps=steps)
    system["mask"][1, 2, 0] = 0.0
    without = dict(system, mask=system["mask"].copy())
    without["mask"][:, :, 1] = 0.0
    without["mask"][1, 2, 1] = 1.0
    if kind == "sampler":
        system, without = with_noise(system), with_noise(without)
    options = dict(OPTIONS[kind], method=method, length=5 if method == "parallel" else None)
    layer = LAYERS[kind](3, 3, singular="skip", **options)
    for flags in (None, MODES[-1]):
        if flags is not None:
            layer.hybridize(**flags)
        for a, b in zip(call(layer, system), expected_outputs(kind, without, **OPTIONS[kind])):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)
    with pytest.raises(gl.errors.SingularMatrixError, match="singular"):
        call(LAYERS[kind](3, 3, **options), system)


def test_a_known_constant_seen_without_noise():
    """What is certain from an earlier time stays so, however often it is seen."""
    random = np.random.RandomState(0)
    eye, T = np.eye(2), 30
    system = {
        "transition": eye[None, None],
        "emission": np.array([[0.3, 0.0], [0.3, 0.7]])[None, None],
        "process_factor": np.array([[0.0], [0.5]])[None, None],
        "observation_factor": np.array([[0.0], [0.7]])[None, None],
        "prior_mean": np.zeros((1, 2)),
        "prior_factor": np.array([[[97.3, 0.0], [31.7, 77.1]]]),
    }
    level = np.cumsum(random.randn(T))
    system["y"] = np.stack([np.full(T, 3.0), 3.0 + level + random.randn(T)], axis=1)[None]
    mask = np.ones((1, T, 2))
    mask[:, 1:, 0] = 0.0
    right = -reference.log_likelihood(dict(system, mask=mask))
    for directions in (None, 10.0 * eye[None]):
        options = {} if directions is None else {"diffuse": 2}
        known = dict(system, diffuse_directions=directions, mask=mask)
        if directions is not None:
            known["prior_factor"] = system["prior_factor"] = 0.0 * system["prior_factor"]
            right = call(gl.KalmanFilterLayer(2, 2, **options), known)[0]
        layer = gl.KalmanFilterLayer(2, 2, singular="skip", **options)
        found = call(layer, system, diffuse_directions=directions)
        np.testing.assert_allclose(found[0], right, rtol=1e-9)
    wrong = dict(system, y=system["y"].copy(), prior_factor=100.0 * eye[None])
    wrong["y"][0, 7, 0] = 3.1
    with pytest.raises(gl.errors.SingularMatrixError, match="not what they make.*t = 7"):
        call(gl.KalmanFilterLayer(2, 2, singular="skip"), wrong)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("d, p, turns", [(2, 1, False), (2, 1, True), (3, 1, True)])
def test_states_that_nothing_moves_are_certain_once_they_were_seen(d, p, turns, seed):
    """All that comes after d numbers is what rounding makes of 0."""
    random = np.random.RandomState(seed)
    A = scipy.linalg.qr(random.randn(d, d))[0] if turns else np.eye(d)
    H = random.randn(p, d)
    S = np.diag(10.0 ** random.uniform(-1, 1, d)) @ random.randn(d, d)
    rows = np.concatenate([H @ np.linalg.matrix_power(A, t) for t in range(10)])
    y = rows @ S @ random.randn(d)
    system = {
        "y": y.reshape(1, 10, p),
        "transition": A[None, None],
        "emission": H[None, None],
        "process_factor": np.zeros((1, 1, d, 1)),
        "observation_factor": np.zeros((1, 1, p, 1)),
        "prior_mean": np.zeros((1, d)),
        "prior_factor": S[None],
    }
    count = d if turns else p
    maps = rows[:count] @ S
    white = np.linalg.solve(maps @ maps.T, y[:count])
    right = 0.5 * (np.linalg.slogdet(2 * np.pi * maps @ maps.T)[1] + y[:count] @ white)
    found = call(gl.KalmanFilterLayer(d, p, singular="skip"), system)[0]
    np.testing.assert_allclose(found, [right], rtol=1e-6)


def test_gradient_of_what_is_not_skipped():
    system = certain_system(B=1, T=3, d=2)
    names = [n for n in ARGUMENTS if system.get(n) is not None and n not in ("mask", *NOISES)]
    gradients = []
    for layer, mask in (
        (gl.KalmanFilterLayer(2, 3, singular="skip"), [1, 1, 1]),
        (gl.KalmanFilterLayer(2, 3), [1, 0, 1]),
    ):
        own = dict(system, mask=system["mask"] * mask)
        if layer._skips:
            # The third sensor is kept; of two certain ones the first is.
            own["mask"] = system["mask"]
        inputs = {n: mx.nd.array(own[n], dtype="float64") for n in ARGUMENTS}
        for name in names:
            inputs[name].attach_grad()
        with mx.autograd.record():
            loss = layer(**inputs)
        loss.backward()
        gradients.append({name: inputs[name].grad.asnumpy() for name in names})
    for name in names:
        np.testing.assert_allclose(*(own[name] for own in gradients), rtol=1e-10, atol=1e-12)
