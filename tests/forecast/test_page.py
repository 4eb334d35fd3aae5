"""The code of docs/forecasting.md runs as it is printed."""

import re
from pathlib import Path

import numpy as np
import pytest
from gluonts.mx.model.deepstate import _network

PAGE = Path(__file__).resolve().parents[2] / "docs" / "forecasting.md"


@pytest.fixture(scope="module")
def codes():
    found = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(found) == 7
    return found


def run(*codes):
    names = {}
    for code in codes:
        exec(code, names)
    return names


def test_training(codes):
    names = run(codes[0])
    forecast, first = names["forecast"], names["predictor"]
    assert forecast.item_id == "shop 7" and forecast.samples.shape == (100, 12)
    # The level is found.
    assert abs(forecast.mean.mean() - 80.0) < 1.0
    exec(codes[1], names)
    assert np.isfinite(names["loss"].asnumpy()).all()
    samples = [next(iter(p.predict(names["dataset"]))).samples for p in (first, names["predictor"])]
    assert samples[0].shape == samples[1].shape and not np.allclose(*samples)


def test_joint_gaussian_windows(codes, capsys):
    names = run(*codes[2:4])
    assert capsys.readouterr().out.count("shop") == 4
    # The influence is known, and larger than all else in the last series.
    forecast = list(names["predictor"].predict(names["promoted"]))[-1]
    assert np.corrcoef(forecast.mean, names["influence"][84:])[0, 1] > 0.9


def test_structural_predictor(codes):
    assert run(codes[4])["forecast"].samples.shape == (100, 8)


def test_pieces(codes, monkeypatch):
    # The page replaces it, for good.
    monkeypatch.setattr(_network, "LDS", _network.LDS)
    names = run(*codes[5:])
    assert _network.LDS is names["LDS"]
    assert names["loss"].shape == (3,)
    assert names["samples"].shape == (3, 5, 10)
