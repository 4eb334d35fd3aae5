"""The code of docs/forecasting.md runs as it is printed."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).resolve().parents[2] / "docs" / "forecasting.md"


def test_the_page():
    names = {}
    codes = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(codes[0], names)
    forecast = names["forecast"]
    assert forecast.item_id == "shop 7" and forecast.samples.shape == (100, 12)
    # The level is found.
    assert abs(forecast.mean.mean() - 80.0) < 1.0
    first = names["predictor"]
    exec(codes[1], names)
    assert np.isfinite(names["loss"].asnumpy()).all()
    samples = [next(iter(p.predict(names["dataset"]))).samples for p in (first, names["predictor"])]
    assert samples[0].shape == samples[1].shape and not np.allclose(*samples)
