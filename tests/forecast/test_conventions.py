"""What all forecasters share with those of GluonTS."""

import numpy as np
import pytest
from forecast_series import monthly_series
from gluonts.exceptions import GluonTSDataError
from gluonts.model.predictor import Predictor
from gluonts.mx.trainer import Trainer
from gluonts.mx.trainer.callback import WarmStart

from gluon_linalg.forecast import (
    BLRForecastEstimator,
    DeepStateSpaceEstimator,
    GaussianProcessEstimator,
    PPCAForecastEstimator,
    StructuralPredictor,
)

NETWORK = {"past_length": 12, "harmonics": [1], "num_layers": 1, "num_cells": 3}
ESTIMATORS = {
    DeepStateSpaceEstimator: NETWORK,
    GaussianProcessEstimator: {"context_length": 12},
    BLRForecastEstimator: {"context_length": 12, "hidden_layers": [3], "num_features": 2},
    PPCAForecastEstimator: {"context_length": 12, "num_shapes": 2},
}
all_estimators = pytest.mark.parametrize("estimator_class", ESTIMATORS)


def small(estimator_class, learning_rate=1e-3, callbacks=(), **options):
    trainer = Trainer(
        epochs=1,
        num_batches_per_epoch=1,
        hybridize=False,
        learning_rate=learning_rate,
        add_default_callbacks=False,
        callbacks=list(callbacks),
    )
    settings = {"freq": "M", "prediction_length": 2, "batch_size": 2, "trainer": trainer}
    return estimator_class(**{**settings, **ESTIMATORS[estimator_class], **options})


def dataset():
    return [
        {**entry, "feat_static_cat": [index % 2], "info": {"source": f"shop {index}"}}
        for index, entry in enumerate(monthly_series(count=3, length=20))
    ]


def first(predictor, **options):
    return next(iter(predictor.predict(dataset()[1:], **options)))


@pytest.mark.parametrize(
    "estimator_class, dtype",
    [
        *((one, dtype) for one in ESTIMATORS for dtype in (None, np.float32)),
        (BLRForecastEstimator, np.float64),
    ],
)
def test_forecasts_of_estimators(estimator_class, dtype, tmp_path):
    options = {"dtype": dtype, "num_parallel_samples": 3}
    predictor = small(estimator_class, **options).train(dataset(), seed=0)
    predictor.serialize(tmp_path)
    for one in (predictor, Predictor.deserialize(tmp_path)):
        forecast = first(one)
        assert forecast.samples.shape == (3, 2)
        assert forecast.samples.dtype == (dtype or np.float64)
        assert one.dtype == ("float64" if dtype == np.float64 else "float32")
        assert forecast.info == {"source": "shop 1"} and forecast.item_id == "series 1"
        assert first(one, num_samples=None).samples.shape == (3, 2)
    if dtype is None:
        predictor = small(estimator_class, forecast="distribution").train(dataset(), seed=0)
        assert first(predictor).info == {"source": "shop 1"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forecasts_of_the_structural_predictor(dtype, tmp_path):
    predictor = StructuralPredictor("M", 2, [{"level": {}}], dtype=dtype, max_iterations=2)
    predictor.serialize(tmp_path)
    for one in (predictor, Predictor.deserialize(tmp_path)):
        forecast = first(one, num_samples=None)
        assert forecast.samples.shape == (100, 2) and forecast.samples.dtype == dtype
        assert set(forecast.info) == {"source", "log_likelihood", "parameters"}
        assert forecast.info["source"] == "shop 1"
    predictor = StructuralPredictor("M", 2, [{"level": {}}], forecast="distribution")
    assert first(predictor).info["source"] == "shop 1"


@all_estimators
def test_a_warm_start_of_gluonts(estimator_class, tmp_path):
    """The training begins where a predictor was, also one that was read from a file."""
    trained = small(estimator_class, learning_rate=0.1).train(dataset(), seed=0)
    trained.serialize(tmp_path)
    start = [WarmStart(predictor=Predictor.deserialize(tmp_path))]
    again = small(estimator_class, learning_rate=1e-9, callbacks=start).train(dataset(), seed=1)
    found, expected = (one.network.collect_params() for one in (again, trained))
    assert found.keys() == expected.keys()
    for name, parameter in found.items():
        value = expected[name].data().asnumpy()
        np.testing.assert_allclose(parameter.data().asnumpy(), value, atol=1e-7)


@pytest.mark.parametrize(
    "estimator_class", [e for e in ESTIMATORS if e is not PPCAForecastEstimator]
)
def test_a_cardinality_is_there_to_be_used(estimator_class):
    """As in GluonTS's DeepStateEstimator, unless use_feat_static_cat says otherwise."""
    assert small(estimator_class, cardinality=[2]).cardinality == [2]
    assert small(estimator_class, cardinality=[2], use_feat_static_cat=False).cardinality is None
    assert small(estimator_class).cardinality is None
    bare = [{name: entry[name] for name in ("start", "target")} for entry in dataset()]
    with pytest.raises(GluonTSDataError, match="there is no feat_static_cat"):
        small(estimator_class, cardinality=[2]).train(bare)
    predictor = small(estimator_class, cardinality=[2]).train(dataset(), seed=0)
    changed = [{**entry, "feat_static_cat": [2]} for entry in dataset()]
    with pytest.raises(GluonTSDataError, match="feat_static_cat has 2, expected an integer"):
        list(predictor.predict(changed))
