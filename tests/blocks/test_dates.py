"""Times of observations as dates."""

import datetime

import numpy as np
import pandas as pd
import pytest
import scipy.linalg

import gluon_linalg as gl

DRIFT, DIFFUSION = np.array([[0.0, 1.0], [-2.0, -0.5]]), np.array([0.0, 0.6])
DAYS = np.array([0.0, 1.0, 1.5, 31.0])
DATES = np.array(
    ["2020-01-01", "2020-01-02", "2020-01-02T12:00", "2020-02-01"], dtype="datetime64[s]"
)


def arrays(times, **options):
    return gl.kalman_arrays(
        np.ones(4),
        emission=[1.0, 0.0],
        observation_covariance=0.1,
        prior_covariance=np.eye(2),
        times=times,
        drift=DRIFT,
        diffusion=DIFFUSION,
        **options,
    )


@pytest.mark.parametrize(
    "times",
    [
        DATES,
        DATES[None],
        pd.DatetimeIndex(DATES),
        pd.DatetimeIndex(DATES).tz_localize("Europe/Berlin"),
        pd.Series(DATES),
    ],
    ids=["numpy", "batch", "index", "zone", "series"],
)
@pytest.mark.parametrize(
    "unit, days",
    [
        ("day", 1.0),
        ("hour", 1 / 24),
        ("year", 365.2425),
        (np.timedelta64(7, "D"), 7.0),
        (pd.Timedelta("36h"), 1.5),
        (datetime.timedelta(days=2), 2.0),
    ],
)
def test_distances_are_in_the_unit(times, unit, days):
    found = arrays(times, time_unit=unit)["transition"].asnumpy()[0]
    for t, gap in enumerate(np.diff(DAYS) / days):
        np.testing.assert_allclose(found[t], scipy.linalg.expm(DRIFT * gap), atol=1e-12)


def test_periods_begin_at_their_start():
    months = pd.PeriodIndex(["2019-11", "2019-12", "2020-02", "2020-03"], freq="M")
    found = arrays(months, time_unit="day")["transition"].asnumpy()[0]
    for t, gap in enumerate([30.0, 62.0, 29.0]):
        np.testing.assert_allclose(found[t], scipy.linalg.expm(DRIFT * gap), atol=1e-12)


@pytest.mark.parametrize(
    "times, options, error, message",
    [
        (DATES, {}, TypeError, "are dates: say in which unit"),
        (DATES, {"time_unit": "month"}, ValueError, "time_unit is 'month', expected one of second"),
        (DATES, {"time_unit": 3}, ValueError, "time_unit is 3, expected a timedelta"),
        (DATES, {"time_unit": pd.Timedelta(0)}, ValueError, "expected a timedelta above 0"),
        (DAYS, {"time_unit": "day"}, TypeError, "time_unit is for 'times' that are dates"),
        (DATES[::-1], {"time_unit": "day"}, ValueError, "'times' is not increasing"),
        (np.array([*DATES[:3], "NaT"], "M8[s]"), {"time_unit": "day"}, ValueError, "have NaT"),
    ],
)
def test_errors(times, options, error, message):
    with pytest.raises(error, match=message):
        arrays(times, **options)
