"""Which variances of a kernel are in the units of the target: of a product one factor's."""

import numpy as np
import pytest

from gluon_linalg.grammar.kernel import KernelExpression
from gluon_linalg.jobs.gp.initial_values import initial_kernel
from gluon_linalg.jobs.gp.inputs import Inputs

FIXED = {"fixed": ["variance"]}


@pytest.mark.parametrize(
    "description, sized",
    [
        ({"rbf": {}}, ["rbf"]),
        ({"sum": [{"rbf": {}}, {"white": {}}]}, ["sum.0.rbf", "sum.1.white"]),
        ({"product": [{"rbf": {}}, {"periodic": {}}]}, ["product.0.rbf"]),
        ({"product": [{"rbf": {}}, {"periodic": {"variance": 3}}]}, ["product.1.periodic"]),
        ({"product": [{"rbf": FIXED}, {"periodic": {}}]}, ["product.1.periodic"]),
        ({"product": [{"rbf": {"variance": 2, **FIXED}}, {"white": {}}]}, ["product.1.white"]),
        ({"product": [{"rbf": FIXED}, {"white": FIXED}]}, ["product.0.rbf"]),
        ({"scaled": {"kernel": {"rbf": {}}}}, ["scaled"]),
        (
            {"product": [{"sum": [{"rbf": {}}, {"linear": {}}]}, {"periodic": {}}]},
            ["product.0.sum.0.rbf", "product.0.sum.1.linear"],
        ),
        (
            {"sum": [{"product": [{"rbf": {}}, {"scaled": {"kernel": {"rbf": {}}, **FIXED}}]}]},
            ["sum.0.product.0.rbf"],
        ),
    ],
)
def test_the_unit_of_each_variance(description, sized):
    random = np.random.RandomState(0)
    inputs = Inputs(["x"], random.randn(30, 1), random.randn(30))
    _, learned = initial_kernel(KernelExpression.model_validate(description), inputs, 25.0)
    variances = {path: one.unit for path, one in learned.items() if path.endswith(".variance")}
    expected = {f"kernel.{name}.variance" for name in sized}
    assert {path for path, unit in variances.items() if unit == 25.0} == expected
    assert all(unit == 1.0 for path, unit in variances.items() if path not in expected)
