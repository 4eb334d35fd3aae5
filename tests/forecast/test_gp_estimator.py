"""GaussianProcessEstimator: its kernels, its accuracy, and GluonTS's model beside it."""

import mxnet as mx
import numpy as np
import pytest
from forecast_series import monthly_series
from gluonts.mx.kernels import RBFKernel
from gluonts.mx.model.gp_forecaster.gaussian_process import GaussianProcess
from gluonts.mx.trainer import Trainer

from gluon_linalg.forecast import GaussianProcessEstimator
from gluon_linalg.forecast.gp_network import GPForecast, GPWindowLayer, SeriesCovariance
from gluon_linalg.forecast.series_inputs import SeriesInputs


def nd(value):
    return mx.nd.array(value, dtype="float64")


@pytest.fixture
def rbf():
    """The covariance of an RBF kernel of two columns beside time, and the same of GluonTS."""
    inputs = SeriesInputs(["one", "two"], False, 20, [])
    description = {"rbf": {"columns": ["one", "two"], "lengthscale": 0.7, "variance": 1.3}}
    covariance = SeriesCovariance(description, inputs, 0.2, prefix="gp_")
    covariance.initialize()
    covariance.cast("float64")
    amplitude, lengthscale, sigma = (nd([[[v]]]) for v in (1.3, 0.7, np.sqrt(0.2)))
    for array in (amplitude, lengthscale, sigma):
        array.attach_grad()
    return covariance, amplitude, lengthscale, sigma


def test_likelihood_and_gradients_of_gluonts(rbf):
    covariance, amplitude, lengthscale, sigma = rbf
    random = np.random.RandomState(0)
    x, y = nd(random.randn(1, 20, 2)), nd(random.randn(1, 20))
    with mx.autograd.record():
        ours = GPWindowLayer(covariance)(x, y, mx.nd.ones_like(y))
        kernel = RBFKernel(amplitude, lengthscale)
        # Their log_prob is the negative of one; 'eig' adds a jitter, 'iter' none if none is needed.
        theirs = GaussianProcess(sigma, kernel, context_length=20).log_prob(x, y)
    ours.backward()
    theirs.backward()
    np.testing.assert_allclose(ours.asnumpy(), theirs.asnumpy(), rtol=1e-10)
    found = {name[3:]: p.grad().asscalar() for name, p in covariance.collect_params().items()}
    expected = {
        "rbf0_variance": 1.3 * amplitude.grad.asscalar(),
        "rbf0_lengthscale": 0.7 * lengthscale.grad.asscalar(),
        "noise_variance": np.sqrt(0.2) * sigma.grad.asscalar() / 2.0,
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-7, err_msg=name)


def test_forecast_of_gluonts(rbf):
    covariance, amplitude, lengthscale, sigma = rbf
    random = np.random.RandomState(1)
    x, y, z = nd(random.randn(1, 15, 2)), nd(random.randn(1, 15)), nd(random.randn(1, 5, 2))
    noise = nd(random.randn(1, 2, 5))
    inputs = mx.nd.concat(x, z, dim=1)
    _, mean, deviation = GPForecast(covariance, 5)(inputs, y, mx.nd.ones_like(y), noise)
    gp = GaussianProcess(
        sigma,
        RBFKernel(amplitude, lengthscale),
        context_length=15,
        prediction_length=5,
        num_samples=2,
    )
    _, expected_mean, expected_deviation = gp.exact_inference(x, y, z)
    np.testing.assert_allclose(mean.asnumpy(), expected_mean.asnumpy(), rtol=1e-8)
    np.testing.assert_allclose(
        deviation.asnumpy().ravel(), expected_deviation.asnumpy().ravel(), rtol=1e-8
    )


def test_accuracy_on_a_season():
    dataset = monthly_series(count=4, length=72, noise=0.1)
    train = [{**entry, "target": entry["target"][:-12]} for entry in dataset]
    estimator = GaussianProcessEstimator(
        freq="M",
        prediction_length=12,
        context_length=36,
        batch_size=8,
        trainer=Trainer(epochs=1, num_batches_per_epoch=60, learning_rate=0.03),
    )
    forecasts = estimator.train(train, seed=0).predict(train, num_samples=200)
    errors, inside = [], []
    for entry, forecast in zip(dataset, forecasts):
        truth = entry["target"][-12:]
        errors.append(np.abs(forecast.mean - truth).mean())
        low, high = forecast.quantile(0.05), forecast.quantile(0.95)
        inside.append((low < truth) & (truth < high))
    # The least possible is 0.08, the mean of |N(0, 0.1²)|; the season has 0.64.
    assert np.mean(errors) < 0.16
    assert 0.75 <= np.mean(inside) <= 1.0


def test_a_kernel_of_plain_json_from_hyperparameters():
    estimator = GaussianProcessEstimator.from_hyperparameters(
        freq="M",
        prediction_length="3",
        kernel={"sum": [{"rbf": {"columns": ["month_of_year", "age"]}}, {"linear": {}}]},
        epochs=1,
        unknown="ignored",
    )
    names = list(estimator.create_training_network().collect_params())
    assert names == [
        "gp_rbf0_variance",
        "gp_rbf0_lengthscale",
        "gp_linear1_variance",
        "gp_noise_variance",
    ]


def test_shared_hyperparameters_leave_static_features_alone():
    estimator = GaussianProcessEstimator(
        freq="M", prediction_length=3, use_feat_static_cat=True, cardinality=[4]
    )
    assert estimator.fields == ("features", "target", "observed")


def test_fixed_hyperparameters_stay():
    estimator = GaussianProcessEstimator(
        freq="M",
        prediction_length=3,
        context_length=12,
        batch_size=4,
        kernel={"periodic": {"period": 11.0, "fixed": ["period"]}},
        trainer=Trainer(epochs=1, num_batches_per_epoch=3, learning_rate=0.1, hybridize=False),
    )
    output = estimator.train_model(monthly_series(count=2, length=20))
    values = {name: p for name, p in output.trained_net.collect_params().items()}
    np.testing.assert_allclose(values["gp_periodic0_period"].value(), 11.0, rtol=1e-6)
    assert abs(values["gp_periodic0_variance"].value() - 1.0) > 0.01


def test_wrong_settings():
    def build(**options):
        return GaussianProcessEstimator(freq="M", prediction_length=3, **options)

    with pytest.raises(ValueError, match="hyperparameters is 'own', expected one of"):
        build(hyperparameters="own")
    with pytest.raises(ValueError, match="'embedded' needs static features"):
        build(hyperparameters="embedded")
    with pytest.raises(ValueError, match="noise_variance is 0.0, expected a positive number"):
        build(noise_variance=0.0)
    with pytest.raises(ValueError, match="kernel.rbf.columns.0: 'feat_dynamic_real' is not one"):
        build(kernel={"rbf": {"columns": ["feat_dynamic_real"]}})
    estimator = build(
        kernel={"rbf": {"columns": ["feat_dynamic_real_2"]}}, use_feat_dynamic_real=True
    )
    (entry,) = monthly_series(count=1, length=20)
    with pytest.raises(ValueError, match="input feat_dynamic_real_2, but the data have 2 dynamic"):
        estimator.train([{**entry, "feat_dynamic_real": np.zeros((2, 20))}])
