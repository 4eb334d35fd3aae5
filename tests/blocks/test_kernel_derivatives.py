"""Closed derivatives of kernels against differences of their formulas in NumPy."""

import kernel_formulas as formulas
import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import kernels as k
from gluon_linalg.blocks.dense_network import DenseNetwork
from gluon_linalg.blocks.kernel_derivatives import DERIVATIVES, differentiated

RANDOM = np.random.RandomState(0)
X, Z = RANDOM.uniform(-2.0, 2.0, (2, 3, 2)), RANDOM.uniform(-2.0, 2.0, (2, 4, 2))
ARD = np.array([0.8, 1.3])
nn = mx.gluon.nn


def network(units, *layers):
    """A HybridSequential of `layers` behind one more, and the same in NumPy."""
    built, random = nn.HybridSequential(), np.random.RandomState(3)
    arrays = []
    for layer in (nn.Dense(3, in_units=2, flatten=False, activation="tanh"), *layers,
                  nn.Dense(units, in_units=3, flatten=False, activation="sigmoid")):  # fmt: skip
        built.add(layer)
    built.initialize()
    built.cast("float64")
    for layer in built:
        if isinstance(layer, nn.Dense):
            layer.weight.set_data(mx.nd.array(random.randn(*layer.weight.shape), dtype="float64"))
            layer.bias.set_data(mx.nd.array(random.randn(*layer.bias.shape), dtype="float64"))
            arrays.append([p.data().asnumpy() for p in (layer.weight, layer.bias)])
    acts = {
        "relu": lambda h: np.maximum(h, 0.0),
        "softrelu": lambda h: np.log1p(np.exp(h)),
        "softsign": lambda h: h / (1.0 + np.abs(h)),
    }
    between = [acts[p._act_type] for p in layers if isinstance(p, nn.Activation)]

    def formula(a):
        (first, bias), (last, shift) = arrays
        h = np.tanh(first @ a + bias)
        for act in between:
            h = act(h)
        return 1.0 / (1.0 + np.exp(-(last @ h + shift)))

    return built, formula


def deep(*layers):
    built, g = network(2, *layers)
    own = k.RationalQuadratic(1.3, [0.7, 0.4]) + k.Linear(0.3)

    def formula(a, b):
        u, v = g(a), g(b)
        return formulas.rational_quadratic(u, v, 1.3, np.array([0.7, 0.4])) + 0.3 * u @ v

    return k.Deep(built, own), formula


def standardized():
    built = DenseNetwork(np.array([0.3, -0.1]), ARD, [3], "tanh", 1)
    built.initialize(mx.init.Normal(0.7))
    built.layers[1].weight.set_data(mx.nd.array([[0.7, -0.5, 0.9]]))
    built.cast("float64")
    one, two = ([p.data().asnumpy() for p in (d.weight, d.bias)] for d in built.layers)

    def logarithm(a):
        return (two[0] @ np.tanh(one[0] @ ((a - [0.3, -0.1]) / ARD) + one[1]) + two[1])[0]

    return k.Gibbs(built, 1.7, ARD), formulas.gibbs(logarithm, 1.7, ARD)


def gibbs():
    built, g = network(1)
    return k.Gibbs(built, 1.7, 0.9), formulas.gibbs(lambda a: g(a)[0], 1.7, 0.9)


def one_hot():
    kernel = k.Categorical(2, 1, variance=[0.4, 0.9], one_hot=True)
    covariance = kernel.factor.value() @ kernel.factor.value().T + np.diag([0.4, 0.9])
    return kernel, lambda a, b: a @ covariance @ b


def batched():
    kernel = k.Batched(2.0 * k.RBF(1.0, ARD), 2)
    kernel.initialize()
    names = [name for name in kernel._reg_params if name.endswith("variance")]
    getattr(kernel, names[0]).set_value([[2.0], [2.0]])
    return kernel, lambda a, b: 2.0 * formulas.rbf(a, b, 1.0, ARD)


def with_formula(cls, name, *args, **options):
    return lambda: (cls(*args), lambda a, b: getattr(formulas, name)(a, b, *args, **options))


MIXTURE = ([1.2, 0.5], np.array([[0.9, 1.1], [2.0, 0.7]]), np.array([[2.5, 3.1], [1.4, 5.0]]))
KERNELS = {
    "rbf": with_formula(k.RBF, "rbf", 1.7, ARD),
    "matern12": with_formula(k.Matern12, "matern12", 1.7, ARD),
    "matern32": with_formula(k.Matern32, "matern32", 1.7, ARD),
    "matern52": with_formula(k.Matern52, "matern52", 1.7, ARD),
    "matern72": with_formula(k.Matern72, "matern72", 1.7, ARD),
    "rational": with_formula(k.RationalQuadratic, "rational_quadratic", 1.7, ARD, 0.6),
    "powered": with_formula(k.PoweredExponential, "powered_exponential", 1.7, ARD, 1.4),
    "squared": with_formula(k.PoweredExponential, "powered_exponential", 1.7, ARD, 2.0),
    "periodic": with_formula(k.Periodic, "periodic", 1.3, ARD, np.array([2.5, 3.1])),
    "cosine": with_formula(k.Cosine, "cosine", 1.3, np.array([2.5, 3.1])),
    "mixture": with_formula(k.SpectralMixture, "spectral_mixture", *MIXTURE),
    "linear": with_formula(k.Linear, "linear", ARD),
    "polynomial": with_formula(k.Polynomial, "polynomial", 3, 0.4, ARD, 0.7),
    "steps": with_formula(k.ArcCosine, "arc_cosine", 0, 1.3, ARD, 0.7),
    "ramps": with_formula(k.ArcCosine, "arc_cosine", 1, 1.3, ARD, 0.7),
    "squares": with_formula(k.ArcCosine, "arc_cosine", 2, 1.3, 0.6, 0.7),
    "one hot": one_hot,
    "change": lambda: (
        k.ChangePoint(k.RBF(1.7, ARD), k.Linear(0.5), location=0.3, width=0.6, column=1),
        formulas.change_point(
            lambda a, b: formulas.rbf(a, b, 1.7, ARD),
            lambda a, b: formulas.linear(a, b, 0.5),
            0.3, 0.6, 1,
        ),
    ),
    "batched": batched,
    "deep": deep,
    "deep relu": lambda: deep(nn.Activation("softrelu"), nn.Dropout(0.3), nn.Activation("relu")),
    "deep softsign": lambda: deep(nn.Activation("softsign")),
    "gibbs": gibbs,
    "standardized": standardized,
    "product": lambda: (
        k.ArcCosine(2, active_dims=[1]) * k.Matern52(active_dims=[0]) + 0.5 * k.Constant(),
        lambda a, b: (
            formulas.arc_cosine(a[1:], b[1:], 2) * formulas.matern52(a[:1], b[:1]) + 0.5
        ),
    ),
}  # fmt: skip
# Whose processes have no derivative.
ROUGH = ("matern12", "powered", "steps")


def wide(array):
    return mx.nd.array(array, dtype="float64")


def slopes_of(formula, a, b, h=1e-5):
    steps = h * np.eye(2)
    return np.array([(formula(a, b + e) - formula(a, b - e)) / (2 * h) for e in steps])


def bends_of(formula, a, h):
    """By a_i and b_j at b = a; even in h but for kinks, which (2, 1) differences of h remove."""
    steps = h * np.eye(2)
    return np.array([[sum(s * t * formula(a + s * e, a + t * f) for s in (1, -1) for t in (1, -1))
                      for f in steps] for e in steps]) / (4 * h * h)  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_closed_derivatives_are_differences(name):
    kernel, formula = KERNELS[name]()
    if not any(p._data for p in kernel.collect_params().values()):
        kernel.initialize()
    else:
        kernel.initialize(force_reinit=False)
    kernel.cast("float64")
    found = differentiated(mx.nd, kernel, wide(X), wide(Z), 2)
    single = differentiated(mx.nd, kernel, None, wide(X), 2, twice=name not in ROUGH)
    nothing = np.zeros((2, 3, 4))
    slopes = [nothing if s is None else s.asnumpy() for s in found.slopes]
    own = [nothing[:, :, 0] if s is None else s.asnumpy() for s in single.slopes]
    for b in range(2):
        for i, a in enumerate(X[b]):
            for j, z in enumerate(Z[b]):
                np.testing.assert_allclose(found.value[b, i, j].asscalar(), formula(a, z), 1e-12)
                right = slopes_of(formula, a, z)
                np.testing.assert_allclose([s[b, i, j] for s in slopes], right, 1e-7, 1e-9)
            np.testing.assert_allclose(single.value[b, i].asscalar(), formula(a, a), 1e-12)
            if name in ROUGH:
                continue
            right = slopes_of(formula, a, a)
            np.testing.assert_allclose([s[b, i] for s in own], right, 1e-7, 2e-5)
            # Kinks, as of Matern32 and ramps, leave an error that is linear in h.
            h = 1e-3
            one, two, four = (bends_of(formula, a, s * h) for s in (1, 2, 4))
            right = (8.0 * one - 6.0 * two + four) / 3.0
            bends = np.zeros((2, 2))
            for (p, q), bend in single.bends.items():
                bends[p, q] = bends[q, p] = bend[b, i].asscalar()
            np.testing.assert_allclose(bends, right, 2e-4, 2e-4)


def test_rough_processes_say_so():
    for name in ROUGH:
        kernel = KERNELS[name]()[0]
        kernel.initialize()
        with pytest.raises(ValueError, match="have no derivative"):
            differentiated(mx.nd, kernel, None, wide(X), 2, twice=True)
    for layer, text in ((nn.BatchNorm(), "BatchNorm"), (nn.Dense(2), "Dense")):
        built = nn.HybridSequential()
        built.add(layer)
        with pytest.raises(TypeError, match=f"layer {text}"):
            kernel = k.Deep(built, k.RBF())
            kernel.initialize()
            differentiated(mx.nd, kernel, wide(X), wide(X), 2)


def test_every_kernel_has_derivatives():
    every = {getattr(k, name) for name in k.__all__}
    without = every - set(DERIVATIVES) - {k.Kernel, k.Stationary, k.Emitted}
    assert not without
    assert gl.kernels.RBF in DERIVATIVES


def test_labels_have_none_and_others_have():
    kernel = k.Categorical(3, active_dims=[0]) * k.RBF(1.7, 0.8, active_dims=[1])
    kernel.initialize()
    kernel.cast("float64")
    points = np.array([[[0.0, 0.3], [2.0, -0.4]]])
    found = differentiated(mx.nd, kernel, wide(points), wide(points), 2)
    between = kernel.kernels[0](wide(points[:, :, :1])).asnumpy()
    gap = points[:, :, None, 1] - points[:, None, :, 1]
    right = between * 1.7 * np.exp(-0.5 * gap**2 / 0.64) * gap / 0.64
    assert found.slopes[0] is None
    np.testing.assert_allclose(found.slopes[1].asnumpy(), right, atol=1e-13)
    twice = differentiated(mx.nd, kernel, None, wide(points), 2, twice=True)
    assert set(twice.bends) == {(1, 1)}
