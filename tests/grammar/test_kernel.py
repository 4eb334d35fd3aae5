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
from gluon_linalg.jobs.errors import JobError
from gluon_linalg.jobs.gp.config import TableInputs
from gluon_linalg.jobs.gp.inputs import Inputs

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {
    name: field.annotation.__args__[0]
    for name, field in KernelExpression.model_fields.items()
    if name not in ("sum", "product", "scaled", "change_point", "deep")
}
# Whose constructors want a network, or the number of labels.
UNLIKE = ("gibbs", "categorical")
# What is no kernel of a formula: bases, and what is made of other kernels.
OTHERS = (
    *(
        "Batched",
        "ChangePoint",
        "Deep",
        "Emitted",
        "Kernel",
        "Product",
        "Scaled",
        "Stationary",
        "Sum",
    ),
)
CLASSES = [name for name in kernels.__all__ if name not in OTHERS]
each = pytest.mark.parametrize("name", SECTIONS)


def table():
    random = np.random.RandomState(0)
    return Inputs(["x", "z"], random.randn(20, 2), random.randn(20))


def one_hot():
    """A column of names with two levels."""
    return Inputs(["city", "city"], np.eye(2)[[0, 1, 0, 1]], np.arange(4.0))


def test_every_kernel_can_be_described_and_is_tested_and_documented():
    described = {section.__name__ for section in SECTIONS.values()}
    assert described == set(CLASSES)
    # The first has no formula of two points, and the others have tests of their own.
    assert set(KERNELS) == described - {"White", "Gibbs", "Categorical"}
    page = (ROOT / "docs" / "blocks.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if "`kernels.*`" in line)
    named = re.findall(r"\w+", row.replace("12/32/52/72", "12 Matern32 Matern52 Matern72"))
    assert described <= set(named)


@pytest.mark.parametrize("name", [name for name in SECTIONS if name not in UNLIKE])
def test_a_section_has_what_its_kernel_has(name):
    section = SECTIONS[name]
    assert issubclass(section, Leaf)
    parameters = section.kernel_class()().hyperparameters()
    assert set(section.parameters()) == set(parameters)
    arguments = set(inspect.signature(section.kernel_class()).parameters) - {"kwargs"}
    settings = {*section.settings} - {"components"}
    assert arguments == {"active_dims", *section.parameters(), *settings}
    for parameter in parameters:
        field = section.model_fields[parameter]
        is_list = "List" in str(field.annotation)
        by_column = section.kernel_class().by_column
        assert is_list == (parameter in by_column or name == "spectral_mixture"), parameter


@each
@pytest.mark.parametrize("inputs", [table(), SeriesInputs(["age"], True, 20, [7.0])])
def test_a_kernel_of_defaults_is_built_for_both_kinds_of_inputs(name, inputs):
    if name in UNLIKE and not isinstance(inputs, Inputs):
        with pytest.raises(ValueError, match="this kernel is for task: gp"):
            read_kernel({"sum": [{name: {}}]}, inputs)
        return
    expression = KernelExpression.model_validate({"scaled": {"kernel": {name: {}}}})
    kernel, found = build_kernel(expression, inputs)
    parameters = kernel.hyperparameters().values()
    assert {id(h.parameter) for h in found} == {id(p) for p in parameters}
    own = SECTIONS[name].fixable()
    paths = [f"kernel.scaled.kernel.{name}.{p}" for p in own]
    assert [h.path for h in found] == [*paths, "kernel.scaled.variance"]
    for h in found:
        value = h.typical if h.given is None else h.given
        assert np.broadcast_shapes(np.shape(value), h.parameter.shape) == h.parameter.shape, h.path
        assert h.path.endswith("factor") or np.all(np.asarray(value) > 0), h.path


def test_kernels_around_others():
    description = {
        "change_point": {
            "column": "z",
            "location": 5.5,
            "fixed": ["width"],
            "before": {"deep": {"kernel": {"sum": [{"rbf": {}}, {"rbf": {}}]}, "hidden": [4, 3]}},
            "after": {"rbf": {}},
        }
    }
    inputs = Inputs(["x", "z"], table().x, table().y, offset=np.array([2.0, 5.0]))
    kernel, found = build_kernel(read_kernel(description, TableInputs(["x", "z"])), inputs)
    told = {h.path[len("kernel.change_point.") :]: h for h in found}
    location, width = told["location"], told["width"]
    assert location.given == 5.5 and location.offset == 5.0
    assert np.isclose(location.typical, table().x[:, 1].mean())
    assert width.is_fixed and np.isclose(width.typical, 0.1 * table().x[:, 1].std())
    # Within the network no column of the table is known, nor is its spread.
    assert told["before.deep.kernel.sum.0.rbf.lengthscale"].typical.tolist() == [1.0]
    assert kernel.before.kernel.kernels[0].lengthscale.shape == (1,)
    kernel.initialize()
    x = mx.nd.array(inputs.x[None])
    features = kernel.before.network(x).asnumpy()[0]
    weights = [layer.weight.data().asnumpy() for layer in kernel.before.network.layers]
    scaled = (inputs.x - inputs.x.mean(axis=0)) / inputs.x.std(axis=0)
    expected = np.tanh(np.tanh(scaled @ weights[0].T) @ weights[1].T)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    for bad, message in (
        ({"deep": {"kernel": {"rbf": {"columns": ["x"]}}}}, "no names"),
        ({"deep": {"kernel": {"rbf": {}}, "columns": ["q"]}}, "deep.columns.0: 'q' is not one of"),
        ({"spectral_mixture": {}}, "a mixture sees one column"),
        ({"spectral_mixture": {"columns": ["x"], "period": [1, 2]}}, "2 values for 3 components"),
        ({"categorical": {}}, "labels are one column"),
        ({"powered_exponential": {"exponent": 2.5}}, "above 0 and at most 2"),
    ):
        with pytest.raises(ValueError, match=message):
            read_kernel(bad, TableInputs(["x", "z"]))
    for name in ("deep", "change_point"):
        inner = {"kernel": {"rbf": {}}} if name == "deep" else {"before": {"rbf": {}}}
        inner = inner if name == "deep" else {**inner, "after": {"rbf": {}}}
        with pytest.raises(ValueError, match="this kernel is for task: gp"):
            read_kernel({name: inner}, SeriesInputs(["age"], True, 20, []))


def test_labels_of_a_table():
    numbers = Inputs(
        ["city"], np.array([[0.0], [3.0], [1.0]]) - 1.0, np.zeros(3), offset=np.ones(1)
    )
    assert numbers.labels() == 4
    assert Inputs(["a", "a", "a"], np.eye(3), np.zeros(3)).labels() == 3
    with pytest.raises(JobError, match="column 'x': labels are whole numbers from 0 on"):
        table().of(["x"]).labels()


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
