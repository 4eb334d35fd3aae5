"""The same data in other units give the same model, and what is constant has no scale of its own."""

import json

import numpy as np
import pytest

from gluon_linalg._runtime import import_mxnet
from gluon_linalg.jobs.reading import validate
from gluon_linalg.jobs.regression import task as regression_task
from gluon_linalg.jobs.train import train
from gluon_linalg.jobs.units import mean_and_deviation, target_units

mx = import_mxnet()


@pytest.mark.parametrize("constant", [0.1, 14.62, -1e-9 / 3, 1e9 / 7, 0.0])
def test_the_deviation_of_a_constant_is_zero(constant):
    values = np.full((1000, 2), constant)
    values[:, 1] += np.arange(1000.0) * (abs(constant) or 1.0) * 1e-6
    mean, deviation = mean_and_deviation(values)
    assert mean[0] == constant and deviation[0] == 0.0
    expected = np.sqrt((1000**2 - 1) / 12) * (abs(constant) or 1.0) * 1e-6
    assert deviation[1] == pytest.approx(expected, rel=1e-9)


def test_a_constant_but_for_rounding():
    values = np.where(np.arange(50) % 2, 0.1 + 0.2, 0.3)
    assert len(set(values)) == 2
    assert mean_and_deviation(values)[1] == 0.0
    # What deviates in the last digits that a file may have is no rounding.
    assert mean_and_deviation(1e9 + np.arange(50) * 1e-4)[1] > 1e-4


@pytest.mark.parametrize("constant, scale", [(0.1, 0.1), (-14.62, 14.62), (0.0, 1.0)])
def test_a_constant_target_is_scaled_by_its_magnitude(constant, scale):
    units = target_units("path", "standardize", np.full(37, constant))
    assert (units.target_offset, units.target_scale) == (constant, scale)
