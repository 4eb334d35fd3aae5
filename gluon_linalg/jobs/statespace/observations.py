"""Observations to come: normal ones, or those of another likelihood, as tables and moments."""

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from ...analysis.predictive import Latent, intervals, log_density, moments
from ...blocks import likelihoods
from ...grammar.structural import LIKELIHOODS
from ..errors import JobError
from ..metrics import holdout_metrics
from ..predictions import Columns, prediction_columns

Moments = Tuple[np.ndarray, np.ndarray]


def described(likelihood: Optional[likelihoods.Likelihood]) -> Dict[str, Any]:
    """What the predictor needs of a likelihood: its name, and its dispersion."""
    if likelihood is None:
        return {}
    names = {kind: name for name, kind in LIKELIHOODS.items()}
    found: Dict[str, Any] = {"likelihood": names[type(likelihood)]}
    if isinstance(likelihood, likelihoods.NegativeBinomial):
        found["dispersion"] = float(likelihood.dispersion.value()[0])
    return found


def likelihood_of(description: Mapping[str, Any]) -> Optional[likelihoods.Likelihood]:
    """What `described` tells of."""
    if "likelihood" not in description:
        return None
    given = [description["dispersion"]] if "dispersion" in description else []
    likelihood = LIKELIHOODS[description["likelihood"]](*given)
    likelihood.initialize()
    likelihood.cast("float64")
    return likelihood


def forecast_columns(
    likelihood: Optional[likelihoods.Likelihood],
    labels: Mapping[str, Union[list, np.ndarray]],
    mean: np.ndarray,
    variance: np.ndarray,
    levels: Sequence[float],
) -> Columns:
    """The table of observations to come: moments of them, or of the signal with a likelihood.

    Bands of counts are quantiles; of events there is the probability, and no band.
    """
    if likelihood is None:
        return prediction_columns(labels, mean, variance, levels)
    if isinstance(likelihood, likelihoods.Bernoulli):
        levels = ()
    found = intervals(likelihood, _latent(mean, variance), levels)
    return [*labels.items(), *found.items()]


def observation_moments(likelihood: likelihoods.Likelihood, signal: Moments) -> Moments:
    """Mean and variance of new observations, by those of the signal."""
    return moments(likelihood, _latent(*signal))


def judged(
    likelihood: Optional[likelihoods.Likelihood],
    y: np.ndarray,
    forecast: Moments,
    signal: Moments,
    levels: Sequence[float] = (95,),
) -> Any:
    """The metrics of a hold-out y, of its `forecast` or with a likelihood by that of the signal."""
    found = holdout_metrics(y, *forecast, levels)
    if likelihood is None or found is None:
        return found
    latent = _latent(*signal)
    found["nlpd"] = -float(np.mean(log_density(likelihood, latent, y)))
    kept = {key: value for key, value in found.items() if not key.startswith("coverage")}
    if isinstance(likelihood, likelihoods.Bernoulli):
        return kept
    for level in sorted({95, *levels}):
        band = intervals(likelihood, latent, (level,))
        inside = (y >= band[f"lower_{level:g}"]) & (y <= band[f"upper_{level:g}"])
        kept[f"coverage_{level:g}"] = float(np.mean(inside))
    return kept


def refuse_impossible(path: str, name: str, y: np.ndarray, labels: List[str]) -> None:
    """JobError for what is no count, or neither 0 nor 1, and for all at one end."""
    seen = np.flatnonzero(~np.isnan(y))
    values, is_event = y[seen], name == "bernoulli"
    bad = (values < 0) | (values != np.round(values)) | (is_event & (values > 1))
    if bad.any():
        place = seen[np.argmax(bad)]
        expected = "0 and 1" if is_event else "whole numbers from 0 on"
        raise JobError(f"{path}: {y[place]:g} at {labels[place]}: {name} takes {expected}")
    if (values == 0).all() or (is_event and (values == 1).all()):
        raise JobError(
            f"{path}: all observations to train on are {values[0]:g}, which tells of no end to the "
            "signal; leave the series out"
        )


def _latent(mean: np.ndarray, variance: np.ndarray) -> Latent:
    return Latent(mean, variance, np.zeros((len(mean), 1)))
