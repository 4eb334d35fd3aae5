"""Writes what a forecast job leaves in the folder of results."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict

import numpy as np

from .. import output as names
from ..errors import JobError, reason
from ..files import UNFINISHED, write_json
from ..output import OutputFolder
from ..predictions import write_columns
from .backtest import NAIVE, QUANTILES, backtest, judge, naive_predictor, observed, season_of
from .config import ForecastJob
from .dataset import ForecastData
from .files import BACKTEST, BACKTEST_FORECASTS, PREDICTOR
from .forecasting import forecast_columns, forecasts
from .plot import plot_forecasts
from .times import period_frequency

if TYPE_CHECKING:
    from .task import Forecasting


def write_results(folder: OutputFolder, task: "Forecasting") -> Dict[str, Any]:
    """Writes the predictor, its forecasts and the plot; returns metrics: the backtest."""
    job, dataset = task.job, task.dataset
    predictor = task.predictor()
    items = [entry["item_id"] for entry in dataset.entries]
    found = forecasts(predictor, dataset.entries, job.seed, dataset.path)
    columns = forecast_columns(items, found, dataset.times(), job.levels)
    _refuse_not_finite(dataset.path, columns)
    windows = backtest(predictor, dataset, job.seed)
    judged = _judge(folder, job, dataset, windows) if windows else None
    write_columns(folder.file(names.FORECAST), columns)
    _write_predictor(folder.file(PREDICTOR), predictor)
    write_json(folder.file(names.MODEL_IO), describe(job, dataset))
    plot_forecasts(folder.file(names.PLOT), dataset, found, windows, job.levels)
    return {"series": len(items), "backtest": judged}


def describe(job: ForecastJob, dataset: ForecastData) -> Dict[str, Any]:
    """What `predict` needs beside the predictor."""
    data, model = job.data, job.model
    return {
        "task": job.task,
        "item": data.item,
        "time": data.time,
        "target": data.target,
        "freq": data.freq,
        "format": dataset.table_format._asdict(),
        "estimator": model.estimator,
        "features": dataset.features,
        "prediction_length": model.prediction_length,
        "bands": job.levels,
        "dtype": model.dtype,
        "seed": job.seed,
    }


def _judge(folder, job, dataset, windows):
    season = season_of(period_frequency(job.data.freq))
    naive = backtest(naive_predictor(season, job.model.prediction_length), dataset, job.seed)
    (total, each), (naive_total, naive_each) = (
        judge(windows, season, job.levels),
        judge(naive, season),
    )
    values = np.concatenate([observed(one) for one in windows])
    rows = {
        item: {**own, **{f"{NAIVE}_{name}": value for name, value in naive_each[item].items()}}
        for item, own in each.items()
    }
    header = list(next(iter(rows.values())))
    columns = [(name, [_cell(own[name]) for own in rows.values()]) for name in header]
    write_columns(folder.file(BACKTEST), [("item", list(rows)), *columns])
    _write_windows(folder.file(BACKTEST_FORECASTS), dataset, windows, values, job.levels)
    return {
        "windows": dataset.windows,
        "observations": int(np.isfinite(values).sum()),
        **total,
        NAIVE: naive_total,
    }


def _write_windows(path, dataset, windows, values, levels):
    items, found = [one.item for one in windows], [one.forecast for one in windows]
    columns = forecast_columns(items, found, dataset.times(), levels, QUANTILES)
    numbers = [1 + one.number for one in windows for _ in range(one.forecast.prediction_length)]
    cells = [_cell(None if np.isnan(value) else value) for value in values.tolist()]
    write_columns(
        path, [columns[0], ("window", numbers), columns[1], ("observed", cells)] + columns[2:]
    )


def _cell(value):
    return "" if value is None else value


def _write_predictor(path, predictor):
    """The folder that GluonTS reads, whole or not at all."""
    folder, name = os.path.split(path)
    scratch = None
    try:
        scratch = tempfile.mkdtemp(dir=folder, prefix=UNFINISHED)
        trial = Path(scratch) / name
        trial.mkdir()
        predictor.serialize(trial)
        for file in trial.iterdir():
            with open(file, "rb") as opened:
                os.fsync(opened.fileno())
        if os.path.isdir(path):
            shutil.rmtree(path)
        os.replace(trial, path)
    except OSError as error:
        raise JobError(f"{path}: cannot be written: {reason(error)}") from None
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _refuse_not_finite(path, columns):
    for _, values in columns[2:]:
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            item = columns[0][1][wrong[0]]
            raise JobError(
                f"{path}: series '{item}': its forecast is not finite; compute in float64 "
                "(model.dtype), or lower training.learning_rate"
            )
