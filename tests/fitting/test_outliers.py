"""What is far from all around it has no part in the size of a series."""

import numpy as np

from gluon_linalg.fitting.units import without_outliers


def test_what_is_far_is_left_out():
    random = np.random.RandomState(3)
    y = np.cumsum(random.randn(200)) + 1e6
    y[50:60] = np.nan
    places = [0, 20, 21, 100, 199]
    far = y.copy()
    far[places] += [1e3, -1e8, 1e8, 60.0, 1e300]
    found = without_outliers(far)
    assert np.flatnonzero(np.isnan(found) & ~np.isnan(y)).tolist() == places
    np.testing.assert_array_equal(np.delete(found, places), np.delete(y, places))


def test_a_series_of_normal_numbers_is_whole():
    y = np.random.RandomState(4).randn(500)
    np.testing.assert_array_equal(without_outliers(y), y)


def test_short_and_constant_series_are_kept():
    for y in (np.array([1.0, 1e9, np.nan]), np.full(20, 3.0)):
        np.testing.assert_array_equal(without_outliers(y), y)
    y = np.full(20, 3.0)
    y[7] = 4.0
    # A change is all that there is to go by.
    np.testing.assert_array_equal(without_outliers(y), y)
