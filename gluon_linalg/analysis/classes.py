"""Probabilities of classes, and how right they are."""

from typing import Any, Dict, Tuple

import numpy as np

from ..blocks.likelihoods import Likelihood
from ..typing import Array, Namespace

# The least probability that the logarithmic loss counts.
LEAST = 1e-15


def class_probabilities(
    F: Namespace, likelihood: Likelihood, mean: Array, variance: Array
) -> Array:
    """p(y = c) of all C classes, (B, n, C), by the moments of the latent values, in a graph."""
    own: Any = likelihood
    if hasattr(own, "probabilities"):
        return own.probabilities(F, mean, variance)
    if hasattr(own, "log_probabilities"):
        return F.exp(own.log_probabilities(F, mean, variance))
    second, _ = own.predictive_moments(F, mean, variance)
    first, _ = own.predictive_moments(F, -mean, variance)
    return F.stack(first, second, axis=2)


def judged_classes(probabilities: np.ndarray, labels: np.ndarray) -> Dict[str, Any]:
    """Of probabilities (n, C) and numbers of classes (n,).

    accuracy: how often the most probable class is the right one; log_loss: the mean of -log the
    probability of the right one; calibration_error: how far the probability of the most probable
    one is from the share of rows that are of it, on average over `calibration` (Guo et al. 2017).
    """
    own = probabilities[np.arange(len(labels)), labels]
    said, right, counts = calibration(probabilities, labels)
    return {
        "rows": len(labels),
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == labels)),
        "log_loss": float(-np.mean(np.log(np.maximum(own, LEAST)))),
        "calibration_error": float(np.sum(counts * np.abs(said - right)) / len(labels)),
    }


def calibration(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = 10
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of rows whose most probable class is about as probable: (k,) each, of bins with rows.

    The mean probability of that class, the share of rows that are of it, and their number.
    """
    most = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == labels
    places = np.minimum((most * bins).astype(int), bins - 1)
    counts = np.bincount(places, minlength=bins)
    seen = counts > 0
    sums = (np.bincount(places, values, minlength=bins) for values in (most, is_right))
    said, right = (total[seen] / counts[seen] for total in sums)
    return said, right, counts[seen]
