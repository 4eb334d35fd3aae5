"""Forecasts of many series: structural models and deep state space models."""
