"""Series of statsmodels and GluonTS, as arrays and back."""

from typing import Any, Dict, List

import numpy as np

from ..case import Arrays


def monthly() -> List[Any]:
    """Ten years each of sea surface temperatures and of CO2, of which some months are missing."""
    import pandas as pd
    from statsmodels.datasets import co2, elnino

    temperature = elnino.load_pandas().data.set_index("YEAR").stack().to_numpy()
    temperature = pd.Series(temperature, pd.period_range("1950-01", periods=732, freq="M"))
    carbon = co2.load_pandas().data["co2"]
    # Missing weeks are left out of the means.
    carbon = carbon.groupby(carbon.index.to_period("M")).mean()
    starts = [(temperature, str(year)) for year in range(1951, 2002, 10)]
    starts += [(carbon, str(year)) for year in range(1960, 1991, 10)]
    return [values[start:][:120] for values, start in starts]


def weekly() -> List[Any]:
    """Eight years each of CO2, some weeks missing."""
    from statsmodels.datasets import co2

    carbon = co2.load_pandas().data["co2"]
    carbon.index = carbon.index.to_period("W-SAT")
    return [carbon[begin:][:416] for begin in range(0, 1873, 208)]


def synthetic() -> List[Any]:
    """GluonTS's `ComplexSeasonalTimeSeries`, 20 of 44 to 182 days."""
    import pandas as pd
    from gluonts.dataset.artificial import ComplexSeasonalTimeSeries

    np.random.seed(0)
    found = []
    for entry in ComplexSeasonalTimeSeries(num_series=20, freq_str="D", is_scale=True).test:
        periods = pd.period_range(entry["start"], periods=len(entry["target"]), freq="D")
        found.append(pd.Series(entry["target"], periods))
    return found


def as_arrays(series: List[Any]) -> Arrays:
    """Targets, which may differ in length, and where they begin."""
    arrays = {f"target{n}": one.to_numpy("float64") for n, one in enumerate(series)}
    return {**arrays, "starts": np.array([str(one.index[0]) for one in series])}


def entries(arrays: Arrays, freq: str) -> List[Dict[str, Any]]:
    """As GluonTS takes them."""
    import pandas as pd

    return [
        {"start": pd.Period(str(start).split("/")[0], freq), "target": arrays[f"target{n}"]}
        for n, start in enumerate(arrays["starts"])
    ]
