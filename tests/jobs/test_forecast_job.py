"""`task: forecast`: what it leaves, what its numbers are, and what it refuses."""

import csv
import json
import os
import signal
import sys
import time
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
import yaml
from small_forecast_job import FORECAST_JOB, OPTIONS, as_csv, as_json_lines, of, series
from small_job import changed
from test_job_checkpoints import finish, start

from gluon_linalg.jobs.errors import JobError
from gluon_linalg.jobs.forecast import results
from gluon_linalg.jobs.forecast.dataset import read_entries
from gluon_linalg.jobs.forecast.plot import plot_forecasts
from gluon_linalg.jobs.forecast.task import Forecasting
from gluon_linalg.jobs.forecast.times import period, time_text
from gluon_linalg.jobs.reading import read_job
from gluon_linalg.jobs.state import TrainingState
from gluon_linalg.jobs.train import train

QUANTILES = [f"{number / 10:g}" for number in range(1, 10)]
FILES = {
    "backtest.csv", "backtest_forecasts.csv", "checkpoint.params", "forecast.csv",
    "job.resolved.yaml", "metrics.json", "model-io.json", "plot.png", "predictor",
    "sample.csv",
    "summary.txt",
    "tensorboard",
    "training_curve.csv",
}  # fmt: skip


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    """They would take most of the time of every test; `finished` has one."""
    monkeypatch.setattr(results, "plot_forecasts", lambda *_: None)


@pytest.fixture
def write(workspace):
    """Writes series.csv, series.jsonl and job.yaml with changes at dotted keys."""
    (workspace / "series.csv").write_text(as_csv(series()))
    (workspace / "series.jsonl").write_text(as_json_lines(series()))

    def write_job(changes=None, name="job.yaml"):
        (workspace / name).write_text(yaml.safe_dump(changed(FORECAST_JOB, changes or {})))
        return name

    return write_job


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a deep state job."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "series.csv").write_text(as_csv(series()))
    changes = {**of("deep_state"), "levels": [50, 95], "output": str(folder / "out")}
    job = changed(FORECAST_JOB, changes)
    (folder / "job.yaml").write_text(yaml.safe_dump(job))
    train(read_job(str(folder / "job.yaml")))
    return folder / "out"


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.pictures
def test_the_folder_of_results(finished):
    assert {path.name for path in finished.iterdir()} == FILES
    found = rows(finished / "forecast.csv")
    bands = ["lower_50", "upper_50", "lower_95", "upper_95"]
    assert list(found[0]) == ["item", "time", "mean", "0.1", "0.5", "0.9", *bands]
    assert [row["item"] for row in found] == ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    # a has 48 months from 2000-01 on.
    assert [row["time"] for row in found[:4]] == ["2004-01", "2004-02", "2004-03", "2004-04"]
    for row in found:
        ends = ("lower_95", "0.1", "lower_50", "0.5", "upper_50", "0.9", "upper_95")
        assert (np.diff([float(row[name]) for name in ends]) > 0).all()
    known = metrics(finished)
    # Each series without its backtest of two windows and its missing month 6.
    assert known["rows"] == sum(48 + 4 * i - 8 - 1 for i in range(3))
    assert np.isfinite(list(known["loss"].values())).all()
    curve = rows(finished / "training_curve.csv")
    assert list(curve[0]) == ["iteration", "seconds", "loss"]
    assert float(curve[0]["loss"]) == known["loss"]["initial"]
    assert (finished / "plot.png").read_bytes().startswith(b"\x89PNG")
    told = (finished / "summary.txt").read_text()
    shares = ", ".join(
        f"{known['backtest'][f'coverage_{level}']:.1%} inside the {level} % band"
        for level in (50, 80, 95)
    )
    assert shares in told


@pytest.mark.parametrize("prefix", ["", "seasonal_naive_"])
def test_backtest_metrics_are_those_of_the_written_forecasts(finished, prefix):
    """By the definitions, from the tables alone."""
    windows = {}
    for row in rows(finished / "backtest_forecasts.csv"):
        windows.setdefault((row["item"], int(row["window"])), []).append(row)
    assert list(windows) == [(item, window) for window in (1, 2) for item in "abc"]
    found = metrics(finished)["backtest"]
    items = {name: [] for name in "abc"}
    for (name, window), steps in windows.items():
        whole = np.array([np.nan if y is None else y for y in series()[name]])
        end = len(whole) - 4 * (2 - window)
        past, y = whole[: end - 4], whole[end - 4 : end]
        written = np.array([float(row["observed"] or "nan") for row in steps])
        np.testing.assert_array_equal(written, y)
        mean = np.array([float(row["mean"]) for row in steps])
        levels = np.array([[float(row[q]) for q in QUANTILES] for row in steps])
        if prefix:
            # The last year again; the forecast is the same at all quantiles.
            mean = past[-12:][:4]
            levels = np.repeat(mean[:, None], 9, axis=1)
        seen = ~np.isnan(y)
        q = np.arange(1, 10) / 10
        error = (y[:, None] - levels)[seen]
        loss = 2.0 * np.where(error >= 0, q * error, (q - 1) * error).sum(axis=0)
        items[name].append({
            "loss": loss,
            "size": np.abs(y[seen]).sum(),
            "mse": np.mean((y - mean)[seen] ** 2),
            "mase": np.mean(np.abs(y - levels[:, 4])[seen])
            / np.nanmean(np.abs(past[12:] - past[:-12])),
            "inside": ((levels[:, 0] <= y) & (y <= levels[:, -1]))[seen],
            **{
                f"inside_{level}": [
                    float(row[f"lower_{level}"]) <= value <= float(row[f"upper_{level}"])
                    for row, value, is_seen in zip(steps, y, seen) if is_seen
                ]
                for level in (50, 95)
            },
        })  # fmt: skip

    def expected(parts):
        size = sum(part["size"] for part in parts)
        return {
            "mean_wQuantileLoss": np.mean(sum(part["loss"] for part in parts) / size),
            "MASE": np.mean([part["mase"] for part in parts]),
            "RMSE": np.sqrt(np.mean([part["mse"] for part in parts])),
            "coverage_80": np.mean(np.concatenate([part["inside"] for part in parts])),
            **{
                f"coverage_{level}": np.mean(
                    np.concatenate([part[f"inside_{level}"] for part in parts])
                )
                for level in ((50, 95) if not prefix else ())
            },
        }

    total = expected([part for parts in items.values() for part in parts])
    # GluonTS's naive predictor rounds to float32.
    near = {"rel": 1e-5 if prefix else 1e-12}
    reported = found["seasonal_naive"] if prefix else found
    assert found["windows"] == 2 and found["observations"] == 21
    assert {name: reported[name] for name in total} == pytest.approx(total, **near)
    for row in rows(finished / "backtest.csv"):
        own = {name: float(row[prefix + name]) for name in total}
        assert own == pytest.approx(expected(items[row["item"]]), **near)


def test_predict_is_what_gluonts_makes_of_the_folder(run, workspace, finished):
    import pandas as pd
    from gluonts.model.predictor import Predictor

    found = series()
    found["a"] = found["a"][:30]
    (workspace / "new.csv").write_text(as_csv(found))
    status, out, err = run("predict", finished, "--data", "new.csv", "--output", "p.csv")
    assert (status, out, err) == (0, "12 forecast steps in p.csv\n", "")
    entries = [
        {
            "start": pd.Period("2000-01", "M"),
            "target": np.array([np.nan if y is None else y for y in values]),
            "item_id": name,
        }
        for name, values in found.items()
    ]
    predictor = Predictor.deserialize(finished / "predictor", ctx=mx.cpu())
    table = rows("p.csv")
    for number, forecast in enumerate(predictor.predict(entries)):
        own = table[4 * number :][:4]
        times = [f"2002-{7 + step:02d}" for step in range(4)]
        assert number > 0 or [row["time"] for row in own] == times
        names = {0.1: "0.1", 0.25: "lower_50", 0.5: "0.5", 0.025: "lower_95", 0.975: "upper_95"}
        for quantile, name in names.items():
            np.testing.assert_allclose(
                [float(row[name]) for row in own], forecast.quantile(quantile), rtol=1e-12
            )
    # Of the series of the training: the forecast of the job.
    (workspace / "same.jsonl").write_text(as_json_lines(series()))
    run("predict", finished, "--data", "same.jsonl", "--output", "same.csv")
    assert Path("same.csv").read_text() == (finished / "forecast.csv").read_text()


@pytest.mark.parametrize("estimator", ["blr", "gaussian_process", "ppca", "structural"])
def test_each_estimator(run, write, workspace, estimator):
    status, out, err = run("train", write(of(estimator)))
    assert (status, err) == (0, "")
    assert "backtest of 2 windows: CRPS" in out
    found = rows(workspace / "out" / "forecast.csv")
    assert len(found) == 12
    assert all(float(row["0.1"]) < float(row["0.9"]) for row in found)
    has_steps = estimator != "structural"
    assert ("loss" in metrics(workspace / "out")) == has_steps
    assert "finished before" in run("train", "job.yaml")[1]
    assert run("predict", "out", "--data", "series.csv")[0] == 0
    assert (workspace / "out" / "predictions.csv").read_text() == (
        workspace / "out" / "forecast.csv"
    ).read_text()


@pytest.mark.pictures
def test_years_before_the_first_timestamp(run, write, workspace, monkeypatch):
    """Also one step, one series without a column of names, and a frequency without a season."""
    rows_of_years = [f"{year},{(year * 7) % 13}" for year in range(1660, 1700)]
    (workspace / "series.csv").write_text("year,y\n" + "\n".join(rows_of_years))
    data = {"data.freq": "Y", "data.item": None, "data.time": "year"}
    write({**of("structural"), **data, "model.prediction_length": 1})
    monkeypatch.setattr(results, "plot_forecasts", plot_forecasts)
    assert run("train", "job.yaml")[0] == 0
    (row,) = rows(workspace / "out" / "forecast.csv")
    assert (row["item"], row["time"]) == ("0", "1700")
    assert (workspace / "out" / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_training_lowers_the_loss(write, workspace):
    write({"training.iterations": 60, "data.backtest": None})
    found = train(read_job("job.yaml")).metrics
    assert found["loss"]["trained"] < 0.8 * found["loss"]["initial"]
    # The losses of the batches are means over windows, too.
    losses = [float(row["loss"]) for row in rows(workspace / "out" / "training_curve.csv")]
    assert 0.5 * found["loss"]["trained"] < np.mean(losses[-10:]) < found["loss"]["initial"]
    assert found["backtest"] is None
    assert not (workspace / "out" / "backtest.csv").exists()


def test_the_backtest_is_kept_from_training(write, workspace):
    write()
    tasks = []
    for shift in (0.0, 1.0):
        changed_end = {
            name: [*values[:-8], *(y and y + shift for y in values[-8:])]
            for name, values in series().items()
        }
        (workspace / "series.csv").write_text(as_csv(changed_end))
        job = read_job("job.yaml")
        dataset = Forecasting.read_dataset(job)
        tasks.append(Forecasting(job, dataset, mx.cpu()))
    assert tasks[0].dataset.content() != tasks[1].dataset.content()
    for arrays in zip(*(task.arguments() for task in tasks), *(t.batch(3)[0] for t in tasks)):
        np.testing.assert_array_equal(arrays[0].asnumpy(), arrays[1].asnumpy())
        np.testing.assert_array_equal(arrays[2].asnumpy(), arrays[3].asnumpy())


def test_tables_lines_and_folders_give_the_same(write, workspace):
    (workspace / "folder").mkdir()
    (workspace / "folder" / "metadata.json").write_text("{}")
    found = series()
    for name, values in found.items():
        (workspace / "folder" / f"{name}.json").write_text(as_json_lines({name: values}))
    # Rows in any order, and absent ones, are the same as empty cells.
    lines = as_csv(found).splitlines()
    a, others = [r for r in lines if r[0] == "a"], [r for r in lines[1:] if r[0] != "a"]
    mixed = [lines[0], a[1], a[0], *a[:1:-1], *others]
    (workspace / "mixed.csv").write_text("\n".join(r for r in mixed if r[-1] != ",") + "\n")
    read = [
        read_entries(path, "name", "date", "y", "M")
        for path in ("series.csv", "series.jsonl", "folder", "mixed.csv")
    ]
    for entries in read:
        assert [entry["item_id"] for entry in entries] == list("abc")
        for entry, first in zip(entries, read[0]):
            assert entry["start"] == first["start"]
            np.testing.assert_array_equal(entry["target"], first["target"])
    tables = set()
    for path in ("series.csv", "series.jsonl"):
        write({"data.path": path, "output": f"out_{path}", "data.backtest": None})
        train(read_job("job.yaml"))
        tables.add((workspace / f"out_{path}" / "forecast.csv").read_text())
    assert len(tables) == 1


def test_features_reach_the_estimator(write, workspace):
    lines = []
    for number, (name, values) in enumerate(series().items()):
        later = len(values) + 4
        line = {"item_id": name, "start": "2000-01", "target": values}
        line.update(feat_static_cat=[number], feat_dynamic_real=[[0.1] * later])
        lines.append(json.dumps(line).replace("null", "NaN"))
    (workspace / "series.jsonl").write_text("\n".join(lines))
    options = {"use_feat_static_cat": "true", "cardinality": ["3"], "use_feat_dynamic_real": "true"}
    changes = {"data.path": "series.jsonl", "training.iterations": 1}
    write({**changes, "model.options": {**OPTIONS["blr"], **options}})
    train(read_job("job.yaml"))
    settings = json.loads((workspace / "out" / "predictor" / "parameters.json").read_text())
    transform = settings["transform"]["kwargs"]
    assert transform["cardinality"] == [3] and transform["dynamic_reals"] == 1


@pytest.mark.parametrize(
    "freq, times, later",
    [
        ("M", ["2020-01-31", "2020-02-29", "2020-03-31"], "2020-04"),
        ("M", ["2020-01-15", "2020-02-15"], "2020-03"),
        ("W", ["2020-01-04", "2020-01-11", "2020-01-25"], "2020-01-27"),
        ("Q", ["1959Q4", "1960Q1"], "1960Q2"),
        ("Q", ["1959-10-01", "1960-01-01"], "1960Q2"),
        ("B", ["2020-01-03", "2020-01-06"], "2020-01-07"),
        ("15min", ["2020-01-01 00:07", "2020-01-01 00:37"], "2020-01-01 00:52"),
        ("h", ["2020-01-01 12:30", "2020-01-01 14:30"], "2020-01-01 15:00"),
        ("Y", ["1600", "1601"], "1602"),
    ],
)
def test_times_on_a_frequency(workspace, freq, times, later):
    (workspace / "t.csv").write_text("t,y\n" + "".join(f"{time},1\n" for time in times))
    (entry,) = read_entries("t.csv", None, "t", "y", freq)
    end = entry["start"] + len(entry["target"])
    assert time_text(end) == later
    assert np.isfinite(entry["target"]).sum() == len(times)
    # And what a table of forecasts has can be read again.
    assert period(time_text(end), freq) == end


@pytest.mark.parametrize(
    "freq, times",
    [
        ("M", ["2020-01-31", "2020-02-15"]),
        ("h", ["2020-01-01 12:30", "2020-01-01 13:00"]),
        ("15min", ["2020-01-01 00:00", "2020-01-01 00:20"]),
        ("B", ["2020-01-03", "2020-01-04"]),
        ("W", ["2020-01-04", "2020-01-12"]),
    ],
)
def test_times_between_two_steps(workspace, freq, times):
    (workspace / "t.csv").write_text("t,y\n" + "".join(f"{time},1\n" for time in times))
    with pytest.raises(JobError, match=f"row 3, column 't': '{times[1]}' is not a whole number"):
        read_entries("t.csv", None, "t", "y", freq)


def state_of(folder):
    """All that a run leaves but times."""
    arrays = mx.nd.load(str(folder / "checkpoint.params"))
    parameters = {k: a.asnumpy().tobytes() for k, a in arrays.items() if k[:9] == "parameter"}
    curve = [line.split(",")[::2] for line in (folder / "training_curve.csv").open()]
    names = ("forecast.csv", "predictor/prediction_net-0000.params")
    return parameters, curve, [(folder / name).read_bytes() for name in names]


@pytest.mark.parametrize(
    "estimator",
    ["deep_state", *(pytest.param(e, marks=pytest.mark.slow) for e in ("blr", "gaussian_process"))],
)
def test_a_stopped_run_goes_on_to_the_same_forecasts(run, write, workspace, monkeypatch, estimator):
    changes = {**of(estimator), "training.optimizer": "sgld", "training.learning_rate": 0.001}
    changes["data.backtest"] = None
    run("train", write({**changes, "output": "whole"}))
    advance = TrainingState.advance

    def advance_and_signal(self, loss):
        advance(self, loss)
        if self.iteration == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TrainingState, "advance", advance_and_signal)
    status, out, err = run("train", write(changes))
    assert (status, out) == (143, "") and err.startswith("stopped by SIGTERM after iteration 3")
    assert not (workspace / "out" / "metrics.json").exists()
    monkeypatch.setattr(TrainingState, "advance", advance)
    assert run("train", "job.yaml")[0] == 0
    assert state_of(workspace / "out") == state_of(workspace / "whole")
    assert metrics(workspace / "out")["loss"] == metrics(workspace / "whole")["loss"]


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_forecasts(write, workspace):
    changes = {**of("deep_state"), "training.iterations": 300, "training.checkpoint_every": 3}
    write({**changes, "data.backtest": None})
    finish(workspace, output="whole")
    for _ in range(2):
        process = start(workspace)
        while not (workspace / "out" / "checkpoint.params").exists():
            time.sleep(0.1)
        time.sleep(1.0)
        process.kill()
        process.communicate()
        assert not (workspace / "out" / "metrics.json").exists()
    finish(workspace, output="out")
    assert state_of(workspace / "out") == state_of(workspace / "whole")
    assert not list((workspace / "out").glob(".*"))


def test_two_devices_share_each_batch(run, write, workspace):
    """Also the evaluation of a single series, which is more than one window for them."""
    (workspace / "series.csv").write_text(as_csv({"a": series()["a"]}))
    for name, devices in (("one", None), ("two", ["cpu(0)", "cpu(1)"])):
        changes = {"output": name, "devices": devices, "data.backtest": None}
        write({**changes, "model.dtype": "float64"})
        assert run("train", "job.yaml")[0] == 0
    one, two = (metrics(workspace / name)["loss"] for name in ("one", "two"))
    assert two == pytest.approx(one, rel=1e-9)


def line(**values):
    return json.dumps({"start": "2000-01", "target": [1, 2, 3] * 12, **values}) + "\n"


TABLE = as_csv(series())
ERRORS = {
    "frequency": ({"data.freq": "fortnight"}, None, "data.freq: 'fortnight': unknown frequency"),
    "off": (
        {"data.freq": "D"}, TABLE.replace("2000-03", "2000-03-05 12:00"),
        "row 4, column 'date': '2000-03-05 12:00' is not a whole number of steps of D",
    ),
    "twice": ({}, TABLE.replace("b,2000-03", "b,2000-02"), "series 'b' has 2000-02 twice"),
    "no series column": ({"data.item": None}, TABLE, "name the column of series in data.item"),
    "no time": ({}, TABLE.replace("2000-03", "soon"), "'soon' is not a time such as"),
    "no number": ({}, TABLE.replace("a,2000-03,", "a,2000-03,x"), "row 4, column 'y': 'x"),
    "too large": ({}, TABLE.replace("a,2000-03,", "a,2000-03,1e30 "), "row 4, column 'y'"),
    "huge": ({}, "name,date,y\na,2000-01,1e30\n", "row 2, column 'y': 1e+30 is too large"),
    "no column": ({"data.target": "yy"}, TABLE, "there is no column 'yy'; did you mean 'y'?"),
    "short": (
        {"data.backtest": {"windows": 12}}, None,
        "series 'a': 48 steps, of which data.backtest takes 48; lower its windows",
    ),
    "all missing": ({}, TABLE + "d,2000-01,\n", "series 'd': no value is observed"),
    "missing before": (
        {}, TABLE + "d,2000-01,\nd,2001-01,1\n", "'d': no value is observed before data.backtest",
    ),
    "many steps": ({"data.freq": "s"}, "name,date,y\na,1700,1\na,2200,2\n", "steps from its first"),
    "not JSON": ({}, [line(), "{'start'\n"], "line 2: not JSON"),
    "no start": ({}, [line(start=None)], "line 1: there is no 'start'"),
    "bad start": ({}, [line(start="soon")], "line 1: start: 'soon' is not a time"),
    "bad target": ({}, [line(target=[1, "x"])], 'line 1: target: "x" is not a number'),
    "whole number": ({}, [line(target=[10**400])], "target: a whole number is too large"),
    "same name": ({}, [line(item_id="k"), line(item_id="k")], "two series are called 'k'"),
    "no series": ({}, ["\n"], "there are no series"),
    "ragged": ({}, [line(feat_dynamic_real=[[1], [1, 2]])], "lists have different lengths"),
    "no future": (
        {"model.options": {"use_feat_dynamic_real": True}},
        [line(feat_dynamic_real=[[1] * 36])], "item '0': feat_dynamic_real has shape (1, 36)",
    ),
    "no feature": (
        {"model.options": {"use_feat_static_real": True}}, TABLE, "there is no feat_static_real",
    ),
    "option": (
        {"model.options": {"num_feature": 2}}, None,
        "model.options.num_feature: blr has no such argument; did you mean 'num_features'?",
    ),
    "key as option": (
        {"model.options": {"batch_size": 2}}, None, "write it as training.batch_size",
    ),
    "kind of option": (
        {"model.options": {"num_features": "many"}}, None, "blr refuses them: num_features: value",
    ),
    "value of option": (
        {"model.options": {"hidden_layers": [0]}}, None, "hidden_layers is 0, expected integers",
    ),
    "bounds": (
        {**of("deep_state"), "model.options": {"noise_std_bounds": [1]}}, None,
        "model.options.noise_std_bounds: expected two numbers, [lower, upper]",
    ),
    "estimator": ({"model.estimator": "arima"}, None, "model.estimator: 'arima'"),
    "lbfgs": (
        {"training.optimizer": "lbfgs"}, None,
        "training: lbfgs needs the same loss at each step",
    ),
    "context": (
        {"model.estimator": "structural", "model.options": {}}, None,
        "model.context_length: structural conditions on the whole series",
    ),
    "columns": ({"data.item": "y"}, None, "must be different columns"),
    "no file": ({"data.path": "other.csv"}, None, "there is no such data file"),
    "devices": ({"devices": [f"cpu({i})" for i in range(5)]}, None, "use no more devices"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_refused(refused, write, workspace, name):
    changes, content, message = ERRORS[name]
    if isinstance(content, str):
        (workspace / "series.csv").write_text(content)
    elif content is not None:
        (workspace / "series.jsonl").write_text("".join(content))
        changes = {"data.path": "series.jsonl", **changes}
    assert message in refused("train", write(changes))


def test_without_gluonts(refused, write, monkeypatch):
    monkeypatch.setitem(sys.modules, "gluonts.mx", None)
    assert 'pip install "gluon-linalg[forecast]"' in refused("train", write())


def test_a_damaged_predictor(run, write, workspace):
    write({"training.iterations": 0, "data.backtest": None})
    train(read_job("job.yaml"))
    (workspace / "out" / "predictor" / "parameters.json").write_text("{")
    status, _, err = run("predict", "out", "--data", "series.csv")
    assert status == 2 and err.count("\n") == 1
    assert "the predictor is damaged" in err and "train again with --overwrite" in err
    # A run anew leaves nothing of the old one.
    (workspace / "out" / "predictor" / "old").write_text("")
    assert run("train", "job.yaml", "--overwrite")[0] == 0
    assert not (workspace / "out" / "predictor" / "old").exists()
    assert run("predict", "out", "--data", "series.csv")[0] == 0
