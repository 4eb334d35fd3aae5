"""Forecasts of many series by the estimators of `gluon_linalg.forecast`."""
