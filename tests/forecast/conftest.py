"""Quiet training."""

import warnings

import pytest
from forecast_series import monthly_series  # noqa: F401


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        # pandas and GluonTS on the names of frequencies and on JSON libraries.
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", message="Using `json`-module")
        yield
