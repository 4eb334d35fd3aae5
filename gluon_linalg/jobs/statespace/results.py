"""Writes what a trained state space model leaves in the folder of results."""

from typing import TYPE_CHECKING, Any, Dict

import numpy as np

from ...analysis.residuals import residual_tests
from ...analysis.state_space import tests_text
from ...analysis.tables import figure, text_table
from .. import output as names
from ..files import write_json
from ..output import OutputFolder
from ..predictions import cells, write_columns
from ..task import export_model
from ..time_series.long_table import joined
from ..time_series.residuals import RESIDUALS, residual_columns, told
from ..time_series.streaming import export_stream
from .config import COMPUTED
from .dataset import Dataset
from .estimates import estimate
from .observations import described, forecast_columns, judged
from .plot import plot_model

if TYPE_CHECKING:
    from .task import StateSpace

SMOOTHED = "smoothed.csv"


def write_results(folder: OutputFolder, task: "StateSpace") -> Dict[str, Any]:
    """Writes the model, its tables and the plot; returns metrics: hold-out and coefficients."""
    dataset = task.dataset
    model = task.trained_model()
    forecaster = model.forecaster(exported_steps(dataset))
    dtype = task.job.model.dtype
    forecaster.cast(dtype)
    example = task.graph_arguments(dataset.members[0], exported_steps(dataset))
    export_model(forecaster, folder.file(names.MODEL), *(a.astype(dtype) for a in example))
    description = describe_model(task)
    if task.job.model.noise == "gaussian" and task.job.model.has_noise:
        stream = model.stream(exported_steps(dataset))
        description["stream_start"] = export_stream(folder, stream, example)
    write_json(folder.file(names.MODEL_IO), description)
    estimates = estimate(task, model)
    for name, columns in ((names.FORECAST, _forecast), (SMOOTHED, _smoothed)):
        tables = {m.name: columns(task, m, own) for m, own in zip(dataset.members, estimates)}
        write_columns(folder.file(name), joined(dataset.series, tables))
    tables = {}
    for member, own in zip(dataset.members, estimates):
        times = (member.series.times.name, member.series.labels(0, len(member.y)))
        tables[member.name] = residual_columns(times, own.innovations)
    write_columns(folder.file(RESIDUALS), joined(dataset.series, tables))
    plot_model(folder.file(names.PLOT), dataset, estimates, task.job.levels)
    tests = {
        member.name: residual_tests(own.innovations.standardized[own.innovations.begin :, 0])
        for member, own in zip(dataset.members, estimates)
    }
    metrics = _metrics(task, estimates)
    each = {name: told(own) for name, own in tests.items()}
    metrics["residual_tests"] = each.get(None, each)
    task.report += _report(metrics, tests)
    return metrics


def exported_steps(dataset: Dataset) -> int:
    """How far the exported model forecasts: a step, where the job itself forecasts nothing."""
    return max(dataset.steps, 1)


def describe_model(task: "StateSpace") -> Dict[str, Any]:
    """What `predict` needs beside the graph: columns, steps and units."""
    dataset = task.dataset
    first, steps = dataset.members[0].series, exported_steps(dataset)
    times, columns = first.times, first.columns
    offsets = _covariate_offsets(task)
    batch = "1" if dataset.series is None else "B"
    graph_inputs = [f"({batch}, T): the target minus target_offset, over target_scale; any T"]
    if columns:
        graph_inputs.append(
            f"({batch}, T + {steps}, {len(columns)}): the covariates"
            + (" less covariate_offsets" if offsets.any() else "")
        )
    graph_inputs.append(f"({batch}, T): 1 where the target is observed, 0 where it is not")
    return {
        "task": task.job.task,
        "time": None if times.step is None else times.name,
        "step": times.step,
        "has_dates": times.has_dates,
        "target": dataset.target,
        "covariates": dataset.covariates,
        "levels": dataset.levels,
        "graph_columns": columns,
        "format": dataset.table_format._asdict(),
        "steps": steps,
        "least_observations": task.least_observations,
        **_described_units(task),
        "bands": task.job.levels,
        "dtype": task.job.model.dtype,
        **described(_likelihood(task)),
        **({"covariate_offsets": offsets.tolist()} if offsets.any() else {}),
        "graph_inputs": {f"data{index}": text for index, text in enumerate(graph_inputs)},
        "graph_outputs": [
            f"({batch}, {steps}): the mean of the next observations; times target_scale, "
            "plus target_offset, in original units",
            f"({batch}, {steps}): their variance, noise included; times target_scale²",
            *(
                []
                if _likelihood(task) is None
                else [
                    f"({batch}, {steps}): the mean of the signal",
                    f"({batch}, {steps}): its variance",
                ]
            ),
        ],
    }


def _covariate_offsets(task):
    """What is taken from each covariate before it is rounded to float32.

    With an initial level that is unknown, another zero of a covariate changes no forecast; where
    its coefficient drifts, it would.
    """
    model = task.job.model
    columns = zip(task.dataset.regressors, model.regressions)
    keeps = [part.drifting for names, part in columns for _ in names]
    has_unknown_level = any(p.is_level and not isinstance(p.prior, list) for p in model.parts)
    if model.dtype == COMPUTED or not has_unknown_level:
        keeps = [True] * len(keeps)
    covariates = [member.training_covariates() for member in task.dataset.members]
    return np.where(keeps, 0.0, np.concatenate(covariates).mean(axis=0) if keeps else 0.0)


def _described_units(task):
    members = task.dataset.members
    if task.dataset.series is None:
        return members[0].units.as_dict()
    return {
        "series": task.dataset.series,
        "target_scaling": task.job.target_scaling,
        "units": {member.name: member.units.as_dict() for member in members},
    }


def _forecast(task, member, estimates):
    count = len(member.y)
    labels = {
        member.series.times.name: member.series.labels(count, count + len(estimates.forecast[0]))
    }
    likelihood = _likelihood(task)
    found = estimates.forecast if likelihood is None else estimates.ahead
    return forecast_columns(likelihood, labels, *found, task.job.levels)


def _likelihood(task):
    return getattr(task.layer, "likelihood", None)


def _smoothed(task, member, estimates):
    count = len(member.y)
    times = (member.series.times.name, member.series.labels(0, count))
    columns = [times, ("observed", cells(member.y))]
    if estimates.expected is not None:
        columns.append(("expected", estimates.expected[0][:count]))
    for name, (mean, variance) in {"signal": estimates.signal, **estimates.components}.items():
        columns += [(name, mean[:count]), (f"{name}_std", np.sqrt(variance[:count]))]
    return columns


def _report(metrics, tests):
    """Coefficients and tests of residuals as lines of text."""
    found = metrics.get("coefficients", {})
    is_flat = all("mean" in own for own in found.values())
    rows = [
        [*([] if is_flat else [series]), name, *(figure(own[k]) for k in ("mean", "std", "z"))]
        for series, each in ({None: found} if is_flat else found).items()
        for name, own in each.items()
    ]
    heads = [*([] if is_flat else ["series"]), "coefficient", "mean", "std", "z"]
    lines = [*text_table(heads, rows), ""] if rows else []
    return [*lines, *tests_text(tests).splitlines()]


def _metrics(task, estimates):
    dataset, levels, likelihood, metrics = task.dataset, task.job.levels, _likelihood(task), {}
    is_panel = dataset.series is not None
    if is_panel:
        metrics["series"] = len(dataset.members)
    coefficients = {m.name: own.coefficients for m, own in zip(dataset.members, estimates)}
    if estimates[0].coefficients:
        metrics["coefficients"] = coefficients if is_panel else coefficients[None]
    known = {}
    for member, own in zip(dataset.members, estimates):
        observed = ~np.isnan(member.holdout_y)
        if observed.any():
            moments = (a[: len(observed)][observed] for a in (*own.forecast, *own.ahead))
            known[member.name] = (member.holdout_y[observed], *moments)
    metrics["holdout"] = None
    if known:
        metrics["holdout"] = _judged(likelihood, map(np.concatenate, zip(*known.values())), levels)
        if is_panel:
            metrics["holdout"]["worst"] = _worst(dataset, known, likelihood)
    return metrics


def _judged(likelihood, arrays, levels=(95,)):
    y, mean, variance, *signal = arrays
    return judged(likelihood, y, (mean, variance), signal, levels)


def _worst(dataset, known, likelihood):
    """The metrics of the series with the largest error in units of the model."""
    found = {name: _judged(likelihood, arrays) for name, arrays in known.items()}
    scales = {member.name: member.units.target_scale for member in dataset.members}
    worst = max(found, key=lambda name: found[name]["rmse"] / scales[name])
    return {"series": worst, **found[worst]}
