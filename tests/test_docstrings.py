"""Every public name says what it is, its shapes, errors and source; its example runs.

Examples know `gl`, `mx` and `np`, as the names of all pages do.
"""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg.blocks.base import LinearAlgebraBlock

ROOT = Path(__file__).resolve().parent.parent
FACADES = {
    "gluon_linalg": gl,
    "gluon_linalg.kernels": gl.kernels,
    "gluon_linalg.structural": gl.structural,
    "gluon_linalg.likelihoods": gl.likelihoods,
    "gluon_linalg.priors": gl.priors,
    "gluon_linalg.errors": gl.errors,
    **{
        name: importlib.import_module(name)
        for name in ("gluon_linalg.estimators", "gluon_linalg.functional", "gluon_linalg.forecast")
    },
}
# Names that need no example: operators beneath the blocks, errors, and estimators whose training
# takes seconds; docs/forecasting.md shows these.
NO_EXAMPLES = {"gluon_linalg.functional", "gluon_linalg.errors", "gluon_linalg.forecast"}
SHAPE = re.compile(r"\([A-Za-z0-9+ ]+,[A-Za-z0-9+ ,]*\)|\(B or 1\b|->")
ERRORS = re.compile(r"[Rr]aise|[Ee]rrors? ")
# A name and a year, a library, the report that the operators are from; or the text that has it.
SOURCE = re.compile(
    r"[A-Z][^\W\d_]+(?:,[^.]*| et al\.)?\s\(?(?:19|20)\d\d|LAPACK|BLAS|Rasmussen & Williams|"
    r"`(?:functional\.\w+|[A-Z]\w+)`"
)
# Functions of arrays of any shape, element by element or of whatever a graph has.
ANY_SHAPE = {
    *("exp_below_zero", "finite", "guarded", "ones_like", "over_time", "require", "require_dtype"),
    *("root", "stop", "unit_roundoff", "with_gradient", "zeros_like", "rbf_chain"),
}
# What one family shares is said where the family is.
FAMILIES = (gl.kernels.Kernel, gl.likelihoods.Likelihood, gl.structural.Component)


def public_names(module):
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__ and name[0] != "_"
    ]
    for name in names:
        value = getattr(module, name)
        is_error = isinstance(value, type) and issubclass(value, Exception)
        if callable(value) and (module is not gl.errors or is_error):
            yield name, value


PUBLIC = [
    (f"{facade}.{name}", value)
    for facade, module in FACADES.items()
    for name, value in public_names(module)
]
EXAMPLES = [
    pytest.param(value, id=name)
    for name, value in PUBLIC
    if name.rsplit(".", 1)[0] not in NO_EXAMPLES
]


def is_block(value):
    return isinstance(value, type) and issubclass(value, LinearAlgebraBlock)


def of_family(value):
    """Whether the family's base says what the rules ask for."""
    return is_block(value) and issubclass(value, FAMILIES) and value not in FAMILIES


def text_of(value):
    return inspect.getdoc(value) or ""


def says_what_it_is(value):
    own = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
    # A sentence, or an equation that goes on.
    return bool(own) and re.search(r".{8}[.:,)]$", own.strip().split("\n\n")[0], re.DOTALL)


def says_its_shapes(value):
    """A block those of its arguments, each by name; a function those of its arrays."""
    text = text_of(value)
    elsewhere = re.search(r"[Aa]rguments|[Aa]s (in )?`\w+`|As for", text)
    if is_block(value):
        rules = value.arguments if isinstance(value.arguments, tuple) else ()
        named = all(re.search(rf"\b{name}\b", text) for name, _ in rules) or len(rules) == 1
        return of_family(value) or elsewhere or (SHAPE.search(text) and named)
    if not inspect.isfunction(value) or value.__module__.split(".")[1] != "functional":
        return True
    arrays = [p for p in inspect.signature(value).parameters.values() if "Array" in str(p)]
    return not arrays or SHAPE.search(text) or value.__name__ in ANY_SHAPE


def says_its_errors(value):
    return not is_block(value) or of_family(value) or ERRORS.search(text_of(value))


def says_its_source(value):
    """In its text, or in that of its module."""
    if not is_block(value) or value in FAMILIES:
        return True
    module = importlib.import_module(value.__module__)
    return SOURCE.search(text_of(value)) or SOURCE.search(module.__doc__)


RULES = [says_what_it_is, says_its_shapes, says_its_errors, says_its_source]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_public_name(rule):
    assert len(PUBLIC) > 250
    assert not [name for name, value in PUBLIC if not rule(value)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_what_is_not_said_would_be_found(rule):
    class SomeBlock(LinearAlgebraBlock):
        arguments = (("a", "B n n"), ("b", "B n k"))

    if rule is not says_what_it_is:
        SomeBlock.__doc__ = "It solves a system."
    SomeBlock.__module__ = "gluon_linalg.blocks"
    assert not rule(SomeBlock)


@pytest.mark.parametrize("value", EXAMPLES)
def test_example(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mx.random.seed(0)
    names = {"gl": gl, "mx": mx, "np": np}
    example = doctest.DocTestParser().get_doctest(text_of(value), names, str(value), None, None)
    assert example.examples, "no example"
    said = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    doctest.DocTestRunner(optionflags=flags).run(example, out=said.append)
    assert not said, "".join(said)


def test_pages_have_all_names():
    """Each name that is public is on one page of the reference."""
    pages = "\n".join(p.read_text(encoding="utf-8") for p in ROOT.glob("docs/api/*.md"))
    shown = re.findall(r"^::: (\S+)$", pages, re.MULTILINE)
    assert len(shown) == len(set(shown))
    found = {id(resolved(name)) for name in shown}
    missing = [name for name, value in PUBLIC if id(value) not in found]
    assert not missing


def resolved(name):
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            value = getattr(value, part)
        return value
    raise AssertionError(name)
