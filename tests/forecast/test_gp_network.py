"""Covariance, loss and forecast of Gaussian processes with hyperparameters for each series."""

import gp_reference as reference
import kernel_formulas as formulas
import mxnet as mx
import numpy as np
import pytest
from window_checks import assert_conditional, assert_gradient_is_that_of_differences

from gluon_linalg.forecast.gp_network import GPForecast, GPWindowLayer, SeriesCovariance
from gluon_linalg.forecast.series_inputs import SeriesInputs, default_kernel
from harness import assert_runs_on_gpu, run_modes
from harness.modes import assert_same

# Every kernel, columns by name, an ARD one, and one that is not trained.
EVERY_KERNEL = {
    "sum": [
        {"rbf": {"lengthscale": 2.5}},
        {
            "product": [
                {"periodic": {"period": 3.0, "lengthscale": 0.9, "fixed": ["period"]}},
                {"matern32": {"lengthscale": 4.0, "variance": 0.7}},
            ]
        },
        {"matern52": {"columns": ["age", "feat_dynamic_real_0"], "lengthscale": [1.1, 0.6]}},
        {"matern12": {"columns": ["feat_dynamic_real"], "lengthscale": 0.8}},
        {"rational_quadratic": {"lengthscale": 3.0, "alpha": 0.6, "variance": 0.4}},
        {"linear": {"columns": ["time", "age"], "variance": [0.02, 0.3]}},
        {"constant": {"variance": 0.5}},
        {"scaled": {"variance": 0.3, "kernel": {"polynomial": {"columns": ["age"], "degree": 3}}}},
        {"white": {"variance": 0.15}},
        {"cosine": {"columns": ["time", "age"], "period": [4.0, 9.0], "variance": 0.6}},
    ]
}


def inputs(window=8):
    return SeriesInputs(["age"], True, window, [3.0])


def nd(value, dtype="float64"):
    return mx.nd.array(value, dtype=dtype)


def data(batch=3, length=8, seed=0):
    """Features [age, two dynamic ones], static arrays, target and observed."""
    random = np.random.RandomState(seed)
    return {
        "features": random.randn(batch, length, 3),
        "static_categories": random.randint(2, size=(batch, 1)).astype(float),
        "static_reals": random.randn(batch, 2),
        "target": random.randn(batch, length),
        "observed": (random.rand(batch, length) > 0.3).astype(float),
    }


def embedded(description=EVERY_KERNEL, dtype="float64", **options):
    """A covariance whose series differ."""
    covariance = SeriesCovariance(
        description, inputs(), 0.2, cardinality=[2], static_reals=True, prefix="gp_", **options
    )
    covariance.initialize()
    covariance.cast(dtype)
    arrays = data(2)
    covariance(*(nd(arrays[name], dtype) for name in covariance.fields))
    random = np.random.RandomState(1)
    for name, parameter in covariance.collect_params().items():
        if "shift" in name:
            parameter.set_data(nd(0.3 * random.randn(*parameter.shape), dtype))
    return covariance


def call(network, arrays, *more, dtype="float64"):
    return network(*(nd(arrays[name], dtype) for name in network.fields), *more)


def expected_covariance(arrays, covariance):
    """The same matrices pair by pair, with the shifts of the docstring written out."""
    found = {k[3:]: p.data().asnumpy() for k, p in covariance.collect_params().items()}
    order = [
        ("rbf0", ("variance", "lengthscale")),
        ("periodic1", ("variance", "lengthscale")),
        ("matern322", ("variance", "lengthscale")),
        ("matern523", ("variance", "lengthscale")),
        ("matern124", ("variance", "lengthscale")),
        ("rational_quadratic5", ("variance", "lengthscale", "alpha")),
        ("linear6", ("variance",)),
        ("constant7", ("variance",)),
        ("polynomial8", ("variance", "lengthscale", "offset")),
        ("scaled9", ("variance",)),
        ("white10", ("variance",)),
        ("cosine11", ("variance", "period")),
    ]
    names = [f"{kernel}_{name}" for kernel, own in order for name in own] + ["noise_variance"]
    result = []
    for b, features in enumerate(arrays["features"]):
        shift = found["shift_table0"][int(arrays["static_categories"][b, 0])]
        shift = shift + found["shift_slopes_weight"] @ arrays["static_reals"][b]
        value, used = {}, 0
        for name in names:
            size = len(found[name])
            value[name] = np.exp(found[name] + shift[used : used + size])
            used += size
        assert used == len(shift)
        time = np.arange(len(features))[:, None] - (len(features) - 1) / 2.0
        age, dynamic = features[:, :1], features[:, 1:]

        def of(formula, x, kernel, value=value, **more):
            own = {n: _number(value[f"{kernel}_{n}"]) for n in dict(order)[kernel]}
            return formulas.matrix(formula, x[None], x[None], **own, **more)[0]

        season = of(formulas.periodic, time, "periodic1", period=3.0)
        k = (
            of(formulas.rbf, time, "rbf0")
            + season * of(formulas.matern32, time, "matern322")
            + of(formulas.matern52, np.hstack([age, dynamic[:, :1]]), "matern523")
            + of(formulas.matern12, dynamic, "matern124")
            + of(formulas.rational_quadratic, time, "rational_quadratic5")
            + of(formulas.linear, np.hstack([time, age]), "linear6")
            + value["constant7_variance"]
            + value["scaled9_variance"] * of(formulas.polynomial, age, "polynomial8", degree=3)
            + value["white10_variance"] * np.eye(len(features))
            + of(formulas.cosine, np.hstack([time, age]), "cosine11")
        )
        noise = value["noise_variance"] + 1e-10 + 4.0 * 2.0**-53 * np.trace(k)
        result.append(k + noise * np.eye(len(k)))
    return result


def _number(values):
    return values[0] if len(values) == 1 else values


def test_the_loss_is_that_of_the_observed_values_alone():
    arrays, covariance = data(6), embedded()
    dense = expected_covariance(arrays, covariance)
    expected = []
    for b, matrix in enumerate(dense):
        seen = arrays["observed"][b] == 1
        rows = matrix[np.ix_(seen, seen)], arrays["target"][b, seen]
        expected += list(reference.negative_log_likelihood(rows[0][None], rows[1][None]))
    arrays["target"][arrays["observed"] == 0] = np.nan
    np.testing.assert_allclose(
        call(GPWindowLayer(covariance), arrays).asnumpy(), expected, rtol=1e-9
    )


def test_the_gradient_is_that_of_differences():
    arrays, loss = data(4), GPWindowLayer(embedded())
    assert_gradient_is_that_of_differences(loss, lambda: call(loss, arrays))


def test_all_modes(tmp_path):
    description = {"sum": [{"rbf": {}}, {"product": [{"periodic": {}}, {"matern32": {}}]}]}
    arrays = data(2, 6)
    given = [arrays[name] for name in GPWindowLayer(embedded(description)).fields]
    results = run_modes(lambda: GPWindowLayer(embedded(description)), given, "float64", tmp_path)
    for mode, result in results.items():
        assert_same(result, results["imperative"], 1e-12, mode)
    assert_runs_on_gpu(lambda: GPWindowLayer(embedded()), given, "float32", tmp_path)
    given = [*given[:-2], given[-2][:, :4], given[-1][:, :4], np.ones((2, 3, 2))]
    assert_runs_on_gpu(lambda: GPForecast(embedded(), 2), given, "float32", tmp_path)


def test_a_window_without_observations_adds_nothing():
    arrays, loss = data(1), GPWindowLayer(embedded())
    arrays["observed"][:] = 0.0
    with mx.autograd.record():
        value = call(loss, arrays)
    value.backward()
    assert abs(value.asscalar()) < 1e-14
    for parameter in loss.collect_params().values():
        if parameter.grad_req != "null":
            assert not parameter.grad().asnumpy().any(), parameter.name


def test_the_forecast_is_the_conditional_of_the_observed_values():
    covariance, steps = embedded(), 3
    arrays = data(4)
    dense = expected_covariance(arrays, covariance)
    past = {name: v[:, :-steps] for name, v in arrays.items() if name in ("target", "observed")}
    noise = np.random.RandomState(3).randn(4, 5, steps)
    outputs = call(GPForecast(covariance, steps), {**arrays, **past}, nd(noise))
    assert_conditional(outputs, dense, past, noise, 0.0, {"rtol": 1e-8, "atol": 1e-9})


@pytest.mark.parametrize("lengthscale", [1e-3, 1.0, 30.0, 1e3, 1e6])
@pytest.mark.parametrize("variance", [1e-6, 1.0, 1e8])
def test_float32_never_fails(lengthscale, variance):
    description = {
        "sum": [
            {"rbf": {"lengthscale": lengthscale, "variance": variance}},
            {"product": [{"periodic": {"period": 12}}, {"rbf": {"lengthscale": lengthscale}}]},
            {"linear": {"variance": variance}},
        ]
    }
    covariance = SeriesCovariance(description, inputs(), 1.1e-10)
    covariance.initialize()
    length = 250
    arrays = {
        "features": np.zeros((1, length, 3)),
        "target": np.sin(np.arange(length))[None],
        "observed": np.ones((1, length)),
    }
    assert np.isfinite(call(GPWindowLayer(covariance), arrays, dtype="float32").asnumpy()).all()
    for name in ("target", "observed"):
        arrays[name] = arrays[name][:, :-30]
    noise = nd(np.random.RandomState(3).randn(1, 4, 30), "float32")
    for output in call(GPForecast(covariance, 30), arrays, noise, dtype="float32"):
        assert np.isfinite(output.asnumpy()).all()


def test_defaults_of_a_description():
    def initial(description, window=40, seasons=(12.0,)):
        given = SeriesInputs(["age"], True, window, seasons)
        parameters = SeriesCovariance(description, given, prefix="").hyperparameters._reg_params
        return {name: p.value().tolist() for name, p in parameters.items() if "noise" not in name}

    def close(found, expected):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], [value], rtol=1e-12)

    close(initial({"rbf": {}}), {"rbf0_variance": 1.0, "rbf0_lengthscale": 10.0})
    of_age = {"rbf": {"columns": ["age"]}}
    close(initial(of_age), {"rbf0_variance": 1.0, "rbf0_lengthscale": 1.0})
    assert initial({"periodic": {}})["periodic0_period"] == pytest.approx([12.0])
    assert initial({"periodic": {}}, seasons=())["periodic0_period"] == pytest.approx([20.0])
    close(initial({"linear": {}}), {"linear0_variance": 1.0 / 1600.0})
    of_both = {"linear": {"columns": ["time", "feat_dynamic_real"]}}
    close(initial(of_both), {"linear0_variance": 1.0})
    close(initial({"white": {}}), {"white0_variance": 0.1})
    polynomial = {"lengthscale": 40.0, "offset": 1.0, "variance": 0.25}
    found = initial({"polynomial": {}})
    close(found, {f"polynomial0_{name}": value for name, value in polynomial.items()})
    # Two of the same columns would never part.
    found = initial({"sum": [{"rbf": {}}, {"matern32": {}}, of_age]})
    lengths = [found[f"{name}_lengthscale"] for name in ("rbf0", "matern321", "rbf2")]
    assert lengths == [pytest.approx(value) for value in ([10.0], [2.5], [1.0])]
    inputs = SeriesInputs([], False, 40, [])
    assert [next(iter(part)) for part in default_kernel(inputs)["sum"]] == ["rbf", "matern12"]


@pytest.mark.parametrize(
    "description, message",
    [
        ({"rbff": {}}, "kernel.rbff: unknown key; did you mean 'rbf'?"),
        ({"rbf": {"lenghtscale": 1}}, "kernel.rbf.lenghtscale: .* did you mean 'lengthscale'?"),
        ({"rbf": {"lengthscale": 0}}, "kernel.rbf.lengthscale: 0: expected a positive number"),
        (
            {"rbf": {"lengthscale": 1e-13}},
            "kernel.rbf.lengthscale: 1e-13: expected a number above 1e-12",
        ),
        (
            {"rbf": {"lengthscale": [1, 2]}},
            "kernel.rbf.lengthscale: 2 values for 1 columns; give 1",
        ),
        (
            {"rbf": {"lengthscale": [1, 2], "columns": ["feat_dynamic_real"]}},
            "lengthscale: 2 values for as many columns as the data have; give 1",
        ),
        ({"rbf": {"variance": True}}, "kernel.rbf.variance: True: expected a number"),
        ({"rbf": {"variance": [1, 2]}}, "kernel.rbf.variance: expected a number"),
        (
            {"rbf": {"columns": ["tine"]}},
            "kernel.rbf.columns.0: 'tine' is not one of the inputs; did you mean 'time'?",
        ),
        ({"rbf": {"columns": []}}, "kernel.rbf.columns: List should have at least 1 item"),
        ({"rbf": {"columns": ["feat_dynamic_real_x"]}}, "'feat_dynamic_real_x' is not one of"),
        ({"rbf": {"fixed": ["period"]}}, "kernel.rbf.fixed: 'period' is no parameter to fix"),
        ({"polynomial": {"fixed": ["degree"]}}, "fixed: 'degree' is no parameter to fix"),
        ({"rbf": 3}, "kernel.rbf: 3: expected keys and values below it"),
        ({"sum": []}, "kernel.sum: List should have at least 1 item"),
        ({"sum": [{"rbf": {}}, {"linear": {"slope": 1}}]}, "kernel.sum.1.linear.slope: unknown"),
        ({"rbf": {}, "linear": {}}, "kernel: expected one kernel, found rbf, linear; combine"),
        ("rbf", "kernel: 'rbf': expected keys and values below it"),
    ],
)
def test_wrong_descriptions(description, message):
    with pytest.raises(ValueError, match=message):
        SeriesCovariance(description, inputs())
