"""The Kalman layers: the shared harness, shapes, execution modes and export."""

import kalman_reference as reference
import mxnet as mx
import numpy as np
import pytest
from kalman_reference import ARGUMENTS, random_system

import gluon_linalg as gl
from gluon_linalg import functional as fn
from harness import assert_runs_on_gpu
from harness import block as harness
from plain_mxnet import run_plain

METHODS = pytest.mark.parametrize("method", ["sequential", "parallel"])
# The ways to compute a likelihood; the covariance form has no parallel method.
VARIANTS = pytest.mark.parametrize(
    "variant",
    [{"method": "sequential"}, {"method": "parallel"}, {"form": "covariance"}],
    ids=["sequential", "parallel", "covariance"],
)
LAYERS = {
    "filter": gl.KalmanFilterLayer,
    "smoother": gl.KalmanSmootherLayer,
    "forecast": gl.KalmanForecastLayer,
    "sampler": gl.KalmanSamplerLayer,
}
OPTIONS = {
    "filter": {"moments": True},
    "smoother": {"lag_one": True},
    "forecast": {"steps": 2},
    "sampler": {},
}
# Every layer with all of its outputs.
# What these have of their own runs in the other six: a scan, and a forecast or draws.
COMPOSED = ("forecast-parallel", "sampler-parallel")
EVERY_LAYER = pytest.mark.parametrize(
    "kind, options",
    [
        pytest.param(
            kind,
            dict(method=method, **options),
            id=f"{kind}-{method}",
            marks=[pytest.mark.slow] * (f"{kind}-{method}" in COMPOSED),
        )
        for method in ("sequential", "parallel")
        for kind, options in OPTIONS.items()
    ]
    + [pytest.param("filter", {"moments": True, "form": "covariance"}, id="filter-covariance")],
)
NOISES = ("prior_noise", "process_noise", "observation_noise")
# The sampler takes the three noises after the first seven arguments.
SAMPLER_ARGUMENTS = ARGUMENTS[:7] + NOISES + ARGUMENTS[7:]
MODES = ({}, {"static_alloc": True}, {"static_alloc": True, "static_shape": True})


def layer_for(kind, system, method="sequential", **options):
    """A layer of the sizes of `system`, a dict as in `kalman_reference`."""
    length, size = system["y"].shape[1:]
    length = length if method == "parallel" else None
    state_size = system["transition"].shape[-1]
    return LAYERS[kind](state_size, size, method=method, length=length, **options)


def arguments_of(system):
    return SAMPLER_ARGUMENTS if "prior_noise" in system else ARGUMENTS


def arrays(system, dtype="float64"):
    """The arguments of a call, None for what the system does not have."""
    values = [system.get(name) for name in arguments_of(system)]
    return [v if v is None else mx.nd.array(v, dtype=dtype) for v in values]


def run(layer, system, dtype="float64"):
    """The outputs as a list of NumPy arrays."""
    outputs = layer(*arrays(system, dtype))
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [output.asnumpy() for output in outputs]


def differentiate(layer, system, weights=None, dtype="float64"):
    """Outputs, and by name the gradients of Σ weights ∘ outputs (weights of 1 unless given)."""
    inputs = arrays(system, dtype)
    names = [n for n, a in zip(arguments_of(system), inputs) if a is not None and n != "mask"]
    for name, array in zip(arguments_of(system), inputs):
        if name in names:
            array.attach_grad()
    with mx.autograd.record():
        outputs = layer(*inputs)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        if weights is None:
            weights = [np.ones(output.shape) for output in outputs]
        weights = [w if w is None else mx.nd.array(w, dtype=dtype) for w in weights]
        total = sum((o * w).sum() for o, w in zip(outputs, weights) if w is not None)
    total.backward()
    by_name = dict(zip(arguments_of(system), inputs))
    return [o.asnumpy() for o in outputs], {n: by_name[n].grad.asnumpy() for n in names}


def model(y, A, H, G, D, m, S, mask=None):
    """A system of one batch element: (T, p), (T|1, ...) for A, H, G, D, (d,), (d, s), (T, p)."""
    values = (y, A, H, G, D, m, S, mask)
    return {
        name: value if value is None else np.asarray(value, dtype="float64")[None]
        for name, value in zip(ARGUMENTS, values)
    }


def with_noise(system, seed=0):
    """The system with standard normal noises for the sampler."""
    random = np.random.RandomState(seed)
    batch, length, _ = system["y"].shape
    sizes = [(batch, system["prior_factor"].shape[2])]
    sizes += [(batch, length, system[name].shape[3]) for name in ARGUMENTS[3:5]]
    return dict(system, **{name: random.randn(*size) for name, size in zip(NOISES, sizes)})


class WithMask(mx.gluon.HybridBlock):
    """A layer whose inputs are those of `names`, with y masked where it is 4 or more.

    order: of the layer's arguments.
    """

    def __init__(self, layer, names, order, **kwargs):
        super().__init__(**kwargs)
        self._names, self._order = names, order
        with self.name_scope():
            self.layer = layer

    def hybrid_forward(self, F, *inputs):
        given = dict(zip(self._names, inputs))
        given["mask"] = fn.stop(F, given["y"]) < 4.0
        return self.layer(*[given.get(name) for name in self._order])


def check(kind, tmp_path, T=2, method="sequential", **options):
    """The shared checks on a small shared system, and on one that differs everywhere.

    All of `check_block` but central differences: `test_kalman_gradients` has a faster oracle.
    """
    d, p = 2, 1
    cases = []
    for B, varies in ((1, False), (2, True)):
        steps = options.get("steps", 0)
        system = random_system(
            5, B, T, d, p, time_varying=varies, shared=not varies, missing=False, steps=steps
        )
        system["y"] = 2.0 + np.tanh(system["y"])
        system["y"][-1, 1] = 5.0
        if kind == "sampler":
            system = with_noise(system)
        del system["mask"]
        cases.append(list(system.values()))
    names = tuple(system)

    def factory():
        length = T if method == "parallel" else None
        layer = LAYERS[kind](d, p, method=method, length=length, **options)
        return WithMask(layer, names, SAMPLER_ARGUMENTS if kind == "sampler" else ARGUMENTS)

    def oracle(*inputs_and_block):
        system = dict(zip(names, inputs_and_block))
        system["mask"] = (system["y"] < 4.0).astype("float64")
        return expected_outputs(kind, system, **options)

    for dtype in ("float64", "float32"):
        harness.check_modes(factory, cases, tmp_path, dtype)
    harness.check_add_and_null(factory, cases[0])
    harness.check_nested(factory, cases[0])
    harness.check_float32(factory, cases, 1e-3)
    harness.check_oracle(factory, cases, oracle, 1e-10)
    assert_runs_on_gpu(factory, cases[0], "float32", tmp_path)


def expected_outputs(kind, system, steps=1, moments=False, lag_one=False, **_):
    """What a layer of these options gives, by the dense Gaussian, as a list."""
    if kind == "filter":
        loss = -reference.log_likelihood(system)
        return [loss, *reference.filtered(system)] if moments else [loss]
    if kind == "smoother":
        return list(reference.smoothed(system))[: 3 if lag_one else 2]
    if kind == "forecast":
        return list(reference.forecast(system, steps))
    return [reference.draw(system, *(system[name] for name in NOISES))]


@EVERY_LAYER
def test_harness(kind, options, tmp_path):
    """Every execution mode, grad_req, nesting, float32, values, GPU operators."""
    check(kind, tmp_path, **options)


def test_harness_of_the_likelihood_alone(tmp_path):
    check("filter", tmp_path, T=3)


@METHODS
@pytest.mark.parametrize("batch, T", [(1, 1), (4, 1), (1, 2)])
@pytest.mark.parametrize("d, p", [(2, 1), (1, 3), (3, 3)])
def test_shapes(d, p, T, batch, method):
    """K15: fewer, as many and more observations than states; one step or two."""
    system = random_system(1, batch, T, d, p, steps=1)
    shapes = [a.shape for a in run(layer_for("forecast", system, method), system)]
    assert shapes == [(batch, 1, d), (batch, 1, d, d), (batch, 1, p), (batch, 1, p, p)]
    system = random_system(1, batch, T, d, p)
    (loss,) = run(layer_for("filter", system, method), system)
    assert loss.shape == (batch,)
    loss, mean, covariance = run(layer_for("filter", system, method, moments=True), system)
    assert (loss.shape, mean.shape, covariance.shape) == (
        (batch,),
        (batch, T, d),
        (batch, T, d, d),
    )
    smoothed = run(layer_for("smoother", system, method), system)
    assert [a.shape for a in smoothed] == [(batch, T, d), (batch, T, d, d)]
    np.testing.assert_allclose(smoothed[0][:, -1], mean[:, -1], rtol=1e-10)
    np.testing.assert_allclose(smoothed[1][:, -1], covariance[:, -1], rtol=1e-9, atol=1e-12)
    (draw,) = run(layer_for("sampler", system, method), with_noise(system))
    assert draw.shape == (batch, T, d)
    if T > 1:
        lag_one = run(layer_for("smoother", system, method, lag_one=True), system)[2]
        assert lag_one.shape == (batch, T - 1, d, d)


def test_sequential_layers_take_any_length():
    """One compiled layer, called at several lengths."""
    layer = None
    for T in (4, 1, 7, 4):
        system = random_system(T, 2, T, 2, 2)
        if layer is None:
            layer = layer_for("filter", system)
            layer.hybridize()
        expected = -reference.log_likelihood(system)
        np.testing.assert_allclose(run(layer, system)[0], expected, rtol=1e-11)


@pytest.mark.parametrize("flags", [None, MODES[-1]])
@pytest.mark.parametrize("kind", OPTIONS)
def test_parallel_layers_take_their_length_from_y(kind, flags):
    layer, options = None, OPTIONS[kind]
    for T in (4, 3, 4):
        system = random_system(T, 2, T, 2, 2, steps=options.get("steps", 0))
        system = with_noise(system) if kind == "sampler" else system
        if layer is None:
            layer = LAYERS[kind](2, 2, method="parallel", **options)
            if flags is not None:
                layer.hybridize(**flags)
        for found, right in zip(run(layer, system), expected_outputs(kind, system, **options)):
            np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-9)


def test_parallel_layers_without_a_length_export(tmp_path):
    system = random_system(3, 2, 6, 3, 2)
    layer = gl.KalmanFilterLayer(3, 2, method="parallel")
    gl.export(layer, str(tmp_path / "model"), *arrays(system))
    found = gl.load(str(tmp_path / "model"))(*arrays(system)).asnumpy()
    np.testing.assert_allclose(found, -reference.log_likelihood(system), rtol=1e-10)


class Training(mx.gluon.HybridBlock):
    """A local level model with a learned noise, whose arrays are made inside the network."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.kalman = gl.KalmanFilterLayer(1)
            self.scale = self.params.get("scale", shape=(1, 1, 1, 1), init=mx.init.Constant(2.0))

    def hybrid_forward(self, F, y, mask, scale):
        one = fn.ones_like(F, scale)
        first = F.reshape(one, shape=(1, 1, 1))
        return self.kalman(y, one, one, scale, one, F.reshape(0.0 * one, shape=(1, 1)), first, mask)


def test_trains_inside_a_network():
    random = np.random.RandomState(0)
    y = np.cumsum(0.3 * random.randn(3, 40, 1), axis=1) + random.randn(3, 40, 1)
    mask = (random.rand(3, 40, 1) > 0.2).astype("float64")
    losses = {}
    for flags in (None, *MODES):
        network = Training()
        network.initialize()
        network.cast("float64")
        if flags is not None:
            network.hybridize(**flags)
        trainer = mx.gluon.Trainer(network.collect_params(), "adam", {"learning_rate": 0.2})
        for _ in range(6):
            with mx.autograd.record():
                loss = network(mx.nd.array(y, dtype="float64"), mx.nd.array(mask, dtype="float64"))
            loss.backward()
            trainer.step(3)
            losses.setdefault(str(flags), []).append(loss.asnumpy().sum())
    first, *others = losses.values()
    assert first[-1] < first[0] - 1.0
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-11)


@pytest.mark.parametrize(
    "kind, method, dtype",
    [("filter", "sequential", "float32"), ("forecast", "parallel", "float64")],
)
def test_runs_without_this_package(kind, dtype, method, tmp_path):
    system = random_system(3, 2, 6, 3, 2, steps=2 * (kind == "forecast"))
    system["y"] = np.where(system["mask"] > 0, system["y"], np.nan)
    layer = layer_for(kind, system, method, **OPTIONS[kind])
    path = str(tmp_path / "model")
    gl.export(layer, path, *arrays(system, dtype))
    found = run_plain(path, list(system.values()), dtype, tmp_path)
    assert [a.dtype for a in found] == [np.dtype(dtype)] * len(found)
    expected = expected_outputs(kind, system, **OPTIONS[kind])
    for a, b in zip(found, expected):
        scale = np.abs(b).max()
        np.testing.assert_allclose(
            a, b, rtol=0, atol=scale * (1e-3 if dtype == "float32" else 1e-10)
        )


def test_reference_is_not_the_package():
    """The oracle must stay independent of what it checks, and agree with itself."""
    with open(reference.__file__) as file:
        assert "gluon_linalg" not in file.read()
    system = random_system(2, 2, 6, 3, 2)
    np.testing.assert_allclose(
        reference.innovation_log_likelihood(system), reference.log_likelihood(system), rtol=1e-12
    )
