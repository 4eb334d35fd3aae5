"""Kernels: the shared harness, the printed formulas, and the hard inputs of other packages."""

import kernel_formulas as formulas
import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import kernels as k
from harness import check_block

ARD = {"variance": 1.7, "lengthscale": [0.8, 1.9]}
# name: (formula, constructor, parameters beyond the defaults, in one and in two columns)
KERNELS = {
    "RBF": (formulas.rbf, k.RBF, {"variance": 1.7, "lengthscale": 0.8}, ARD),
    "Matern12": (formulas.matern12, k.Matern12, {"variance": 1.7, "lengthscale": 0.8}, ARD),
    "Matern32": (formulas.matern32, k.Matern32, {"variance": 1.7, "lengthscale": 0.8}, ARD),
    "Matern52": (formulas.matern52, k.Matern52, {"variance": 1.7, "lengthscale": 0.8}, ARD),
    "Matern72": (formulas.matern72, k.Matern72, {"variance": 1.7, "lengthscale": 0.8}, ARD),
    "RationalQuadratic": (
        formulas.rational_quadratic,
        k.RationalQuadratic,
        {"variance": 1.7, "lengthscale": 0.8, "alpha": 0.6},
        {**ARD, "alpha": 0.6},
    ),
    "Periodic": (
        formulas.periodic,
        k.Periodic,
        {"variance": 1.7, "lengthscale": 0.8, "period": 2.3},
        {**ARD, "period": [2.3, 3.1]},
    ),
    "Cosine": (
        formulas.cosine,
        k.Cosine,
        {"variance": 1.7, "period": 2.3},
        {"variance": 1.7, "period": [2.3, 3.1]},
    ),
    "PoweredExponential": (
        formulas.powered_exponential,
        k.PoweredExponential,
        {"variance": 1.7, "lengthscale": 0.8, "exponent": 0.7},
        {**ARD, "exponent": 1.3},
    ),
    "SpectralMixture": (
        formulas.spectral_mixture,
        k.SpectralMixture,
        {"variance": [1.7, 0.4], "lengthscale": [0.8, 3.0], "period": [2.3, 50.0]},
        {
            "variance": [1.7, 0.4],
            "lengthscale": [[0.8, 1.9], [3.0, 1.1]],
            "period": [[2.3, 3.1], [50.0, 4.0]],
        },
    ),
    "ArcCosine": (
        formulas.arc_cosine,
        k.ArcCosine,
        {"order": 2, "variance": 1.7, "weight_variance": 0.8, "offset": 0.3},
        {"order": 1, "variance": 1.7, "weight_variance": [0.8, 1.9], "offset": 0.3},
    ),
    "Linear": (formulas.linear, k.Linear, {"variance": 1.7}, {"variance": [1.7, 0.4]}),
    "Polynomial": (
        formulas.polynomial,
        k.Polynomial,
        {"variance": 1.7, "lengthscale": 0.8, "offset": 0.5, "degree": 3},
        {**ARD, "offset": 0.5},
    ),
    "Constant": (formulas.constant, k.Constant, {"variance": 1.7}, {"variance": 0.3}),
}


def points(batch, n, d, seed=0):
    return np.random.RandomState(seed).uniform(-2.0, 2.0, size=(batch, n, d))


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("name", KERNELS)
def test_kernel(name, columns, tmp_path):
    formula, constructor, *parameters = KERNELS[name]
    parameters = parameters[columns - 1]

    def oracle(x, *rest):
        z = rest[0] if len(rest) == 2 else x
        return formulas.matrix(formula, x, z, **_arrays(parameters))

    def factory():
        return constructor(**parameters)

    x, z = points(2, 4, columns), points(2, 3, columns, seed=1)
    # k(x) of one column, k(x, z) of two: the forms do not hang on the number of columns.
    if columns == 1:
        cases = [[x], [points(1, 6, columns)]]
    else:
        cases = [[x, z], [points(1, 5, columns), points(1, 2, columns)]]
    check_block(factory, cases, tmp_path, oracle)


@pytest.mark.parametrize("name", KERNELS)
def test_diag_is_the_diagonal(name):
    _, constructor, _, parameters = KERNELS[name]
    kernel = _ready(constructor(**parameters))
    x = mx.nd.array(points(3, 5, 2), dtype="float64")
    matrix, diagonal = kernel(x).asnumpy(), kernel.diag(x).asnumpy()
    assert np.array_equal(matrix.diagonal(axis1=1, axis2=2), diagonal)
    assert np.array_equal(matrix, matrix.transpose(0, 2, 1))


def test_white(tmp_path):
    check_block(
        lambda: k.White(0.7),
        [[points(2, 3, 2)], [points(1, 5, 1)]],
        tmp_path,
        lambda x, _: np.broadcast_to(0.7 * np.eye(x.shape[1]), x.shape[:2] + x.shape[1:2]),
    )
    kernel = _ready(k.White(0.7))
    x = mx.nd.array(points(2, 3, 2), dtype="float64")
    assert not kernel(x, x).asnumpy().any()


def test_composition(tmp_path):
    def factory():
        return 1.5 * (k.RBF(2.0, 0.7) * k.Periodic(1.0, 1.3, 2.0) + k.White(0.1)) + k.Linear(0.3)

    def oracle(x, _):
        product = formulas.matrix(formulas.rbf, x, x, variance=2.0, lengthscale=0.7)
        product = product * formulas.matrix(formulas.periodic, x, x, lengthscale=1.3, period=2.0)
        white = 0.1 * np.eye(x.shape[1])
        return 1.5 * (product + white) + formulas.matrix(formulas.linear, x, x, variance=0.3)

    check_block(factory, [[points(2, 4, 1)], [points(1, 6, 1)]], tmp_path, oracle)


def test_sums_and_products_flatten():
    kernel = k.RBF() + k.Matern12() + k.Linear()
    assert [type(part).__name__ for part in kernel.kernels] == ["RBF", "Matern12", "Linear"]
    assert len((k.RBF() * k.RBF() * k.RBF()).kernels) == 3
    with pytest.raises(TypeError):
        k.RBF() + 3


@pytest.mark.parametrize("name", KERNELS)
def test_active_dims(name, tmp_path):
    _, constructor, one, two = KERNELS[name]
    x = points(2, 4, 3)
    for columns, parameters in (([1], one), ([2, 0], two)):
        whole = _ready(constructor(**parameters))
        part = _ready(constructor(active_dims=columns, **parameters))
        everything = mx.nd.array(x, dtype="float64")
        selected = mx.nd.array(x[:, :, columns], dtype="float64")
        assert np.array_equal(part(everything).asnumpy(), whole(selected).asnumpy())
        assert np.array_equal(part.diag(everything).asnumpy(), whole.diag(selected).asnumpy())
        cross = part(everything, everything).asnumpy()
        assert np.array_equal(cross, whole(selected, selected).asnumpy())
    # The columns are taken by the base of all kernels.
    if name in ("RBF", "Linear", "Constant"):
        cases = [[x], [points(1, 5, 3)]]
        check_block(lambda: constructor(active_dims=[2, 0], **two), cases, tmp_path)


def test_waves_are_positive_semidefinite_in_any_dimension():
    """Of rank 2, at any distance; cos of the Euclidean one has an eigenvalue of -5 at these."""
    x = points(1, 40, 3, seed=4)
    matrix = _ready(k.Cosine(period=[0.7, 1.1, 5.0]))(mx.nd.array(x + 1e6, dtype="float64"))
    values = np.linalg.eigvalsh(matrix.asnumpy()[0])
    assert values[0] > -1e-13 * values[-1] and abs(values[-2:].sum() - 40.0) < 1e-11
    distances = np.sqrt(((x[0][:, None] - x[0]) ** 2).sum(axis=2))
    assert np.linalg.eigvalsh(np.cos(2.0 * np.pi * distances)).min() < -5.0


def test_new_stationary_kernel_is_a_few_lines(tmp_path):
    class Cauchy(k.Stationary):
        """variance / (1 + r²)."""

        def profile(self, F, squared):
            return 1.0 / (1.0 + squared)

    def oracle(x, _):
        return formulas.matrix(lambda a, b: 2.0 / (1.0 + ((a - b) ** 2).sum() / 0.49), x, x)

    check_block(lambda: Cauchy(2.0, 0.7), [[points(2, 4, 2)], [points(1, 6, 2)]], tmp_path, oracle)


# The hard inputs.


@pytest.mark.parametrize("offset", [300.0, 1000.0])
def test_no_cancellation_far_from_the_origin(offset):
    x = (offset + np.linspace(0.0, 1.0, 200)).astype("float32")
    kernel = k.RBF()
    kernel.initialize()
    matrix = kernel(mx.nd.array(x[None, :, None])).asnumpy()[0]
    assert (np.diag(matrix) == 1.0).all()
    assert matrix.max() <= 1.0
    assert np.array_equal(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix.astype("float64")).min() > -3e-6
    exact = np.exp(-0.5 * np.subtract.outer(x.astype("float64"), x.astype("float64")) ** 2)
    assert np.abs(matrix - exact).max() < 1e-7


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lengthscale", [1.0, 0.3])
def test_differences_at_large_offsets(dtype, lengthscale):
    """Points 1e13 and 1e13 + 100 are 100 apart, whether a third is far away or not."""
    step = 100.0 if dtype == "float64" else 1048576.0  # the spacing of float32 at 1e13
    x = 1e13 + step * np.array([0.0, 1.0, 1000.0])
    kernel = _ready(k.RationalQuadratic(1.0, lengthscale * step, 1.0), dtype)
    expected = 1.0 / (1.0 + 0.5 / lengthscale**2)
    tolerance = 1e-12 if dtype == "float64" else 2e-7
    for values in (x[:2], x):
        matrix = kernel(mx.nd.array(values[None, :, None], dtype=dtype)).asnumpy()[0]
        assert abs(matrix[0, 1] / expected - 1.0) < tolerance


@pytest.mark.parametrize("name", ["Periodic", "Cosine"])
def test_waves_far_from_the_origin(name):
    """Eighths of 1 are exact at 1e9: so are their phases."""
    formula, constructor, _, _ = KERNELS[name]
    x = np.arange(12.0)[None, :, None] / 8.0
    matrix = _ready(constructor(period=0.7))(mx.nd.array(1e9 + x, dtype="float64")).asnumpy()
    np.testing.assert_allclose(matrix, formulas.matrix(formula, x, x, period=0.7), atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("constructor", [k.RBF, k.Matern12, k.Matern32, k.Matern52])
def test_exact_duplicates(constructor, dtype):
    x = 450.0 + 100.0 * np.random.RandomState(1).rand(200, 2)
    x = np.concatenate([x, x])[None]
    array = mx.nd.array(x, dtype=dtype)
    kernel = _ready(constructor(), dtype)
    for matrix in (kernel(array).asnumpy()[0], kernel(array, array).asnumpy()[0]):
        assert np.isfinite(matrix).all()
        assert (np.diag(matrix[:200, 200:]) == 1.0).all()
        assert (np.diag(matrix) == 1.0).all()


@pytest.mark.parametrize("constructor", [k.Matern12, k.Matern32, k.Matern52, k.Matern72, k.RBF])
def test_gradient_at_coincident_points(constructor):
    """x = [0, 0, 1]: the coincident pair contributes nothing, the others what they should."""
    kernel = _ready(constructor())
    x = mx.nd.array([[[0.0], [0.0], [1.0]]], dtype="float64")
    x.attach_grad()
    with mx.autograd.record():
        total = kernel(x).sum()
    total.backward()
    formula = {
        k.Matern12: formulas.matern12,
        k.Matern32: formulas.matern32,
        k.Matern52: formulas.matern52,
        k.Matern72: formulas.matern72,
        k.RBF: formulas.rbf,
    }[constructor]
    h = 1e-6
    one = np.ones(1)
    slope = (formula(0 * one, (1 + h) * one) - formula(0 * one, (1 - h) * one)) / (2 * h)
    np.testing.assert_allclose(
        x.grad.asnumpy().ravel(), [-2 * slope, -2 * slope, 4 * slope], rtol=1e-8
    )
    by_lengthscale = formula(0 * one, one, 1.0, np.exp(h)) - formula(0 * one, one, 1.0, np.exp(-h))
    np.testing.assert_allclose(
        kernel.lengthscale.grad().asnumpy(), [4 * by_lengthscale / (2 * h)], rtol=1e-8
    )


def test_single_point_has_finite_gradients():
    for constructor in (k.Matern12, k.Matern32, k.Matern52, k.RBF, k.Periodic, k.Cosine):
        kernel = _ready(constructor())
        x = mx.nd.array([[[3.0]]], dtype="float64")
        x.attach_grad()
        with mx.autograd.record():
            value = kernel(x)
        value.backward()
        assert value.asscalar() == 1.0
        assert x.grad.asscalar() == 0.0


def test_textbook_meaning_of_the_lengthscale():
    kernel = _ready(k.RBF())
    value = kernel(mx.nd.array([[[0.0], [1.0]]], dtype="float64")).asnumpy()[0, 0, 1]
    assert abs(value - 0.6065306597126334) < 1e-15


def test_rational_quadratic_becomes_rbf():
    x = mx.nd.array(points(1, 6, 2), dtype="float64")
    limit = _ready(k.RationalQuadratic(alpha=1e9))(x).asnumpy()
    np.testing.assert_allclose(limit, _ready(k.RBF())(x).asnumpy(), atol=1e-8)


def test_refuses_bad_parameters():
    for bad in (0.0, -1.0, np.nan, np.inf, [1.0, -1.0]):
        with pytest.raises(ValueError, match="lengthscale"):
            k.RBF(lengthscale=bad)
    with pytest.raises(ValueError, match="degree"):
        k.Polynomial(degree=0)


EXTREMES = {
    "float32": (1e-30, 1e-12, 1e10, 1e19, 3e38),
    "float64": (1e-200, 1e-12, 1e19, 1e160, 1e308),
}
FAR = [
    (k.RBF, 0.0),
    (k.Matern12, 0.0),
    (k.Matern32, 0.0),
    (k.Matern52, 0.0),
    (k.Matern72, 0.0),
    (lambda **options: k.RationalQuadratic(alpha=2.0, **options), 0.0),
    (lambda **options: k.Matern32(**options) * k.RBF(), 0.0),
    (lambda **options: k.Matern52(**options) + k.Constant(0.5), 0.5),
]


@pytest.mark.parametrize("dtype", EXTREMES)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("number", range(len(FAR)))
def test_extreme_distances(number, compiled, dtype):
    """0 far away and the variance near by, never NaN and never the other; finite gradients."""
    make, beyond = FAR[number]
    points = np.array([[[0.0, 0.0], [1.0, 0.3], [-1.0, 0.5]]])
    for size in EXTREMES[dtype]:
        for lengthscale in (1.0, [2e-12, 1e12]):
            kernel = make(lengthscale=lengthscale)
            kernel.initialize()
            kernel.cast(dtype)
            kernel.hybridize(compiled)
            with np.errstate(over="ignore"):
                r = np.abs(size * (points[0, :, None] - points[0, None]) / lengthscale).max()
            if 1e-8 < r < 1e9:
                continue
            x = mx.nd.array(size * points, dtype=dtype)
            x.attach_grad()
            weights = mx.nd.array([np.arange(9.0).reshape(3, 3)], dtype=dtype)
            with mx.autograd.record():
                matrix = kernel(x) + kernel(x, x)
                loss = (matrix * weights).sum()
            loss.backward()
            gradients = [x.grad] + [p.grad() for p in kernel.collect_params().values()]
            assert all(np.isfinite(gradient.asnumpy()).all() for gradient in gradients)
            expected = np.where(np.eye(3) + (r < 1.0), 1.0 + beyond, beyond)
            tolerance = 1e-6 if dtype == "float32" else 1e-15
            np.testing.assert_allclose(matrix.asnumpy()[0] / 2, expected, rtol=1e-6, atol=tolerance)


@pytest.mark.parametrize("dtype", EXTREMES)
def test_slow_decay_at_large_distances(dtype):
    """(1 + r² / 2α)^-α as far as the exponents reach, from logarithms."""
    for alpha in (0.05, 1.0):
        kernel = _ready(k.RationalQuadratic(alpha=alpha), dtype)
        for r in (1e3, 1e9, 1e16):
            x = mx.nd.array([[[0.0], [r]]], dtype=dtype)
            expected = np.exp(-alpha * np.log1p(r * r / (2 * alpha)))
            np.testing.assert_allclose(kernel(x).asnumpy()[0, 0, 1], expected, rtol=2e-5)


@pytest.mark.parametrize("dtype, size", [("float32", 1e19), ("float64", 1e160)])
@pytest.mark.parametrize("constructor", [k.RBF, k.Matern12, k.Matern52, k.Periodic, k.Cosine])
def test_a_likelihood_of_points_without_correlation(constructor, dtype, size):
    """Far points are independent: φ = Σ ½ y² / (v + n) + ½ log 2π(v + n)."""
    layer = gl.GPLikelihoodLayer(constructor(variance=2.0), noise_variance=0.5)
    layer.initialize()
    layer.cast(dtype)
    layer.hybridize()
    x = mx.nd.array([[[0.0], [1.0], [3.0]]], dtype=dtype) * size
    y = mx.nd.array([[1.0, -2.0, 0.5]], dtype=dtype)
    x.attach_grad()
    with mx.autograd.record():
        loss = layer(x, y)
    loss.backward()
    gradients = [x.grad] + [p.grad() for p in layer.collect_params().values()]
    assert all(np.isfinite(gradient.asnumpy()).all() for gradient in gradients)
    if constructor not in (k.Periodic, k.Cosine):
        expected = 0.5 * 5.25 / 2.5 + 1.5 * np.log(2 * np.pi * 2.5)
        np.testing.assert_allclose(loss.asscalar(), expected, rtol=1e-6)


def _ready(kernel, dtype="float64"):
    kernel.initialize()
    kernel.cast(dtype)
    return kernel


def _arrays(parameters):
    return {n: np.asarray(v) if isinstance(v, list) else v for n, v in parameters.items()}


# Columns and hyperparameters that do not fit.


class Network(mx.gluon.HybridBlock):
    """A feature network before a Gaussian process, compiled as a whole."""

    def __init__(self, layer):
        super().__init__()
        self.features = mx.gluon.nn.Dense(2, flatten=False, in_units=2)
        self.layer = layer

    def hybrid_forward(self, F, x, y):
        return self.layer(self.features(x), y)


WRONG = {
    "lengthscale": (lambda **o: k.RBF(lengthscale=[1.0, 2.0, 3.0], **o), "'lengthscale' has 3 val"),
    "two for one": (
        lambda **o: k.Matern32(lengthscale=[1.0, 2.0, 3.0], **o) * k.White(),
        "matern32.*'lengthscale' has 3 values",
    ),
    "period": (
        lambda **o: k.RBF() + 2.0 * k.Periodic(period=[1.0, 2.0, 3.0], **o),
        "periodic.*'period' has 3 values",
    ),
    "linear": (lambda **o: (k.Linear([1.0, 2.0, 3.0], **o) + k.RBF()) * k.RBF(), "linear.*'var"),
    "polynomial": (lambda **o: k.Polynomial(lengthscale=[1.0, 2.0, 3.0], **o), "polynomial.*3 val"),
    "column": (lambda **o: k.RBF(active_dims=[0, 5], **o), "rbf.*active_dims has column 5"),
    "nested": (
        lambda **o: k.Sum(k.RBF(), k.RBF(active_dims=[1], **o), active_dims=[1]),
        "rbf.*active_dims has column 1, but 'x' has column 0 only",
    ),
}


@pytest.mark.parametrize("flags", [None, {}, {"static_alloc": True, "static_shape": True}])
@pytest.mark.parametrize("name", WRONG)
def test_columns_that_do_not_fit(name, flags):
    """The kernel, the argument and both sizes are named in every mode, at each call."""
    constructor, message = WRONG[name]
    layer = gl.GPLikelihoodLayer(constructor(), noise_variance=0.1)
    network = Network(layer)
    network.initialize()
    x, y = mx.nd.array(points(2, 4, 2)), mx.nd.ones((2, 4))
    kernel = layer.kernel
    if flags is not None:
        kernel.hybridize(**flags)
        network.hybridize(**flags)
    calls = [
        lambda: kernel(x),
        lambda: kernel(x, x),
        lambda: kernel.diag(x),
        lambda: layer(x, y),
        lambda: layer.condition(x, y),
        lambda: network(x, y).asnumpy(),
    ]
    for call in calls * 2:
        with pytest.raises(gl.errors.ShapeError, match=message):
            call()


@pytest.mark.parametrize("data, new", [(2, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("kernel", [k.RBF, k.Linear, lambda: k.RBF(active_dims=[0])])
def test_a_predictor_at_other_columns(kernel, data, new, tmp_path):
    """One column is not spread over several."""
    layer = gl.GPLikelihoodLayer(kernel(), noise_variance=0.1)
    layer.initialize()
    x = mx.nd.array(points(2, 4, data))
    predictor = layer.condition(x, mx.nd.ones((2, 4)))
    other = mx.nd.array(points(2, 4, new))

    class Around(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.inner = predictor

        def hybrid_forward(self, F, x):
            return self.inner(x)[0]

    network = Around()
    network.hybridize()
    gl.export(predictor, str(tmp_path / "model"), x)
    loaded = gl.load(str(tmp_path / "model"))
    for call in (predictor, predictor.covariance, predictor.sample, network, network, loaded):
        with pytest.raises(gl.errors.ShapeError, match=f"'x' has .*{new} column.*{data}"):
            call(other)


def test_one_column_is_not_spread_over_lengthscales():
    """Where broadcasting would take one column for three."""
    layer = gl.GPLikelihoodLayer(k.RBF(lengthscale=[1.0, 2.0, 3.0]), noise_variance=0.1)
    layer.initialize()

    class Around(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.inner = layer

        def hybrid_forward(self, F, x, y):
            return self.inner(x, y)

    network = Around()
    network.hybridize()
    with pytest.raises(gl.errors.ShapeError, match="'lengthscale' has 3 values.*1 column"):
        network(mx.nd.array(points(2, 4, 1)), mx.nd.ones((2, 4)))
    assert np.isfinite(network(mx.nd.array(points(2, 4, 3)), mx.nd.ones((2, 4))).asnumpy()).all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: k.RBF(active_dims=[-1]), "active_dims has column -1.*counted from 0"),
        (lambda: k.RBF(active_dims=[0.5]), r"active_dims is \[0.5\].*numbers of columns"),
        (lambda: k.RBF(active_dims=[]), r"active_dims is \[\]"),
        (lambda: k.RBF(active_dims=["x"]), "active_dims is"),
        (lambda: k.RBF(lengthscale=[1.0, 2.0], active_dims=[0]), "'lengthscale' has 2.*1 column"),
        (lambda: k.Linear([1.0, 2.0, 3.0], active_dims=[0, 1]), "'variance' has 3.*2 columns"),
        (lambda: k.RBF([1.0, 2.0]), r"'variance' has shape \(2,\), expected one number\."),
        (lambda: k.RBF(lengthscale=[[1.0, 2.0]]), r"'lengthscale' has shape \(1, 2\)"),
        (lambda: k.RationalQuadratic(alpha=[1.0, 2.0]), "'alpha' has shape"),
        (lambda: k.Polynomial(offset=[]), "'offset' has shape"),
        (lambda: k.Scaled(k.RBF(), [1.0, 2.0]), "'variance' has shape"),
    ],
)
def test_hyperparameters_that_fit_no_data(make, message):
    with pytest.raises(gl.errors.ShapeError, match=message):
        make()
