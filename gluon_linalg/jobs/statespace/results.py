"""Writes what a trained state space model leaves in the folder of results."""

import numpy as np

from .. import output as names
from ..files import write_csv, write_json
from ..metrics import holdout_metrics
from ..predictions import prediction_columns, write_columns
from ..task import export_model
from .estimates import estimate
from .plot import plot_model


def write_results(folder, task, metrics):
    """The model, its tables and the plot; hold-out and coefficients go into `metrics`."""
    dataset = task.dataset
    model = task.trained_model()
    forecaster = model.forecaster(dataset.steps)
    export_model(forecaster, folder.file(names.MODEL), task.y, *task.covariates, task.mask)
    write_json(folder.file(names.MODEL_IO), describe_model(task))
    estimates = estimate(task, model, forecaster)
    count = len(dataset.y)
    labels = dataset.series.labels(count, count + dataset.steps)
    times = dataset.series.times
    table = prediction_columns({times.name: labels}, *estimates.forecast)
    write_columns(folder.file(names.FORECAST), table)
    _write_smoothed(folder.file(names.SMOOTHED), dataset, estimates)
    if estimates.coefficients:
        metrics["coefficients"] = estimates.coefficients
    metrics["holdout"] = None
    observed = ~np.isnan(dataset.holdout_y)
    if observed.any():
        mean, variance = (array[: len(observed)][observed] for array in estimates.forecast)
        metrics["holdout"] = holdout_metrics(dataset.holdout_y[observed], mean, variance)
    plot_model(folder.file(names.PLOT), dataset, estimates)


def describe_model(task):
    """What `predict` needs beside the graph: columns, steps and units."""
    dataset = task.dataset
    times, columns = dataset.series.times, dataset.series.columns
    graph_inputs = ["(1, T): the target minus target_offset, over target_scale; any T"]
    if columns:
        graph_inputs.append(f"(1, T + {dataset.steps}, {len(columns)}): the covariates")
    graph_inputs.append("(1, T): 1 where the target is observed, 0 where it is not")
    return {
        "task": task.job.task,
        "time": None if times.step is None else times.name,
        "step": times.step,
        "has_dates": times.has_dates,
        "target": dataset.target,
        "covariates": columns,
        "steps": dataset.steps,
        **dataset.units.as_dict(),
        "dtype": task.job.model.dtype,
        "graph_inputs": {f"data{index}": text for index, text in enumerate(graph_inputs)},
        "graph_outputs": [
            f"(1, {dataset.steps}): the mean of the next observations; times target_scale, plus "
            "target_offset, in original units",
            f"(1, {dataset.steps}): their variance, noise included; times target_scale²",
        ],
    }


def _write_smoothed(path, dataset, estimates):
    count = len(dataset.y)
    # A missing observation is an empty cell.
    observed = ["" if np.isnan(value) else value for value in dataset.y.tolist()]
    columns = {
        dataset.series.times.name: dataset.series.labels(0, count),
        "observed": observed,
    }
    for name, (mean, variance) in {"signal": estimates.signal, **estimates.components}.items():
        columns[name] = mean[:count].tolist()
        columns[f"{name}_std"] = np.sqrt(variance[:count]).tolist()
    write_csv(path, list(columns), zip(*columns.values()))
