"""Values of the Kalman layers: a dense Gaussian, statsmodels, and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kalman_reference import ARGUMENTS, OVER_TIME, random_system
from test_kalman import EVERY_LAYER, METHODS, VARIANTS, expected_outputs, layer_for, run, with_noise

# Sizes of random systems: fewer and more noises than rows, more observations than states.
SYSTEMS = {
    "small": dict(B=2, T=5, d=2, p=1),
    "wide noise": dict(B=2, T=6, d=3, p=2, r=5, q=4, s=6),
    "thin noise": dict(B=2, T=6, d=4, p=2, r=1, q=2, s=2),
    "many observations": dict(B=2, T=6, d=2, p=4, q=4),
    "few noises in y": dict(B=2, T=4, d=4, p=3, q=1, missing=False),
    "shared": dict(B=3, T=6, d=3, p=2, shared=True),
    "constant": dict(B=2, T=7, d=3, p=2, time_varying=False),
    "shared and constant": dict(B=3, T=7, d=3, p=2, time_varying=False, shared=True),
    "nothing missing": dict(B=2, T=5, d=3, p=3, missing=False),
    "large": dict(B=2, T=12, d=9, p=4),
    "one step": dict(B=2, T=1, d=3, p=2),
    "scalar": dict(B=1, T=3, d=1, p=1),
}
EVERY_SYSTEM = pytest.mark.parametrize("sizes", SYSTEMS.values(), ids=SYSTEMS)


def system_for(kind, seed=1, options=None, **sizes):
    """A random system, with the later steps of a forecast and the noises of a sampler."""
    system = random_system(seed, steps=(options or {}).get("steps", 0), **sizes)
    return with_noise(system) if kind == "sampler" else system


def assert_close(found, expected, tolerance=1e-10):
    """Relative to the largest element of each array."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(initial=0), 1))


@VARIANTS
@EVERY_SYSTEM
def test_filter_is_the_dense_gaussian(sizes, variant):
    system = random_system(1, **sizes)
    options = {"moments": True}
    found = run(layer_for("filter", system, **variant, **options), system)
    assert_close(found, expected_outputs("filter", system, **options))
    (loss,) = run(layer_for("filter", system, **variant), system)
    np.testing.assert_allclose(loss, found[0], rtol=1e-12)


@METHODS
@EVERY_SYSTEM
def test_smoother_is_the_dense_gaussian(sizes, method):
    lag_one = sizes["T"] > 1
    system = random_system(1, **sizes)
    found = run(layer_for("smoother", system, method, lag_one=lag_one), system)
    assert_close(found, expected_outputs("smoother", system, lag_one=lag_one))


@METHODS
@EVERY_SYSTEM
def test_forecast_is_the_dense_gaussian(sizes, method):
    system = random_system(1, steps=3, **sizes)
    found = run(layer_for("forecast", system, method, steps=3), system)
    assert_close(found, expected_outputs("forecast", system, steps=3))


@METHODS
@EVERY_SYSTEM
def test_sampler_is_the_dense_gaussian(sizes, method):
    system = with_noise(random_system(1, **sizes))
    found = run(layer_for("sampler", system, method), system)
    assert_close(found, expected_outputs("sampler", system))


@EVERY_LAYER
@pytest.mark.parametrize(
    "absent", [ARGUMENTS[7:], ("mask",), ("transition_offset",), ARGUMENTS[7:9]]
)
def test_optional_arguments(absent, kind, options):
    system = system_for(kind, options=options, B=2, T=4, d=3, p=2, missing=False)
    system = {name: value for name, value in system.items() if name not in absent}
    found = run(layer_for(kind, system, **options), system)
    assert_close(found, expected_outputs(kind, system, **options))


@EVERY_LAYER
@pytest.mark.parametrize("seed", range(3))
def test_any_array_may_be_shared_or_constant(seed, kind, options):
    """Each argument on its own has batch and time axes of full size or 1."""
    system = system_for(kind, options=options, B=2, T=4, d=3, p=2)
    random = np.random.RandomState(seed)
    for name in ARGUMENTS[1:7] + ARGUMENTS[8:]:
        if random.rand() < 0.5:
            system[name] = system[name][:1]
        if name in OVER_TIME and random.rand() < 0.5:
            system[name] = system[name][:, :1]
    found = run(layer_for(kind, system, **options), system)
    assert_close(found, expected_outputs(kind, system, **options))


@METHODS
@pytest.mark.parametrize(
    "sizes",
    [
        dict(T=50, d=9, p=4),
        dict(T=50, d=5, p=2, r=2, time_varying=False),
        dict(T=33, d=3, p=4, missing=False),
    ],
)
def test_statsmodels(sizes, method):
    system = random_system(4, B=2, **sizes)
    peers = [_statsmodels(system, b) for b in range(2)]
    found = run(layer_for("filter", system, method, moments=True), system)
    found += run(layer_for("smoother", system, method, lag_one=True), system)
    expected = [
        [-np.array(peer.llf) for peer in peers],
        [peer.filtered_state.T for peer in peers],
        [np.moveaxis(peer.filtered_state_cov, 2, 0) for peer in peers],
        [peer.smoothed_state.T for peer in peers],
        [np.moveaxis(peer.smoothed_state_cov, 2, 0) for peer in peers],
        [np.moveaxis(peer.smoothed_state_autocov, 2, 0)[:-1] for peer in peers],
    ]
    assert_close(found, [np.array(value) for value in expected])


# Laws.


@settings(deadline=None, max_examples=12)
@given(
    st.integers(0, 10**6),
    st.integers(1, 20),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([1e-2, 1.0, 1e4]),
    st.sampled_from([0.0, 1e4]),
)
def test_parallel_is_sequential(seed, T, d, p, spread, distance):
    """Also with narrow and wide priors, means far from the data, offsets and masks."""
    for kind, options in (("filter", {"moments": True}), ("smoother", {"lag_one": T > 1})):
        system = random_system(seed, 2, T, d, p)
        system["prior_factor"] = system["prior_factor"] * spread
        system["prior_mean"] = system["prior_mean"] + distance
        found, expected = (
            run(layer_for(kind, system, method, **options), system)
            for method in ("parallel", "sequential")
        )
        for a, b in zip(found, expected):
            scale = max(np.abs(b).max(), 1.0)
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * scale)


@EVERY_LAYER
def test_masking_is_dropping(kind, options):
    """A component that is never observed, and steps after the last observation, change nothing."""
    system = system_for(kind, options=options, B=2, T=6, d=3, p=3, time_varying=True)
    system["mask"][:, :, 1] = 0.0
    kept = [0, 2]
    smaller = dict(system)
    for name in ("y", "mask", "emission_offset"):
        smaller[name] = system[name][:, :, kept]
    for name in ("emission", "observation_factor"):
        smaller[name] = system[name][:, :, kept]
    outputs, expected = (
        run(layer_for(kind, given, **options), given) for given in (system, smaller)
    )
    if kind == "forecast":
        outputs = [*outputs[:2], outputs[2][..., kept], outputs[3][..., kept, :][..., kept]]
    assert_close(outputs, expected, 1e-11)


@METHODS
def test_masked_steps_at_the_end_are_dropped(method):
    system = random_system(2, 2, 6, 3, 2)
    system["mask"][:, 4:] = 0.0
    shorter = {n: a[:, :4] if n in ("y", "mask", *OVER_TIME) else a for n, a in system.items()}
    outputs = run(layer_for("filter", system, method, moments=True), system)
    smoothed = run(layer_for("smoother", system, method), system)
    expected = run(layer_for("filter", shorter, method, moments=True), shorter)
    found = [outputs[0], *(a[:, :4] for a in outputs[1:] + smoothed)]
    assert_close(found, expected + run(layer_for("smoother", shorter, method), shorter), 1e-11)
    ahead = run(layer_for("forecast", shorter, method, steps=2), dict(system, **_observed(shorter)))
    assert_close(ahead[:2], [a[:, 4:] for a in outputs[1:]], 1e-11)


@METHODS
def test_scaling_the_observations(method):
    """y -> c y with emissions c times larger adds log c for each observed number."""
    system = random_system(2, 2, 6, 3, 2)
    scaled = dict(system)
    for name in ("y", "emission", "observation_factor", "emission_offset"):
        scaled[name] = 7.0 * system[name]
    first, *moments = run(layer_for("filter", system, method, moments=True), system)
    second, *others = run(layer_for("filter", scaled, method, moments=True), scaled)
    added = np.log(7.0) * system["mask"].sum(axis=(1, 2))
    assert_close([second - first, *others], [added, *moments], 1e-11)


@METHODS
def test_other_coordinates_of_the_state(method):
    """x -> C x changes no likelihood, and turns the moments."""
    system = random_system(2, 2, 6, 3, 2)
    C = np.random.RandomState(0).randn(3, 3) + 2.0 * np.eye(3)
    turned = dict(system)
    turned["transition"] = C @ system["transition"] @ np.linalg.inv(C)
    turned["emission"] = system["emission"] @ np.linalg.inv(C)
    for name in ("process_factor", "prior_factor"):
        turned[name] = C @ system[name]
    for name in ("prior_mean", "transition_offset"):
        turned[name] = system[name] @ C.T
    loss, mean, covariance = run(layer_for("filter", system, method, moments=True), system)
    found = run(layer_for("filter", turned, method, moments=True), turned)
    assert_close(found, [loss, mean @ C.T, C @ covariance @ C.T])


@METHODS
def test_covariances_are_symmetric_and_positive(method):
    system = random_system(3, 2, 8, 4, 2, steps=3)
    outputs = run(layer_for("forecast", system, method, steps=3), system)[1::2]
    system = random_system(3, 2, 8, 4, 2)
    outputs.append(run(layer_for("filter", system, method, moments=True), system)[2])
    outputs.append(run(layer_for("smoother", system, method), system)[1])
    for covariance in outputs:
        np.testing.assert_array_equal(covariance, covariance.swapaxes(2, 3))
        assert np.linalg.eigvalsh(covariance).min() > 0.0


def _observed(system):
    return {name: system[name] for name in ("y", "mask")}


def _statsmodels(system, b):
    """statsmodels' smoother on batch element b, with NaN where nothing was observed."""
    kalman_smoother = pytest.importorskip("statsmodels.tsa.statespace.kalman_smoother")
    length, p = system["y"].shape[1:]
    d, r = system["process_factor"].shape[2:]

    def over_time(name):
        array = np.broadcast_to(system[name], (len(system["y"]),) + system[name].shape[1:])[b]
        return np.broadcast_to(array, (length,) + array.shape[1:])

    peer = kalman_smoother.KalmanSmoother(p, d, r)
    peer.bind(np.where(system["mask"][b] > 0, system["y"][b], np.nan))
    factor = over_time("observation_factor")
    for name, array in {
        "transition": over_time("transition"),
        "design": over_time("emission"),
        "selection": over_time("process_factor"),
        "obs_cov": factor @ factor.swapaxes(1, 2),
        "state_intercept": over_time("transition_offset"),
        "obs_intercept": over_time("emission_offset"),
    }.items():
        peer[name] = np.moveaxis(array, 0, -1).copy()
    peer["state_cov"] = np.eye(r)
    prior = system["prior_factor"][b]
    peer.initialize_known(system["prior_mean"][b].copy(), prior @ prior.T)
    peer.tolerance = 0  # no shortcut to a steady state
    return peer.smooth()
