"""Gaussian processes on data, sparse ones, and those over time."""
