"""Laws of structural time series models: masks, units, float32, hard series, errors."""

import mxnet as mx
import numpy as np
import pytest
from test_structural import MODELS, STEPS, arguments, covariates, model_of, nd, series

import gluon_linalg as gl
from gluon_linalg import structural as s


def value_and_gradients(model, values, constants=()):
    """The losses (B,), and the gradients of their sum for inputs and parameters."""
    inputs = nd(*values)
    for position, array in enumerate(inputs):
        array.attach_grad("null" if position in constants else "write")
    with mx.autograd.record():
        loss = model(*inputs)
    loss.backward()
    gradients = [a.grad.asnumpy() for i, a in enumerate(inputs) if i not in constants]
    return loss.asnumpy(), gradients, [p.grad().asnumpy() for p in model.collect_params().values()]


@pytest.mark.parametrize("behind", [0.0, -9999.0, 1e30, np.inf, np.nan])
@pytest.mark.parametrize("name", ["level and seasonal", "regressions"])
def test_what_is_behind_the_mask_changes_nothing(name, behind):
    y, mask = series()
    last = 1 + (name == "regressions")
    found = []
    for filling in (1.0, behind):
        values = arguments(name, np.where(mask == 1, y, filling), mask)
        found.append(value_and_gradients(model_of(name), values, constants=(last,)))
    for a, b in zip(found[0], found[1]):
        for left, right in zip(a, b):
            assert np.array_equal(left, right)


@pytest.mark.parametrize("name", MODELS)
def test_masking_the_end_is_dropping_it(name):
    y, mask = series()
    mask[:, 17:] = 0.0
    model = model_of(name)
    masked = model(*nd(*arguments(name, y, mask))).asnumpy()
    # Regressions take the units of their coefficients from all covariates that they are given.
    dropped = model(*nd(*arguments(name, y[:, :17], mask[:, :17]))).asnumpy()
    np.testing.assert_allclose(masked, dropped, rtol=1e-9)


@pytest.mark.parametrize("units", [1e-3, 7.0, 1e4])
@pytest.mark.parametrize("name", ["trend", "level and seasonal", "cycles", "regressions"])
def test_units(name, units):
    """log p(c y) = log p(y) - (n - k) log c when every variance is multiplied by c²."""
    y, mask = series()
    plain, scaled = model_of(name), model_of(name)
    for parameter in scaled.collect_params().values():
        if parameter.name.endswith("variance"):
            parameter.set_value(parameter.value() * units**2)
    before = plain(*nd(*arguments(name, y, mask))).asnumpy()
    after = scaled(*nd(*arguments(name, units * y, mask))).asnumpy()
    count = mask.sum(axis=1) - sum(plain.components.diffuse)
    np.testing.assert_allclose(after, before + count * np.log(units), rtol=1e-8)


def test_units_of_covariates():
    """k diffuse coefficients in other units shift the likelihood by their logarithms."""
    y, mask = series()
    units = np.array([1e-5, 1e6, 30.0])
    model = s.StructuralModel(s.LocalLevel(0.7) + s.Regression(3))
    model.initialize()
    model.cast("float64")
    x = covariates(steps=STEPS)
    before, after = (model(*nd(y, values, mask)).asnumpy() for values in (x, units * x))
    np.testing.assert_allclose(after, before + np.log(units).sum(), rtol=1e-8)


@pytest.mark.parametrize("shift", [0.0, 1e3, -1e6])
def test_a_diffuse_level_takes_any_shift(shift):
    y, mask = series()
    for name in ("level", "trend", "level and seasonal"):
        model = model_of(name)
        expected = model(*nd(y, mask)).asnumpy()
        np.testing.assert_allclose(model(*nd(y + shift, mask)).asnumpy(), expected, rtol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_batch_elements_are_independent(name):
    y, mask = series(batch=3)
    y *= np.array([[1.0], [1e3], [1e-3]])
    x = covariates(batch=3, steps=STEPS)
    model = model_of(name)
    together = model(*nd(*arguments(name, y, mask, x))).asnumpy()
    for i in range(3):
        one = slice(i, i + 1)
        alone = model(*nd(*arguments(name, y[one], mask[one], x[one]))).asnumpy()
        np.testing.assert_allclose(together[one], alone, rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_parallel_is_sequential(name):
    y, mask = series()
    given = nd(*arguments(name, y, mask))
    expected = model_of(name)
    found = model_of(name, method="parallel", length=STEPS)
    np.testing.assert_allclose(found(*given).asnumpy(), expected(*given).asnumpy(), rtol=1e-8)
    for a, b in zip(found.smooth(*given), expected.smooth(*given)):
        np.testing.assert_allclose(a.asnumpy(), b.asnumpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_float32(name):
    y, mask = (np.float32(array).astype("float64") for array in series())
    results = []
    for dtype in ("float64", "float32"):
        model = model_of(name, dtype)
        values = nd(*arguments(name, y, mask), dtype=dtype)
        with mx.autograd.record():
            loss = model(*values)
        loss.backward()
        gradients = [p.grad().asnumpy() for p in model.collect_params().values()]
        results.append((loss.asnumpy(), gradients))
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-4)
    for low, high in zip(results[1][1], results[0][1]):
        np.testing.assert_allclose(low, high, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", ["one step", "all missing", "constant", "few", "zero"])
@pytest.mark.parametrize("name", MODELS)
def test_hard_series_give_numbers(name, case, dtype):
    y, mask = series()
    if case == "one step":
        y, mask = y[:, :1], np.ones((2, 1))
    elif case == "all missing":
        y, mask = np.full_like(y, np.nan), np.zeros_like(mask)
    elif case == "few":
        mask[:, 2:] = 0.0
    else:
        y = np.full_like(y, 0.1 if case == "constant" else 0.0)
    model = model_of(name, dtype)
    values = nd(*arguments(name, y, mask), dtype=dtype)
    with mx.autograd.record():
        loss = model(*values)
    loss.backward()
    assert np.isfinite(loss.asnumpy()).all()
    for parameter in model.collect_params().values():
        gradient = parameter.grad().asnumpy()
        assert np.isfinite(gradient).all()
        assert case != "all missing" or not gradient.any()
    if case == "all missing":
        assert not loss.asnumpy().any()
    if any(model.open_states(*values)):
        with pytest.raises(gl.errors.UnidentifiedError, match="leave open"):
            model.smooth(*values)
        return
    for array in model.smooth(*values):
        assert np.isfinite(array.asnumpy()).all()


def test_compiled_with_and_without_mask():
    y, mask = series(missing=0.0)
    for name in ("trend", "regressions"):
        expected = model_of(name)(*nd(*arguments(name, y))).asnumpy()
        for values in (arguments(name, y), arguments(name, y, mask)):
            model = model_of(name)
            model.hybridize(static_alloc=True)
            for _ in range(2):
                np.testing.assert_allclose(model(*nd(*values)).asnumpy(), expected, rtol=1e-12)


def test_errors():
    y, mask = series()
    model, regression = model_of("trend"), model_of("regressions")
    x = covariates(steps=STEPS)
    with pytest.raises(TypeError, match="without .covariates.; expected y"):
        regression(*nd(y))
    with pytest.raises(gl.errors.ShapeError, match="2 columns, expected 3"):
        regression(*nd(y, x[:, :, :2]))
    with pytest.raises(gl.errors.ShapeError, match="batch 3"):
        regression(*nd(y, np.repeat(x, 3, axis=0)))
    with pytest.raises(gl.errors.ShapeError, match=f"T is {STEPS}"):
        regression(*nd(y, x[:, :-1]))
    with pytest.raises(gl.errors.ShapeError, match=f"expected {STEPS} . 4"):
        regression.forecaster(4)(*nd(y, x))
    with pytest.raises(ValueError, match="mask has values other than 0 and 1"):
        model(*nd(y, mask * 0.5))
    y[1, 3] = np.nan
    with pytest.raises(gl.errors.NonFiniteError, match="y has NaN.*batch element 1, t = 3"):
        model(*nd(y))
    with pytest.raises(gl.errors.DtypeError, match="cast"):
        model(*nd(mask, dtype="float32"))
    with pytest.raises(ValueError, match="nothing in the model is random"):
        s.StructuralModel(s.LocalLevel(0), noise_variance=0)
    with pytest.raises(ValueError, match="steps is 0"):
        model.forecaster(0)
