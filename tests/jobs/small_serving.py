"""Trained models of all tasks, servers of them in this process, and a client."""

import contextlib
import csv
import functools
import http.client
import json
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small_forecast_job
import small_job
import small_statespace_job
import uvicorn

from gluon_linalg.jobs.kinds import kind_of
from gluon_linalg.jobs.reading import read_job
from gluon_linalg.jobs.serving.app import create_app
from gluon_linalg.jobs.serving.server import Limits, listen
from gluon_linalg.jobs.serving.service import Service
from gluon_linalg.jobs.serving.worker import Worker
from gluon_linalg.jobs.train import train

JSON, CSV = "application/json", "text/csv"
SERIES = small_statespace_job.TABLE + "".join(f"{2014 + i},{i - 1},\n" for i in range(3))
DATED = "day,y\n" + "".join(f"2020-{m:02d},{(m * 7) % 5}\n" for m in range(1, 13))
JOBS = {
    "gp": small_job.JOB,
    "blr": {
        "task": "blr",
        "data": {"path": "table.csv", "inputs": ["x", "z"], "target": "y"},
        "model": {"features": {"mlp": {"hidden": [6, 4]}}, "dtype": "float32"},
    },
    "statespace": {
        **small_statespace_job.JOB,
        "data": {"path": "series.csv", "time": "year", "target": "y", "covariates": ["price"]},
        "model": {"components": [{"level": {}}, {"regression": {}}]},
    },
    "multivariate": {
        "task": "multivariate",
        "data": {"path": "table.csv", "targets": ["x", "y"]},
        "model": {"process": {"varma": {"order": [1, 0]}}},
        "forecast": {"steps": 2},
    },
    "pca": {
        "task": "pca",
        "data": {"path": "table.csv", "columns": ["x", "z", "y"]},
        "model": {"components": 2},
    },
    "lda": {
        "task": "lda",
        "data": {"path": "classes.csv", "columns": ["x", "y"], "target": "kind"},
    },
    "sure": {
        "task": "gp",
        "data": {"path": "classes.csv", "inputs": ["x", "y"], "target": "kind"},
        "model": {
            "kernel": {"rbf": {}},
            "method": "svgp",
            "likelihood": "categorical",
            "inducing": {"count": 5},
        },
        "training": {"optimizer": "adam", "iterations": 3},
    },
    "targets": {
        "task": "gp",
        "data": {"path": "table.csv", "inputs": ["x"], "target": ["y", "z"]},
        "model": {
            "kernel": {"sum": [{"rbf": {}}, {"linear": {}}]},
            "coregionalization": {"model": "linear"},
            "method": "sgpr",
            "inducing": {"count": 8},
            "dtype": "float32",
        },
    },
    "dates": {
        "task": "gp",
        "data": {"path": "dated.csv", "inputs": ["day"], "target": "y"},
        "model": {"kernel": {"rbf": {}}},
    },
    "counted": {
        **small_statespace_job.JOB,
        "data": {"path": "series.csv", "target": "y"},
        "model": {"components": [{"level": {}}]},
    },
    "panel": {
        "task": "statespace",
        "data": {"path": "panel.csv", "series": "shop", "time": "day", "target": "y"},
        "model": {"components": [{"level": {}}]},
        "forecast": {"steps": 2},
    },
    "standardized": {
        "task": "statespace",
        "data": {
            "path": "panel.csv",
            "series": "shop",
            "time": "day",
            "target": "y",
            "target_scaling": "standardize",
        },
        "model": {"components": [{"trend": {}}]},
        "forecast": {"steps": 2},
    },
    "forecast": {
        **small_forecast_job.FORECAST_JOB,
        "data": {
            "path": "monthly.csv",
            "freq": "M",
            "item": "shop",
            "time": "day",
            "target": "y",
        },
    },
}
# Tables as spreadsheets write them where the comma is the decimal sign. The last dates of series
# may have the day first or the month; earlier ones tell.
JOBS.update(
    {
        "levels": {
            "task": "blr",
            "data": {
                "path": "levels.csv",
                "inputs": ["x"],
                "categorical": ["kind"],
                "target": "y",
                "incomplete_rows": "leave_out",
            },
            "model": {"features": {"linear": {}}},
        },
        "components of levels": {
            "task": "pca",
            "data": {
                "path": "levels.csv",
                "columns": ["y", "x"],
                "categorical": ["kind"],
                "incomplete_rows": "leave_out",
            },
            "model": {"components": 2},
        },
        "semicolons": {
            **small_statespace_job.JOB,
            "data": {
                "path": "semicolons.csv",
                "separator": ";",
                "decimal": ",",
                "time": "day",
                "target": "y",
                "covariates": ["price"],
                "categorical": ["action"],
            },
            "model": {"components": [{"level": {}}, {"regression": {}}]},
            "forecast": {"steps": 2},
        },
        "business": {
            **small_forecast_job.FORECAST_JOB,
            "data": {
                "path": "business.csv",
                "freq": "B",
                "item": "shop",
                "time": "day",
                "target": "y",
            },
        },
    }
)
LEVELS = "kind;x;y\na;;1\n" + "".join(
    f"{kind};{i / 4};{(i * 7) % 5 / 2}\n" for i, kind in enumerate("cabacbbacc")
).replace(".", ",")
CLASSES = "x,y,kind\n" + "".join(
    f"{i % 3 + i / 8},{(i * 7) % 5 / 4},{'cab'[i % 3]}\n" for i in range(12)
)
DAYS = np.arange("2020-02-25", "2020-03-10", dtype="datetime64[D]").tolist()
SEMICOLONS = "day;action;price;y\n" + "".join(
    f"{day:%d/%m/%Y};{'yes' if i % 3 else 'no'};{i % 4 + 0.5};{(7 * i) % 5 / 4 if i < 12 else ''}\n"
    for i, day in enumerate(DAYS)
).replace(".", ",")
BUSINESS = "shop;day;y\n" + "".join(
    f"{name};{day:%d/%m/%Y};{'' if y is None else y}\n"
    for name, values in small_forecast_job.series().items()
    for day, y in zip(np.busday_offset("2020-03-10", np.arange(-47, 10)).tolist(), values)
).replace(".", ",")
PANEL = "shop,day,y\n" + "".join(
    f"{shop},{line}\n" for shop in ("7", '"Zoë, B"') for line in DATED.split()[1:]
)
# Forecasts of series with features, which no table has.
FEATURE_JOBS = {
    f"features of {estimator}": {
        "task": "forecast",
        "data": {"path": "features.jsonl", "freq": "M"},
        "model": {
            "estimator": estimator,
            "prediction_length": 4,
            "options": {**small_forecast_job.OPTIONS[estimator], **options},
        },
    }
    for estimator, options in {
        "blr": {
            "use_feat_static_cat": True,
            "cardinality": [3],
            "use_feat_static_real": True,
            "use_feat_dynamic_real": True,
        },
        "structural": {"use_feat_dynamic_real": True},
    }.items()
}
# Rows that each model predicts, as the text of a CSV file.
ROWS = {
    "gp": "x\n0.1\n1.50\n-3e-1\n",
    "blr": "z,x\n1,0.1\n2,1.50\n3,-3e-1\n",
    "statespace": SERIES,
    "multivariate": "y,x\n1,2\n,1.5\n0.5,\n2,1\n",
    "pca": "y,z,x\n1,0.1,5\n2,1.50,0\n",
    "lda": "y,x\n-0.5,0\n1.25,2\n1,5\n",
    "sure": "y,x\n-0.5,0\n1.25,2\n1,5\n",
    "targets": "x\n0.1\n1.50\n-3e-1\n",
    "dates": "day\n2020-07\n2021-02-03\n",
    "counted": "y\n1.5\n\n2.5\n2\n1\n",
    "panel": PANEL,
    "standardized": PANEL,
    "forecast": PANEL,
    "levels": "x;kind\n0,5;b\n1,75;a\n",
    "components of levels": "kind;x;y\nc;0,5;-1\na;1,75;2,5\n",
    "semicolons": SEMICOLONS,
    "business": BUSINESS,
}
# The columns, of these rows or of the answers to them, that are no numbers.
TEXTS = ("day", "shop", "item", "time", "kind", "action", "series")
GENEROUS = Limits(most_bytes=100_000, most_rows=1000, seconds=30.0)


# For all modules of tests in this process; removed when it ends.
SCRATCH = tempfile.TemporaryDirectory(prefix="gluon-linalg-tests-")


@functools.lru_cache(maxsize=None)
def trained(task):
    """The results of a job of JOBS, which is trained in a moment; not to be changed."""
    folder = Path(SCRATCH.name)
    write_tables(folder)
    with pytest.MonkeyPatch.context() as patch:
        small_job.sketch_pictures(patch)
        train(small(task, folder, 0), show_bar=False)
    return folder / task


def small(task, folder, iterations, output=None):
    """The job of this name, for the tables in `folder`."""
    job = {**{**JOBS, **FEATURE_JOBS}[task], "output": str(folder / (output or task))}
    if kind_of(job["task"]).has_training and task != "features of structural":
        job["training"] = {**job.get("training", {}), "iterations": iterations}
    (folder / "job.json").write_text(json.dumps(job))
    return read_job(folder / "job.json")


def write_tables(folder):
    monthly = small_forecast_job.as_csv(small_forecast_job.series())
    tables = {
        "table": small_job.TABLE,
        "series": SERIES,
        "classes": CLASSES,
        "dated": DATED,
        "panel": PANEL,
        "monthly": monthly.replace("name,date", "shop,day"),
        "levels": LEVELS,
        "semicolons": SEMICOLONS,
        "business": BUSINESS,
    }
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    lines = [json.dumps(one) for one in small_forecast_job.with_features()]
    (folder / "features.jsonl").write_text("\n".join(lines))


class Servers:
    """Servers of the trained models, each started when it is first asked for."""

    def __init__(self, stack):
        self._stack, self._running = stack, {}

    def __call__(self, task):
        if task not in self._running:
            self._running[task] = self._stack.enter_context(serving(trained(task)))
        return self._running[task]


@contextlib.contextmanager
def serving(folder, limits=GENEROUS, service=None):
    """A server in this process: its port, `Service` and `Worker`."""
    worker = Worker(limits.seconds)
    service = service or worker.run(Service, folder, "cpu", limits.most_rows)
    options = {"lifespan": "off", "http": "h11", "log_config": None, "log_level": "error"}
    server = uvicorn.Server(uvicorn.Config(create_app(service, worker, limits), **options))
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield SimpleNamespace(port=listener.getsockname()[1], service=service, worker=worker)
        finally:
            server.should_exit = True
            thread.join()


def ask(port, body=None, kind=JSON, accept=None, method=None, path="/invocations", headers=None):
    """One request; returns status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {
        **({"Content-Type": kind} if kind and body is not None else {}),
        **({"Accept": accept} if accept else {}),
        **(headers or {}),
    }
    body = body.encode() if isinstance(body, str) else body
    method = method or ("GET" if body is None else "POST")
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def as_json(text):
    """The rows of a CSV text as the body of a JSON request."""

    def value(name, cell):
        return cell if name in TEXTS else None if cell == "" else json.loads(cell)

    instances = [
        {name: value(name, cell) for name, cell in row.items()} for row in rows_of_table(text)
    ]
    return json.dumps({"instances": instances})


def rows_of_table(text):
    """The rows by column, with decimal points, of a CSV text, in which blank lines are rows."""
    has_semicolons = ";" in text
    header, *rows = csv.reader(text.splitlines(), delimiter=";" if has_semicolons else ",")
    for row in rows:
        cells = [cell.replace(",", ".") if has_semicolons else cell for cell in row]
        yield dict(zip(header, cells or [""] * len(header)))
