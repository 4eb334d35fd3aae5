"""Which part of the package imports which, read from the sources: dependencies point one way.

An import inside a function counts as one at the top; what only a type checker sees does not.
"""

import ast
import importlib.util
import re
import runpy
import sys
from pathlib import Path

import pytest
import setuptools
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "gluon_linalg"
# Each part with those that it may use beside itself: a folder, or a module beside the folders.
# Kinds of jobs use what jobs share and not each other; what all share imports no kind.
COMPILED = {"deprecation", "typing", "compilation", "errors", "host_memory"}
MODELS = {"typing", "blocks", "errors", "functional", "grammar"}
JOBS = {
    "analysis", "blocks", "errors", "fitting", "functional", "grammar", "jobs", "jobs/regression",
    "jobs/time_series", "plots", "typing",
}  # fmt: skip
MAY_USE = {
    "_version": set(),
    "errors": set(),
    "generators": set(),
    "host_memory": set(),
    "server": set(),
    "deprecation": set(),
    "typing": set(),
    "_runtime": {"server"},
    "compilation": {"host_memory", "native", "typing"},
    "native": {"typing"},
    "export": {"blocks", "native", *COMPILED},
    "functional": {"typing", "errors", "native"},
    "blocks": {"functional", "native", *COMPILED},
    "grammar": {"blocks", "errors"},
    "plots": {"typing"},
    "analysis": {"blocks", "plots", "typing"},
    "fitting": {"_runtime", "analysis", *MODELS},
    "estimators": {"blocks", "fitting"},
    "forecast": {"_runtime", "export", "fitting", *MODELS},
    "jobs": {
        "_runtime",
        "_version",
        "export",
        "native",
        "server",
        "jobs/serving",
        *(JOBS - {"jobs/regression", "jobs/time_series"}),
    },
    # Folders of jobs that need no more than JOBS are not named.
    "jobs/forecast": {"_runtime", "forecast", *JOBS},
    "jobs/serving": {"_version", *JOBS},
}
# It puts the others together.
ALL = {"__init__"}
# What is a circle by its nature: a sum of kernels is a kernel, and kernels have a +.
CIRCLES = [[f"{PACKAGE}.blocks.kernels.base", f"{PACKAGE}.blocks.kernels.combination"]]
# The extra in setup.py that brings what a part imports; other parts have MXNet and numpy alone.
NEEDS = {
    # Jobs have no use for its tables, which ask for pandas when they are made.
    "fitting": ["fit"],
    "analysis": ["fit"],
    "plots": ["jobs"],
    "estimators": ["sklearn"],
    "grammar": ["jobs", "forecast"],
    "forecast": ["forecast"],
    "jobs": ["jobs", "tensorboard"],
    "jobs/forecast": ["jobs+forecast"],
    "jobs/serving": ["serve"],
}
# Modules by the distribution that brings them, where the names differ.
BROUGHT_BY = {
    "backports": "backports.zoneinfo",
    "fastapi_offline": "fastapi-offline",
    "pydantic_core": "pydantic",
    "sklearn": "scikit-learn",
    "starlette": "fastapi",
    "yaml": "PyYAML",
    # Python's own from 3.9 on.
    "zoneinfo": "backports.zoneinfo",
}


class Imports(ast.NodeVisitor):
    """The absolute names that a module imports, as `found`: a.b of ``from a import b``, too."""

    def __init__(self, path, folder=ROOT):
        self.found, parts = [], path.relative_to(folder).with_suffix("").parts
        # Relative to the folder in which the module is; __init__ is no name in it.
        self.package = ".".join(parts[:-1])
        self.visit(ast.parse(path.read_text(encoding="utf-8")))

    def visit_If(self, node):
        if "TYPE_CHECKING" not in ast.dump(node.test):
            self.generic_visit(node)

    def visit_Import(self, node):
        self.found += [alias.name for alias in node.names]

    def visit_ImportFrom(self, node):
        name = "." * node.level + (node.module or "")
        source = importlib.util.resolve_name(name, self.package) if node.level else name
        self.found += [f"{source}.{alias.name}" for alias in node.names]


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(path):
    """The key of MAY_USE or ALL that stands for a module."""
    top, *rest = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
    return f"jobs/{rest[0]}" if top == "jobs" and len(rest) > 1 else top


MODULES = {module_name(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}
# The package itself is imported with every module of it, and says no more than that.
USES = {
    module: {
        name if name in MODULES else name.rpartition(".")[0]
        for name in Imports(path).found
        if name.partition(".")[0] == PACKAGE
    }
    for module, path in MODULES.items()
}


def forbidden(module, used):
    """What is wrong with this import of a module by another, or None."""
    part, other = part_of(MODULES[module]), part_of(MODULES[used])
    allowed = MAY_USE.get(part, JOBS)
    if part == other or part in ALL or other in allowed:
        return None
    return f"{module} imports {used}: {part} may use {', '.join(sorted(allowed)) or 'none'}"


def test_every_part_is_known():
    parts = {part_of(path) for path in MODULES.values()}
    named = set(MAY_USE) | ALL
    assert named <= parts, "a part of MAY_USE is no more"
    unnamed = {part for part in parts - named if not part.startswith("jobs/")}
    assert not unnamed, "say in MAY_USE what a new part may use"


def test_every_import_is_of_a_module():
    """A name that is not found would be an edge that the other tests do not see."""
    unknown = {name for names in USES.values() for name in names} - set(MODULES)
    assert not unknown


def test_dependencies_point_one_way():
    wrong = [forbidden(module, used) for module, names in USES.items() for used in names]
    assert not [text for text in wrong if text]


def test_no_modules_import_each_other_in_a_circle():
    assert circles(USES) == CIRCLES


def circles(uses):
    """The groups of modules that reach each other."""
    names = sorted(uses)
    edges = [(names.index(a), names.index(b)) for a in names for b in uses[a] if b != a]
    rows, columns = zip(*edges)
    graph = coo_matrix(([1] * len(edges), (rows, columns)), shape=(len(names), len(names)))
    _, labels = connected_components(graph, directed=True, connection="strong")
    groups = {label: [n for n, each in zip(names, labels) if each == label] for label in labels}
    return [group for group in groups.values() if len(group) > 1]


@pytest.mark.parametrize(
    "module, used, allowed",
    [
        ("functional.lq", "errors", True),
        ("functional.lq", "blocks.lq", False),
        ("blocks.lq", "jobs.data", False),
        ("blocks.lq", "forecast.lds", False),
        ("blocks.structural.trend", "blocks.parameters", True),
        ("grammar.section", "jobs.data", False),
        ("forecast.lds", "jobs.data", False),
        ("jobs.gp.task", "jobs.pca.task", False),
        ("jobs.gp.task", "jobs.data", True),
        ("jobs.data", "jobs.gp.task", False),
        ("jobs.commands", "jobs.serving.server", True),
    ],
)
def test_a_wrong_import_would_be_found(module, used, allowed):
    found = forbidden(f"{PACKAGE}.{module}", f"{PACKAGE}.{used}")
    assert (found is None) == allowed


def test_imports_are_read_as_python_does(tmp_path):
    text = (
        "import os.path, a.b\nfrom ..up import one\nfrom . import beside\nfrom .near import *\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .circle import Type\n"
        "def late():\n    from ...top import two\n"
    )
    path = tmp_path / "package" / "part" / "kind" / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert Imports(path, tmp_path).found == [
        "os.path", "a.b", "package.part.up.one", "package.part.kind.beside",
        "package.part.kind.near.*", "typing.TYPE_CHECKING", "package.top.two",
    ]  # fmt: skip


def test_a_circle_would_be_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"d"}}) == [["b", "c"]]


def test_a_part_needs_what_its_extra_brings(monkeypatch):
    """So that ``pip install gluon-linalg[cpu]`` brings what the blocks import, and so on."""
    extras = {}
    monkeypatch.setattr(setuptools, "setup", lambda **given: extras.update(given["extras_require"]))
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    extras = {name: {distribution(line) for line in lines} for name, lines in extras.items()}
    for path in MODULES.values():
        part = part_of(path)
        own = NEEDS.get(part, NEEDS["jobs"] if part.startswith("jobs/") else ["cpu"])
        found = {name.partition(".")[0] for name in Imports(path).found} - {PACKAGE, "__future__"}
        found = {BROUGHT_BY.get(name, name) for name in found if not is_standard(name)}
        for extra in own if part == "grammar" else ["+".join(own)]:
            brought = set().union({"mxnet", "numpy"}, *(extras[name] for name in extra.split("+")))
            assert found <= brought, f"{path}: not in the extra {extra}: {found - brought}"


def distribution(requirement):
    return re.match(r"[\w.-]+", requirement)[0]


def is_standard(name):
    """Whether Python brings it; where Python does not tell (3.8, 3.9), by where it lies."""
    if sys.version_info >= (3, 10):
        return name in sys.stdlib_module_names
    found = importlib.util.find_spec(name)
    return found is not None and "-packages" not in str(found.origin)


def test_the_harness_knows_the_public_package_alone():
    """What holds of every block is told by what users have, and by no other test."""
    for path in (ROOT / "tests" / "harness").glob("*.py"):
        names = Imports(path, ROOT / "tests").found
        inside = {name.partition(".")[0] for name in names if not is_standard(name.split(".")[0])}
        assert inside <= {"gluon_linalg", "harness", "mxnet", "numpy"}, path.name
        assert not [name for name in names if name.startswith(f"{PACKAGE}.")], path.name
