"""Whole programs of this package."""
