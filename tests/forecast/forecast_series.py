"""Series to forecast."""

import numpy as np
import pandas as pd


def monthly_series(count=6, length=60, start="2000-01", noise=0.1, seed=0):
    """Entries with a yearly pattern around a level of their own."""
    random = np.random.RandomState(seed)
    steps = np.arange(length)
    return [
        {
            "start": pd.Period(start, "M"),
            "target": 10.0 * (i + 1)
            + np.sin(2.0 * np.pi * steps / 12.0)
            + noise * random.randn(length),
            "item_id": f"series {i}",
        }
        for i in range(count)
    ]
