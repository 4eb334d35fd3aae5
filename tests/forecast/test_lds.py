"""LDS against GluonTS's, against the dense Gaussian, and inside GluonTS's own network."""

import mxnet as mx
import numpy as np
import pytest
from gluonts.mx.distribution import lds as gluonts_lds

import gluon_linalg as gl
from gluon_linalg.forecast.lds import LDS

BATCH, STEPS, STATES = 3, 6, 3
NAMES = ["emission", "transition", "innovation", "noise_std", "residuals", "mean", "covariance"]


def array(values):
    return mx.nd.array(values, dtype="float64")


def random_system(p, steps=STEPS, states=STATES, rank=None):
    """The seven arrays of an LDS; the prior covariance has the given rank."""
    root = np.random.randn(BATCH, states, rank or states)
    return [
        np.random.randn(BATCH, steps, p, states),
        0.5 * np.eye(states) + 0.3 * np.random.randn(BATCH, steps, states, states),
        np.random.randn(BATCH, steps, states),
        np.exp(0.3 * np.random.randn(BATCH, steps, p)),
        np.random.randn(BATCH, steps, p),
        np.random.randn(BATCH, states),
        root @ root.transpose(0, 2, 1),
    ]


def random_walk(steps):
    return np.cumsum(np.random.randn(1, steps, 1), axis=1)


def results(cls, system, x, scale, observed, weights):
    """log_prob's three results, and the gradients of a weighted sum of all of them."""
    arrays = [array(values) for values in (*system, x, scale)]
    for one in arrays:
        one.attach_grad()
    *system, x, scale = arrays
    steps, p, states = system[0].shape[1:]
    with mx.autograd.record():
        lds = cls(*system, states, p, steps)
        found = lds.log_prob(x, scale=scale, observed=observed)
        # GluonTS puts something on steps without observations, to be weighted away.
        total = (found[0] * weights[0] * (1.0 if observed is None else observed)).sum()
        total = total + (found[1] * weights[1]).sum() + (found[2] * weights[2]).sum()
    total.backward()
    gradients = [one.grad.asnumpy() for one in arrays]
    # Of a symmetric matrix only the symmetric part of the gradient means anything.
    gradients[6] = (gradients[6] + gradients[6].transpose(0, 2, 1)) / 2
    return [value.asnumpy() for value in found], dict(zip([*NAMES, "x", "scale"], gradients))


@pytest.fixture
def gluonts_in_float64(monkeypatch):
    """GluonTS's LDS mixes `F.eye` of float32 into whatever it gets."""
    eye = mx.nd.eye
    monkeypatch.setattr(mx.nd, "eye", lambda *args: eye(*args, dtype="float64"))


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("masked", [False, True])
def test_values_and_gradients_are_those_of_gluonts(gluonts_in_float64, p, masked):
    system, x = random_system(p), np.random.randn(BATCH, STEPS, p)
    scale = np.exp(np.random.randn(BATCH, p))
    observed = array(np.random.rand(BATCH, STEPS) > 0.4) if masked else None
    shapes = [(BATCH, STEPS), (BATCH, STATES), (BATCH, STATES, STATES)]
    weights = [array(np.random.randn(*shape)) for shape in shapes]
    values, gradients = results(LDS, system, x, scale, observed, weights)
    expected_values, expected = results(gluonts_lds.LDS, system, x, scale, observed, weights)
    if masked:
        assert (values[0][observed.asnumpy() == 0] == 0).all()
        expected_values[0] = np.where(observed.asnumpy(), expected_values[0], 0)
    for found, wanted in zip(values, expected_values):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)
    for name, wanted in expected.items():
        np.testing.assert_allclose(gradients[name], wanted, rtol=1e-9, atol=1e-9, err_msg=name)


def dense_moments(system, element):
    """Mean (T p,) and covariance (T p, T p) of one series, by its definition."""
    H, A, g, sigma, b, m, P = (values[element] for values in system)
    steps, p, states = H.shape
    # x_t = transfer_t [x_1; ν_1; ...; ν_T]
    transfer = np.hstack([np.eye(states), np.zeros((states, steps))])
    rows = []
    for t in range(steps):
        rows.append(H[t] @ transfer)
        transfer = A[t] @ transfer
        transfer[:, states + t] += g[t]
    rows = np.vstack(rows)
    sources = np.eye(states + steps)
    sources[:states, :states] = P
    mean = rows[:, :states] @ m + b.ravel()
    return mean, rows @ sources @ rows.T + np.diag(sigma.ravel() ** 2)


def dense_log_density(system, element, x, observed, scale):
    mean, covariance = dense_moments(system, element)
    seen = observed[element].ravel().astype(bool)
    everywhere = np.tile(scale[element], system[0].shape[1])
    residual = (x[element].ravel() / everywhere - mean)[seen]
    covariance = covariance[np.ix_(seen, seen)]
    value = residual @ np.linalg.solve(covariance, residual) + np.linalg.slogdet(covariance)[1]
    return -0.5 * (value + seen.sum() * np.log(2 * np.pi)) - np.log(everywhere[seen]).sum()


def test_partly_observed_steps_are_those_of_the_dense_gaussian():
    p = 2
    system, scale = random_system(p, rank=1), np.exp(np.random.randn(BATCH, p))
    observed = (np.random.rand(BATCH, STEPS, p) > 0.4).astype(float)
    x = np.where(observed, np.random.randn(BATCH, STEPS, p), np.nan)
    weights = [array(np.ones(shape)) for shape in [(BATCH, STEPS), (1, 1), (1, 1, 1)]]
    arrays = [array(values) for values in (*system, x, scale)]
    for one in arrays:
        one.attach_grad()
    with mx.autograd.record():
        lds = LDS(*arrays[:7], STATES, p, STEPS)
        value = lds.log_prob(arrays[7], scale=arrays[8], observed=array(observed))[0]
        total = (value * weights[0]).sum()
    total.backward()
    wanted = [dense_log_density(system, k, x, observed, scale) for k in range(BATCH)]
    np.testing.assert_allclose(value.asnumpy().sum(axis=1), wanted, rtol=1e-10)
    assert all(np.isfinite(one.grad.asnumpy()).all() for one in arrays)
    assert (arrays[7].grad.asnumpy()[observed == 0] == 0).all()

    # P is singular: its gradient, too, against differences, along directions that keep it a
    # covariance.
    direction = np.random.randn(BATCH, STATES, 1)
    direction = direction @ direction.transpose(0, 2, 1)
    step = 1e-4

    def shifted(times):
        moved = [*system[:6], system[6] + times * step * direction]
        return sum(dense_log_density(moved, k, x, observed, scale) for k in range(BATCH))

    slope = (-3 * shifted(0) + 4 * shifted(1) - shifted(2)) / (2 * step)
    found = (arrays[6].grad.asnumpy() * direction).sum()
    np.testing.assert_allclose(found, slope, rtol=1e-4)


class Wrapped(mx.gluon.HybridBlock):
    """An LDS inside a network, symbols when it is compiled."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def hybrid_forward(self, F, x, scale, observed, *system):
        lds = LDS(*system, STATES, self.p, STEPS)
        return lds.log_prob(x, scale=scale, observed=observed)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-4)])
def test_compiled_it_is_what_it_is_imperatively(dtype, tolerance):
    p = 2
    values = [np.random.randn(BATCH, STEPS, p), np.ones((BATCH, p)), np.ones((BATCH, STEPS))]
    values[2][:, 2] = 0
    arrays = [mx.nd.array(v, dtype=dtype) for v in (*values, *random_system(p))]
    found = []
    for options in [None, {}, {"static_alloc": True, "static_shape": True}]:
        net = Wrapped(p)
        if options is not None:
            net.hybridize(**options)
        for one in arrays:
            one.attach_grad()
        for _ in range(2):
            with mx.autograd.record():
                outputs = net(*arrays)
                total = outputs[0].square().sum() + outputs[1].sum() + outputs[2].sum()
            total.backward()
        found.append([one.asnumpy() for one in outputs] + [a.grad.asnumpy() for a in arrays])
    assert found[0][0].dtype == dtype
    for other in found[1:]:
        for one, reference in zip(other, found[0]):
            np.testing.assert_allclose(one, reference, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("p", [1, 2])
def test_samples_have_the_moments_of_the_dense_gaussian(p):
    system, scale, count = random_system(p, rank=2), np.full((BATCH, p), 2.0), 20000
    lds = LDS(*map(array, system), STATES, p, STEPS)
    joint = lds.sample(count, scale=array(scale)).asnumpy()
    single = lds.sample_marginals(count, scale=array(scale)).asnumpy()
    assert joint.shape == single.shape == (count, BATCH, STEPS, p)
    assert lds.sample().shape == lds.sample_marginals().shape == (BATCH, STEPS, p)
    for element in range(BATCH):
        mean, covariance = dense_moments(system, element)
        deviation = np.sqrt(np.diag(covariance))
        for drawn in (joint, single):
            standard = (drawn[:, element].reshape(count, -1) / 2.0 - mean) / deviation
            np.testing.assert_allclose(standard.mean(axis=0), 0, atol=0.04)
        standard = (joint[:, element].reshape(count, -1) / 2.0 - mean) / deviation
        correlation = covariance / np.outer(deviation, deviation)
        np.testing.assert_allclose(standard.T @ standard / count, correlation, atol=0.06)
        for t in range(STEPS):
            own = slice(p * t, p * (t + 1))
            standard = (single[:, element, t] / 2.0 - mean[own]) / deviation[own]
            np.testing.assert_allclose(
                standard.T @ standard / count, correlation[own, own], atol=0.06
            )


def test_float32_holds_where_gluonts_cannot_factor():
    """A level, a slope and seven seasons, prior variances 1e4 and noise of variance 1e-6."""
    from gluonts.mx.model.deepstate.issm import CompositeISSM

    issm, steps = CompositeISSM.get_from_freq("D"), 60
    indicators = np.zeros((1, steps, 2))
    indicators[:, :, 1] = np.arange(steps) % 7
    coefficients = [one.asnumpy() for one in issm.get_issm_coeff(mx.nd.array(indicators))]
    coefficients[2] *= 0.01
    states = issm.latent_dim()
    system = [
        *coefficients,
        np.full((1, steps, 1), 1e-3),
        np.zeros((1, steps, 1)),
        np.zeros((1, states)),
        1e4 * np.eye(states)[None],
    ]
    x = np.sin(2 * np.pi * np.arange(steps) / 7)[None, :, None] + 0.01 * random_walk(steps)
    wanted = dense_log_density(system, 0, x, np.ones(x.shape), np.ones((1, 1)))

    def log_density(cls):
        arrays = [mx.nd.array(values) for values in (*system, x)]
        lds = cls(*arrays[:7], states, 1, steps)
        return lds.log_prob(arrays[7])[0].asnumpy().sum(dtype="float64")

    np.testing.assert_allclose(log_density(LDS), wanted, rtol=1e-4)
    with pytest.raises(gl.errors.NotPositiveDefiniteError):
        log_density(gluonts_lds.LDS)


def test_it_is_a_distribution_of_gluonts():
    arrays = list(map(array, random_system(2)))
    lds = LDS(*arrays, STATES, 2, STEPS)
    assert isinstance(lds, gluonts_lds.LDS)
    assert lds.batch_shape == (BATCH, STEPS) and lds.event_shape == (2,)
    assert all(one is other for one, other in zip(lds.args, arrays))
    x = array(np.random.randn(BATCH, STEPS, 2))
    same = zip(lds.log_prob(x), lds.kalman_filter(x, None))
    assert all((a == b).asnumpy().all() for a, b in same)


def test_a_single_step():
    system = random_system(1, steps=1)
    x = np.random.randn(BATCH, 1, 1)
    lds = LDS(*map(array, system), STATES, 1, 1)
    value = lds.log_prob(array(x))[0].asnumpy()
    ones = np.ones((BATCH, 1, 1))
    wanted = [dense_log_density(system, k, x, ones, ones[:, 0]) for k in range(BATCH)]
    np.testing.assert_allclose(value[:, 0], wanted, rtol=1e-10)
    assert lds.sample(5).shape == (5, BATCH, 1, 1)


def test_a_prior_that_is_no_covariance_is_an_error():
    system = random_system(1)
    system[6] = -system[6]
    lds = LDS(*map(array, system), STATES, 1, STEPS)
    with pytest.raises(gl.errors.NotPositiveDefiniteError, match="LDS: prior_cov"):
        lds.log_prob(array(np.zeros((BATCH, STEPS, 1))))


def test_in_a_compiled_network_a_series_that_fails_is_nan():
    system = random_system(1)
    system[6][1] *= -1
    net = Wrapped(1)
    net.hybridize()
    inputs = [np.zeros((BATCH, STEPS, 1)), np.ones((BATCH, 1)), np.ones((BATCH, STEPS))]
    for output in net(*map(array, [*inputs, *system])):
        failed = np.isnan(output.asnumpy()).reshape(BATCH, -1).all(axis=1)
        assert failed.tolist() == [False, True, False]


def test_nan_that_no_mask_hides_is_an_error():
    lds = LDS(*map(array, random_system(1)), STATES, 1, STEPS)
    x = np.zeros((BATCH, STEPS, 1))
    x[1, 2] = np.nan
    with pytest.raises(gl.errors.NonFiniteError, match="batch element 1, t = 2"):
        lds.log_prob(array(x))


def test_gluonts_deep_state_trains_and_predicts_with_it(monkeypatch):
    from gluonts.mx.model.deepstate import _network
    from gluonts.mx.model.deepstate.issm import CompositeISSM

    past, horizon, batch, samples = 8, 3, 4, 400
    issm = CompositeISSM.get_from_freq("D", add_trend=True)
    options = dict(
        num_layers=1, num_cells=4, cell_type="lstm", past_length=past, prediction_length=horizon,
        issm=issm, dropout_rate=0.0, cardinality=[2], embedding_dimension=[2],
    )  # fmt: skip
    # One column for the trend, which ignores it, and one for the days of the week.
    indicators = np.zeros((batch, past + horizon, 2))
    indicators[:, :, 1] = np.arange(past + horizon) % 7
    observed = np.ones((batch, past, 1))
    observed[1, 2:4] = 0
    inputs = [
        np.arange(batch)[:, None] % 2,
        observed,
        indicators[:, :past],
        np.random.randn(batch, past, 1),
        np.abs(np.random.randn(batch, past, 1)) * observed,
        indicators[:, past:],
        np.random.randn(batch, horizon, 1),
    ]
    inputs = [mx.nd.array(one) for one in inputs]
    trained = _network.DeepStateTrainingNetwork(**options)
    trained.initialize()
    losses, gradients, drawn = [], [], []
    for distribution in (gluonts_lds.LDS, LDS):
        monkeypatch.setattr(_network, "LDS", distribution)
        net = _network.DeepStateTrainingNetwork(params=trained.collect_params(), **options)
        net.hybridize(static_alloc=True, static_shape=True)
        with mx.autograd.record():
            loss = net(*inputs[:5])
        loss.backward()
        losses.append(loss.asnumpy())
        gradients.append([q.grad().asnumpy() for q in net.collect_params().values()])
        forecaster = _network.DeepStatePredictionNetwork(
            num_parallel_samples=samples, params=trained.collect_params(), **options
        )
        drawn.append(forecaster(*inputs).asnumpy())
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    for found, wanted in zip(*reversed(gradients)):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
    assert drawn[1].shape == (batch, samples, horizon)
    distance = np.abs(drawn[1].mean(axis=1) - drawn[0].mean(axis=1)) / drawn[0].std(axis=1)
    assert distance.max() < 0.5
    np.testing.assert_allclose(drawn[1].std(axis=1), drawn[0].std(axis=1), rtol=0.2)

    trainer = mx.gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.05})
    for _ in range(20):
        with mx.autograd.record():
            loss = net(*inputs[:5])
        loss.backward()
        trainer.step(batch)
    assert loss.mean().asscalar() < losses[0].mean() - 0.1
