"""Predictors that are exported graphs."""

import json
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pandas as pd
import pytest
from forecast_series import monthly_series
from gluonts.exceptions import GluonTSDataError
from gluonts.model.forecast import SampleForecast
from gluonts.model.predictor import Predictor
from gluonts.mx.model.forecast import DistributionForecast
from gluonts.mx.trainer import Trainer

import gluon_linalg.forecast
from gluon_linalg.forecast import DeepStateSpaceEstimator


@pytest.fixture(scope="module")
def predictor():
    """A predictor with the parameters of one batch of training."""
    mx.random.seed(0)
    estimator = DeepStateSpaceEstimator(
        freq="M",
        prediction_length=4,
        past_length=12,
        harmonics=[1],
        num_layers=1,
        num_cells=4,
        batch_size=4,
        trainer=Trainer(epochs=1, num_batches_per_epoch=1, hybridize=False),
    )
    return estimator.train(monthly_series(), seed=0)


def paths(predictor, dataset, **options):
    return np.stack([forecast.samples for forecast in predictor.predict(dataset, **options)])


def test_forecasts_follow_the_series(predictor):
    dataset = monthly_series(count=3, length=40)
    forecasts = list(predictor.predict(dataset, num_samples=7))
    for entry, forecast in zip(dataset, forecasts):
        assert isinstance(forecast, SampleForecast)
        assert forecast.samples.shape == (7, 4)
        assert forecast.start_date == pd.Period("2003-05", "M")
        assert forecast.item_id == entry["item_id"]
    assert paths(predictor, dataset).shape == (3, 100, 4)


def test_seeds(predictor):
    dataset = monthly_series()
    first = paths(predictor, dataset, num_samples=3)
    np.testing.assert_array_equal(first, paths(predictor, dataset, num_samples=3, seed=0))
    assert not np.allclose(first, paths(predictor, dataset, num_samples=3, seed=1))
    # Items that are alike have paths of their own.
    twins = paths(predictor, [dataset[0], dataset[0]], num_samples=3)
    assert not np.allclose(twins[0], twins[1])


def test_the_split_into_batches_does_not_matter(predictor, monkeypatch):
    dataset = monthly_series(count=5)
    together = paths(predictor, dataset)
    monkeypatch.setattr(predictor, "batch_size", 2)
    np.testing.assert_allclose(paths(predictor, dataset), together, rtol=1e-5)


RELOAD = """
import sys
import numpy as np
import gluon_linalg
import mxnet as mx
from pathlib import Path
from gluonts.model.predictor import Predictor

sys.path.insert(0, sys.argv[3])
from forecast_series import monthly_series

made = []
plain = mx.gluon.HybridBlock.__init__
def noted(self, *args, **kwargs):
    made.append(type(self).__name__)
    plain(self, *args, **kwargs)
mx.gluon.HybridBlock.__init__ = noted

predictor = Predictor.deserialize(Path(sys.argv[1]))
np.save(sys.argv[2], [f.samples for f in predictor.predict(monthly_series(), num_samples=5)])
assert set(made) == {"LoadedBlock"}, made
assert "gluonts.mx" not in sys.modules
"""


def test_a_reload_elsewhere_makes_no_network_and_the_same_forecasts(predictor, tmp_path):
    folder, result = tmp_path / "model", tmp_path / "paths.npy"
    folder.mkdir()
    predictor.serialize(folder)
    here = Path(__file__).parent
    subprocess.run([sys.executable, "-c", RELOAD, folder, result, here], check=True)
    expected = paths(predictor, monthly_series(), num_samples=5)
    np.testing.assert_array_equal(np.load(result), expected)
    assert sorted(path.name for path in folder.iterdir()) == [
        "gluonts-config.json",
        "parameters.json",
        "prediction_net-0000.params",
        "prediction_net-symbol.json",
    ]
    json.loads((folder / "parameters.json").read_text())


def test_equality_after_a_round_trip(predictor, tmp_path):
    predictor.serialize(tmp_path)
    again = Predictor.deserialize(tmp_path)
    assert again == predictor
    again.seed = 3
    assert again != predictor
    again.seed = predictor.seed
    next(iter(again.network.collect_params().values())).data()[:] += 1
    assert again != predictor


def test_distributions_are_the_marginals_of_the_paths(predictor, monkeypatch):
    dataset = monthly_series(count=2)
    samples = paths(predictor, dataset, num_samples=20000)
    monkeypatch.setattr(predictor, "forecast", "distribution")
    forecasts = list(predictor.predict(dataset))
    for forecast, drawn in zip(forecasts, samples):
        assert isinstance(forecast, DistributionForecast)
        deviation = forecast.distribution.stddev.asnumpy()
        np.testing.assert_allclose(drawn.mean(axis=0), forecast.mean, atol=0.03 * deviation.max())
        np.testing.assert_allclose(drawn.std(axis=0), deviation, rtol=0.03)
        assert (forecast.quantile(0.9) > forecast.mean).all()


def test_what_is_no_forecast_is_an_error(predictor):
    for name, parameter in predictor.network.collect_params().items():
        if name.endswith("each_time_bias"):
            kept = parameter.data().copy()
            parameter.data()[:] = np.nan
            with pytest.raises(GluonTSDataError, match="series 0': its forecast is not finite"):
                list(predictor.predict(monthly_series()))
            parameter.set_data(kept)
            return
    raise AssertionError("no such parameter")


def test_without_gluonts_the_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gluonts.mx", None)
    with pytest.raises(ImportError, match=r'pip install "gluon-linalg\[forecast\]"'):
        gluon_linalg.forecast.WindowEstimator  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'Window'"):
        gluon_linalg.forecast.Window  # noqa: B018


def test_unknown_items_are_named(predictor):
    dataset = [*monthly_series(count=1), {"start": pd.Period("2000-01", "D"), "target": [1.0]}]
    with pytest.raises(GluonTSDataError, match="item 1: its frequency is D"):
        list(predictor.predict(dataset))
