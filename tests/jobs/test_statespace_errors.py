"""Wrong input to the task `statespace`: one line, status 2, and nothing written."""

import json

import mxnet as mx
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_job import changed
from small_statespace_job import JOB, TABLE
from test_job_fuzz import VALUES

from gluon_linalg.jobs import memory
from gluon_linalg.jobs.errors import JobError
from gluon_linalg.jobs.objective import Objective
from gluon_linalg.jobs.reading import read_job, validate
from gluon_linalg.jobs.statespace.task import StateSpace


@pytest.fixture
def refused_job(refused, workspace):
    """The line for JOB with changes at dotted keys, and for another table."""

    def refused_changes(changes=None, table=TABLE):
        (workspace / "table.csv").write_text(table)
        (workspace / "job.yaml").write_text(yaml.safe_dump(changed(JOB, changes or {})))
        return refused("train", "job.yaml")

    return refused_changes


def components(*parts):
    return {"model.components": list(parts)}


LEVEL = {"level": {}}


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"task": "statspace"}, "task: 'statspace': unknown task; did you mean 'statespace'?"),
        ({"forcast": {}}, "forcast: unknown key; did you mean 'forecast'?"),
        ({"data.inputs": ["x"]}, "data.inputs: unknown key; expected one of path, time, step"),
        ({"model.components": ...}, "model.components: missing; add this key"),
        (components(), "model.components: List should have at least 1 item"),
        (
            components({"levle": {}}),
            "model.components.0.levle: unknown key; did you mean 'level'?",
        ),
        (
            components({"level": {"levl_variance": 2}}),
            "model.components.0.level.levl_variance: unknown key; did you mean 'level_variance'?",
        ),
        (
            components({"level": {}, "ar": {}}),
            "model.components.0: expected one component, found level, ar; write each as an item",
        ),
        (
            components(LEVEL, {"seasonal": {"period": 6}}, {"seasonal": {"period": 4}}),
            "model.components.2.seasonal: it and components.1 both have a wave of 2 steps and "
            "cannot be told apart; keep one, or give the other fewer harmonics",
        ),
        (
            components({"ar": {"order": 1, "coefficients": [1.2]}}),
            "model.components.0.ar: the coefficients [1.2] are not those of a stationary process",
        ),
        (
            {"training.optimizer": "em"},
            "training.optimizer: 'em': expectation maximization is for task: multivariate with "
            "process: linear; here lbfgs finds the same maximum in fewer steps",
        ),
        (
            components(LEVEL, {"seasonal": {"period": 1}}),
            "model.components.1.seasonal.period: '1': should be greater than or equal to 2",
        ),
        (
            components({"seasonal": {"period": 5.5}}),
            "model.components.0.seasonal: period is 5.5; the dummy form needs an integer",
        ),
        (
            components({"seasonal": {"period": 4, "form": "trigonometric", "harmonics": 3}}),
            "model.components.0.seasonal: harmonics is 3, expected an integer from 1 to 2",
        ),
        (
            components({"seasonal": {"period": 1000}}),
            "model.components.0.seasonal: 999 states; at most 500 are possible",
        ),
        (
            components({"seasonal": {"period": 400}}, {"seasonal": {"period": 300}}),
            "model.components: 698 states; at most 500 are possible",
        ),
        (
            components({"cycle": {"period": 2}}),
            "model.components.0.cycle.period: '2': should be greater than 2",
        ),
        (
            components({"cycle": {"period": 5, "damping": 1.5}}),
            "model.components.0.cycle.damping: '1.5': should be less than or equal to 1",
        ),
        (
            components({"ar": {"coefficients": [1]}}),
            "model.components.0.ar: the coefficients [1.0] are not those of a stationary process",
        ),
        (
            components({"ar": {"order": 2, "coefficients": [0.5]}}),
            "model.components.0.ar: coefficients has shape (1,), expected 2 numbers, one for each",
        ),
        (
            components({"level": {"level_variance": -1}}),
            "model.components.0.level.level_variance: '-1': expected 0 or a number above 1e-300",
        ),
        (
            components({"level": {"fixed": ["level_variance"]}}),
            "model.components.0.level: level_variance is fixed, but has no value; give it one",
        ),
        (
            components({"level": {"fixed": ["variance"]}}),
            "model.components.0.level.fixed: 'variance' is no parameter to fix; "
            "did you mean 'level_variance'?",
        ),
        (
            components({"level": {"prior": "flat"}}),
            "model.components.0.level.prior: 'flat': expected diffuse, stationary or [mean, standa",
        ),
        (
            components({"trend": {"prior": [[0, 1, 2], 1]}}),
            "model.components.0.trend: prior is [[0.0, 1.0, 2.0], [1.0]], expected 'diffuse', 's",
        ),
        (
            components({"level": {"label": "signal"}}),
            "model.components.0.level.label: 'signal' is another column of smoothed.csv; choose",
        ),
        (
            components({"level": {"label": "ar_std"}}, {"ar": {}}),
            "model.components.0.level.label: 'ar_std' is another column of smoothed.csv; choose",
        ),
        (
            {
                "data.covariates": ["price"],
                **components({"regression": {"prior": [0, [1, 2]]}}),
            },
            "model.components.0.regression.prior: 2 values for 1 columns; give 1",
        ),
        (
            components(LEVEL, {"trend": {}}),
            "model.components: level and trend cannot be told apart; keep one of them",
        ),
        (
            {**components({"level": {"level_variance": 0}}), "model.noise_variance": 0},
            "model: nothing is random; raise noise_variance or a variance above 0",
        ),
        (
            {"model.fixed": ["noise_variance"]},
            "model: noise_variance is fixed, but has no value; give it one",
        ),
        (
            components(LEVEL, {"regression": {}}),
            "model.components.1.regression: data.covariates is empty; name the columns there",
        ),
        (
            {"data.covariates": ["price"]},
            "model.components: no component uses the covariate 'price'; add - regression: {}",
        ),
        (
            {
                "data.covariates": ["price"],
                **components(LEVEL, {"regression": {"columns": ["prise"]}}),
            },
            "model.components.1.regression.columns.0: 'prise' is not one of data.covariates; "
            "did you mean 'price'?",
        ),
        (
            {
                "data.covariates": ["price"],
                **components({"regression": {}}, {"regression": {"columns": ["price"]}}),
            },
            "model.components.1.regression.columns.0: 'price' has an effect already; name each",
        ),
        (
            {
                "data.covariates": ["price"],
                **components({"regression": {"coefficient_variance": 1}}),
            },
            "model.components.0.regression: coefficient_variance belongs to drifting: true",
        ),
        (
            {
                "data.covariates": ["price"],
                **components({"regression": {"drifting": True, "coefficient_variance": [1, 2]}}),
            },
            "model.components.0.regression.coefficient_variance: 2 values for 1 columns; give 1",
        ),
        ({"data.covariates": ["y"]}, "data: the column 'y' has two parts to play; name each once"),
        (
            {"data.step": "fortnight"},
            "data.step: 'fortnight': expected a number above 0, or one of year, quarter, month",
        ),
        ({"data.step": 1, "data.time": ...}, "data: step needs the column of times; add time"),
        ({"data.holdout": {"fraction": 0.1}}, "data.holdout.fraction: unknown key; expected one"),
        (
            {"data.holdout": {"last": 5}},
            "forecast.steps: 3 steps, but the hold-out has 5; raise it",
        ),
        ({"forecast.steps": -1}, "forecast.steps: '-1': should be greater than or equal to 0"),
    ],
)
def test_wrong_keys_and_values(refused_job, changes, line):
    assert refused_job(changes).startswith(f"job.yaml: {line}")


ABSENT = TABLE.replace("1995,", "1994.5,")
DATES = "when,y\n1999-12-31,1\n2000-01-31,2\n2000-02-29,4\n2000-03-31,3\n"


@pytest.mark.parametrize(
    "changes, table, message",
    [
        ({"data.target": "z"}, TABLE, "there is no column 'z'; expected one of year, price, y"),
        ({"data.time": "yaer"}, TABLE, "there is no column 'yaer'; did you mean 'year'?"),
        ({}, "year,y\n1,\n2,\n", "column 'y': no value is observed; fill some cells in"),
        ({}, "year,y\n1,\n2,3\n", "1 observations to train on; at least 2 are needed"),
        (
            components({"trend": {}}, {"seasonal": {"period": 3}}),
            "year,y\n1,2\n2,3\n3,5\n4,2\n",
            "4 observations to train on; the initial values of these components alone take 4",
        ),
        (
            {},
            "year,y\n1,2\n3,3\n\n2,4\n",
            "row 5, column 'year': 2 does not come after 3 in row 3; sort the rows by time",
        ),
        (
            {},
            "year,y\n1,2\n1,3\n",
            "row 3, column 'year': 1 does not come after 1 in row 2; sort the rows by time",
        ),
        (
            {},
            "year,y\n1,2\n2,3\n4,3\n5,3\n",
            "column 'year': the rows are not equally far apart; set data.step, such as step: 1, "
            "and absent times become missing observations",
        ),
        (
            {"data.step": 1},
            ABSENT,
            "row 7, column 'year': 1994.5 is not a whole number of steps of 1 after 1990; correct",
        ),
        (
            {"data.step": 1},
            "year,y\n1,2\n1.05,3\n",
            "row 3, column 'year': 1.05 is not a whole number of steps of 1 after 1; correct it",
        ),
        (
            {"data.step": 1e-3},
            "year,y\n1,2\n200,3\n",
            "column 'year': from 1 to 200 there are 199001 steps; at most 100000 are possible",
        ),
        (
            {"data.time": "when", "data.step": "week"},
            DATES,
            "row 3, column 'when': 2000-01-31 is not a whole number of steps of 1 week after",
        ),
        (
            {"data.time": "when"},
            DATES.replace("2000-01-31", "2000-01-30"),
            "column 'when': the rows are not equally far apart; set data.step, such as step: month",
        ),
        ({}, "year,y\n,2\n2,3\n", "row 2, column 'year': the cell is empty; fill it in or remove"),
        (
            {},
            "year,y\n1,2\n2,nan\n",
            "row 3, column 'y': 'nan' is not a finite number; correct it or remove the row; leave "
            "the cell of a missing value empty",
        ),
        (
            {},
            "year,y\n1,1\n2,inf\n3,4\n",
            "row 3, column 'y': 'inf' is not a finite number; correct it or remove the row",
        ),
        ({}, "year,y\n1,1e300\n2,-1e300\n", "the numbers are too large to average; rescale them"),
        (
            {"model.dtype": "float32"},
            "year,y\n1,1e50\n2,3e50\n3,2e50\n",
            "a number is too large for float32; rescale the column",
        ),
    ],
)
def test_wrong_tables(refused_job, workspace, changes, table, message):
    line = refused_job(changes, table)
    assert line.startswith(f"{workspace / 'table.csv'}: {message}"), line


WITH_PRICE = {
    "data.covariates": ["price"],
    "model.components": [LEVEL, {"regression": {}}],
}


def test_covariates_of_the_future_are_needed(refused_job, workspace):
    line = refused_job(WITH_PRICE, TABLE + "2014,1,\n")
    assert line == (
        f"{workspace / 'table.csv'}: a forecast of 3 steps after 2013 needs their covariates, but "
        "the file has those of 1; add rows with an empty target, or lower forecast.steps"
    )


def test_covariates_of_the_past_are_needed(refused_job, workspace):
    future = "2014,1,\n2015,1,\n2016,0,\n"
    line = refused_job(WITH_PRICE, TABLE.replace("1991,3,", "1991,,") + future)
    assert line == (
        f"{workspace / 'table.csv'}: column 'price': there is no value at 1991; covariates are "
        "needed at every step"
    )
    absent = "\n".join(row for row in TABLE.split("\n") if not row.startswith("1995")) + future
    assert "there is no value at 1995;" in refused_job({**WITH_PRICE, "data.step": 1}, absent)


def test_memory_that_is_not_there(refused_job, workspace, monkeypatch):
    """Told before anything is computed, and where MXNet finds out."""
    year = components({"trend": {}}, {"seasonal": {"period": 12}})
    estimate = (
        f"{workspace / 'table.csv'}: a likelihood of 24 steps with 13 states takes about 0.0015 "
        "GB of memory, more than there is; for fewer states give a seasonal form: trigonometric"
    )
    # 47 numbers of 8 bytes for each step and square of the number of states.
    with monkeypatch.context() as patch:
        patch.setattr(memory, "available", lambda: 47 * 8 * 24 * 13**2 - 1)
        assert refused_job(year).startswith(estimate)
        patch.setattr(memory, "available", lambda: 47 * 8 * 24 * 13**2)
        patch.setattr(Objective, "evaluate", fail("MXNetError: Failed to allocate CPU Memory"))
        assert refused_job(year).startswith(estimate)
        patch.setattr(Objective, "evaluate", fail("another"))
        with pytest.raises(mx.base.MXNetError):
            refused_job(year)


def fail(message):
    def evaluate(self, iteration=None):
        raise mx.base.MXNetError(message)

    return evaluate


def test_what_memory_there_is():
    assert 1e7 < memory.available() < 1e15
    assert [memory.gigabytes(count) for count in (2.34e10, 1.26e9)] == ["23 GB", "1.3 GB"]


def test_step_and_times_are_of_a_kind(refused_job):
    assert refused_job({"data.step": "year"}) == (
        "data.step: year, but 'year' has numbers; expected a number"
    )
    assert refused_job({"data.time": "when", "data.step": 1}, DATES) == (
        "data.step: 1, but 'when' has dates; expected one of year, quarter, month, week, day"
    )


def test_predict_refuses_what_it_cannot_continue(run, refused, workspace):
    (workspace / "table.csv").write_text(DATES)
    changes = {"data.time": "when", "training.iterations": 0}
    (workspace / "job.yaml").write_text(yaml.safe_dump(changed(JOB, changes)))
    assert run("train", "job.yaml")[0] == 0
    (workspace / "new.csv").write_text("when,y\n1,2\n2,3\n")
    assert refused("predict", "out", "--data", "new.csv") == (
        "data.step: month, but 'when' has numbers; expected a number"
    )
    (workspace / "new.csv").write_text("when,y\n9999-11-30,2\n9999-12-31,3\n")
    assert refused("predict", "out", "--data", "new.csv") == (
        "when: the forecast leaves the calendar"
    )
    (workspace / "new.csv").write_text("when,y\n2001-01-31,-1e308\n2001-02-28,1e308\n")
    assert "forecast is not finite" in refused("predict", "out", "--data", "new.csv")
    (workspace / "out" / "model-io.json").write_text('{"task": "statespace"}')
    assert refused("predict", "out", "--data", "new.csv").endswith(
        "the model is damaged (there is no 'time'); train again with --overwrite"
    )


KEYS = [
    "task",
    "data",
    "data.time",
    "data.step",
    "data.series",
    "data.covariates",
    "data.holdout",
    "model",
    "model.components",
    "model.noise_variance",
    "model.fixed",
    "model.method",
    "forecast",
    "forecast.steps",
    "unknown",
]
PARTS = st.sampled_from(
    ["level", "trend", "damped_trend", "semilocal_trend", "seasonal", "cycle", "ar"]
    + ["regression", "rbf"]
)
NAMES = st.sampled_from(
    ["period", "fixed", "damping", "order", "coefficients", "columns", "drifting", "harmonics"]
    + ["level_variance", "slope_variance", "seasonal_variance", "coefficient_variance", "form"]
    + ["prior", "label"]
)
COMPONENTS = st.lists(
    st.dictionaries(PARTS, st.dictionaries(NAMES, VALUES, max_size=2), min_size=1, max_size=2),
    max_size=3,
)


@settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(
    changes=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=2),
    parts=st.none() | COMPONENTS,
)
def test_whatever_the_job_file_holds(workspace, changes, parts):
    """A job whose model can be built, or one line."""
    job = changed(
        JOB, {"model.components": [{"seasonal": {"period": 4}}] if parts is None else parts}
    )
    for path, value in changes.items():
        *parents, last = path.split(".")
        part = job
        for key in parents:
            part = part.setdefault(key, {}) if isinstance(part, dict) else {}
        if isinstance(part, dict):
            part[last] = value
    (workspace / "table.csv").write_text(TABLE)
    (workspace / "job.json").write_text(json.dumps(job))
    try:
        read = read_job("job.json")
        if read.task == "statespace":
            assert validate("again", read.model_dump(mode="json")) == read
            StateSpace(read, StateSpace.read_dataset(read), mx.cpu())
    except JobError as error:
        assert "\n" not in str(error)


SEASONAL = {
    **JOB,
    "model": {"components": [{"level": {}}, {"seasonal": {"period": 4}}]},
    "training": {"iterations": 0},
}


def test_rows_that_leave_a_forecast_open(run, refused, workspace):
    """Fewer rows than initial values, or a season that was not seen in all its parts."""
    (workspace / "table.csv").write_text(TABLE)
    (workspace / "job.yaml").write_text(yaml.safe_dump(SEASONAL))
    assert run("train", "job.yaml")[0] == 0
    (workspace / "new.csv").write_text("year,y\n2001,2.5\n2002,3\n")
    assert refused("predict", "out", "--data", "new.csv").startswith(
        "new.csv: the 2 observations leave the forecast of 2003 open: the model learns 4 initial "
        "values from them"
    )
    rows = [f"{2001 + step},{step % 3 if step % 2 else ''}" for step in range(20)]
    (workspace / "new.csv").write_text("\n".join(["year,y", *rows, ""]))
    assert "leave the forecast of 2021 open" in refused("predict", "out", "--data", "new.csv")
    (workspace / "new.csv").write_text("year,y\n2001,2.5\n2002,3\n2003,2\n2004,4\n")
    assert run("predict", "out", "--data", "new.csv")[0] == 0


@pytest.mark.parametrize("value", [1.0, 0.1, 14.62])
def test_a_covariate_that_never_moved(refused_job, value):
    header, *lines = TABLE.splitlines()
    rows = [line.split(",") for line in lines]
    table = "\n".join([header, *(f"{year},{value},{y}" for year, _, y in rows)])
    line = refused_job({**WITH_PRICE, "forecast": {"steps": 0}}, table)
    assert "the observations to train on leave open regression: price: " in line
