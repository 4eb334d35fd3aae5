"""Many series with common parameters: each as if it were alone, whatever the others are."""

import json
import random

import mxnet as mx
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_job import changed
from small_statespace_job import PANEL_JOB, REGIONS, columns_of, panel_rows, panel_table
from statsmodels.tsa.statespace.structural import UnobservedComponents

import gluon_linalg
from gluon_linalg.jobs.errors import JobError
from gluon_linalg.jobs.reading import read_job, validate
from gluon_linalg.jobs.statespace import panel, results
from gluon_linalg.jobs.statespace.panel import read_panel
from gluon_linalg.jobs.statespace.task import StateSpace
from gluon_linalg.jobs.time_series.series import read_series
from gluon_linalg.jobs.train import train as train_job

ROWS = panel_rows()
WITH_PRICE = {
    "data.covariates": ["price"],
    "model.components": [
        {"trend": {"level_variance": 0.3, "slope_variance": 0.02}},
        {"regression": {}},
    ],
    "model.noise_variance": 0.5,
    "training.iterations": 0,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a job with prices at its initial values."""
    folder = tmp_path_factory.mktemp("panel")
    (folder / "table.csv").write_text(panel_table(ROWS))
    job = changed(PANEL_JOB, {**WITH_PRICE, "output": str(folder / "out")})
    (folder / "job.yaml").write_text(yaml.safe_dump(job))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "plot_model", lambda *_: None)
        train_job(read_job(folder / "job.yaml"), show_bar=False)
    return folder / "out"


@pytest.fixture
def train(run, workspace):
    """Trains PANEL_JOB with changes at dotted keys on other rows; returns the metrics."""

    def train_panel(changes=None, rows=ROWS):
        (workspace / "table.csv").write_text(panel_table(rows))
        job = changed(PANEL_JOB, changes or {})
        (workspace / "job.yaml").write_text(yaml.safe_dump(job))
        status, _, err = run("train", "job.yaml")
        assert status == 0, err
        return json.loads((workspace / job["output"] / "metrics.json").read_text())

    return train_panel


def observed(name, rows=ROWS):
    """Values up to the last that is there, NaN where one is missing, and prices, five more."""
    rows = sorted(row for row in rows if row[1] == name)
    y = np.array([np.nan if value is None else value for *_, value in rows])
    count = np.flatnonzero(~np.isnan(y))[-1] + 1
    return y[:count], np.array([float(row[2]) for row in rows])


def reference(name):
    """Another program's model of one series in units of its own, and its result."""
    y, prices = observed(name)
    offset, scale = np.nanmean(y), np.nanstd(y)
    model = UnobservedComponents(
        (y - offset) / scale,
        "lltrend",
        exog=prices[: len(y), None],
        mle_regression=False,
        use_exact_diffuse=True,
    )
    return model, model.smooth([0.5, 0.3, 0.02]), offset, scale


def test_values_are_those_of_another_program_for_each_series(trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["series"] == 3 and metrics["holdout"] is None
    assert metrics["rows"] == sum(value is not None for *_, value in ROWS)
    smoothed = columns_of(trained / "smoothed.csv")
    forecast = columns_of(trained / "forecast.csv")
    assert list(smoothed)[:4] == ["region", "year", "observed", "signal"]
    assert list(forecast) == ["region", "year", "mean", "std", "lower_95", "upper_95"]
    total = 0.0
    for name, (start, _, _) in REGIONS.items():
        model, result, offset, scale = reference(name)
        # The conventions of the diffuse likelihood differ by this for each diffuse state.
        total -= result.llf + 3 * 0.5 * np.log(2 * np.pi)
        own = np.array(smoothed["region"]) == name
        y, prices = observed(name)
        assert smoothed["year"][own].tolist() == list(range(start, start + len(y)))
        np.testing.assert_array_equal(smoothed["observed"][own], y)
        states = result.smoothed_state
        np.testing.assert_allclose(smoothed["trend"][own], states[0] * scale + offset, rtol=1e-8)
        effect = states[2] * prices[: len(y)] * scale
        np.testing.assert_allclose(smoothed["regression"][own], effect, atol=1e-7 * scale)
        coefficient = metrics["coefficients"][name]["price"]
        assert coefficient["mean"] == pytest.approx(states[2, -1] * scale, rel=1e-6)
        variance = result.smoothed_state_cov[2, 2, -1]
        assert coefficient["std"] == pytest.approx(np.sqrt(variance) * scale, rel=1e-6)
        future = result.get_forecast(3, exog=prices[len(y) : len(y) + 3, None])
        ahead = np.array(forecast["region"]) == name
        assert forecast["year"][ahead].tolist() == list(range(start + len(y), start + len(y) + 3))
        mean = future.predicted_mean * scale + offset
        np.testing.assert_allclose(forecast["mean"][ahead], mean, rtol=1e-8)
        np.testing.assert_allclose(forecast["std"][ahead], future.se_mean * scale, rtol=1e-7)
    assert metrics["nlml"]["trained"] == pytest.approx(total, rel=1e-8)


def task_of(workspace, rows, changes=None, series="region"):
    (workspace / "table.csv").write_text(panel_table(rows))
    job = changed(PANEL_JOB, {**WITH_PRICE, "data.series": series, **(changes or {})})
    job = validate("job", job)
    return StateSpace(job, StateSpace.read_dataset(job), mx.cpu())


def losses_and_gradient(task, arguments):
    with mx.autograd.record():
        losses = task.layer(*arguments)
    losses.backward()
    return losses.asnumpy(), [p.grad().asnumpy()[0] for p in task.parameters.values()]


@pytest.mark.parametrize(
    "changes, close",
    [
        ({}, 1e-9),
        ({"model.method": "parallel"}, 1e-6),
        ({"model.dtype": "float32"}, 1e-5),
    ],
)
def test_each_loss_and_gradient_is_that_of_the_series_alone(workspace, changes, close):
    task = task_of(workspace, ROWS, changes)
    assert task.batch_axis_size == 3
    arguments = task.arguments()
    assert [len(array) for array in arguments] == [3, 3, 3]
    losses, gradient = losses_and_gradient(task, arguments)
    total = 0.0
    for place, name in enumerate(REGIONS):
        alone = task_of(workspace, [row for row in ROWS if row[1] == name], changes, None)
        assert alone.batch_axis_size == 1
        loss, own = losses_and_gradient(alone, alone.arguments())
        assert losses[place] == pytest.approx(loss[0], rel=close)
        total += np.array(own)
    np.testing.assert_allclose(gradient, total, rtol=100 * close)
    # Any part of the batch is a batch.
    for part in (slice(0, 2), slice(2, 3)):
        sliced, _ = losses_and_gradient(task, [array[part] for array in arguments])
        np.testing.assert_allclose(sliced, losses[part], rtol=close / 10)


def test_the_order_of_rows_changes_nothing(workspace):
    task = task_of(workspace, ROWS)
    shuffled = list(ROWS)
    random.Random(3).shuffle(shuffled)
    again = task_of(workspace, shuffled)
    assert again.dataset.content() == task.dataset.content()
    assert [member.name for member in again.dataset.members] == ["east", "north", "west"]
    for array, other in zip(task.arguments(), again.arguments()):
        np.testing.assert_array_equal(array.asnumpy(), other.asnumpy())
    assert again.values() == task.values()


def test_the_order_of_series_changes_no_more_than_rounding(workspace):
    task = task_of(workspace, ROWS)
    # Series stand in the order of their names.
    renamed = {"east": "c", "north": "a", "west": "b"}
    again = task_of(workspace, [(year, renamed[name], *rest) for year, name, *rest in ROWS])
    losses, gradient = losses_and_gradient(task, task.arguments())
    others, other_gradient = losses_and_gradient(again, again.arguments())
    np.testing.assert_allclose(others[[2, 0, 1]], losses, rtol=1e-12)
    np.testing.assert_allclose(other_gradient, gradient, rtol=1e-10)


def test_the_end_of_each_series_is_held_out(train, workspace):
    train({"training.iterations": 0, "data.holdout": {"last": 3}, "forecast.steps": 4})
    metrics = json.loads((workspace / "out" / "metrics.json").read_text())
    forecast = columns_of(workspace / "out" / "forecast.csv")
    errors, scaled = [], {}
    for name in REGIONS:
        y, _ = observed(name)
        ahead = np.array(forecast["region"]) == name
        assert forecast["year"][ahead][0] == REGIONS[name][0] + len(y) - 3
        error = y[-3:] - forecast["mean"][ahead][:3]
        error = error[~np.isnan(error)]
        errors.append(error)
        scaled[name] = np.sqrt(np.mean(error**2)) / np.nanstd(y[:-3])
    holdout = metrics["holdout"]
    assert holdout["rows"] == sum(map(len, errors))
    assert holdout["rmse"] == pytest.approx(np.sqrt(np.mean(np.concatenate(errors) ** 2)))
    worst = max(scaled, key=scaled.get)
    # The largest error in original units is that of another one.
    assert np.abs(errors[list(REGIONS).index(worst)]).max() < np.abs(np.concatenate(errors)).max()
    assert holdout["worst"]["series"] == worst
    expected = scaled[worst] * np.nanstd(observed(worst)[0][:-3])
    assert holdout["worst"]["rmse"] == pytest.approx(expected)


def test_predict_continues_known_and_new_series(trained, run, workspace, monkeypatch):
    # Batches of one length, and not all of it at once.
    monkeypatch.setattr(panel, "MOST_TOGETHER", 2)
    before = columns_of(trained / "forecast.csv")
    north = [row for row in ROWS if row[1] == "north"]
    # New ones with the numbers of a known one in other units, and their own times.
    rows = [(year, f"new {n}", p, y and 7 * y + n) for year, _, p, y in north for n in (1, 2, 3)]
    # A known one in the units of the training, though it is no longer that long.
    short = [row for row in ROWS if row[1] == "west"][3:]
    (workspace / "new.csv").write_text(panel_table(rows + short))
    status, out, err = run("predict", trained, "--data", "new.csv")
    assert status == 0, err
    assert out.startswith("12 predictions of y in ")
    found = columns_of(trained / "predictions.csv")
    assert list(found) == list(before)
    names = np.array(found["region"])
    known = np.array(before["region"]) == "north"
    for n in (1, 2, 3):
        own = names == f"new {n}"
        assert found["year"][own].tolist() == before["year"][known].tolist()
        np.testing.assert_allclose(found["mean"][own], 7 * before["mean"][known] + n, rtol=1e-9)
        np.testing.assert_allclose(found["std"][own], 7 * before["std"][known], rtol=1e-9)
    _, _, offset, scale = reference("west")
    y, prices = observed("west", short)
    model = UnobservedComponents(
        (y - offset) / scale, "lltrend", exog=prices[: len(y), None], mle_regression=False,
        use_exact_diffuse=True,
    )  # fmt: skip
    future = model.smooth([0.5, 0.3, 0.02]).get_forecast(3, exog=prices[len(y) : len(y) + 3, None])
    mean = future.predicted_mean * scale + offset
    np.testing.assert_allclose(found["mean"][names == "west"], mean, rtol=1e-8)
    np.testing.assert_allclose(found["std"][names == "west"], future.se_mean * scale, rtol=1e-7)
    (workspace / "new.csv").write_text(panel_table([(1, "a", 1, 2.0), (2, "a", 1, 3.0)]))
    status, _, err = run("predict", trained, "--data", "new.csv")
    assert status == 2
    assert err == (
        "new.csv: series 'a': 2 observations; a forecast needs at least 3, the number of unknown "
        "initial values\n"
    )


def test_the_exported_graph_takes_any_number_of_series(trained):
    """It was written with one of them."""
    model = gluon_linalg.load(trained / "model")
    generator = np.random.RandomState(2)
    y, price = generator.randn(5, 9), generator.randn(5, 12, 1)
    mask = (generator.rand(5, 9) < 0.8).astype(float)
    arrays = [mx.nd.array(array, dtype="float64") for array in (y, price, mask)]
    together = [array.asnumpy() for array in model(*arrays)]
    assert [array.shape for array in together] == [(5, 3), (5, 3)]
    for place in range(5):
        alone = model(*(array[place : place + 1] for array in arrays))
        for whole, own in zip(together, alone):
            np.testing.assert_allclose(whole[place : place + 1], own.asnumpy(), rtol=1e-10)


def test_batches_of_series_train(train):
    metrics = train({
        **WITH_PRICE,
        "training": {
            "optimizer": "adam", "learning_rate": 0.05, "iterations": 20, "batch_size": 2,
        },
    })  # fmt: skip
    assert metrics["nlml"]["trained"] < metrics["nlml"]["initial"] - 0.5


def lines(*rows):
    return "\n".join(["year,region,price,y", *rows, ""])


A = ["1,a,1,2", "2,a,0,3", "3,a,1,5"]
B = ["1,b,1,4", "2,b,0,2", "3,b,1,1"]


@pytest.mark.parametrize(
    "changes, table, message",
    [
        (
            {"data.series": "regoin"},
            lines(*A),
            "there is no column 'regoin'; did you mean 'region'?",
        ),
        (
            {},
            lines(*A, *B, "4,,1,2"),
            "row 8, column 'region': the cell is empty; name the series",
        ),
        (
            {},
            lines(*B, *A, "2,b,0,7"),
            "series 'b': rows 3 and 8 are of the same time, 2; keep one of them",
        ),
        ({}, lines(*A, "2,b,1,"), "series 'b': column 'y': no value is observed; fill some"),
        ({}, lines(*A, "2,b,1,3"), "series 'b': 1 observations to train on; at least 2 are needed"),
        (
            {"data.holdout": {"last": 3}},
            lines(*A, "4,a,1,1", "5,a,1,1", *B),
            "series 'b': 0 observations to train on, before the hold-out of 3 steps; at least 2",
        ),
        (
            {"model.components": [{"level": {}}, {"seasonal": {"period": 4}}]},
            lines(*A, "4,a,1,1", "5,a,1,1", *B),
            "series 'b': 3 observations to train on; the initial values of these components alone "
            "take 4",
        ),
        (
            {"model.components": [{"trend": {}}, {"seasonal": {"period": 2}}]},
            lines(*A, *B),
            "6 observations to train on; the initial values of these components alone take 6",
        ),
        (
            {},
            lines(*A, "1,b,1,4", "2,b,1,4"),
            "series 'b': all values are the same, which leaves nothing to divide by; remove the "
            "series, or choose data.target_scaling: center",
        ),
        (
            {},
            lines(*A, "1,b,1,1e300", "2,b,1,-1e300"),
            "series 'b': the numbers are too large to average; rescale them",
        ),
        (
            {},
            lines(*A, "1.5,b,1,4", "2.5,b,1,4"),
            "row 5, column 'year': 1.5 is not a whole number of steps of 1 after 1; correct it",
        ),
        (
            {"data.step": ...},
            lines(*A, "5,b,1,4", "6,b,1,4"),
            "column 'year': the rows are not equally far apart; set data.step, such as step: 1",
        ),
        (
            {"data.covariates": ["price"], "model.components": [{"regression": {}}]},
            lines(*A, "4,a,1,", "5,a,1,", "6,a,1,", *B, "4,b,1,"),
            "series 'b': a forecast of 3 steps after 3 needs their covariates, but the file has "
            "those of 1; add rows with an empty target, or lower forecast.steps",
        ),
        (
            {"data.covariates": ["price"], "model.components": [{"regression": {}}]},
            lines("1,b,1,1", "3,b,2,2", *(f"{i},b,1," for i in range(4, 9))),
            "series 'b': column 'price': there is no value at 2; covariates are needed at every",
        ),
    ],
)
def test_wrong_panels(refused, workspace, changes, table, message):
    (workspace / "table.csv").write_text(table)
    (workspace / "job.yaml").write_text(yaml.safe_dump(changed(PANEL_JOB, changes)))
    line = refused("train", "job.yaml")
    assert line.startswith(f"{workspace / 'table.csv'}: {message}"), line


@pytest.mark.parametrize(
    "changes, line",
    [
        (
            {"data.time": ..., "data.step": ...},
            "data: series needs the column of times; add time",
        ),
        (
            {"data.series": "y"},
            "data: the column 'y' has two parts to play; name each once",
        ),
    ],
)
def test_keys_of_panels(refused, workspace, changes, line):
    (workspace / "job.yaml").write_text(yaml.safe_dump(changed(PANEL_JOB, changes)))
    assert refused("train", "job.yaml") == f"job.yaml: {line}"


def test_a_constant_series_needs_no_scale_where_nothing_is_divided(workspace):
    rows = [(year, "a", 0, year % 3) for year in range(9)] + [(year, "b", 0, 4) for year in (3, 5)]
    changes = {"data.target_scaling": "center", "data.covariates": []}
    task = task_of(workspace, rows, {**changes, "model.components": [{"level": {}}]})
    losses, gradient = losses_and_gradient(task, task.arguments())
    assert np.isfinite(losses).all() and np.isfinite(gradient).all()


NAMES = st.sampled_from(["a", "b", "c d", "1", "é"])
TIMES = st.integers(-4, 9)
CELLS = st.none() | st.integers(-3, 3)


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(
    table=st.dictionaries(st.tuples(TIMES, NAMES), CELLS, min_size=1, max_size=20),
    seed=st.integers(0, 99),
)
def test_every_series_is_read_as_if_alone(workspace, table, seed):
    rows = [(year, name, 0, value) for (year, name), value in table.items()]
    random.Random(seed).shuffle(rows)
    arguments = ("year", 1.0, "y", ["price"])
    (workspace / "panel.csv").write_text(panel_table(rows), encoding="utf-8")
    try:
        found = read_panel("panel.csv", "region", *arguments).series
    except JobError as error:
        empty = {name for _, name in table} - {n for (_, n), v in table.items() if v is not None}
        assert any(f"series '{name}': column 'y': no value" in str(error) for name in empty)
        return
    assert list(found) == sorted({name for _, name in table})
    for name, series in found.items():
        own = sorted(row for row in rows if row[1] == name)
        (workspace / "alone.csv").write_text(panel_table(own), encoding="utf-8")
        alone = read_series("alone.csv", *arguments)
        np.testing.assert_array_equal(series.y, alone.y)
        np.testing.assert_array_equal(series.covariates, alone.covariates)
        count = len(series.covariates) + 2
        assert series.labels(0, count) == alone.labels(0, count)
        assert series.places(0, count) == alone.places(0, count)
