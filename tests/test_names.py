"""Names that docstrings and pages use are there, and functions say their types."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import gluon_linalg

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gluon_linalg"
SOURCES = sorted(PACKAGE.rglob("*.py"))
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "jobs").glob("*.md")),
]

# A dotted name in backticks, by itself or as a call; or one with the package's own name anywhere.
IN_BACKTICKS = re.compile(r"`((?:\w+\.)+\w+)(?:\([^`]*\))?`")
IN_FULL = re.compile(r"\bgluon_linalg(?:\.[a-zA-Z_]\w*)+")
# What a dotted name may start with in prose, and what that is.
SHORT = {
    "gl": "gluon_linalg",
    "fn": "gluon_linalg.functional",
    "functional": "gluon_linalg.functional",
}
# Names of files.
ENDINGS = {"py", "md", "yaml", "json", "toml", "sh", "csv", "params"}


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def docstrings(tree):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]


def found(name):
    """Whether a dotted name is a module, or an attribute of one, or of a class in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            # What instances have is not looked for.
            if isinstance(value, type) and not hasattr(value, part):
                return part in getattr(value, "__annotations__", {})
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True
    return False


def used_names(text, packages):
    """The dotted names in a text that speak of this package, each with where it may be found."""
    for name in IN_FULL.findall(text):
        if name.rsplit(".", 1)[1] not in ENDINGS:
            yield name, [name]
    for name in IN_BACKTICKS.findall(text):
        head, rest = name.split(".", 1)
        if head in SHORT:
            yield name, [f"{SHORT[head]}.{rest}"]
        elif rest not in ENDINGS and head != "gluon_linalg":
            homes = [package for package in packages if is_module(f"{package}.{head}")]
            if homes:
                yield name, [f"{home}.{name}" for home in homes]


def is_module(name):
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").exists()


def missing(text, packages):
    names = used_names(text, packages)
    return {name for name, candidates in names if not any(map(found, candidates))}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_names_of_a_page(page):
    # Single words with a dot are keys of jobs on most pages: modules are named in full there.
    assert not missing(page.read_text(encoding="utf-8"), [])


def test_names_of_docstrings():
    failed = {}
    for path in SOURCES:
        module = module_of(path)
        # Elsewhere single words with a dot may be keys of jobs: modules are named in full there.
        part = path.relative_to(PACKAGE).parts[0]
        homes = ["gluon_linalg", f"gluon_linalg.{part}"] if part in ("blocks", "functional") else []
        text = "\n".join(docstrings(ast.parse(path.read_text(encoding="utf-8"))))
        names = missing(text, homes)
        if names:
            failed[module] = names
    assert not failed, failed


def test_functions_of_the_facade():
    """A function that has the name of its module is the function, and all names are there."""
    functional = gluon_linalg.functional
    for name in functional.__all__:
        assert callable(getattr(functional, name)), name
    for path in (PACKAGE / "functional").glob("[a-z]*.py"):
        module = importlib.import_module(f"gluon_linalg.functional.{path.stem}")
        if callable(getattr(module, path.stem, None)):
            assert getattr(functional, path.stem) is getattr(module, path.stem)
            assert path.stem in functional.__all__


def signatures(node, prefix="", is_method=False):
    """Name, function and whether its first argument is self or cls, of a tree's own functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            static = any(getattr(d, "id", "") == "staticmethod" for d in child.decorator_list)
            yield prefix + child.name, child, is_method and not static
        elif isinstance(child, ast.ClassDef):
            yield from signatures(child, f"{prefix}{child.name}.", True)
        elif not isinstance(child, ast.expr):
            yield from signatures(child, prefix, is_method)


def is_public(name):
    return all(not p.startswith("_") or p.startswith("__") for p in name.split("."))


def unsaid(function, has_self):
    """The arguments without a type, and 'return'."""
    own = function.args
    named = [*own.posonlyargs, *own.args, *own.kwonlyargs]
    named = [*(named[1:] if has_self else named), own.vararg, own.kwarg]
    names = [one.arg for one in named if one is not None and one.annotation is None]
    return names + ([] if function.returns is not None else ["return"])


def test_types_are_said():
    """By every public function and method, and by every function of `functional`."""
    failed = {}
    for path in SOURCES:
        part = path.relative_to(PACKAGE).parts[0]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name, function, has_self in signatures(tree):
            names = unsaid(function, has_self)
            if names and (part == "functional" or is_public(name)):
                failed[f"{module_of(path)}.{name}"] = names
    assert not failed, f"{len(failed)} functions: {sorted(failed)[:20]}"


def test_cited_works_are_listed():
    """The one paper by its number, and in docs/references.md each `Name & Name year`."""
    references = (ROOT / "docs" / "references.md").read_text(encoding="utf-8")
    assert "arXiv:1710.08717" in references
    listed = set(re.findall(r"(\w+)(?: et al\.)? (\d{4})\.", references))
    failed = set()
    for path in SOURCES:
        if path.relative_to(PACKAGE).parts[0] == "jobs":
            continue
        text = "\n".join(docstrings(ast.parse(path.read_text(encoding="utf-8"))))
        assert not re.search(r"\b[Pp]aper\b", text), f"{path}: which paper?"
        cited = re.findall(r"\b([A-Z][^\W\d_]+)(?: et al\.)? \(?((?:19|20)\d{2})\b(?!-)", text)
        failed |= {(path.name, *one) for one in cited if one not in listed}
    assert not failed
