"""Maximum likelihood of structural models against statsmodels, training against GluonTS."""

from typing import List

import numpy as np

from ..case import Arrays, Case, Contender, ours
from . import series

# Name: series, frequency, steps of the forecast, batches of the epoch that is timed.
TRAINED = {
    "monthly": (series.monthly, "M", 12, 50),
    "weekly": (series.weekly, "W-SAT", 26, 10),
    "synthetic": (series.synthetic, "D", 20, 50),
}
TITLES = {
    "monthly": "monthly, 10 of 10 years",
    "weekly": "weekly, 10 of 8 years",
    "synthetic": "synthetic, daily, 20 of 44 to 182 days",
}
STATSMODELS = "statsmodels, one after another"


def cases() -> List[Case]:
    """In the order of the page."""
    return [_structural(), *[_deep_state(name) for name in TRAINED]]


def _structural():
    return Case(
        "structural/monthly",
        "structural",
        "ten monthly series of 120, trend and season",
        inputs=lambda: series.as_arrays(series.monthly()),
        contenders=[
            Contender(STATSMODELS, "statsmodels", f"{__package__}.with_statsmodels:Structural"),
            *ours(f"{__package__}.ours:Structural"),
        ],
        tolerance=0.01,
        difference=lower_likelihood,
        turns=5,
        memory=False,
    )


def lower_likelihood(results: Arrays, reference: Arrays) -> float:
    """By how much the log likelihood of any series is below the reference's."""
    below = reference["log_likelihood"] - results["log_likelihood"]
    return float(np.max(np.maximum(below, 0.0)))


def _deep_state(name):
    make, freq, steps, batches = TRAINED[name]
    options = {"freq": freq, "steps": steps, "batches": batches}
    return Case(
        f"deep_state/{name}",
        "deep state",
        TITLES[name],
        inputs=lambda: series.as_arrays(make()),
        contenders=[
            Contender("GluonTS", "gluonts", f"{__package__}.training:DeepState", options),
            *ours(f"{__package__}.ours:DeepStateSpace", **options),
        ],
        # The models have other priors: whether ours forecasts worse by a half.
        tolerance=0.5,
        difference=higher_loss,
        turns=3,
        slow=name != "monthly",
        memory=False,
    )


def higher_loss(results: Arrays, reference: Arrays) -> float:
    """By what part the loss is above the reference's."""
    return float(np.maximum(results["loss"] / reference["loss"] - 1.0, 0.0).max())
