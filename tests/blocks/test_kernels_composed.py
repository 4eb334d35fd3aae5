"""Kernels with networks, change points and labels, and what is hard for the newer formulas."""

import kernel_formulas as formulas
import kernel_values
import mpmath
import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import kernels as k
from gluon_linalg.blocks.given import given_parameter
from harness import check_block

STORED = kernel_values.stored()


def points(batch, n, d, seed=0):
    return np.random.RandomState(seed).uniform(-2.0, 2.0, size=(batch, n, d))


def ready(kernel, dtype="float64"):
    kernel.initialize()
    kernel.cast(dtype)
    return kernel


def nd(values, dtype="float64"):
    return mx.nd.array(values, dtype=dtype)


class Bend(mx.gluon.HybridBlock):
    """tanh of a linear map, with numbers of its own."""

    def __init__(self, units, columns, seed):
        super().__init__()
        random = np.random.RandomState(seed)
        self.weight = given_parameter(self, "weight", random.randn(units, columns))
        self.bias = given_parameter(self, "bias", random.randn(units))

    def hybrid_forward(self, F, x, weight, bias):
        return F.tanh(F.broadcast_add(F.dot(x, weight, transpose_b=True), bias))


def network(units, columns, seed=3):
    return Bend(units, columns, seed)


def of_network(units, columns, seed=3):
    """The same in NumPy, of one point."""
    random = np.random.RandomState(seed)
    weight, bias = random.randn(units, columns), random.randn(units)
    return lambda a: np.tanh(weight @ a + bias)


@pytest.mark.parametrize("number", [1, 2])
def test_deep(number, tmp_path):
    """k(x) and k(x, z), with a kernel that operators in C++ compute and one that they do not."""
    inner = {1: lambda: k.Matern32(1.3, [0.7, 1.2]), 2: lambda: k.PoweredExponential(1.3, 0.9, 1.5)}
    formula = {
        1: lambda a, b: formulas.matern32(a, b, 1.3, np.array([0.7, 1.2])),
        2: lambda a, b: formulas.powered_exponential(a, b, 1.3, 0.9, 1.5),
    }[number]
    bend = of_network(2, 3)

    def oracle(x, *rest):
        z = rest[0] if len(rest) == 2 else x
        return formulas.matrix(lambda a, b: formula(bend(a), bend(b)), x, z)

    cases = [[points(2, 4, 3)], [points(1, 6, 3)]]
    if number == 2:
        cases = [[points(2, 4, 3), points(2, 3, 3, 1)], [points(1, 5, 3), points(1, 2, 3, 1)]]
    check_block(lambda: k.Deep(network(2, 3), inner[number]()), cases, tmp_path, oracle)


def test_gibbs(tmp_path):
    bend = of_network(1, 2)
    formula = formulas.gibbs(lambda a: bend(a)[0], 1.7, np.array([0.8, 1.9]))

    def oracle(x, z, _):
        return formulas.matrix(formula, x, z)

    cases = [[points(2, 4, 2), points(2, 3, 2, 1)], [points(1, 5, 2), points(1, 2, 2, 1)]]
    check_block(lambda: k.Gibbs(network(1, 2), 1.7, [0.8, 1.9]), cases, tmp_path, oracle)
    matrix = ready(k.Gibbs(network(1, 2), 1.7, [0.8, 1.9]))(nd(cases[0][0])).asnumpy()
    np.testing.assert_allclose(
        matrix, formulas.matrix(formula, cases[0][0], cases[0][0]), rtol=1e-12
    )


def test_gibbs_without_a_bend_is_an_rbf():
    flat = mx.gluon.nn.Dense(1, in_units=2, flatten=False, weight_initializer="zeros")
    x = nd(points(2, 5, 2))
    found = ready(k.Gibbs(flat, 1.7, [0.8, 1.9]))(x).asnumpy()
    np.testing.assert_allclose(found, ready(k.RBF(1.7, [0.8, 1.9]))(x).asnumpy(), rtol=1e-14)


def test_change_point(tmp_path):
    def factory():
        kernel = k.ChangePoint(
            k.RBF(1.3, 0.7), k.PoweredExponential(0.6, [1.1, 2.0], 1.4), 0.3, 0.4, column=1
        )
        return kernel + k.White(0.1)

    formula = formulas.change_point(
        lambda a, b: formulas.rbf(a, b, 1.3, 0.7),
        lambda a, b: formulas.powered_exponential(a, b, 0.6, np.array([1.1, 2.0]), 1.4),
        0.3,
        0.4,
        column=1,
    )

    def oracle(x, _):
        return formulas.matrix(formula, x, x) + 0.1 * np.eye(x.shape[1])

    cases = [[points(2, 4, 2)], [points(1, 6, 2)]]
    check_block(factory, cases, tmp_path, oracle)
    with pytest.raises(gl.errors.ShapeError, match="active_dims has column 1"):
        ready(factory())(nd(points(1, 4, 1)))


class Labelled(mx.gluon.HybridBlock):
    """A kernel of labels: the whole part of the last column, whose derivative is 0."""

    def __init__(self, kernel):
        super().__init__()
        self.kernel = kernel

    def hybrid_forward(self, F, x):
        numbers = F.slice_axis(x, axis=2, begin=0, end=1)
        labels = F.floor(F.slice_axis(x, axis=2, begin=1, end=2))
        return self.kernel(F.concat(numbers, labels, dim=2))


FACTOR = [[0.9, 0.1], [-0.4, 0.7], [0.3, 1.2]]


def test_categorical(tmp_path):
    """Times another kernel, by the numbers of labels; B from the formula."""
    between = np.array(FACTOR) @ np.array(FACTOR).T + np.diag([0.5, 0.2, 0.4])

    def factory():
        labels = k.Categorical(3, factor=FACTOR, variance=[0.5, 0.2, 0.4], active_dims=[1])
        return Labelled(k.Matern52(1.2, 0.8, active_dims=[0]) * labels)

    def oracle(x, _):
        def formula(a, b):
            return formulas.matern52(a[:1], b[:1], 1.2, 0.8) * between[int(a[1]), int(b[1])]

        return formulas.matrix(formula, x, x)

    def data(batch, n, seed):
        labels = np.random.RandomState(seed).randint(3, size=(batch, n, 1)) + 0.5
        return np.concatenate([points(batch, n, 1, seed), labels], axis=2)

    check_block(factory, [[data(2, 4, 0)], [data(1, 6, 1)]], tmp_path, oracle)


def test_labels_as_columns_of_0_and_1():
    labels = np.random.RandomState(0).randint(3, size=(2, 6))
    options = {"factor": FACTOR, "variance": [0.5, 0.2, 0.4]}
    numbers, columns = (ready(k.Categorical(3, one_hot=own, **options)) for own in (False, True))
    x, z = nd(labels[..., None]), nd(np.eye(3)[labels])
    np.testing.assert_allclose(columns(z).asnumpy(), numbers(x).asnumpy(), rtol=1e-14)
    apart = ready(k.Categorical(3, rank=0, variance=0.7))
    np.testing.assert_allclose(apart(nd([[[0.0], [1.0], [1.0]]])).asnumpy()[0, 1], [0, 0.7, 0.7])
    fresh = ready(k.Categorical(4, rank=4, variance=1e-6))(nd([[[0.0], [1.0], [2.0], [3.0]]]))
    assert abs(np.trace(fresh.asnumpy()[0]) - 2.0) < 1e-4
    assert np.linalg.matrix_rank(fresh.asnumpy()[0], tol=1e-3) == 4


@pytest.mark.parametrize("bad", [-1.0, 3.0, 0.5, np.nan])
@pytest.mark.parametrize("compiled", [False, True])
def test_what_is_no_label(bad, compiled):
    kernel = ready(k.Categorical(3))
    kernel.hybridize(compiled)
    with pytest.raises(ValueError, match="not one of the numbers 0 to 2"):
        kernel(nd([[[0.0], [bad]]])).asnumpy()


@pytest.mark.parametrize("name", STORED)
def test_values_of_another_library(name):
    """GPyTorch, on the parameters and inputs of the script beside the file."""
    stored = STORED[name]
    x, z = np.array(stored["x"])[None], np.array(stored["z"])[None]
    if name == "index":
        kernel = k.Categorical(4, factor=stored["factor"], variance=stored["variance"])
    else:
        # A product over the columns of sums over the components.
        lengths, periods = 0.5 / np.pi / np.array(stored["scales"]), 1.0 / np.array(stored["means"])
        kernel = k.Product(*(
            k.SpectralMixture(stored["weights"], lengths[:, d], periods[:, d], active_dims=[d])
            for d in range(x.shape[2])
        ))  # fmt: skip
    found = ready(kernel)(nd(x), nd(z)).asnumpy()[0]
    np.testing.assert_allclose(found, stored["values"], rtol=1e-10, atol=1e-12)


# Hard inputs.


def exact_arc_cosine(order, a, b):
    """In 60 digits, of two points of one column, with an offset of ½."""
    with mpmath.workdps(60):
        a, b, offset = mpmath.mpf(a), mpmath.mpf(b), mpmath.mpf(0.5)
        inner = a * b + offset
        norms = (a * a + offset) * (b * b + offset)
        # The area of the vectors (a, √offset) and (b, √offset).
        angle = mpmath.atan2(abs(a - b) * mpmath.sqrt(offset), inner)
        s, c, rest = mpmath.sin(angle), mpmath.cos(angle), mpmath.pi - angle
        angular = (rest, s + rest * c, 3 * s * c + rest * (1 + 2 * c * c))[order]
        return norms ** (mpmath.mpf(order) / 2) * angular / mpmath.pi


def slope_of(order, a, b):
    """Its derivative by the first of the points."""
    with mpmath.workdps(60):
        step = mpmath.mpf(10) ** -30
        return mpmath.diff(lambda t: exact_arc_cosine(order, t, b), mpmath.mpf(a), h=step)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_angles_near_0_and_near_pi(order):
    """Value and gradient, in digits that arccos has lost; at 0 itself the gradient is exact."""
    for a, b in ((1.0, 1.0 + 1e-7), (1.0, 1.0 + 1e-12), (1e7, -1e7), (3e8, -1e8), (2.0, 2.0)):
        kernel = ready(k.ArcCosine(order, offset=0.5))
        x = nd([[[a], [b]]])
        x.attach_grad()
        with mx.autograd.record():
            entry = kernel(x).slice_axis(axis=1, begin=0, end=1).slice_axis(axis=2, begin=1, end=2)
        entry.backward()
        # Points closer than 1e-12 are one, and what is small beside the diagonal is rounding of it.
        size = float(mpmath.sqrt(exact_arc_cosine(order, a, a) * exact_arc_cosine(order, b, b)))
        value = float(exact_arc_cosine(order, a, b))
        assert abs(entry.asscalar() - value) < 2e-13 * size, (a, b)
        slopes = [slope_of(order, a, b), slope_of(order, b, a)]
        if order == 0 and abs(a - b) < 1e-11:
            slopes = [0, 0]
        scale = max(size / max(abs(a), abs(b)), *(abs(float(s)) for s in slopes))
        found = x.grad.asnumpy().ravel()
        np.testing.assert_allclose(found / scale, [float(s) / scale for s in slopes], atol=3e-9)


def test_ends_of_the_exponent():
    x = nd(points(2, 6, 2))
    rough = ready(k.PoweredExponential(1.3, 0.8, exponent=1.0))(x).asnumpy()
    np.testing.assert_allclose(rough, ready(k.Matern12(1.3, 0.8))(x).asnumpy(), rtol=1e-13)
    for dtype, tolerance in (("float64", 1e-13), ("float32", 1e-6)):
        smooth = ready(k.PoweredExponential(1.3, 0.8, exponent=2.0), dtype)
        assert smooth.exponent.value() == 2.0
        rbf = ready(k.RBF(1.3, 0.8 / np.sqrt(2.0)), dtype)
        found, expected = smooth(x.astype(dtype)).asnumpy(), rbf(x.astype(dtype)).asnumpy()
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    for bad in (0.0, 2.1, np.nan):
        with pytest.raises(ValueError, match="above 0 and at most 2"):
            k.PoweredExponential(exponent=bad)
    emitted = k.Emitted(k.PoweredExponential(), dtype="float64")
    found = emitted(x, nd([[1.3]]), nd([[0.8]]), nd([[3.0]])).asnumpy()
    np.testing.assert_allclose(found, ready(k.RBF(1.3, 0.8 / np.sqrt(2.0)))(x).asnumpy())


HARD = {
    "powered": lambda: k.PoweredExponential(2.0, 0.7, 1.7),
    "mixture": lambda: k.SpectralMixture([1.5, 0.5], [[0.7], [9.0]], [[2.0], [1e6]]),
    "steps": lambda: k.ArcCosine(0, 2.0),
    "ramps": lambda: k.ArcCosine(1, 2.0),
    "squares": lambda: k.ArcCosine(2, 2.0),
    "change": lambda: k.ChangePoint(k.RBF(2.0, 0.3), k.Matern32(2.0, 3.0), 450.0, 5.0),
    "gibbs": lambda: k.Gibbs(network(1, 1), 2.0, 3.0),
    "deep": lambda: k.Deep(network(2, 1), k.RBF(2.0)),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", HARD)
def test_matrices_of_hard_inputs(name, dtype):
    """Duplicates, clusters, and points far off: a covariance matrix, with finite gradients."""
    random = np.random.RandomState(1)
    x = np.concatenate([450.0 + random.rand(40), 450.0 + 1e-4 * random.rand(20), [-1e4, 1e4, 0.0]])
    x = np.concatenate([x, x[:20]])[None, :, None]
    kernel = ready(HARD[name](), dtype)
    inputs = nd(x, dtype)
    inputs.attach_grad()
    weights = nd(random.randn(1, x.shape[1], x.shape[1]), dtype)
    with mx.autograd.record():
        matrix = kernel(inputs)
        loss = (matrix * weights).sum()
    loss.backward()
    gradients = [inputs.grad] + [p.grad() for p in kernel.collect_params().values()]
    assert all(np.isfinite(gradient.asnumpy()).all() for gradient in gradients)
    found = matrix.asnumpy()[0].astype("float64")
    assert np.array_equal(found, found.T)
    assert np.array_equal(np.diag(found), kernel.diag(inputs).asnumpy()[0])
    values = np.linalg.eigvalsh(found)
    assert values[0] > -(1e-13 if dtype == "float64" else 2e-6) * len(found) * values[-1]
    # Rows of duplicates are alike.
    unit = 1e-14 if dtype == "float64" else 2e-6
    first, second = found[:20, :60], found[-20:, :60]
    off = ~np.eye(20, 60, dtype=bool)
    assert np.abs(first - second)[off].max() <= unit * np.abs(found).max()


@pytest.mark.parametrize("name", ["change", "gibbs", "deep"])
def test_a_likelihood_and_its_predictor(name, tmp_path):
    """Trained with the layer, and exported: networks and locations are part of the graph."""
    layer = gl.GPLikelihoodLayer(HARD[name](), noise_variance=0.3)
    ready(layer)
    x = (450.0 if name == "change" else 0.0) + np.linspace(-3.0, 3.0, 12)[None, :, None]
    y = np.sin(2.0 * x[..., 0])
    losses = []
    for flags in (None, {"static_alloc": True, "static_shape": True}):
        layer.hybridize(flags is not None, **(flags or {}))
        with mx.autograd.record():
            loss = layer(nd(x), nd(y))
        loss.backward()
        losses.append(loss.asscalar())
    matrix = layer.kernel(nd(x)).asnumpy()[0] + 0.3 * np.eye(12)
    exact = 0.5 * (y[0] @ np.linalg.solve(matrix, y[0]) + np.linalg.slogdet(2 * np.pi * matrix)[1])
    np.testing.assert_allclose(losses, exact, rtol=1e-10)
    for path, parameter in layer.collect_params().items():
        assert np.abs(parameter.grad().asnumpy()).max() > 0, path
    predictor = layer.condition(x, y)
    gl.export(predictor, str(tmp_path / "model"), nd(x))
    mean, _ = gl.load(str(tmp_path / "model"))(nd(x + 0.1))
    cross = layer.kernel(nd(x + 0.1), nd(x)).asnumpy()[0]
    np.testing.assert_allclose(mean.asnumpy()[0], cross @ np.linalg.solve(matrix, y[0]), rtol=1e-8)


def test_a_network_is_not_emitted():
    with pytest.raises(ValueError, match="network of its own"):
        k.Emitted(HARD["deep"]())
    emitted = k.Emitted(k.ChangePoint(k.RBF(), k.Matern12()), dtype="float64")
    assert set(emitted.initial) == {
        "location", "width", "before.variance", "before.lengthscale", "after.variance",
        "after.lengthscale",
    }  # fmt: skip


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: k.SpectralMixture([]), "one number for each component"),
        (lambda: k.SpectralMixture([1.0, 2.0], 1.0, [1.0]), r"'period' has shape \(1,\)"),
        (lambda: k.SpectralMixture([1.0], [[1.0, 2.0]], 1.0, active_dims=[0]), "has 2 values"),
        (lambda: k.ArcCosine(3), "order is 3, expected 0, 1 or 2"),
        (lambda: k.ChangePoint(k.RBF(), k.RBF(), np.nan), "location is nan"),
        (lambda: k.Categorical(0), "levels is 0"),
        (lambda: k.Categorical(3, factor=[[1.0], [2.0]]), r"expected numbers of shape \(3, rank\)"),
        (lambda: k.Categorical(3, variance=[1.0, 2.0]), "expected one number or 3"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_refuses_columns_that_do_not_fit():
    for make in (lambda: k.SpectralMixture(), lambda: k.Categorical(3)):
        with pytest.raises(gl.errors.ShapeError, match="the kernel sees 2 columns"):
            ready(make())(nd(np.zeros((1, 3, 2))))
