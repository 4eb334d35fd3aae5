"""Kalman layers with diffuse directions, against dense Gaussians with a flat δ (universal kriging).

x_1 = m + S ξ + D δ. With X the responses of the observations to δ and V their covariance, the
likelihood is that of generalized least squares, and what is predicted solves the kriging system
[[V, X], [Xᵀ, 0]] (Cressie 1993, section 3.4). Derivatives are by complex step.
"""

import kalman_reference as reference
import mxnet as mx
import numpy as np
import pytest
from kalman_reference import ARGUMENTS, random_system
from test_kalman import LAYERS, METHODS, NOISES, VARIANTS, WithMask

import gluon_linalg as gl
from harness import assert_runs_on_gpu
from harness import block as harness

NAMES = (*ARGUMENTS[:7], "diffuse_directions", *ARGUMENTS[7:])
SAMPLER_NAMES = (*NAMES[:8], *NOISES, *NAMES[8:])
OPTIONS = {
    "filter": {},
    "smoother": {"lag_one": True},
    "forecast": {"steps": 2},
    "sampler": {},
}


def diffuse_system(seed, q=2, noise=False, **sizes):
    system = random_system(seed, **sizes)
    random = np.random.RandomState(seed + 100)
    batch, d = system["prior_mean"].shape
    system["prior_factor"] = 0.5 * random.randn(batch, d, 1)
    system["diffuse_directions"] = np.eye(d, q) + 0.3 * random.randn(batch, d, q)
    if noise:
        B, T, _ = system["y"].shape
        sizes = [(B, 1)] + [(B, T, system[name].shape[3]) for name in ARGUMENTS[3:5]]
        system.update({name: random.randn(*size) for name, size in zip(NOISES, sizes)})
    order = SAMPLER_NAMES if noise else NAMES
    return {name: system[name] for name in order}


def elements(system, steps=0):
    """(system of one element with D as columns of S, the columns of D, D) of each element."""
    directions = system["diffuse_directions"]
    factor = system["prior_factor"]
    plain = {name: system.get(name) for name in ARGUMENTS}
    joined = np.concatenate([factor, directions], axis=2)
    s, q = factor.shape[2], directions.shape[2]
    each = reference._elements(dict(plain, prior_factor=joined), steps)
    for b, element in enumerate(each):
        yield element, slice(s, s + q), directions[b if len(directions) > 1 else 0]


def log_likelihood(system):
    totals = []
    for element, columns, directions in elements(system):
        residual, maps = reference._observed(element)
        x, covariance = maps[:, columns], maps @ maps.T
        # The sum with X Xᵀ has the same value and is regular.
        information = x.T @ np.linalg.solve(covariance, x)
        target = x.T @ np.linalg.solve(covariance, residual)
        square = residual @ np.linalg.solve(covariance, residual)
        square = square - target @ np.linalg.solve(information, target)
        pairs = [np.linalg.slogdet(matrix) for matrix in (covariance, information)]
        logs = sum(np.log(sign) + logarithm for sign, logarithm in pairs)
        lengths = np.log(np.sum(directions**2, axis=0)).sum()
        count = len(residual) - x.shape[1]
        totals.append(-0.5 * (count * np.log(2.0 * np.pi) + logs + square - lengths))
    return np.array(totals)


def kriging(element, columns, target_mean, target_maps):
    """Mean and error map of an affine map of the noises, δ flat."""
    residual, maps = reference._observed(element)
    x = maps[:, columns]
    q = x.shape[1]
    saddle = np.block([[maps @ maps.T, x], [x.T, np.zeros((q, q))]])
    right = np.concatenate([maps @ target_maps.T, target_maps[:, columns].T])
    weights = np.linalg.solve(saddle, right)[: len(residual)]
    left = target_maps - weights.T @ maps
    return target_mean + weights.T @ residual, left @ left.T


def smoothed(system):
    means, covariances, lag_one = [], [], []
    for element, columns, _ in elements(system):
        length, size = element["state_mean"].shape
        mean, covariance = kriging(element, columns, *reference._states(element))
        blocks = covariance.reshape(length, size, length, size)
        means.append(mean.reshape(length, size))
        covariances.append([blocks[t, :, t] for t in range(length)])
        lag_one.append([blocks[t + 1, :, t] for t in range(length - 1)])
    return np.array(means), np.array(covariances), np.array(lag_one)


def forecast(system, steps=2):
    results = ([], [], [], [])
    for element, columns, _ in elements(system, steps):
        for t in range(len(element["mask"]), len(element["state_mean"])):
            moments = kriging(element, columns, *reference._states(element, t))
            ahead = (element["emission_mean"][t], element["emission_map"][t])
            for result, moment in zip(results, (*moments, *kriging(element, columns, *ahead))):
                result.append(moment)
    return tuple(reference._batched(system, result) for result in results)


def draw(system):
    """x⁺ + E[x | y] - E[x | y⁺], with x⁺ at δ = 0."""
    draws = []
    for b, (element, columns, _) in enumerate(elements(system)):
        prior, process, observation = (system[name][b].ravel() for name in NOISES)
        q = columns.stop - columns.start
        noise = np.concatenate([prior, np.zeros(q), process, observation])
        mean, maps = reference._states(element)
        residual, observed = reference._observed(element)
        moved = dict(element, y=element["y"].copy())
        shape = element["mask"].shape
        moved["y"] = element["y"] - (element["emission_map"] @ noise)[: shape[0]]
        shift, _ = kriging(moved, columns, mean, maps)
        draws.append((shift + maps @ noise).reshape(element["state_mean"].shape))
    return np.array(draws)


def expected(kind, system):
    if kind == "filter":
        return [-log_likelihood(system)]
    if kind == "sampler":
        return [draw(system)]
    return list(smoothed(system) if kind == "smoother" else forecast(system))


def layer_of(kind, d, p, q, T, variant):
    length = T if variant.get("method") == "parallel" else None
    return LAYERS[kind](d, p, length=length, diffuse=q, **OPTIONS[kind], **variant)


@pytest.mark.parametrize(
    "kind, method",
    [
        ("filter", "sequential"),
        # The filter's harness finds what these would, but for their own few lines.
        pytest.param("filter", "parallel", marks=pytest.mark.slow),
        pytest.param("smoother", "sequential", marks=pytest.mark.slow),
        pytest.param("forecast", "parallel", marks=pytest.mark.slow),
        pytest.param("sampler", "sequential", marks=pytest.mark.slow),
    ],
)
def test_harness(kind, method, tmp_path):
    """Every execution mode, grad_req, nesting, float32, values, GPU operators."""
    T, d, p, q = 3, 2, 1, 1
    cases = []
    for B, varies in ((1, False), (2, True)):
        # No gradient is a small difference of large numbers: each backend rounds in its own way.
        system = diffuse_system(
            14, q, kind == "sampler", B=B, T=T, d=d, p=p, time_varying=varies, shared=not varies,
            missing=False, steps=OPTIONS[kind].get("steps", 0),
        )  # fmt: skip
        system["y"] = 2.0 + np.tanh(system["y"])
        system["y"][-1, 1] = 5.0
        del system["mask"]
        cases.append(list(system.values()))
    names = tuple(system)

    def factory():
        order = SAMPLER_NAMES if kind == "sampler" else NAMES
        return WithMask(layer_of(kind, d, p, q, T, {"method": method}), names, order)

    def oracle(*inputs_and_block):
        system = dict(zip(names, inputs_and_block))
        system["mask"] = (system["y"] < 4.0).astype("float64")
        return expected(kind, system)

    for dtype in ("float64", "float32"):
        harness.check_modes(factory, cases, tmp_path, dtype)
    harness.check_add_and_null(factory, cases[0])
    harness.check_nested(factory, cases[0])
    harness.check_float32(factory, cases, 1e-3)
    harness.check_oracle(factory, cases, oracle, 1e-9)
    assert_runs_on_gpu(factory, cases[0], "float32", tmp_path)


def check_gradients(kind, system, variant, tolerance=1e-8):
    """Every element of every gradient, relative to the largest of its array."""
    d, q = system["diffuse_directions"].shape[1:]
    layer = layer_of(kind, d, system["y"].shape[2], q, system["y"].shape[1], variant)
    random = np.random.RandomState(0)
    outputs = expected(kind, system)
    weights = [random.uniform(0.5, 1.5, size=output.shape) for output in outputs]
    inputs = {name: mx.nd.array(value, dtype="float64") for name, value in system.items()}
    for name, array in inputs.items():
        if name != "mask":
            array.attach_grad()
    with mx.autograd.record():
        found = layer(*inputs.values())
        found = found if isinstance(found, (list, tuple)) else [found]
        total = sum((o * mx.nd.array(w, dtype="float64")).sum() for o, w in zip(found, weights))
    total.backward()
    for value, output in zip(found, outputs):
        np.testing.assert_allclose(
            value.asnumpy(), output, rtol=0, atol=1e-9 * max(1.0, np.abs(output).max())
        )

    def function(moved):
        return tuple(expected(kind, moved))

    for name in system:
        if name != "mask":
            right = reference.gradient(function, system, name, weights)
            difference = np.abs(inputs[name].grad.asnumpy() - right).max()
            assert difference <= tolerance * max(1.0, np.abs(right).max()), name


@VARIANTS
@pytest.mark.parametrize("noise", ["full", "none in y", "no process"])
def test_score(variant, noise):
    system = diffuse_system(3, 2, B=2, T=5, d=3, p=2)
    if noise == "none in y":
        system["observation_factor"][:] = 0.0
    elif noise == "no process":
        system["process_factor"][:] = 0.0
    check_gradients("filter", system, variant)


@METHODS
@pytest.mark.parametrize("kind", ["smoother", "forecast", "sampler"])
def test_gradients_of_moments(kind, method):
    steps = OPTIONS[kind].get("steps", 0)
    system = diffuse_system(3, 2, kind == "sampler", B=1, T=4, d=3, p=2, steps=steps)
    check_gradients(kind, system, {"method": method})


@METHODS
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_length_of_the_directions_changes_nothing(factor, method):
    system = diffuse_system(4, 2, B=2, T=6, d=3, p=1)
    arrays = {name: mx.nd.array(value, dtype="float64") for name, value in system.items()}
    layer = layer_of("filter", 3, 1, 2, 6, {"method": method})
    before = layer(*arrays.values()).asnumpy()
    arrays["diffuse_directions"] = factor * arrays["diffuse_directions"]
    np.testing.assert_allclose(layer(*arrays.values()).asnumpy(), before, rtol=1e-9)


@METHODS
def test_what_the_data_leave_open(method):
    """Two levels of which the sum is seen: each is open, and their sum is that of one level."""
    y = np.cumsum(np.random.RandomState(0).randn(1, 6, 1), axis=1)
    eye, ones = np.eye(2), np.ones((1, 1, 1, 2))
    arrays = [y, eye[None, None], ones, 0.5 * eye[None, None], np.full((1, 1, 1, 1), 0.7)]
    arrays += [np.zeros((1, 2)), np.zeros((1, 2, 1)), eye[None]]
    arrays = [mx.nd.array(array, dtype="float64") for array in arrays]
    options = {"method": method, "length": 6, "diffuse": 2}
    state_mean, covariance, mean, variance = gl.KalmanForecastLayer(2, steps=1, **options)(*arrays)
    assert np.isinf(np.diagonal(covariance.asnumpy()[0, 0])).all()
    one = [arrays[0]] + [mx.nd.ones((1, 1, 1, 1), dtype="float64")] * 2
    one += [mx.nd.full((1, 1, 1, 1), 0.5**0.5, dtype="float64"), arrays[4]]
    one += [mx.nd.zeros((1, 1), dtype="float64"), mx.nd.zeros((1, 1, 1), dtype="float64")]
    one += [mx.nd.ones((1, 1, 1), dtype="float64")]
    right = gl.KalmanForecastLayer(1, steps=1, **dict(options, diffuse=1))(*one)
    np.testing.assert_allclose(mean.asnumpy(), right[2].asnumpy(), rtol=1e-10)
    np.testing.assert_allclose(variance.asnumpy(), right[3].asnumpy(), rtol=1e-10)


def test_wrong_directions_are_refused():
    system = diffuse_system(4, 2, B=2, T=6, d=3, p=1)
    arrays = [mx.nd.array(value, dtype="float64") for value in system.values()]
    with pytest.raises(gl.errors.ShapeError, match="diffuse is 1, but the arrays have 2"):
        gl.KalmanFilterLayer(3, diffuse=1)(*arrays)
    with pytest.raises(ValueError, match="diffuse is -1"):
        gl.KalmanFilterLayer(3, diffuse=-1)
    with pytest.raises(ValueError, match="known prior"):
        gl.KalmanFilterLayer(3, diffuse=1, moments="factor")
