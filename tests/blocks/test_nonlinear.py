"""Models whose transition and emission are blocks: filter, smoother and forecast."""

import json

import mxnet as mx
import nonlinear_reference as reference
import nonlinear_references as stored
import numpy as np
import pytest
from nonlinear_blocks import Affine, Network, Pendulum, evaluated

import gluon_linalg as gl
from gluon_linalg import sigma_points
from harness import check_block

REFERENCES = json.loads(stored.PATH.read_text(encoding="utf-8"))
B, T, D, P = 2, 3, 3, 2


def f64(values):
    return mx.nd.array(values, dtype="float64")


def linear_system(seed=0, steps=T, prior_columns=2):
    """The arrays of a Kalman layer, A, H and their offsets without axes of batch and time."""
    random = np.random.RandomState(seed)
    return {
        "y": random.randn(B, T, P),
        "transition": 0.5 * random.randn(D, D),
        "emission": random.randn(P, D),
        "process_factor": random.randn(1, 1, D, 2),
        "observation_factor": random.randn(B, steps, P, P),
        "prior_mean": random.randn(1, D),
        "prior_factor": random.randn(B, D, prior_columns),
        "mask": (random.rand(B, T, P) > 0.3).astype("float64"),
        "transition_offset": random.randn(D),
        "emission_offset": random.randn(P),
    }


LINEAR = {
    "filter": (gl.KalmanFilterLayer, gl.NonlinearFilterLayer, {"moments": True}, {"updates": 1}),
    "smoother": (gl.KalmanSmootherLayer, gl.NonlinearSmootherLayer, {"lag_one": True}, {}),
    "iterated": (
        gl.KalmanSmootherLayer,
        gl.NonlinearSmootherLayer,
        {"lag_one": True},
        {"iterations": 1, "step": 0.5},
    ),
    "forecast": (gl.KalmanForecastLayer, gl.NonlinearForecastLayer, {"steps": 2}, {}),
}
RULES = {
    "filter": sigma_points.Unscented(),
    "smoother": sigma_points.Cubature(),
    "iterated": sigma_points.GaussHermite(3),
    "forecast": sigma_points.Extended(),
}


@pytest.mark.parametrize(
    "kind, rule",
    [
        *RULES.items(),
        *(
            pytest.param(kind, rule, marks=pytest.mark.slow)
            for kind in RULES
            for rule in RULES.values()
            if rule is not RULES[kind]
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else type(x).__name__,
)
def test_affine_blocks_give_the_kalman_layers(kind, rule):
    """Values and all gradients, with a singular prior, missing elements and batches of 1."""
    kalman, nonlinear, shared, own = LINEAR[kind]
    system = linear_system(steps=T + shared.get("steps", 0))
    blocks = [
        Affine(system[a], system[b], isinstance(rule, sigma_points.Extended))
        for a, b in (("transition", "transition_offset"), ("emission", "emission_offset"))
    ]
    arrays = {
        k: a[None, None] if k in ("transition", "emission") or k.endswith("offset") else a
        for k, a in system.items()
    }
    expected, right = evaluated(kalman(D, P, **shared), arrays)
    names = ("y", "process_factor", "observation_factor", "prior_mean", "prior_factor", "mask")
    layer = nonlinear(*blocks, D, P, rule=rule, **shared, **own)
    found, gradients = evaluated(layer, {name: system[name] for name in names})
    for name, block in zip(("transition", "emission"), blocks):
        gradients[name] = block.matrix.grad().asnumpy()
        gradients[f"{name}_offset"] = block.offset.grad().asnumpy()
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    for name, gradient in gradients.items():
        if name != "mask":
            np.testing.assert_allclose(
                gradient, right[name].reshape(gradient.shape), rtol=1e-9, atol=1e-11, err_msg=name
            )


def of_references(name, layer, rule, **options):
    """Results for the series of a stored model, without the batch axis."""
    _, _, process, noise = stored.MODELS[name]()
    make = {"pendulum": Pendulum, "network": Network}[name]
    block = layer(*make(rule == "extended"), 2, len(noise), rule=rule, **options)
    factors = (np.linalg.cholesky(x) for x in (process, noise))
    results = block(
        f64(stored.series(name)[None]),
        *(f64(x[None, None]) for x in factors),
        f64(stored.PRIOR_MEAN[None]),
        f64(np.linalg.cholesky(stored.PRIOR)[None]),
    )
    return [result.asnumpy()[0] for result in results]


@pytest.mark.parametrize("rule", ["unscented", "extended"])
@pytest.mark.parametrize("name", ["pendulum", "network"])
def test_values_of_dynamax(name, rule):
    right = REFERENCES[name]["dynamax"][rule]
    loss, *moments = of_references(name, gl.NonlinearFilterLayer, rule, moments=True)
    np.testing.assert_allclose(-loss, right["marginal_loglik"], rtol=1e-9)
    moments += of_references(name, gl.NonlinearSmootherLayer, rule)
    keys = ("filtered_means", "filtered_covariances", "smoothed_means", "smoothed_covariances")
    for found, key in zip(moments, keys):
        np.testing.assert_allclose(found, right[key], rtol=1e-8, atol=1e-9, err_msg=key)


class Driven(mx.gluon.HybridBlock):
    """x + V tanh(W [x, u]), or V' tanh(W [x, u]) of another size."""

    def __init__(self, size, inputs, outputs, **kwargs):
        super().__init__(**kwargs)
        self._is_residual = size == outputs
        with self.name_scope():
            self.first = mx.gluon.nn.Dense(3, in_units=size + inputs, activation="tanh")
            self.second = mx.gluon.nn.Dense(outputs, in_units=3)

    def hybrid_forward(self, F, x, u=None):
        hidden = self.second(self.first(x if u is None else F.concat(x, u, dim=1)))
        return x + hidden if self._is_residual else hidden


class Masked(mx.gluon.HybridBlock):
    """A layer of two states, driven by inputs, y above 4 missing; f and h are networks."""

    def __init__(self, layer, observations=1, **options):
        super().__init__()
        with self.name_scope():
            self.layer = layer(
                Driven(2, 1, 2), Driven(2, 0, observations), 2, observations, **options
            )

    def hybrid_forward(self, F, y, *arrays):
        return self.layer(y, *arrays[:-1], y < 4.0, arrays[-1])

    def initialize(self, *args, **kwargs):
        super().initialize(mx.init.Uniform(0.8), *args, **kwargs)


class Counted(Masked):
    """Of numbers that are 0 or 1, whatever they were, so that they can be varied."""

    def hybrid_forward(self, F, y, *arrays):
        return self.layer(F.stop_gradient(y > 0.5), *arrays[:-1], y < 4.0, arrays[-1])


def driven_cases(noise=True, counts=False, steps=0):
    random = np.random.RandomState(5)
    for batch, length, columns in ((1, 3, 2), (2, 4, 1)):
        y = random.randn(batch, length, 1)
        y[0, 1] = 5.0
        case = [y, 0.5 * random.randn(1, 1, 2, columns)]
        if noise:
            case.append(0.5 + random.rand(batch, length + steps, 1, 1))
        case += [random.randn(batch, 2), 0.3 * random.randn(1, 2, 2) + 0.5 * np.eye(2)]
        yield [*case, random.randn(batch, length + steps, 1)]


def driven_oracle(kind, rule):
    """The textbook's filter and smoother, in covariances."""

    def oracle(y, process, noise, mean, factor, inputs, block):
        net, results = block.layer, []
        for b in range(len(y)):

            def transition(x, t, b=b):
                known = f64(np.tile(inputs[b, t], (len(x), 1)))
                return net.transition(f64(x), known).asnumpy()

            total, found, _ = reference.filtered(
                y[b],
                transition,
                lambda x, t: net.emission(f64(x)).asnumpy(),
                process[0, 0] @ process[0, 0].T,
                noise[b] @ noise[b].transpose(0, 2, 1),
                mean[b],
                factor[0] @ factor[0].T,
                rule,
                (y[b] < 4.0).astype("float64"),
            )
            if kind == "filter":
                results.append(
                    (-total, np.array([x[2] for x in found]), np.array([x[3] for x in found]))
                )
            else:
                results.append(reference.smoothed(found))
        return [np.array(x) for x in zip(*results)]

    return oracle


HARNESS = {
    "filter": (gl.NonlinearFilterLayer, {"moments": True, "rule": "unscented"}, {}),
    "smoother": (gl.NonlinearSmootherLayer, {"rule": "cubature"}, {}),
}


@pytest.mark.parametrize("kind", ["filter", pytest.param("smoother", marks=pytest.mark.slow)])
def test_harness(kind, tmp_path):
    """Every mode, gradients of inputs and of the networks, float32, the textbook's values."""
    layer, options, cases = HARNESS[kind]
    cases = list(driven_cases(**cases))
    oracle = driven_oracle(kind, options["rule"])
    check_block(lambda: Masked(layer, **options), cases, tmp_path, oracle, float32=1e-3)


def test_a_compiled_smoother():
    """Its harness, which is slow, has the other modes."""
    layer, options, _ = HARNESS["smoother"]
    block = Masked(layer, **options)
    block.initialize()
    block.cast("float64")
    case = [f64(a) for a in next(driven_cases())]
    expected = [a.asnumpy() for a in block(*case)]
    block.hybridize()
    for found, right in zip(block(*case), expected):
        np.testing.assert_allclose(found.asnumpy(), right, rtol=1e-12, atol=1e-14)


ITERATED = {
    "iterated filter": (gl.NonlinearFilterLayer, {"updates": 2, "step": 0.7}, {}),
    "iterated smoother": (gl.NonlinearSmootherLayer, {"iterations": 2, "updates": 1}, {}),
    "forecast": (gl.NonlinearForecastLayer, {"steps": 2, "rule": "gauss_hermite"}, {"steps": 2}),
    "counts": (
        gl.NonlinearFilterLayer,
        {"likelihood": gl.likelihoods.Poisson(), "updates": 2, "rule": "gauss_hermite"},
        {"noise": False, "counts": True},
    ),
    "labels": (
        gl.NonlinearSmootherLayer,
        {"likelihood": gl.likelihoods.Bernoulli("logit"), "iterations": 2},
        {"noise": False, "counts": True},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ITERATED)
def test_harness_of_iterations(kind, tmp_path):
    """Every mode and gradient."""
    layer, options, cases = ITERATED[kind]
    is_count = cases.get("counts", False)
    cases = list(driven_cases(**cases))
    wrapper = Counted if is_count else Masked
    check_block(lambda: wrapper(layer, **options), cases, tmp_path, float32=1e-2)


UNROLLED = {
    "filter": (gl.NonlinearFilterLayer, {"moments": True, "updates": 1}),
    "counts": (gl.NonlinearFilterLayer, {"likelihood": gl.likelihoods.Poisson()}),
    "smoother": (gl.NonlinearSmootherLayer, {"rule": "unscented"}),
    "forecast": (gl.NonlinearForecastLayer, {"steps": 2}),
}


@pytest.mark.parametrize(
    "kind",
    [
        "filter",
        "counts",
        *(pytest.param(k, marks=pytest.mark.slow) for k in ("smoother", "forecast")),
    ],
)
def test_the_loop_is_the_unrolled_one(kind):
    """Bit for bit but for the order of sums, in float32 too, one graph for lengths of 1 and 6."""
    make, options = UNROLLED[kind]
    steps, noise = options.get("steps", 0), "likelihood" not in options
    random = np.random.RandomState(2)

    def built(length, dtype):
        mx.random.seed(4)
        layer = make(Driven(2, 1, 2), Driven(2, 1, 1), 2, 1, length=length, **options)
        layer.initialize(mx.init.Uniform(0.8))
        layer.cast(dtype)
        layer.hybridize(static_alloc=True)
        return layer

    def run(layer, arrays):
        found, gradients = evaluated(layer, arrays)
        own = [p.grad().asnumpy() for p in layer.collect_params().values()]
        return [*found, *gradients.values(), *own]

    for dtype, tolerance in (("float64", 1e-13), ("float32", 1e-5)):
        looped = built(None, dtype)
        for length in (1, 6):
            y, total = random.poisson(2.0, (2, length, 1)) * 1.0, length + steps
            arrays = {
                "y": y,
                "process_factor": 0.3 * random.randn(1, total, 2, 2),
                "prior_mean": random.randn(2, 2),
                "prior_factor": np.eye(2)[None],
                "mask": (random.rand(2, length, 1) < 0.8).astype("float64"),
                "transition_input": random.randn(2, total, 1),
                "emission_input": random.randn(1, total, 1),
            }
            if noise:
                arrays["observation_factor"] = 0.5 + random.rand(2, total, 1, 1)
            arrays = {k: mx.nd.array(a, dtype=dtype) for k, a in arrays.items()}
            for found, right in zip(run(looped, arrays), run(built(length, dtype), arrays)):
                scale = np.abs(right).max() or 1.0
                np.testing.assert_allclose(found / scale, right / scale, rtol=0, atol=tolerance)


def test_blocks_of_files_are_unrolled(tmp_path):
    """They are no part of a loop: a network around the layer has to say for how many steps."""
    blocks = Network()
    for number, block in enumerate(blocks):
        gl.export(block, str(tmp_path / str(number)), f64(np.ones((1, 2))))
    loaded = [gl.load(str(tmp_path / str(number))) for number in range(2)]
    one, y = np.ones((1, 1, 1, 1)), np.random.RandomState(0).randn(1, 4, 2)
    eye = np.eye(2)[None]
    arrays = [f64(a) for a in (y, one * eye, one * eye, np.zeros((1, 2)), eye)]
    values = []
    for pair in (blocks, loaded):
        layer = gl.NonlinearFilterLayer(*pair, 2, 2)
        layer.hybridize()
        values.append(layer(*arrays).asscalar())
    assert values[0] == pytest.approx(values[1], rel=1e-13)
    net = Masked(gl.NonlinearFilterLayer, observations=1)
    net.layer = gl.NonlinearFilterLayer(*loaded, 2, 2)
    net.hybridize()
    with pytest.raises(gl.errors.ShapeError, match="comes from files.* give length=T"):
        net(*arrays, f64(np.zeros((1, 4, 1))))


class Around(mx.gluon.HybridBlock):
    """A network around a layer."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def hybrid_forward(self, F, y, *arrays):
        return self.layer(y, *arrays)


def test_parameters_whose_shapes_are_open():
    """A compiled network finds them, though no graph does through a loop."""
    values, arrays = [], [mx.nd.array(a) for a in next(driven_cases())[:-1]]
    for size in (0, 2):
        blocks = (mx.gluon.nn.Dense(count, in_units=size) for count in (2, 1))
        net = Around(gl.NonlinearFilterLayer(*blocks, 2, 1))
        net.initialize(mx.init.Constant(0.3))
        net.hybridize(size == 0)
        values.append(net(*arrays).asscalar())
    assert values[0] == pytest.approx(values[1], rel=1e-6)
