"""Information of variances by their spectra."""

import numpy as np
import pytest

from gluon_linalg import structural
from gluon_linalg.fitting.structural_information import SpectralInformation, spectral_shapes


def moving_average_covariance(weights, count):
    """The covariance matrix (count, count) of Σ_k weights[k] ε_{t-k}, ε of variance 1."""
    rows = np.zeros((count, count + len(weights) - 1))
    for t in range(count):
        rows[t, t : t + len(weights)] = weights
    return rows @ rows.T


@pytest.mark.parametrize("variances", [[0.5, 0.3, 0.05, 0.02], [1.0, 0.01, 0.02, 0.2]])
def test_it_is_that_of_the_stationary_differences(variances):
    """A trend, a season of 4 and noise: Δ Δ_4 y is a sum of moving averages, of known information.

    ½ tr(Σ⁻¹ Σ_i Σ⁻¹ Σ_j) with Σ_i the part of Σ of a variance: that of a likelihood in which
    initial values are diffuse, for any number of steps. What is different at the ends of a series
    does not grow with its length.
    """
    steps, lost = 400, 5
    trend, season = structural.LocalLinearTrend(), structural.Seasonal(4)
    difference, year = [1.0, -1.0], [1.0, 0.0, 0.0, 0.0, -1.0]
    # What of Δ Δ_4 the noise, the level, the slope and the season leave to their disturbances.
    weights = [np.convolve(difference, year), year, np.ones(4), np.convolve(difference, difference)]
    parts = [v * moving_average_covariance(w, steps - lost) for v, w in zip(variances, weights)]
    inverse = np.linalg.inv(sum(parts))
    whitened = [inverse @ part for part in parts]
    expected = [[0.5 * np.sum(a * b.T) for b in whitened] for a in whitened]
    shapes = [
        np.ones((steps // 2, 1)),
        spectral_shapes(trend, steps)["level_variance"],
        spectral_shapes(trend, steps)["slope_variance"],
        spectral_shapes(season, steps)["seasonal_variance"],
    ]
    information = SpectralInformation([np.concatenate(shapes, axis=1)], [steps - lost], [steps])
    found = information(np.log([variances]), np.array([0]))[0]
    np.testing.assert_allclose(found, expected, atol=0.8)


def test_series_of_several_lengths_and_of_odd_ones_stand_side_by_side():
    """Of noise alone there is ½ for each observation, however many steps another one has."""
    shapes = [np.ones(((steps + 1) // 2, 1)) for steps in (7, 20, 13)]
    information = SpectralInformation(shapes, [7, 15, 13], [7, 20, 13])
    found = information(np.zeros((4, 1)), np.array([0, 1, 2, 0]))
    np.testing.assert_allclose(found[:, 0, 0], [3.5, 7.5, 6.5, 3.5])
