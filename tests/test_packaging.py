"""What ``setup.py`` declares, and whether the installed package is what the source tree holds."""

import runpy
from importlib import metadata
from pathlib import Path

import pytest
import setuptools
import yaml
from packaging.requirements import Requirement

from gluon_linalg._version import __version__

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gluon_linalg"


@pytest.fixture
def declared(monkeypatch):
    """The arguments with which ``setup.py`` calls ``setup``."""
    arguments = {}
    monkeypatch.setattr(setuptools, "setup", arguments.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return arguments


@pytest.fixture
def installed():
    try:
        return metadata.distribution("gluon-linalg")
    except metadata.PackageNotFoundError:
        pytest.skip("gluon-linalg is not installed in this environment")


def names_of(requirements):
    """The names of distributions in a list of requirements, in lower case."""
    names = set()
    for requirement in requirements:
        name = requirement.split(";")[0]
        for character in "<>=!~[ ":
            name = name.split(character)[0]
        names.add(name.lower())
    return names


def all_requirements(declared):
    return set(declared["install_requires"]).union(*declared["extras_require"].values())


def test_names(declared):
    assert declared["name"] == "gluon-linalg"
    assert declared["entry_points"]["console_scripts"] == [
        "gluon-linalg = gluon_linalg.jobs.cli:main"
    ]


def test_extras(declared):
    extras = declared["extras_require"]
    names = {"cpu", "gpu", "fit", "jobs", "serve", "sklearn", "tensorboard", "forecast", "docs"}
    assert set(extras) == {*names, "test"}
    assert extras["cpu"] == ["mxnet==1.9.1"]
    assert "mxnet-cu117==1.9.1" in extras["gpu"]
    assert names_of(extras["fit"]) == {"pandas", "scipy", "tqdm"}
    assert names_of(extras["forecast"]) == {
        *names_of(extras["fit"]), "gluonts", "pydantic", "typing_extensions"
    }  # fmt: skip
    assert names_of(extras["sklearn"]) == {*names_of(extras["fit"]), "scikit-learn"}
    assert {"pytest", "hypothesis", "scipy", "ruff"} < names_of(extras["test"])
    assert set(extras["jobs"]) < set(extras["test"])


def test_cuda_libraries_are_pinned_exactly(declared):
    # Their versions were tried together; a newer cuDNN or cuBLAS has another file name.
    for requirement in declared["extras_require"]["gpu"]:
        assert "==" in requirement, requirement


def test_core_requires_neither_mxnet_nor_torch(declared):
    assert names_of(declared["install_requires"]) == {"numpy", "setuptools"}
    assert "torch" not in names_of(all_requirements(declared))


def test_every_requirement_has_bounds(declared):
    for requirement in all_requirements(declared):
        assert "==" in requirement or (">=" in requirement and "<" in requirement), requirement


def test_python_versions(declared):
    assert declared["python_requires"] == ">=3.8,<3.13"


def test_version_is_the_same_everywhere(declared, installed):
    assert declared["version"] == __version__
    assert installed.version == __version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{__version__}]" in changelog or f"## [Unreleased] - {__version__}" in changelog


def test_the_citation_is_of_this_version(declared):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["title"] == declared["name"]
    assert citation["license"] == declared["license"]
    assert citation["keywords"] == declared["keywords"]
    assert str(citation["version"]) == declared["version"]
    assert citation["authors"] == [{"name": declared["author"]}]


def test_commits_are_checked_by_the_ruff_of_the_tests(declared):
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (rev,) = [repo["rev"] for repo in hooks["repos"] if "/ruff-pre-commit" in repo["repo"]]
    requirements = map(Requirement, declared["extras_require"]["test"])
    (ruff,) = [requirement for requirement in requirements if requirement.name == "ruff"]
    assert ruff.specifier.contains(rev.lstrip("v"))


def test_every_folder_with_modules_is_a_declared_package(declared):
    folders = {path.parent.relative_to(ROOT) for path in PACKAGE.rglob("*.py")}
    assert set(declared["packages"]) == {".".join(folder.parts) for folder in folders}


def installed_files(installed):
    return {
        path.as_posix()
        for path in installed.files or ()
        if path.parts[0] == "gluon_linalg" and path.suffix != ".pyc"
    }


def test_every_source_file_is_installed(installed):
    if not installed_files(installed):
        pytest.skip("an editable installation has no copies of the files")
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        # What operators are compiled from stays in the source distribution.
        if path.is_file() and path.suffix != ".pyc" and "source" not in path.parts
    }
    missing = expected - installed_files(installed)
    assert not missing, "reinstall the package, or mend package_data in setup.py"


def test_installed_metadata_leaves_mxnet_to_the_extras(installed):
    for requirement in installed.requires or ():
        if requirement.startswith("mxnet"):
            assert "extra ==" in requirement
    assert {"cpu", "gpu"} < set(installed.metadata.get_all("Provides-Extra"))
    commands = [entry.value for entry in installed.entry_points if entry.name == "gluon-linalg"]
    assert commands == ["gluon_linalg.jobs.cli:main"]
