"""Structural components: their arrays against plain matrices and statsmodels, and their laws."""

import mxnet as mx
import numpy as np
import pytest
import structural_formulas as formulas
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.statespace.structural import UnobservedComponents

from gluon_linalg import structural as s
from harness import check_block

COVARIATES = np.random.RandomState(5).normal(size=(9, 2)) * [1.0, 100.0] + [0.5, 30.0]
COEFFICIENTS = [0.5, -0.3, 0.2]

# name: (component, plain matrices)
COMPONENTS = {
    "level": (lambda: s.LocalLevel(0.7), lambda: formulas.level(0.7)),
    "constant": (lambda: s.LocalLevel(0.0), lambda: formulas.level(0.0)),
    "trend": (lambda: s.LocalLinearTrend(0.7, 0.2), lambda: formulas.trend(0.7, 0.2)),
    "smooth trend": (lambda: s.LocalLinearTrend(0, 0.2), lambda: formulas.trend(0.0, 0.2)),
    "damped trend": (
        lambda: s.DampedTrend(0.7, 0.2, damping=0.8),
        lambda: formulas.trend(0.7, 0.2, damping=0.8),
    ),
    "semilocal trend": (
        lambda: s.SemilocalLinearTrend(0.7, 0.2, damping=0.8),
        lambda: formulas.semilocal(0.7, 0.2, 0.8),
    ),
    "dummy": (
        lambda: s.Seasonal(4, seasonal_variance=0.3),
        lambda: formulas.dummy(4, 0.3),
    ),
    "dummy of two": (lambda: s.Seasonal(2), lambda: formulas.dummy(2, 1.0)),
    "trigonometric": (
        lambda: s.Seasonal(5.5, "trigonometric", harmonics=2, seasonal_variance=0.3),
        lambda: formulas.trigonometric(5.5, 2, 0.3),
    ),
    "all harmonics": (
        lambda: s.Seasonal(6, "trigonometric", seasonal_variance=0.3),
        lambda: formulas.trigonometric(6, 3, 0.3),
    ),
    "cycle": (
        lambda: s.Cycle(5.3, 0.85, cycle_variance=0.4),
        lambda: formulas.cycle(5.3, 0.85, 0.4),
    ),
    "diffuse cycle": (
        lambda: s.Cycle(5.3, 0.85, cycle_variance=0.4, prior="diffuse"),
        lambda: formulas.cycle(5.3, 0.85, 0.4, stationary=False),
    ),
    "undamped cycle": (
        lambda: s.Cycle(5.3, damping=1.0, cycle_variance=0.4),
        lambda: formulas.cycle(5.3, 1.0, 0.4, stationary=False),
    ),
    "autoregression": (
        lambda: s.AutoRegression(3, COEFFICIENTS, innovation_variance=0.6),
        lambda: formulas.autoregression(COEFFICIENTS, 0.6),
    ),
    "regression": (lambda: s.Regression(2), lambda: formulas.regression(COVARIATES)),
    "drifting": (
        lambda: s.Regression(2, drifting=True, coefficient_variance=[0.1, 0.002]),
        lambda: formulas.regression(COVARIATES, [0.1, 0.002]),
    ),
    "drifting, known prior": (
        lambda: s.Regression(2, drifting=True, prior=(1.0, [2.0, 3.0])),
        lambda: formulas.known(formulas.regression(COVARIATES, [1.0, 1.0]), [1.0, 1.0], [2.0, 3.0]),
    ),
    "known": (
        lambda: s.LocalLinearTrend(0.7, 0.2, prior=([3.0, -1.0], [2.0, 0.0])),
        lambda: formulas.known(formulas.trend(0.7, 0.2), [3.0, -1.0], [2.0, 0.0]),
    ),
}


def build(component):
    component.initialize()
    component.cast("float64")
    return component


def inputs(component, batch=1):
    y = np.zeros((batch, len(COVARIATES)))
    return [y, COVARIATES[None]] if component.features else [y]


def arrays_of(component):
    arrays = [mx.nd.array(value, dtype="float64") for value in inputs(component)]
    return [array.asnumpy() for array in component(*arrays)]


@pytest.mark.parametrize("name", COMPONENTS)
def test_arrays(name):
    make, plain = COMPONENTS[name]
    component, parts = build(make()), plain()
    size = component.state_size
    transition, emission, factor, mean, prior_factor = arrays_of(component)
    assert transition.shape == (1, 1, size, size) and mean.shape == (1, size)
    assert factor.shape == (1, 1, size, max(1, component.noise_size))
    np.testing.assert_allclose(transition[0, 0], parts.transition, rtol=1e-14, atol=1e-14)
    expected = np.atleast_2d(parts.emission)
    np.testing.assert_allclose(emission[0, :, 0], expected, rtol=1e-14)
    process = factor[0, 0] @ factor[0, 0].T
    np.testing.assert_allclose(process, parts.process, rtol=1e-12, atol=1e-300)
    begin = 0
    for prior in parts.priors:
        end = begin + (prior if isinstance(prior, int) else len(prior[0]))
        inside = slice(begin, end)
        if isinstance(prior, int):
            assert all(component.diffuse[inside]) and not prior_factor[0, inside].any()
        else:
            covariance = prior_factor[0] @ prior_factor[0].T
            np.testing.assert_allclose(mean[0, inside], prior[0])
            np.testing.assert_allclose(covariance[inside, inside], prior[1], rtol=1e-10, atol=1e-12)
            assert not any(component.diffuse[inside])
        begin = end
    assert begin == size


@pytest.mark.parametrize("names", [["level", "dummy", "cycle", "autoregression", "all harmonics"]])
def test_sum_is_block_diagonal(names):
    pairs = [COMPONENTS[name] for name in names]
    component = build(s.Sum(*[make() for make, _ in pairs]))
    parts = formulas.total(*[plain() for _, plain in pairs])
    transition, emission, factor, _, prior_factor = arrays_of(component)
    np.testing.assert_allclose(transition[0, 0], parts.transition, atol=1e-14)
    np.testing.assert_allclose(emission[0, :, 0], parts.emission, atol=1e-14)
    np.testing.assert_allclose(factor[0, 0] @ factor[0, 0].T, parts.process, atol=1e-14)
    assert component.diffuse == sum((c.diffuse for c in component.components), ())
    assert len(component.state_names) == component.state_size
    assert factor.shape[3] == component.noise_size == 1 + 1 + 2 + 1 + 5


def test_matrices_of_statsmodels():
    """State order and signs are those of UnobservedComponents."""
    reference = UnobservedComponents(
        np.zeros(20),
        "local linear trend",
        seasonal=4,
        freq_seasonal=[{"period": 6}],
        cycle=True,
        stochastic_cycle=True,
        damped_cycle=True,
        autoregressive=3,
    )
    variances = {"sigma2.irregular": 1.0, "sigma2.level": 0.7, "sigma2.trend": 0.2}
    values = {
        **variances,
        "sigma2.seasonal": 0.3,
        "sigma2.freq_seasonal_6(3)": 0.35,
        "sigma2.cycle": 0.4,
        "sigma2.ar": 0.6,
        "frequency.cycle": 2.0 * np.pi / 5.3,
        "damping.cycle": 0.85,
        **{f"ar.L{i + 1}": value for i, value in enumerate(COEFFICIENTS)},
    }
    reference.update([values[name] for name in reference.param_names])
    model = s.LocalLinearTrend(0.7, 0.2) + s.Seasonal(4, seasonal_variance=0.3)
    model = model + s.Seasonal(6, "trigonometric", seasonal_variance=0.35)
    model = model + s.Cycle(5.3, 0.85, 0.4) + s.AutoRegression(3, COEFFICIENTS, 0.6)
    transition, emission, factor, *_ = arrays_of(build(model))
    # They carry a second state for the harmonic s/2, which is never observed.
    kept = np.delete(np.arange(reference.k_states), 2 + 3 + 5)
    np.testing.assert_allclose(
        transition[0, 0], reference["transition"][np.ix_(kept, kept)], atol=1e-14
    )
    np.testing.assert_allclose(emission[0, 0, 0], reference["design"][0, kept], atol=1e-14)
    selection = reference["selection"]
    process = (selection @ reference["state_cov"] @ selection.T)[np.ix_(kept, kept)]
    np.testing.assert_allclose(factor[0, 0] @ factor[0, 0].T, process, atol=1e-14)


@pytest.mark.parametrize(
    "name",
    [
        "damped trend",
        "semilocal trend",
        "trigonometric",
        "cycle",
        "autoregression",
        "drifting, known prior",
    ],
)
def test_execution_modes(name, tmp_path):
    def factory():
        return COMPONENTS[name][0]()

    cases = [inputs(factory()), inputs(factory(), batch=2)]
    check_block(factory, cases, tmp_path, float32=1e-5)


def test_near_unit_root():
    near = build(s.AutoRegression(1, [0.999999]))
    variance = arrays_of(near)[4].item() ** 2
    assert variance == pytest.approx(500000.25, rel=1e-9)
    low = s.AutoRegression(1, [0.999999])
    low.initialize()
    variance = low(mx.nd.zeros((1, 2)))[4].asscalar() ** 2
    assert variance == pytest.approx(500000.25, rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-9.0, 9.0), min_size=1, max_size=5), st.floats(1e-3, 1e3))
def test_autoregressions_are_stationary(stored, variance):
    """Whatever is stored: roots inside the unit circle, and the covariance is the fixed point."""
    component = build(s.AutoRegression(len(stored), innovation_variance=variance))
    component.partial_autocorrelation.set_data(mx.nd.array(stored, dtype="float64"))
    transition, _, factor, _, prior_factor = (array[0] for array in arrays_of(component))
    transition, factor = transition[0], factor[0]
    np.testing.assert_allclose(transition[0], component.coefficients(), rtol=1e-9, atol=1e-12)
    covariance = prior_factor @ prior_factor.T
    later = transition @ covariance @ transition.T + factor @ factor.T
    np.testing.assert_allclose(later, covariance, rtol=1e-9, atol=1e-9 * covariance.max())
    assert np.isfinite(covariance).all() and (np.diag(prior_factor) > 0).all()
    if max(np.abs(stored)) < 4.0:
        assert np.abs(np.linalg.eigvals(transition)).max() < 1.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stored", [-1e4, 1e4])
def test_extremes_stay_inside(dtype, stored):
    components = s.AutoRegression(2) + s.Cycle(4.0) + s.DampedTrend()
    components.initialize()
    components.cast(dtype)
    ar, cycle, trend = components.components
    for parameter in (ar.partial_autocorrelation, cycle.damping, trend.damping):
        value = mx.nd.full(parameter.shape, stored, dtype=dtype)
        parameter.set_data(value)
        assert (np.abs(parameter.value()) < 1.0).all()
    transition, *_, prior_factor, _ = components(mx.nd.zeros((1, 2), dtype=dtype))
    assert np.isfinite(prior_factor.asnumpy()).all()
    assert abs(transition[0, 0, 5, 5].asscalar()) < 1.0


def test_coefficients_round_trip():
    assert s.AutoRegression(3, COEFFICIENTS).coefficients() == pytest.approx(COEFFICIENTS)
    assert s.AutoRegression(2).coefficients() == pytest.approx([0.0, 0.0])


def test_zero_variance_makes_no_parameter():
    component = s.LocalLinearTrend(0.0, None) + s.Seasonal(3, seasonal_variance=0)
    component = component + s.Cycle(5.0, damping=1.0, cycle_variance=0)
    assert [name.split("_", 1)[1] for name in component.collect_params()] == ["period"]
    assert component.noise_size == 0
    assert s.DampedTrend(slope_variance=0).diffuse == (True, True)
    assert s.DampedTrend().diffuse == (True, False)
    assert s.SemilocalLinearTrend(slope_variance=0).diffuse == (True, True, True)


def test_sums_are_flat_and_named():
    total = (s.LocalLevel() + s.Cycle(5)) + (s.Cycle(9) + s.Cycle(7, label="business"))
    assert [type(c).__name__ for c in total.components] == ["LocalLevel"] + 3 * ["Cycle"]
    assert total.labels() == ["level", "cycle", "cycle_2", "business"]


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: s.AutoRegression(1, [1.0]), "not those of a stationary process.*LocalLevel"),
        (lambda: s.AutoRegression(2, [0.5, 1.2]), "partial autocorrelation 1.2 at lag 2"),
        (lambda: s.AutoRegression(2, [0.5]), "expected 2 numbers"),
        (lambda: s.AutoRegression(0), "order is 0"),
        (lambda: s.Cycle(2.0), "above 2"),
        (lambda: s.Cycle(5.0, damping=1.1), "between 0 and 0.9999"),
        (lambda: s.DampedTrend(damping=1.0), "between 0 and 0.9999"),
        (lambda: s.SemilocalLinearTrend(damping=0.0), "between 0 and 0.9999"),
        (lambda: s.LocalLevel(-1.0), "not a positive number"),
        (lambda: s.LocalLevel(prior="stationary"), "no stationary distribution"),
        (lambda: s.LocalLevel(prior="flat"), "prior is 'flat', expected"),
        (lambda: s.LocalLevel(prior=(0.0, -1.0)), "deviations not below 0"),
        (lambda: s.LocalLinearTrend(prior=([0.0] * 3, 1.0)), "one number or 2 numbers"),
        (lambda: s.Seasonal(1), "period is 1"),
        (lambda: s.Seasonal(4.5), "dummy form needs an integer"),
        (lambda: s.Seasonal(4, form="fourier"), "form is 'fourier'"),
        (lambda: s.Seasonal(4, harmonics=1), "harmonics belong to"),
        (lambda: s.Seasonal(7, "trigonometric", harmonics=4), "from 1 to 3"),
        (lambda: s.Regression(0), "features is 0"),
    ],
)
def test_errors(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_only_components_add():
    with pytest.raises(TypeError):
        s.LocalLevel() + 1.0
    with pytest.raises(TypeError, match="not a component"):
        s.StructuralModel([s.LocalLevel(), 3.0])
