"""Writes what a trained model of several series leaves in the folder of results."""

from typing import TYPE_CHECKING, Any, Dict

import numpy as np

from ...analysis.state_space import innovations_of, tests_of, tests_text
from .. import output as names
from ..files import write_json
from ..metrics import holdout_metrics
from ..output import OutputFolder
from ..predictions import Columns, cells, prediction_columns, write_columns
from ..task import export_model
from ..time_series.long_table import joined
from ..time_series.residuals import RESIDUALS, residual_columns, told
from ..time_series.streaming import export_stream
from .config import SERIES
from .estimates import estimate
from .plot import plot_model

if TYPE_CHECKING:
    from .task import Multivariate

SMOOTHED, STATES = "smoothed.csv", "states.csv"


def write_results(folder: OutputFolder, task: "Multivariate") -> Dict[str, Any]:
    """Writes the model, its tables and the plot; returns metrics: hold-out and coefficients."""
    dataset, model = task.dataset, task.trained_model()
    steps = exported_steps(dataset.steps)
    forecaster, dtype = model.forecaster(steps), task.job.model.dtype
    forecaster.cast(dtype)
    example = task.graph_arguments(steps)
    export_model(forecaster, folder.file(names.MODEL), *(array.astype(dtype) for array in example))
    description = describe_model(task)
    description["stream_start"] = export_stream(folder, model.stream(steps), example)
    write_json(folder.file(names.MODEL_IO), description)
    estimates = estimate(task, model)
    times, count = dataset.table.times.name, len(dataset.y)
    seen = dataset.table.labels(0, count)
    ahead = dataset.table.labels(count, count + dataset.steps)
    forecasts: Dict[str, Columns] = {}
    smoothed: Dict[str, Columns] = {}
    for number, name in enumerate(dataset.names):
        mean, variance = (array[:, number] for array in estimates.forecast)
        forecasts[name] = prediction_columns({times: ahead}, mean, variance, task.job.levels)
        mean, variance = (array[:count, number] for array in estimates.signal)
        smoothed[name] = [(times, seen), ("observed", cells(dataset.y[:, number]))]
        smoothed[name] += [("signal", mean), ("signal_std", np.sqrt(variance))]
    write_columns(folder.file(names.FORECAST), joined(SERIES, forecasts))
    write_columns(folder.file(SMOOTHED), joined(SERIES, smoothed))
    mean, variance = estimates.states
    columns: Columns = [(times, seen)]
    for number, name in enumerate(model.named_states(dataset.names)):
        columns += [(name, mean[:, number]), (f"{name}_std", np.sqrt(variance[:, number]))]
    write_columns(folder.file(STATES), columns)
    (innovations,) = innovations_of(model, task.arguments())
    residuals = {
        name: residual_columns((times, seen), innovations, number)
        for number, name in enumerate(dataset.names)
    }
    write_columns(folder.file(RESIDUALS), joined(SERIES, residuals))
    plot_model(folder.file(names.PLOT), dataset, estimates, task.job.levels)
    metrics, tests = _metrics(task, estimates), tests_of(innovations, dataset.names)
    metrics["residual_tests"] = {name: told(own) for name, own in tests.items()}
    task.report += tests_text(tests).splitlines()
    return metrics


def exported_steps(steps: int) -> int:
    """How far the exported model forecasts: a step, where the job itself forecasts nothing."""
    return max(steps, 1)


def describe_model(task: "Multivariate") -> Dict[str, Any]:
    """What `predict` needs beside the graph: columns, steps and units."""
    dataset, steps = task.dataset, exported_steps(task.dataset.steps)
    times, covariates, p = dataset.table.times, dataset.table.columns, len(dataset.names)
    inputs = [f"(1, T, {p}): the targets minus target_offset, over target_scale; any T"]
    if covariates:
        inputs.append(
            f"(1, T + {steps}, {len(covariates)}): the covariates minus covariate_offsets, over "
            "covariate_scales"
        )
    inputs.append(f"(1, T, {p}): 1 where the target is observed, 0 where it is not")
    return {
        "task": task.job.task,
        "time": None if times.step is None else times.name,
        "step": times.step,
        "has_dates": times.has_dates,
        "targets": dataset.names,
        "covariates": list(covariates),
        "covariate_offsets": dataset.offsets.tolist(),
        "covariate_scales": dataset.scales.tolist(),
        "format": dataset.table.table_format._asdict(),
        "steps": steps,
        "bands": task.job.levels,
        "units": {name: own.as_dict() for name, own in zip(dataset.names, dataset.units)},
        "dtype": task.job.model.dtype,
        "graph_inputs": {f"data{index}": text for index, text in enumerate(inputs)},
        "graph_outputs": [
            f"(1, {steps}, {p}): the means of the next observations; times target_scale, plus "
            "target_offset, in original units",
            f"(1, {steps}, {p}, {p}): their covariances, noise included",
        ],
    }


def _metrics(task, estimates):
    dataset, model = task.dataset, task.layer
    metrics: Dict[str, Any] = {"series": len(dataset.names)}
    if model.effects is not None:
        effects = model.effects.value() / dataset.scales
        metrics["effects"] = {
            name: dict(zip(dataset.table.columns, (own.target_scale * row).tolist()))
            for name, own, row in zip(dataset.names, dataset.units, effects)
        }
    judged = {}
    for number, (name, y) in enumerate(zip(dataset.names, dataset.holdout_y.T)):
        observed = ~np.isnan(y)
        if observed.any():
            moments = (array[: len(y), number][observed] for array in estimates.forecast)
            judged[name] = (y[observed], *moments)
    metrics["holdout"] = None
    if judged:
        levels = task.job.levels
        metrics["holdout"] = holdout_metrics(*map(np.concatenate, zip(*judged.values())), levels)
        metrics["holdout"]["each"] = {
            name: holdout_metrics(*own, levels) for name, own in judged.items()
        }
    return metrics
