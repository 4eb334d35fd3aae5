"""docs/jobs.md has a row for every key of a job file, with its default and meaning."""

import pytest
from pydantic_core import PydanticUndefined
from small_job import ROOT

from gluon_linalg.jobs import config, expression
from gluon_linalg.jobs.config import optimizer_names

DOCUMENT = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")
SECTIONS = {
    "": config.Job,
    "data.": config.Data,
    "data.holdout.": config.Holdout,
    "model.": config.Model,
    "training.": config.Training,
}
KERNELS = {
    name: field.annotation.__args__[0]
    for name, field in expression.KernelExpression.model_fields.items()
    if name not in ("sum", "product")
}


def shown(default):
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "null"
    if isinstance(default, list):
        return str(default[0]) if default else "[]"
    return str(default)


def rows():
    sections = {**SECTIONS, **{f"{name}.": section for name, section in KERNELS.items()}}
    for prefix, section in sections.items():
        for name, field in section.model_fields.items():
            yield prefix + name, shown(field.get_default(call_default_factory=False)), field
    for name, field in expression.KernelExpression.model_fields.items():
        yield name, None, field


@pytest.mark.parametrize("key, default, field", list(rows()))
def test_every_key_has_a_row(key, default, field):
    assert field.description
    lines = [line for line in DOCUMENT.splitlines() if line.startswith(f"| `{key}` |")]
    assert len(lines) == 1, f"docs/jobs.md needs one row for `{key}`"
    cells = [cell.strip() for cell in lines[0].strip("|").split(" | ")]
    assert cells[-1].replace("\\|", "|") == field.description
    if field.default_factory is None and default is not None:
        assert cells[2] == default


def test_every_optimizer_is_named():
    for name in optimizer_names():
        assert f"`{name}`" in DOCUMENT
