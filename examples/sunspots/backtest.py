"""Sunspots by a cycle of 22 years, of which only the size is seen.

From one cycle of 11 years to the next the magnetic field of the sun turns round. So what swings is
a number x_t with the sign of the field, and counted is its size (Bracewell 1953, Nature 171):

    |x_t| = y_t^{3/4},  x an autoregression of 9 years, and noise

The signs of x change where y is least. Whether it has been there of late is seen only later, so
each year in which x may have turned is a hypothesis, with the weight that its likelihood says.
Beside it the plain autoregression of 9 years, of square roots.

Ten forecasts of 11 years, from 1855 to 1964, have chosen the power 3/4 and the order 9; the four
that follow judge, those of benchmarks/forecasting_backtests.py. Needs statsmodels, for its data.
"""

import argparse

import numpy as np
from scipy.stats import norm

import gluon_linalg as gl
from gluon_linalg import structural

# After gluon_linalg, which lets MXNet 1.9.1 be imported with a newer numpy.
import mxnet as mx  # isort: skip

STEPS, CHOSEN, JUDGED = 11, 10, 4
DECILES = np.arange(1, 10) / 10
COUNTS = np.linspace(0.0, 600.0, 2401)
# A year has the minimum of a cycle if none of so many before and after has less, and the next
# minimum is no nearer than that.
AROUND, NEAREST = 4, 7


class Autoregression:
    """Of y^power, or where it turns of numbers x with |x| = y^power."""

    def __init__(self, order, power, turns):
        self.order, self.power, self.turns = order, power, turns

    def deciles(self, y):
        """Those of the years that follow, (9, STEPS)."""
        size = y**self.power
        signs = hypotheses(y) if self.turns else np.ones((1, len(y)))
        centre = 0.0 if self.turns else size.mean()
        scale = np.sqrt(np.mean((size - centre) ** 2))
        x = (signs * size - centre) / scale
        data, likeliest = mx.nd.array(x, dtype="float64"), 0
        model = gl.StructuralModel(structural.AutoRegression(self.order), noise_variance=0.01)
        model.initialize()
        model.cast("float64")
        for _ in range(2 if self.turns else 1):
            gl.fit(model, x[likeliest])
            loss = model(data).asnumpy()
            likeliest = loss.argmin()
        weights = np.exp(loss.min() - loss)
        mean, variance = (array.asnumpy()[:, None] for array in model.forecaster(STEPS)(data))

        def below(edge):
            return norm.cdf(((edge - centre) / scale - mean) / np.sqrt(variance))

        edges = COUNTS[:, None] ** self.power
        probabilities = below(edges) - (below(-edges) if self.turns else 0.0)
        probabilities = np.tensordot(weights / weights.sum(), probabilities, axes=1)
        return np.array([np.interp(DECILES, own, COUNTS) for own in probabilities.T]).T


def hypotheses(y):
    """Signs of x, (k, T): they change at all sure minima, and in any of the late years."""
    changes = np.zeros(len(y))
    for t in range(AROUND, len(y) - AROUND):
        changes[t] = y[t] < y[t + 1] and y[t] == y[t - AROUND : t + AROUND + 1].min()
    sure, years = (-1.0) ** np.cumsum(changes), np.arange(len(y))
    late = range(np.flatnonzero(changes)[-1] + NEAREST, len(y))
    return np.array([sure, *(np.where(years >= turn, -sure, sure) for turn in late)])


def backtest(model, y, windows):
    """Mean weighted quantile loss, MASE, and share within 80 % intervals of the last windows."""
    losses, errors, inside, total = 0.0, [], [], 0.0
    for begin in range(len(y) - windows * STEPS, len(y), STEPS):
        before, after = y[:begin], y[begin : begin + STEPS]
        found = model.deciles(before)
        error = after - found
        losses += 2 * np.maximum(DECILES[:, None] * error, (DECILES[:, None] - 1) * error).sum()
        total += after.sum() * len(DECILES)
        naive = np.abs(before[STEPS:] - before[:-STEPS]).mean()
        errors.append(np.abs(error[4]).mean() / naive)
        inside.append((found[0] <= after) & (after <= found[8]))
    return {
        "quantile_loss": losses / total,
        "MASE": np.mean(errors),
        "within_80": np.mean(inside),
    }


def main(arguments=None):
    from statsmodels.datasets import sunspots

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--order", type=int, default=9)
    parser.add_argument("--power", type=float, default=0.75)
    parser.add_argument("--choose", action="store_true", help="the ten windows before the four")
    options = parser.parse_args(arguments)
    y = sunspots.load_pandas().data["SUNACTIVITY"].to_numpy("float64")
    y, windows = (y[: -JUDGED * STEPS], CHOSEN) if options.choose else (y, JUDGED)
    models = {
        "square roots": Autoregression(9, 0.5, turns=False),
        "with signs": Autoregression(options.order, options.power, turns=True),
    }
    results = {name: backtest(model, y, windows) for name, model in models.items()}
    for name, figures in results.items():
        print(name, ", ".join(f"{what} {value:.3f}" for what, value in figures.items()))
    return results


if __name__ == "__main__":
    main()
