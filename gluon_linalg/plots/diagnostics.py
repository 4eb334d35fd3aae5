"""What residuals look like that ought to be independent and standard normal."""

from typing import Any, Sequence

import numpy as np

from .series import draw_residuals
from .style import FAINT, INK, MODEL, dot_size, drawn


def plot_diagnostics(
    residuals: np.ndarray, correlations: np.ndarray, places: Sequence[Any], title: str = ""
) -> Any:
    """Residuals in time, their histogram, quantiles and autocorrelations: a figure.

    residuals: (T,), NaN where there is none; correlations: of lag 1, 2, ..., (k,); places: where
    the residuals are on the axis of time, (T,).
    """
    return drawn(_draw, residuals, correlations, places, title)


def _draw(pyplot, residuals, correlations, places, title):
    figure, panels = pyplot.subplots(2, 2, figsize=(10, 6.5), constrained_layout=True)
    (upper, histogram), (quantiles, lags) = panels
    draw_residuals(upper, places, residuals)
    upper.set_title(f"Standardized residuals{title and ' of '}{title}")
    known = residuals[np.isfinite(residuals)]
    _draw_histogram(histogram, known)
    _draw_quantiles(quantiles, known)
    _draw_correlations(lags, correlations, len(known))
    return figure


def _draw_histogram(axes, known):
    grid = np.linspace(-4.0, 4.0, 200)
    ends = min(-4.0, known.min()), max(4.0, known.max())
    bins = int(np.clip(2.0 * np.sqrt(len(known)), 8, 40))
    axes.hist(
        known, bins=bins, range=ends, density=True, color=MODEL, alpha=0.35, label="residuals"
    )
    density = np.exp(-0.5 * grid**2) / np.sqrt(2.0 * np.pi)
    axes.plot(grid, density, color=INK, lw=1.2, label="standard normal")
    axes.set_title("Distribution")
    axes.legend(loc="upper left", fontsize=9)


def _draw_quantiles(axes, known):
    from scipy.stats import norm

    count = len(known)
    expected = norm.ppf((np.arange(count) + 0.5) / count)
    axes.plot(expected, np.sort(known), "o", color=MODEL, ms=dot_size(count), mew=0)
    ends = np.array([expected[0], expected[-1]])
    axes.plot(ends, ends, color=INK, lw=1.0)
    axes.set_xlabel("quantiles of the standard normal")
    axes.set_ylabel("of the residuals")
    axes.set_title("Quantiles")


def _draw_correlations(axes, found, count):
    lags = np.arange(1, len(found) + 1)
    axes.vlines(lags, 0.0, found, color=MODEL, lw=2.0)
    axes.axhline(0.0, color=INK, lw=0.8)
    band = 1.96 / np.sqrt(max(count, 1))
    for level in (-band, band):
        axes.axhline(level, color=FAINT, lw=0.8, ls="--")
    largest = 1.05 * max(0.4, *np.abs(found))
    axes.set_ylim(-largest, largest)
    axes.set_xlabel("lag")
    axes.set_title("Autocorrelations")
