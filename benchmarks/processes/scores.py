"""How good predictions are: the same numbers for every contender, from numpy alone."""

from typing import Dict

import numpy as np

# Of a normal distribution, 95 % are within so many standard deviations.
BAND = 1.959964
BINS = 10


def of_numbers(y: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> Dict[str, float]:
    """Of normal predictions of each y, (n,) each."""
    error = y - mean
    density = -0.5 * (np.log(2.0 * np.pi * variance) + error**2 / variance)
    return {
        "RMSE": float(np.sqrt(np.mean(error**2))),
        "log density": float(density.mean()),
        "in 95 % band": float(np.mean(np.abs(error) <= BAND * np.sqrt(variance))),
    }


def of_classes(y: np.ndarray, probabilities: np.ndarray) -> Dict[str, float]:
    """Of probabilities (n, C) of the classes y (n,).

    The calibration error is the mean distance of the share of right answers from the probability
    that they were given, over ten bins of it (Guo et al. 2017, equation 3).
    """
    rows = np.arange(len(y))
    surest, given = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = surest == y
    bins = np.minimum((given * BINS).astype(int), BINS - 1)
    gaps = [abs(np.sum(right[bins == b]) - np.sum(given[bins == b])) for b in range(BINS)]
    return {
        "accuracy": float(right.mean()),
        "log density": float(np.log(probabilities[rows, y.astype(int)]).mean()),
        "calibration error": float(np.sum(gaps) / len(y)),
    }


class Fitted:
    """A contender that trains a model and predicts; what it is judged by are its scores.

    A subclass has `fit`, which returns mean and variance of new targets or their probabilities;
    `further`: other numbers that it found. A run does all anew: the model, its training, and
    predictions.
    """

    def __init__(self, arrays):
        self.arrays = arrays
        self.classes, self.further = int(arrays.get("classes", 0)), {}

    def fit(self):
        raise NotImplementedError

    def run(self):
        found, y = self.fit(), self.arrays["y_new"]
        scores = of_classes(y, found) if self.classes else of_numbers(y, *found)
        self._scores = {**scores, **self.further}

    def results(self):
        return {name: np.array(value) for name, value in self._scores.items()}

    def figures(self):
        return self._scores
