"""What layers and predictors of one process say of data that are wrong, compiled or not."""

import gp_reference as reference
import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg import kernels as k

RANDOM = np.random.RandomState(2)
X, Y = RANDOM.uniform(0.0, 5.0, (1, 6, 2)), RANDOM.randn(1, 6)
TIMES, POINTS = np.sort(X[:, :, 0]), X[0, :3]
COUNTS = np.array([[0.0, 2, 1, 0, 3, 1]])
LABELS = np.array([[0.0, 1, 1, 0, 1, 0]])
errors, lik = gl.errors, gl.likelihoods

LAYERS = {
    "exact": lambda: gl.GPLikelihoodLayer(k.RBF(), noise_variance=0.1),
    "sgpr": lambda: gl.SGPRLikelihoodLayer(k.RBF(), POINTS, noise_variance=0.1),
    "fitc": lambda: gl.FITCLikelihoodLayer(k.RBF(), POINTS, noise_variance=0.1),
    "states": lambda: gl.StateSpaceGPLayer(k.Matern32(), noise_variance=0.1),
    "svgp": lambda: gl.SVGPLikelihoodLayer(k.RBF(), POINTS, lik.Gaussian(0.1)),
    "labels": lambda: gl.SVGPLikelihoodLayer(k.RBF(), POINTS, lik.Bernoulli()),
    "classes": lambda: gl.SVGPLikelihoodLayer(k.RBF(), POINTS, lik.Categorical(3)),
    "ordered": lambda: gl.SVGPLikelihoodLayer(k.RBF(), POINTS, lik.Ordinal(3)),
    "counts": lambda: gl.SVGPLikelihoodLayer(k.RBF(), POINTS, lik.Poisson()),
    "overdispersed": lambda: gl.SVGPLikelihoodLayer(k.RBF(), POINTS, lik.NegativeBinomial()),
    "outliers": lambda: gl.SVGPLikelihoodLayer(k.RBF(), POINTS, lik.StudentT()),
    "heteroscedastic": lambda: gl.SVGPLikelihoodLayer(
        k.RBF(), POINTS, lik.HeteroscedasticGaussian()
    ),
}
TARGETS = {"labels": LABELS, "classes": LABELS, "ordered": LABELS, "counts": COUNTS,
           "overdispersed": COUNTS}  # fmt: skip
CONDITIONED = ("exact", "sgpr", "fitc", "states")


def layer_of(name):
    layer = LAYERS[name]()
    layer.initialize()
    layer.cast("float64")
    return layer


def data(name):
    x = TIMES if name == "states" else X
    return {"x": x.copy(), "y": TARGETS.get(name, Y).copy()}


def with_value(argument, value, base=None):
    """Data whose entry 2 is `value`, in the last column."""

    def change(given):
        array = given[argument] if base is None else np.full((1, 6), base)
        array[(0, 2) if array.ndim == 2 else (0, 2, 1)] = value
        given[argument] = array

    return change


def of_rows(rows):
    return lambda given: given.update({n: a[:, rows] for n, a in given.items()})


NONE, BACK = slice(0, 0), slice(None, None, -1)
# What is wrong: of which layers, the change, the error, words of its message.
EVERY = tuple(LAYERS)
NOISY = CONDITIONED
WRONG = {
    "nan x": (EVERY, with_value("x", np.nan), errors.NonFiniteError, "'x' .*(Row 2|number 2)"),
    "inf x": (EVERY, with_value("x", np.inf), errors.NonFiniteError, "'x' .*(Row 2|number 2)"),
    "nan y": (EVERY, with_value("y", np.nan), ValueError, "NaN.*(Row|t =) 2|must be.*Row 2"),
    "inf y": (EVERY, with_value("y", -np.inf), ValueError, "NaN.*(Row|t =) 2|must be.*Row 2"),
    "mask": (EVERY, with_value("mask", 0.5, 1.0), ValueError, "other than 0 and 1"),
    "noise": (NOISY, with_value("noise", -0.05, 0.2), ValueError, "'noise' must be.*Row 2"),
    "nan noise": (NOISY, with_value("noise", np.nan, 0.2), ValueError, "'noise' must be.*Row 2"),
    "backwards": (("states",), of_rows(BACK), errors.TimeOrderError, "run backwards"),
    "empty": (EVERY, of_rows(NONE), errors.ShapeError, "'x' is empty"),
    "fewer y": (EVERY, lambda g: g.update(y=g["y"][:, :4]), errors.ShapeError, r"'y'.*\(1, 4\)"),
    "label": (("labels",), with_value("y", 2.0), ValueError, "0 or 1. Row 2"),
    "class": (("classes", "ordered"), with_value("y", 3.0), ValueError, "0 to [12]. Row 2"),
    "no class": (("classes", "ordered"), with_value("y", 0.5), ValueError, "0 to [12]. Row 2"),
    "below 0": (("counts", "overdispersed"), with_value("y", -1.0), ValueError, "counts.*Row 2"),
    "half": (("counts", "overdispersed"), with_value("y", 0.5), ValueError, "counts.*Row 2"),
}
# One layer of each kind at once; the others say the same by the same means.
QUICK = ("exact", "states", "svgp")
CASES = [
    pytest.param(what, name, marks=[] if name in QUICK or names != EVERY else pytest.mark.slow)
    for what, (names, *_) in WRONG.items()
    for name in names
]


def one_line(raised):
    message = str(raised.value)
    assert "\n" not in message and "Traceback" not in message, message


@pytest.mark.parametrize("what, name", CASES)
def test_layers_say_what_is_wrong(what, name):
    _, change, error, words = WRONG[what]
    given = data(name)
    change(given)
    layer = layer_of(name)
    arrays = {n: mx.nd.array(a, dtype="float64") for n, a in given.items()}
    for compiled in (False, True):
        layer.hybridize(compiled)
        with pytest.raises(error, match=words) as raised:
            layer(**arrays)
        one_line(raised)
    if name in CONDITIONED:
        with pytest.raises(error, match=words) as raised:
            layer.condition(**given)
        one_line(raised)
    elif what not in ("empty", "fewer y"):
        with pytest.raises(error, match=words) as raised:
            layer.natural_step(**given)
        one_line(raised)


@pytest.mark.parametrize("name", ["exact", "sgpr", "states", "svgp"])
def test_dtypes_and_columns(name):
    layer, given = layer_of(name), data(name)
    x, y = (mx.nd.array(given[n], dtype="float64") for n in "xy")
    for wrong in ((x.astype("float32"), y), (x, y.astype("float32"))):
        with pytest.raises(errors.DtypeError, match="mixed dtypes.*Bring all to one"):
            layer(*wrong)
    with pytest.raises(errors.DtypeError, match=r"cast\('float32'\) or convert"):
        layer(x.astype("float32"), y.astype("float32"))
    with pytest.raises(errors.DtypeError, match="'y' is int32.*astype"):
        layer(x, y.astype("int32"))
    predictor = layer.condition(x, y) if name in CONDITIONED else layer.predictor()
    new = x[:, :2]
    with pytest.raises(errors.DtypeError, match=r"inputs are float32.*astype\('float64'\)"):
        predictor(new.astype("float32"))
    with pytest.raises(errors.ShapeError, match="has (batch 1 and )?5 columns"):
        predictor(mx.nd.zeros((1, 2, 5), dtype="float64"))
    with pytest.raises(errors.ShapeError, match="'x' is empty"):
        predictor(mx.nd.array(new.asnumpy()[:, :0], dtype="float64"))
    for compiled in (False, True):
        predictor.hybridize(compiled)
        with pytest.raises(errors.NonFiniteError, match="'x' .*NaN.*(Row|number) 1") as raised:
            bad = new.asnumpy()
            bad[(0, 1) if bad.ndim == 2 else (0, 1, 0)] = np.nan
            predictor(mx.nd.array(bad, dtype="float64"))
        one_line(raised)


@pytest.mark.parametrize("name", CONDITIONED)
def test_no_data_at_all(name):
    for nothing in ([], np.zeros((0, 1))):
        with pytest.raises(errors.ShapeError, match="'x' is empty"):
            layer_of(name).condition(nothing, [])
    with pytest.raises(TypeError, match="'x' is a.* of <U1; expected numbers"):
        layer_of(name).condition([["a"], ["b"]], [1.0, 2.0])


# What looks odd and is well posed.


def rbf_noisy(x):
    return reference.rbf(1.0, 1.0)(x, x) + 0.1 * np.eye(x.shape[1])


def test_points_that_repeat_and_more_points_than_data():
    """Copies say nothing new; more points than observations are refused."""
    arrays = [mx.nd.array(a, dtype="float64") for a in (X, Y)]
    for cls in (gl.SGPRLikelihoodLayer, gl.FITCLikelihoodLayer):
        found = []
        for points in (X[0, :4], X[0, [0, 1, 2, 3, 0, 1]]):
            layer = cls(k.RBF(), points, noise_variance=0.1)
            layer.initialize()
            layer.cast("float64")
            found.append(layer(*arrays).asnumpy())
        np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
        layer = cls(k.RBF(), np.tile(X[0], (2, 1)), noise_variance=0.1)
        layer.initialize()
        layer.cast("float64")
        with pytest.raises(errors.ShapeError, match="12 inducing points for 6 observations"):
            layer(*arrays)
    with pytest.raises(ValueError, match="12 inducing points for count=6"):
        points = np.tile(X[0], (2, 1))
        gl.SVGPLikelihoodLayer(k.RBF(), points, lik.Bernoulli(), count=6)


def test_targets_that_are_constant_and_one_observation():
    y = np.full((1, 6), 14.62)
    exact, states = layer_of("exact"), layer_of("states")
    found = exact(*(mx.nd.array(a, dtype="float64") for a in (X, y))).asnumpy()
    np.testing.assert_allclose(found, reference.negative_log_likelihood(rbf_noisy(X), y))
    for layer, x in ((exact, X), (states, TIMES)):
        mean, variance = layer.condition(x[:, :1], y[:, :1])(mx.nd.array(x[:, :1], dtype="float64"))
        np.testing.assert_allclose(mean.asnumpy(), [[14.62 / 1.1]])
        np.testing.assert_allclose(variance.asnumpy(), [[1.0 - 1.0 / 1.1]])


@pytest.mark.parametrize("name", ["labels", "classes", "ordered", "counts"])
def test_one_class_only(name):
    """Its probability rises with each step, and all numbers are finite."""
    layer, y = layer_of(name), np.zeros((1, 6))
    arrays = [mx.nd.array(a, dtype="float64") for a in (X, y)]
    before = layer(*arrays).asscalar()
    prior = layer.predictor().log_density(*arrays).asnumpy()
    for _ in range(5):
        layer.natural_step(X, y)
    with mx.autograd.record():
        loss = layer(*arrays)
    loss.backward()
    assert loss.asscalar() < before
    for parameter in layer.collect_params().values():
        assert np.isfinite(parameter.grad().asnumpy()).all()
    assert (layer.predictor().log_density(*arrays).asnumpy() > prior).all()
