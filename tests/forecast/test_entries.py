"""What is wrong with an item of a dataset is said alike by all forecasters, with its name."""

import numpy as np
import pandas as pd
import pytest
from gluonts.dataset.common import ListDataset
from gluonts.exceptions import GluonTSDataError
from gluonts.mx.trainer import Trainer

from gluon_linalg.forecast import (
    BLRForecastEstimator,
    DeepStateSpaceEstimator,
    GaussianProcessEstimator,
    StructuralPredictor,
)

MONTH = pd.Period("2020-01", "M")
GOOD = {"start": MONTH, "target": np.arange(20.0) % 7, "item_id": "good"}


def trained(estimator_class, **options):
    def forecast(dataset):
        steps = Trainer(epochs=1, num_batches_per_epoch=1, hybridize=False)
        estimator = estimator_class(
            freq="M", prediction_length=2, trainer=steps, batch_size=2, **options
        )
        return list(estimator.train(dataset, seed=0).predict(dataset))

    return forecast


def fitted(dataset):
    predictor = StructuralPredictor(
        freq="M", prediction_length=2, components=[{"level": {}}], max_iterations=3
    )
    return list(predictor.predict(dataset))


FORECASTERS = {
    "deep_state": trained(DeepStateSpaceEstimator, past_length=6, num_cells=2, num_layers=1),
    "gaussian_process": trained(GaussianProcessEstimator, context_length=6),
    "blr": trained(BLRForecastEstimator, context_length=6),
    "structural": fitted,
}
every = pytest.mark.parametrize("forecast", FORECASTERS.values(), ids=FORECASTERS)


@every
@pytest.mark.parametrize(
    "fields, message",
    [
        ({"start": pd.Timestamp("2020-01-01")}, "start is Timestamp.* expected a pandas.Period"),
        ({"start": "2020-01"}, "start is '2020-01', expected a pandas.Period"),
        ({"start": pd.Period("2020-01-01", "D")}, "its frequency is D, expected M"),
        ({"target": None}, "there is no target"),
        ({"target": []}, r"target has shape \(0,\)"),
        ({"target": np.ones((2, 9))}, r"target has shape \(2, 9\)"),
        ({"target": [1.0, np.inf]}, "target has infinity at step 1"),
        ({"target": ["a", "b"]}, "target is not an array of numbers"),
    ],
)
def test_what_no_forecaster_can_take(forecast, fields, message):
    with pytest.raises(GluonTSDataError, match=f"item 'bad': {message}"):
        forecast([GOOD, {**GOOD, "item_id": "bad", **fields}])


@every
@pytest.mark.parametrize("target", [[True, False] * 10, list(range(20)), np.arange(20, dtype="i4")])
def test_targets_that_are_no_floats(forecast, target):
    (found,) = forecast([{**GOOD, "target": target}])
    assert np.isfinite(found.mean).all()


@every
def test_datasets_of_gluonts(forecast):
    dataset = ListDataset([{"start": "2020-01", "target": [*range(20)], "item_id": "a"}], freq="M")
    (found,) = forecast(dataset)
    assert (found.item_id, str(found.start_date)) == ("a", "2021-09")
