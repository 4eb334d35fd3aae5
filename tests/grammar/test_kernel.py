"""The description of kernels: it knows all of them, and all that can be said of each."""

import inspect
import re
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from test_kernels import KERNELS

from gluon_linalg import kernels
from gluon_linalg.forecast.series_inputs import SeriesInputs
from gluon_linalg.grammar.kernel import KernelExpression, Leaf
from gluon_linalg.grammar.kernel_building import build_kernel, leaves, read_kernel
from gluon_linalg.jobs.gp.inputs import Inputs

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {
    name: field.annotation.__args__[0]
    for name, field in KernelExpression.model_fields.items()
    if name not in ("sum", "product", "scaled")
}
# What is no kernel of a formula: bases, and what is made of other kernels.
OTHERS = ("Emitted", "Kernel", "Product", "Scaled", "Stationary", "Sum")
CLASSES = [name for name in kernels.__all__ if name not in OTHERS]
each = pytest.mark.parametrize("name", SECTIONS)


def table():
    random = np.random.RandomState(0)
    return Inputs(["x", "z"], random.randn(20, 2), random.randn(20))


def test_every_kernel_can_be_described_and_is_tested_and_documented():
    described = {section.kernel_class.__name__ for section in SECTIONS.values()}
    assert described == set(CLASSES)
    assert set(KERNELS) == described - {"White"}  # which has no formula of two points
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| `kernels.*` |"))
    named = re.findall(r"\w+", row.replace("12/32/52", "12 Matern32 Matern52"))
    assert described <= set(named)


@each
def test_a_section_has_what_its_kernel_has(name):
    section = SECTIONS[name]
    assert issubclass(section, Leaf)
    parameters = section.kernel_class().hyperparameters()
    assert set(section.parameters()) == set(parameters)
    arguments = set(inspect.signature(section.kernel_class).parameters) - {"kwargs"}
    assert arguments == {"active_dims", *section.parameters(), *section.settings}
    for parameter in parameters:
        field = section.model_fields[parameter]
        is_list = "List" in str(field.annotation)
        assert is_list == (parameter in section.kernel_class.by_column), parameter


@each
@pytest.mark.parametrize("inputs", [table(), SeriesInputs(["age"], True, 20, [7.0])])
def test_a_kernel_of_defaults_is_built_for_both_kinds_of_inputs(name, inputs):
    expression = KernelExpression.model_validate({"scaled": {"kernel": {name: {}}}})
    kernel, found = build_kernel(expression, inputs)
    parameters = kernel.hyperparameters().values()
    assert {id(h.parameter) for h in found} == {id(p) for p in parameters}
    paths = [f"kernel.scaled.kernel.{name}.{p}" for p in SECTIONS[name].parameters()]
    assert [h.path for h in found] == [*paths, "kernel.scaled.variance"]
    for h in found:
        value = h.typical if h.given is None else h.given
        assert np.size(value) in (1, h.parameter.shape[0]) and np.all(np.asarray(value) > 0), h.path


def test_what_is_given_and_what_is_open():
    description = {"sum": [{"rbf": {"lengthscale": [2, 3], "fixed": ["variance"]}}, {"white": {}}]}
    expression = KernelExpression.model_validate(description)
    assert expression.model_dump()["sum"][0]["rbf"]["lengthscale"] == [2.0, 3.0]
    _, found = build_kernel(expression, table())
    told = {h.path[len("kernel.sum.") :]: (h.given, h.is_fixed) for h in found}
    assert told == {
        "0.rbf.variance": (None, True),
        "0.rbf.lengthscale": ([2.0, 3.0], False),
        "1.white.variance": (None, False),
    }
    assert [path for path, _ in leaves(expression)] == [
        ("kernel", "sum", 0, "rbf"),
        ("kernel", "sum", 1, "white"),
    ]


def test_what_is_written_is_read_again():
    inner = {"product": [{"rbf": {"lengthscale": [1.0, 2.0]}}, {"polynomial": {"degree": 3}}]}
    expression = KernelExpression.model_validate({"sum": [{"scaled": {"kernel": inner}}]})
    written = expression.model_dump(mode="json")
    rbf = written["sum"][0]["scaled"]["kernel"]["product"][0]["rbf"]
    assert rbf == {"variance": None, "columns": None, "fixed": [], "lengthscale": [1.0, 2.0]}
    assert KernelExpression.model_validate(written) == expression


def test_columns_by_name():
    inputs = SeriesInputs(["age"], True, 20, [])
    x = np.arange(8.0).reshape(1, 2, 4)
    expected = {
        ("time",): [0],
        ("age", "time"): [1, 0],
        ("feat_dynamic_real",): [2, 3],
        ("feat_dynamic_real_1", "age"): [3, 1],
    }
    for names, columns in expected.items():
        expression = read_kernel({"linear": {"columns": list(names), "variance": 1}}, inputs)
        kernel, _ = build_kernel(expression, inputs)
        kernel.initialize()
        found = kernel(mx.nd.array(x)).asnumpy()
        chosen = x[:, :, columns]
        np.testing.assert_allclose(found, chosen @ chosen.transpose(0, 2, 1), rtol=1e-5)
