"""A forecast job that trains in a moment."""

import json
import math

PERIODS = [f"{2000 + month // 12}-{1 + month % 12:02d}" for month in range(60)]


def series():
    """Names, and monthly values from 2000-01 on, None where one is missing."""
    found = {}
    for number, name in enumerate("abc"):
        values = [
            round(10 * (number + 1) + 3 * math.sin(month / 1.9) + 0.1 * ((month * 7) % 5), 4)
            for month in range(48 + 4 * number)
        ]
        values[5] = values[-3] = None
        found[name] = values
    return found


def with_features():
    """The series as JSON lines have them, with all features that an estimator may use."""
    for number, (name, values) in enumerate(series().items()):
        yield {
            "item_id": name,
            "start": PERIODS[0],
            "target": values,
            "feat_static_cat": [number],
            "feat_static_real": [number / 2],
            "feat_dynamic_real": [[(7 * month) % 4 for month in range(len(values) + 4)]],
        }


def as_csv(found):
    rows = ["name,date,y"]
    for name, values in found.items():
        rows += [f"{name},{t},{'' if y is None else y}" for t, y in zip(PERIODS, values)]
    return "\n".join(rows) + "\n"


def as_json_lines(found):
    lines = (
        json.dumps({"item_id": name, "start": PERIODS[0], "target": values})
        for name, values in found.items()
    )
    return "\n".join(lines) + "\n"


OPTIONS = {
    "deep_state": {"num_layers": 1, "num_cells": 4, "seasonal_periods": [12], "harmonics": [1]},
    "gaussian_process": {"kernel": {"sum": [{"rbf": {}}, {"periodic": {"period": 12}}]}},
    "blr": {"hidden_layers": [4], "num_features": 2},
    "ppca": {"num_shapes": 2},
    "structural": {"components": [{"level": {}}], "max_iterations": 5, "batch_size": 2},
}
FORECAST_JOB = {
    "task": "forecast",
    "data": {
        "path": "series.csv", "freq": "M", "item": "name", "time": "date", "target": "y",
        "backtest": {"windows": 2},
    },
    "model": {
        "estimator": "blr",
        "prediction_length": 4,
        "context_length": 16,
        "options": OPTIONS["blr"],
    },
    "training": {"iterations": 6, "batch_size": 4, "learning_rate": 0.01},
    "seed": 3,
    "output": "out",
}  # fmt: skip


def of(estimator):
    """The changes that make it a job of another estimator."""
    changes = {"model.estimator": estimator, "model.options": OPTIONS[estimator]}
    if estimator == "structural":
        changes["model.context_length"] = ...
    return changes
