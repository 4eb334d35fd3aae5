"""docs/jobs.md has a row for every key of a job file, with its default and meaning."""

import pytest
from pydantic_core import PydanticUndefined
from small_job import ROOT

from gluon_linalg.grammar.component import Component
from gluon_linalg.grammar.kernel import KernelExpression
from gluon_linalg.jobs.blr import config as blr
from gluon_linalg.jobs.blr.features import FeatureExpression
from gluon_linalg.jobs.config import Training, optimizer_names
from gluon_linalg.jobs.forecast import config as forecast
from gluon_linalg.jobs.gp import config as gp
from gluon_linalg.jobs.pca import config as pca
from gluon_linalg.jobs.regression.config import Holdout
from gluon_linalg.jobs.statespace import config as statespace

DOCUMENT = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")
# Each task has a part of its own, in which the same keys may mean something else.
HEADINGS = {
    "blr": "Bayesian linear regression",
    "forecast": "Forecasting",
    "pca": "Principal components",
    "statespace": "Structural time series",
}


def parts():
    """The document cut at the headings of the tasks; what comes first is of gp."""
    places = {DOCUMENT.index(f"\n## {title}\n"): task for task, title in HEADINGS.items()}
    ends = [*sorted(places), len(DOCUMENT)]
    cut = {places[begin]: DOCUMENT[begin:end] for begin, end in zip(ends, ends[1:])}
    return {"gp": DOCUMENT[: ends[0]], **cut}


PARTS = parts()
SECTIONS = {
    "gp": {
        "": gp.GaussianProcessJob,
        "data.": gp.Data,
        "data.holdout.": Holdout,
        "model.": gp.Model,
        "training.": Training,
    },
    "blr": {
        "": blr.LinearRegressionJob,
        "data.": blr.Data,
        "data.holdout.": Holdout,
        "model.": blr.Model,
    },
    "pca": {
        "": pca.PrincipalComponentsJob,
        "data.": pca.Data,
        "model.": pca.Model,
    },
    "statespace": {
        "": statespace.StateSpaceJob,
        "data.": statespace.Data,
        "data.holdout.": statespace.Holdout,
        "model.": statespace.Model,
        "forecast.": statespace.Forecast,
    },
    "forecast": {
        "": forecast.ForecastJob,
        "data.": forecast.Data,
        "data.backtest.": forecast.Backtest,
        "model.": forecast.Model,
        "training.": forecast.ForecastTraining,
    },
}
CHOICES = {"gp": KernelExpression, "blr": FeatureExpression, "statespace": Component}
# Described once, for all tasks.
COMMON = ("training", "context", "output", "seed", "devices")
# The keys of the training that a forecast job takes as they are.
AS_EVER = [
    f"training.{name}"
    for name in Training.model_fields
    if name not in forecast.ForecastTraining.__annotations__
]


def shown(default):
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "null"
    if isinstance(default, list):
        return str(default[0] if len(default) == 1 else default)
    return str(default)


def rows():
    for task, sections in SECTIONS.items():
        choices = CHOICES[task].model_fields if task in CHOICES else {}
        own = {
            f"{name}.": field.annotation.__args__[0]
            for name, field in choices.items()
            if name not in ("sum", "product")
        }
        for prefix, section in {**sections, **own}.items():
            for name, field in section.model_fields.items():
                if task == "gp" or prefix + name not in (*COMMON, *AS_EVER):
                    default = shown(field.get_default(call_default_factory=False))
                    yield task, prefix + name, default, field
        for name, field in choices.items():
            yield task, name, None, field


@pytest.mark.parametrize("task, key, default, field", list(rows()))
def test_every_key_has_a_row(task, key, default, field):
    assert field.description
    lines = [line for line in PARTS[task].splitlines() if line.startswith(f"| `{key}` |")]
    assert len(lines) == 1, f"docs/jobs.md needs one row for `{key}` of {task}"
    cells = [cell.strip() for cell in lines[0].strip("|").split(" | ")]
    assert cells[-1].replace("\\|", "|") == field.description
    if field.default_factory is None and default is not None:
        assert cells[2] == default


def test_every_optimizer_is_named():
    for name in optimizer_names():
        assert f"`{name}`" in DOCUMENT
