"""Every public name says what it is, its shapes, errors and source; its example runs.

Examples know `gl`, `mx` and `np`, as the names of all pages do.
"""

import ast
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
# takes seconds, which docs/forecasting.md shows.
NO_EXAMPLES = {"gluon_linalg.functional", "gluon_linalg.errors", "gluon_linalg.forecast"}
SHAPE = re.compile(r"\([A-Za-z0-9+ ]+,[A-Za-z0-9+ ,]*\)|\(B or 1\b|->")
ERRORS = re.compile(r"[Rr]aise|[Ee]rrors? ")
# A name and a year, a library, the report that the operators are from; or the text that has it.
SOURCE = re.compile(
    r"[A-Z][^\W\d_]+(?:,[^.]*| et al\.)? \(?(?:19|20)\d\d|LAPACK|BLAS|Rasmussen & Williams|"
    r"`(?:functional\.)?\w+`"
)
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
        if callable(value):
            yield name, value


PUBLIC = [
    pytest.param(facade, value, id=f"{facade}.{name}")
    for facade, module in FACADES.items()
    for name, value in public_names(module)
]
CLASSES = [one for one in PUBLIC if isinstance(one.values[1], type)]


def text_of(value):
    return inspect.getdoc(value) or ""


@pytest.mark.parametrize("facade, value", PUBLIC)
def test_it_says_what_it_is(facade, value):
    own = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
    assert own, "a docstring of its own"
    summary = own.strip().split("\n\n")[0]
    # One line, or an equation that goes on.
    assert re.search(r"[.:,)]$", summary), summary
    assert len(summary) > 10


@pytest.mark.parametrize("facade, value", PUBLIC)
def test_it_says_its_shapes(facade, value):
    """Of each argument of a call by name, or in the text that it names for them."""
    text = text_of(value)
    if isinstance(value, type) and issubclass(value, LinearAlgebraBlock):
        if issubclass(value, FAMILIES) and value not in FAMILIES:
            return
        rules = value.arguments if isinstance(value.arguments, tuple) else ()
        unsaid = [name for name, _ in rules if not re.search(rf"\b{name}\b", text)]
        elsewhere = re.search(r"[Aa]rguments|[Aa]s (in )?`\w+`|As for", text)
        assert SHAPE.search(text) or elsewhere
        assert not unsaid or elsewhere or len(rules) == 1, unsaid
    elif facade == "gluon_linalg.functional" and not isinstance(value, type):
        arrays = [n for n, p in inspect.signature(value).parameters.items() if "Array" in str(p)]
        assert not arrays or SHAPE.search(text) or value.__name__ in SCALAR


@pytest.mark.parametrize("facade, value", CLASSES)
def test_it_says_its_errors(facade, value):
    if not issubclass(value, LinearAlgebraBlock):
        return
    if issubclass(value, FAMILIES) and value not in FAMILIES:
        return
    assert ERRORS.search(text_of(value))


@pytest.mark.parametrize("facade, value", CLASSES)
def test_it_says_its_source(facade, value):
    """In its text, or in that of its module."""
    if issubclass(value, (LinearAlgebraBlock, gl.priors.Prior)) and value not in FAMILIES:
        module = importlib.import_module(value.__module__)
        assert SOURCE.search(text_of(value)) or SOURCE.search(module.__doc__)


@pytest.mark.parametrize("facade, value", [p for p in PUBLIC if p.values[0] not in NO_EXAMPLES])
def test_its_example_runs(facade, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mx.random.seed(0)
    names = {"gl": gl, "mx": mx, "np": np}
    example = doctest.DocTestParser().get_doctest(text_of(value), names, str(value), None, None)
    assert example.examples, "no example"
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    said = []
    doctest.DocTestRunner(optionflags=flags).run(example, out=said.append)
    assert not said, "".join(said)


def test_pages_have_all_names():
    """Each name that is public is on one page of the reference."""
    pages = "\n".join(p.read_text(encoding="utf-8") for p in ROOT.glob("docs/api/*.md"))
    shown = re.findall(r"^::: (\S+)$", pages, re.MULTILINE)
    assert len(shown) == len(set(shown))
    found = {id(resolved(name)) for name in shown}
    missing = [one.id for one in PUBLIC if id(one.values[1]) not in found]
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


def test_what_is_missing_would_be_found():
    class Bare(LinearAlgebraBlock):
        arguments = (("a", "B n n"), ("b", "B n k"))

    with pytest.raises(AssertionError):
        test_it_says_what_it_is("", Bare)
    Bare.__doc__ = "It solves a system."
    for rule in (test_it_says_its_shapes, test_it_says_its_errors):
        with pytest.raises(AssertionError):
            rule("", Bare)


# Arguments of theirs are arrays of any shape, or whatever a graph has.
SCALAR = set()
