"""Rows to try a model with: in its columns, of any number."""

import os
from datetime import date

import yaml

from .. import output as names
from ..data import TableRows, read_rows
from ..errors import JobError
from ..steps import parse_step, start_at
from ..values import find_decimal

START = date(2000, 1, 1)


def sample_rows(model, count, values=None):
    """`TableRows` for which the model of a `TrainedModel` computes `count` rows.

    A row is computed for each of a regression; of a series, which has regular times, `count` are
    observed, or as many as a forecast needs, and the covariates of its forecast follow. values: by
    column, a list of the texts to take in turn; other columns are at the origin of the model.
    """
    description, columns, values = model.description, model.predictor.columns, values or {}
    count = max(count, description.get("least_observations", 1))
    later = description.get("steps", 0) if description.get("covariates") else 0
    rows = [(0, [column.name for column in columns])]
    for index in range(count + later):
        cells = [_cell(description, column, index, values.get(column.name)) for column in columns]
        if index >= count:
            cells[rows[0][1].index(description["target"])] = ""
        rows.append((index + 1, cells))
    return TableRows("the sample", rows)


def job_values(model):
    """The texts of the job's own data by column; None where the file cannot be read any more."""
    predictor = model.predictor
    wanted = [column.name for column in predictor.columns]
    try:
        with open(os.path.join(model.folder, names.JOB), encoding="utf-8") as file:
            path = yaml.safe_load(file)["data"]["path"]
        header, rows, separator = read_rows(path, False, wanted, predictor.format)
        places = {name: header.index(name) for name in wanted}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, JobError, yaml.YAMLError):
        return None
    values = {name: [c[place] for _, c in rows if c[place]] for name, place in places.items()}
    if find_decimal(separator, values.values(), predictor.format.decimal) == ",":
        values = {name: [text.replace(",", ".") for text in own] for name, own in values.items()}
    return values if all(values.values()) else None


def _cell(description, column, index, values):
    name = column.name
    if name == description.get("time"):
        return _time(description, column.kind, index)
    levels = description.get("levels", {})
    if column.kind == "text":
        return values[0] if values else levels.get(name, ["A"])[0]
    if values:
        return values[index % len(values)]
    if name == description.get("target"):
        return repr(float(description.get("target_offset", 0.0)))
    inputs = description.get("graph_columns", description.get("inputs", ()))
    if name in inputs and "input_offset" in description:
        return repr(float(description["input_offset"][inputs.index(name)]))
    return "0.0"


def _time(description, kind, index):
    step = description.get("freq") or description["step"]
    if "freq" in description and parse_step(step) is None:
        # Pandas knows more, such as 1h30min.
        import pandas

        return str(pandas.Period(START, freq=step) + index).split("/")[0]
    if kind == "number":
        return f"{index * step:.12g}"
    return start_at(step, START).text(index)
