"""A kind of job is one object, which nothing else knows by its name; imports go one way."""

import ast
import typing

import pytest
from small_job import ROOT
from small_serving import trained

import gluon_linalg.jobs
from gluon_linalg.jobs import output
from gluon_linalg.jobs.kinds import DEFAULT, NAMES, all_kinds, kind_of
from gluon_linalg.jobs.output import OutputFolder
from gluon_linalg.jobs.predictor import JobPredictor
from gluon_linalg.jobs.reading import validate
from gluon_linalg.jobs.task import Task, TrainedTask

JOBS = ROOT / "gluon_linalg" / "jobs"
FILES = sorted(JOBS.rglob("*.py"))
# What `train` writes for each job.
OF_ALL = (
    output.JOB,
    output.METRICS,
    output.SUMMARY,
    output.CURVE,
    output.CHECKPOINT,
    output.TENSORBOARD,
)
SAMPLES = (output.SAMPLE, output.SAMPLE_SERIES)


def unit(path):
    """The module or the folder of `jobs` that a file belongs to."""
    return path.relative_to(JOBS).parts[0].replace(".py", "")


def nodes(path):
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def imported(path):
    """The units that a file imports, also in its functions."""
    depth = len(path.relative_to(JOBS).parts)
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            yield from [node.module.split(".")[0]] if node.module else [n.name for n in node.names]


def layers():
    """The units of each line of the table in the documentation of the package."""
    found = []
    for line in gluon_linalg.jobs.__doc__.splitlines():
        if line.startswith("    "):
            label, units = line[4:20].strip(), line[20:].split()
            if label:
                found.append([])
            found[-1] += NAMES if units == ["kinds.NAMES"] else units
    return found


def test_imports_go_one_way():
    place = {name: index for index, line in enumerate(layers()) for name in line}
    units = {unit(path) for path in FILES} - {"__init__"}
    assert units == set(place), "a module has no line in the docstring of jobs/__init__.py"
    for path in FILES:
        own = unit(path)
        for other in imported(path) if own != "__init__" else ():
            assert place[other] <= place[own], f"{path} imports {other}"
            assert other == own or other not in NAMES, f"{path} imports {other}"


def test_the_kinds_are_the_folders_with_a_kind():
    assert {path.parent.name for path in JOBS.glob("*/kind.py")} == set(NAMES)
    assert DEFAULT in NAMES
    with pytest.raises(KeyError):
        kind_of("regression")


def test_nothing_else_knows_them_by_name():
    """No table of kinds and no comparison with one; own folders may say what they are."""
    for path in FILES:
        is_of_kind = unit(path) in NAMES
        for node in nodes(path):
            if isinstance(node, ast.Compare):
                constants = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
                assert not set(NAMES) & set(constants), f"{path}:{node.lineno}"
            elif isinstance(node, ast.Constant) and not is_of_kind and unit(path) != "kinds":
                assert node.value not in NAMES, f"{path}:{node.lineno}"


def test_nothing_asks_for_their_classes():
    own = [c for kind in all_kinds() for c in (kind.sections, kind.task, kind.predictor)]
    bases = {base for cls in own for base in cls.__mro__}
    names = {base.__name__ for base in bases if base.__module__.startswith("gluon_linalg.jobs")}
    assert {"Task", "TrainedTask", "Job", "TrainedJob", "JobPredictor"} <= names
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
                asked = {getattr(n, "id", getattr(n, "attr", "")) for n in ast.walk(node.args[1])}
                assert not asked & names, f"{path}:{node.lineno}"


@pytest.mark.parametrize("name", NAMES)
def test_a_kind_is_whole(name):
    kind = kind_of(name)
    assert kind.name == name
    assert typing.get_args(kind.sections.model_fields["task"].annotation) == (name,)
    assert issubclass(kind.task, Task) and issubclass(kind.predictor, JobPredictor)
    assert kind.has_training == issubclass(kind.task, TrainedTask)
    assert kind.title and kind.predicts.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_it_writes_the_files_that_it_names(name):
    kind, written = kind_of(name), {path.name for path in trained(name).iterdir()}
    named = {*kind.files, *kind.folders}
    assert written <= named | {*OF_ALL, *SAMPLES}
    # The pictures are left out in these tests, and there is no backtest in this job.
    missing = {output.PLOT, *(file for file in kind.files if file.startswith("backtest"))}
    assert named - missing <= written and (output.CURVE in written) == kind.has_training


def test_a_folder_is_cleared_of_the_results_of_any_kind(tmp_path):
    folder = OutputFolder(str(tmp_path))
    for kind in all_kinds():
        for name in (*kind.files, *OF_ALL[:-1], *SAMPLES, output.PREDICTIONS, "notes.txt"):
            (tmp_path / name).write_text("")
        for name in (output.TENSORBOARD, *kind.folders):
            (tmp_path / name).mkdir(exist_ok=True)
    model = {"components": 1}
    data = {"path": "table.csv", "columns": ["x", "y"]}
    job = validate("job", {"task": "pca", "data": data, "model": model, "output": "out"})
    before = folder.names()
    folder.open(job)
    assert before - folder.names() == {output.METRICS}
    folder.open(job, all_kinds())
    assert folder.names() == {output.JOB, "notes.txt"}
