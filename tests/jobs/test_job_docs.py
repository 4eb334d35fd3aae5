"""The tables of the pages of jobs are those of the sections of job files, and all are there."""

import runpy

import pytest
from pydantic import BaseModel
from small_job import ROOT

from gluon_linalg.grammar.section import OneOf
from gluon_linalg.jobs.config import optimizer_names
from gluon_linalg.jobs.kinds import DEFAULT, all_kinds, kind_of

MAKE_TABLES = runpy.run_path(str(ROOT / "docs" / "make_tables.py"))
DOCUMENT = "".join(path.read_text(encoding="utf-8") for path in MAKE_TABLES["PAGES"])
fill, section_of = MAKE_TABLES["fill"], MAKE_TABLES["_section_of"]


def sections(section, keys=()):
    """All sections of a job file that have a table, with their keys."""
    yield keys, section
    for name, field in section.model_fields.items() if not issubclass(section, OneOf) else ():
        own = section_of(field.annotation)
        if own is not None:
            yield from sections(own, (*keys, name))


def all_sections():
    for kind in all_kinds():
        for keys, section in sections(kind.sections):
            # What is the same for all tasks is described once.
            first = kind_of(DEFAULT).sections.model_fields.get("training")
            if kind.name == DEFAULT or keys != ("training",) or section is not first.annotation:
                yield pytest.param(kind.name, keys, section, id=".".join([kind.name, *keys]))


def test_the_page_is_up_to_date():
    assert fill(DOCUMENT) == DOCUMENT, "run python docs/make_tables.py, which writes its tables"


def test_what_is_changed_by_hand_is_made_anew():
    changed = DOCUMENT.replace("whole number, 1 to 20", "number").replace("### rbf\n", "")
    assert changed != DOCUMENT and fill(changed) == DOCUMENT


@pytest.mark.parametrize("task, keys, section", list(all_sections()))
def test_every_section_has_its_table(task, keys, section):
    mark = " ".join(filter(None, ["<!-- table:", task, ".".join(keys), "-->"]))
    assert DOCUMENT.count(mark) == 1, f"the pages of jobs need one {mark}"
    if issubclass(section, OneOf):
        assert mark.replace("table:", "chapters:")[:-4] in DOCUMENT


@pytest.mark.parametrize("task, keys, section", list(all_sections()))
def test_every_key_is_described(task, keys, section):
    for name, field in section.model_fields.items():
        assert field.description, (name, section)
        own = section_of(field.annotation)
        if issubclass(section, OneOf) and own is not section:
            assert own.__doc__ and own.__doc__ != BaseModel.__doc__
            assert all(inner.description for inner in own.model_fields.values())


@pytest.mark.parametrize(
    "row",
    [
        "| `task` | gp | gp | The kind of model: gp, a Gaussian process. |",
        "| `data` | section | required | The table and its columns. |",
        "| `training` | section | its defaults | How the parameters are found. |",
        "| `data.inputs` | list of columns | required | The input columns: numbers, or dates",
        '| `data.separator` | ",", ";", "\\|", tab or null | null | What stands between the cells',
        "| `data.holdout.fraction` | number in (0, 1) or null | null | This share of the rows",
        "| `data.holdout` | section or null | null | The rows kept from training",
        "| `model.kernel` | kernel | required | The covariance function. |",
        "| `model.jitter` | number in [0, 1) or auto | 0.0 | What is added",
        "| `training.optimizer` | name | lbfgs | lbfgs, or the name of a Gluon optimizer",
        "| `training.options` | names and numbers | {} | Further arguments",
        "| `training.tolerance` | number >= 0 | 1e-10 | lbfgs stops when",
        "| `rbf.lengthscale` | number > 0, list of such or null | null | The distance in x",
        "| `periodic.lengthscale` | number > 0 or list of such | 1.0 | The smoothness",
        "| `rbf.fixed` | list of variance, lengthscale | [] | The parameters of this kernel",
        "| `polynomial.degree` | whole number, 1 to 20 | 2 | The power; it is not trained. |",
        "| `model.components` | list of components | required | The components whose sum",
        "| `mlp.hidden` | list of whole numbers, 1 to 10000 | [32, 16] | The sizes of the layers",
        "| `cycle.damping` | number in (0, 1] | 0.9 | What is left of the cycle",
        "| `cycle.prior` | diffuse, stationary, a pair or null | null | What is known",
        "| `regression.drifting` | true, false | false | Whether the coefficients change",
        "| `model.options` | names and values | {} | Further arguments of the estimator",
        "| `matern12` | Rough: exp(-r). |",
        "### matern12\n\n`variance · exp(-r)`\n\n| key |",
        "### seasonal\n\nA pattern of `period` steps that sums to 0 and changes slowly.\n\n|",
        "### linear\n\n`1, x_1, ..., x_d`\n\n### polynomial",
    ],
)
def test_types_and_defaults_are_in_words(row):
    assert row in DOCUMENT


def test_every_optimizer_is_named():
    for name in optimizer_names():
        assert f"`{name}`" in DOCUMENT
