"""Times as tables write them, the steps on which they lie, and the times that follow."""

from datetime import date

import numpy as np
import pytest
import small_forecast_job
import small_statespace_job
import yaml
from small_job import JOB, changed

from gluon_linalg.jobs.axis import start_at
from gluon_linalg.jobs.data import read_table
from gluon_linalg.jobs.errors import JobError
from gluon_linalg.jobs.forecast.dataset import read_entries
from gluon_linalg.jobs.moments import find_order, read_moments
from gluon_linalg.jobs.statespace.panel import read_panel
from gluon_linalg.jobs.table_format import Format
from gluon_linalg.jobs.time_series.series import read_series

BERLIN = {"timezone": "Europe/Berlin"}
# Times, the step or frequency, the keys of the job, and the times that follow.
SERIES = {
    "time of day at midnight": (
        ["2014-01-01 00:00:00", "2014-01-02 00:00:00"], "day", {},
        ["2014-01-03 00:00:00", "2014-01-04 00:00:00"],
    ),
    "day first": (["30/12/2013", "31/12/2013"], "day", {}, ["01/01/2014", "02/01/2014"]),
    "month first": (["12/30/2013", "12/31/2013"], "day", {}, ["01/01/2014", "01/02/2014"]),
    "by a key": (["01/02/2014", "01/03/2014"], "month", {"day_first": True}, ["01/04/2014"]),
    "by the other key": (["01/02/2014", "01/03/2014"], "day", {"day_first": False}, ["01/04/2014"]),
    "neither matters": (["01/01/2014", "01/01/2015"], "year", {}, ["01/01/2016"]),
    "without zeros": (["1/9/2014 9:45", "1/13/2014 0:15"], "15min", {}, ["1/13/2014 0:30"]),
    "German": (["31.01.2019", "28.02.2019"], "month", {}, ["31.03.2019", "30.04.2019"]),
    "year first, slashes": (["2019/01/31", "2019/02/28"], "month", {}, ["2019/03/31"]),
    "year first, points": (["2019.01.31", "2019.02.28"], "month", {}, ["2019.03.31"]),
    "quarters": (["2001Q3", "2001Q4"], "quarter", {}, ["2002Q1", "2002Q2"]),
    "quarters with a dash": (["2001-Q3", "2001-Q4"], "quarter", {}, ["2002-Q1"]),
    "weekdays of a week": (["2019-05-08", "2019-05-15"], "W-WED", {}, ["2019-05-22"]),
    "half hours": (["2019-05-01 22:30", "2019-05-01 23:30"], "h", {}, ["2019-05-02 00:30"]),
    "days from six": (["2019-05-01 06:00", "2019-05-02 06:00"], "D", {}, ["2019-05-03 06:00"]),
    "ends of quarters": (["2019-06-30", "2019-09-30"], "quarter", {}, ["2019-12-31", "2020-03-31"]),
    "ends from February": (["2019-02-28", "2019-05-31"], "Q", {}, ["2019-08-31", "2019-11-30"]),
    "ends of leap months": (
        ["2020-01-31", "2020-02-29", "2020-03-31"], "month", {}, ["2020-04-30", "2020-05-31"],
    ),
    "ends of quarters of two years": (["2019-12-31", "2020-03-31"], "Q", {}, ["2020-06-30"]),
    "ends of years": (["2018-12-31", "2019-12-31"], "year", {}, ["2020-12-31", "2021-12-31"]),
    "ends of other years": (["2019-06-30", "2020-06-30"], "year", {}, ["2021-06-30"]),
    "ends of weeks": (["2020-01-05", "2020-01-12"], "week", {}, ["2020-01-19", "2020-01-26"]),
    "Sundays by name": (["1/26/2020", "2/2/2020"], "W-SUN", {}, ["2/9/2020", "2/16/2020"]),
    # Timestamps of pandas would end in 1677 and 2262.
    "long ago": (["1600-01-31", "1600-02-29"], "month", {}, ["1600-03-31", "1600-04-30"]),
    "the first year": (["0001-11-30", "0001-12-31"], "M", {}, ["0002-01-31", "0002-02-28"]),
    "far ahead": (["31.12.2399", "31.03.2400"], "quarter", {}, ["30.06.2400", "30.09.2400"]),
    "hours far ahead": (["2400-02-28 22:00", "2400-02-28 23:00"], "h", {}, ["2400-02-29 00:00"]),
    "without marks": (["20200131", "20200229"], "month", {}, ["20200331", "20200430"]),
    "days without marks": (["20200130", "20200131"], "day", {}, ["20200201", "20200202"]),
    "months without marks": (["202011", "202012"], "month", {}, ["202101", "202102"]),
    "ends of half years": (["2019-06-30", "2019-12-31"], "6M", {}, ["2020-06-30", "2020-12-31"]),
    "ends of months": (["2019-11-30", "2019-12-31"], "M", {}, ["2020-01-31", "2020-02-29"]),
    "the 30th": (["2019-12-30", "2020-01-30"], "M", {}, ["2020-02-29", "2020-03-30"]),
    "two days before": (["2019-12-29", "2020-02-27"], "M", {}, ["2020-03-29", "2020-04-28"]),
    "business ends": (
        ["2019-03-29", "2019-04-30", "2019-05-31"], "month", {},
        ["2019-06-28", "2019-07-31", "2019-08-30"],
    ),
    "business ends by name": (["2019-04-30", "2019-05-31"], "BM", {}, ["2019-06-28"]),
    "business ends of quarters": (["2018-09-28", "2018-12-31"], "Q", {}, ["2019-03-29"]),
    "business beginnings": (["2019-06-03", "2019-07-01"], "MS", {}, ["2019-08-01", "2019-09-02"]),
    "business days": (["2020-01-03", "2020-01-06"], "B", {}, ["2020-01-07"]),
    "leap year": (["2016-02-29", "2017-02-28"], "year", {}, ["2018-02-28", "2019-02-28"]),
    "autumn": (
        ["2019-10-27T01:00+02:00", "2019-10-27T02:00+02:00", "2019-10-27T02:00+01:00"], "h", {},
        ["2019-10-27T03:00+01:00"],
    ),
    "spring": (
        ["2019-03-31 01:00:00+0100", "2019-03-31 03:00:00+0200"], "h", {},
        ["2019-03-31 04:00:00+0200"],
    ),
    "before spring": (
        ["2019-10-27T02:00+02:00", "2019-10-27T02:00+01:00", "2020-03-29T01:00+01:00"], "h", BERLIN,
        ["2020-03-29T03:00+02:00", "2020-03-29T04:00+02:00"],
    ),
    "local days with offsets": (
        ["2019-03-30T00:00+01:00", "2019-03-31T00:00+01:00", "2019-04-01T00:00+02:00"], "day", {},
        ["2019-04-02T00:00+02:00"],
    ),
    "local days in UTC": (
        ["2019-03-29T23:00:00Z", "2019-03-30T23:00:00Z", "2019-03-31T22:00:00Z"], "day", BERLIN,
        ["2019-04-01T22:00:00Z"],
    ),
    "local days before a change": (
        ["2019-03-28 23:00", "2019-03-29 23:00"], "day", BERLIN,
        ["2019-03-30 23:00", "2019-03-31 22:00", "2019-04-01 22:00"],
    ),
    "local weeks": (
        ["2019-10-13T22:00Z", "2019-10-20T22:00Z"], "week", BERLIN, ["2019-10-27T23:00Z"],
    ),
    "local months": (
        ["2019-09-30T22:00Z", "2019-10-31T23:00Z"], "month", BERLIN, ["2019-11-30T23:00Z"],
    ),
    "midnights as they are": (
        ["2019-03-30 00:00", "2019-03-31 00:00"], "day", BERLIN, ["2019-04-01 00:00"],
    ),
    "local hours": (
        ["2019-10-27 01:00", "2019-10-27 02:00", "2019-10-27 02:00", "2019-10-27 03:00"], "h",
        BERLIN, ["2019-10-27 04:00"],
    ),
    # On 2018-11-04 the clocks went from 0:00 to 1:00.
    "a day without midnight": (
        ["2018-11-03T03:00Z", "2018-11-04T03:00Z", "2018-11-05T02:00Z"], "day",
        {"timezone": "America/Sao_Paulo"}, ["2018-11-06T02:00Z"],
    ),
}  # fmt: skip
FREQUENCIES = {"day": "D", "week": "W", "month": "M", "quarter": "Q", "year": "Y"}
GAPS = {"without zeros": 345, "two days before": 1, "before spring": 3694}


def write(path, times):
    path.write_text("t,y\n" + "".join(f"{time},{i % 3}\n" for i, time in enumerate(times)))
    return str(path)


@pytest.mark.parametrize("name", SERIES)
def test_series_go_on_as_they_are_written(tmp_path, name):
    """And take what follows, so that a forecast can be appended to its file."""
    times, step, keys, later = SERIES[name]
    table_format = Format(**keys)
    series = read_series(write(tmp_path / "t.csv", times), "t", step, "y", [], table_format)
    count = len(times) + GAPS.get(name, 0)
    assert len(series.y) == count
    assert series.labels(0, 1) + series.labels(count - 1, count) == [times[0], times[-1]]
    assert series.labels(count, count + len(later)) == later
    whole = read_series(write(tmp_path / "t.csv", times + later), "t", step, "y", [], table_format)
    assert len(whole.y) == count + len(later)


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_forecasts_go_on_as_they_are_written(tmp_path, name):
    times, step, keys, later = SERIES[name]
    freq, table_format = FREQUENCIES.get(step, step), Format(**keys)
    # The rows may come in any order, but for an hour that nothing but its order tells.
    written = times if name == "local hours" else times[::-1]
    path = write(tmp_path / "t.csv", written)
    (entry,) = read_entries(path, None, "t", "y", freq, table_format)
    count = len(times) + GAPS.get(name, 0)
    assert len(entry["target"]) == count
    texts = [entry.times.text(entry["start"] + count + i) for i in range(len(later))]
    assert texts == later
    path = write(tmp_path / "t.csv", times + later)
    (entry,) = read_entries(path, None, "t", "y", freq, table_format)
    assert len(entry["target"]) == count + len(later)


@pytest.mark.parametrize(
    "times, step, later",
    [
        (["2019-05-01 06:00", "2019-05-02 06:00"], "day", "2019-05-03 06:00"),
        (["2019-05-01 06:00", "2019-05-01 06:15"], "15min", "2019-05-01 06:30"),
        (["2019-05-01", "2019-05-15"], "14D", "2019-05-29"),
        (["2019-01-01", "2019-07-01"], "6M", "2020-01-01"),
        (["2019-03-28", "2019-03-29", "2019-04-01"], "B", "2019-04-02"),
        (["2019-03-29", "2019-04-30", "2019-05-31"], "month", "2019-06-28"),
        (["2019-10-27T02:00+02:00", "2019-10-27T02:00+01:00"], "h", "2019-10-27T03:00+01:00"),
        (["2001Q3", "2001Q4"], "quarter", "2002Q1"),
        (["2020-01-31", "2020-02-29", "2020-03-31"], "month", "2020-04-30"),
        (["2019-12-31", "2020-03-31", "2020-06-30"], "quarter", "2020-09-30"),
        (["2018-12-31", "2019-12-31"], "year", "2020-12-31"),
        (["2020-01-05", "2020-01-12", "2020-01-19"], "week", "2020-01-26"),
        (["20191231", "20200131", "20200229"], "month", "20200331"),
        (["202010", "202011", "202012"], 1, "202013"),
        (["1599-12-31", "1600-01-31", "1600-02-29"], "month", "1600-03-31"),
    ],
)
def test_the_step_is_found(tmp_path, times, step, later):
    series = read_series(write(tmp_path / "t.csv", times), "t", None, "y", [])
    assert (series.times.step, series.times.text(len(times))) == (step, later)


@pytest.mark.parametrize("step", ["BME", "B", "BMS", "15min", "W-WED", "quarter", "6M"])
def test_made_up_times_are_on_their_steps(tmp_path, step):
    """With which a server tries its model."""
    dates = start_at(step, date(2000, 1, 1))
    times = [dates.text(index) for index in range(5)]
    series = read_series(write(tmp_path / "t.csv", times), "t", step, "y", [])
    assert len(series.y) == 5


@pytest.mark.parametrize("anchor", ["JAN", "MAR", "JUN", "NOV", "DEC"])
def test_quarters_of_other_years(tmp_path, anchor):
    """By name, whatever month their year ends with; the oracle is pandas."""
    import pandas as pd

    periods = pd.period_range("2001Q2", periods=6, freq=f"Q-{anchor}")
    path = write(tmp_path / "t.csv", [str(one) for one in periods[:4]])
    (entry,) = read_entries(path, None, "t", "y", f"Q-{anchor}")
    assert entry["start"] == periods[0] and len(entry["target"]) == 4
    assert [entry.times.text(one) for one in periods[4:]] == [str(one) for one in periods[4:]]


@pytest.mark.parametrize(
    "times, step, keys, message",
    [
        (["01/02/2014", "01/03/2014"], "day", {}, "'01/02/2014' may have the day first, or the"),
        (["13/01/2014", "01/14/2014"], "day", {}, "row 3, column 't': there is no date 01/14/2014"),
        (["30.02.2014"], "day", {}, "row 2, column 't': there is no date 30.02.2014; correct it"),
        (["2014-01-01", "soon"], "day", {}, "row 3, column 't': 'soon' is not a date such as 1958"),
        (["Jan 2014"], "month", {}, "'Jan 2014' is not a finite number; write a date such as 1958"),
        (["2014-W01"], None, {}, "'2014-W01' is not a finite number; write a date such as 1958-03"),
        (["01.01.14"], "day", {}, "'01.01.14' is not a finite number; write a date such as 1958-"),
        (["2014-01-01", ""], "day", {}, "row 3, column 't': the cell is empty; fill it in"),
        (["2014-01-01 25:00"], "day", {}, "there is no date 2014-01-01 25:00; correct it"),
        (
            ["2019-03-30T23:00Z", "2019-03-31T22:00Z"], "day", {},
            "is not a whole number of steps of 1 day after 2019-03-30T23:00Z; correct it, or "
            "data.step, or name the time zone of the days in data.timezone",
        ),
        (
            ["2019-03-29 23:00", "2019-03-30 23:00", "2019-03-31 22:00"], None, {},
            "the rows are not equally far apart; set data.step, such as step: day, and absent "
            "times become missing observations, or name the time zone of the days in data.timezone",
        ),
        (["2019-03-30", "NA"], "day", {}, "row 3, column 't': 'NA' is a missing value; fill it in"),
        (
            ["2019-03-30T23:00Z", "2019-03-31 22:00"], "day", {},
            "row 3, column 't': 2019-03-31 22:00 has no offset from UTC, but others have; add it",
        ),
        (
            ["2019-10-27 02:00", "2019-10-27 02:00"], "h", {},
            "row 3, column 't': 2019-10-27 02:00 does not come after 2019-10-27 02:00 in row 2",
        ),
        (["2019-05-01", "2019-06-03"], "BM", {}, "is not a whole number of steps of BM after"),
        (["0001-01-01 00:00", "0001-01-02 01:00"], "day", BERLIN, "has no time in another zone"),
    ],
)  # fmt: skip
def test_what_is_no_time(tmp_path, times, step, keys, message):
    with pytest.raises(JobError) as refused:
        read_series(write(tmp_path / "t.csv", times), "t", step, "y", [], Format(**keys))
    assert message in str(refused.value)


def test_series_of_a_panel_may_be_in_different_offsets(tmp_path):
    path = tmp_path / "t.csv"
    rows = ["a,2019-03-31T01:00+01:00", "b,2019-03-31T03:00+02:00", "a,2019-03-31T03:00+02:00"]
    path.write_text("s,t,y\n" + "".join(f"{row},{i}\n" for i, row in enumerate(rows)))
    series = read_panel(path, "s", "t", "h", "y", []).series
    assert series["a"].y.tolist() == [0, 2] and series["b"].labels(0, 2) == [
        "2019-03-31T03:00+02:00", "2019-03-31T04:00+02:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text, year",
    [
        ("1958-03", 1958 + 3 / 12),
        ("16/03/1958", 1958 + (3 + 15 / 31) / 12),
        ("1958-03-16 12:00", 1958 + (3 + 15.5 / 31) / 12),
        ("1958-03-16T14:00+02:00", 1958 + (3 + 15.5 / 31) / 12),
        ("1958Q2", 1958 + 4 / 12),
    ],
)
def test_dates_as_inputs(tmp_path, text, year):
    path = tmp_path / "t.csv"
    path.write_text(f"t,y\n{text},1\n")
    assert read_table(path, ["t", "y"], ["t"]).columns["t"] == pytest.approx([year], abs=1e-12)


def test_many_dates_in_any_style_are_read_as_written():
    """Each style writes what it has read."""
    days = np.arange("2019-12-20", "2020-03-10", dtype="datetime64[D]").tolist()
    styles = ["%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S", "%Y-%m"]
    for style in [*styles, "%Y-%m-%dT%H:%M:%S.000Z", "%d-%m-%Y %H:%M"]:
        texts = [day.strftime(style) for day in days]
        moments = read_moments(texts, find_order(texts, None))
        written = [moments.style.text(wall, 0) for wall in moments.walls.tolist()]
        assert written == texts
        if style != "%Y-%m":
            assert moments.walls.astype("datetime64[D]").tolist() == days


def test_the_order_of_the_training_holds_for_new_rows(run, workspace):
    """Of one date alone nobody could tell."""
    (workspace / "table.csv").write_text(
        "x,y\n" + "".join(f"{d}/02/2014,{d}\n" for d in range(9, 20))
    )
    (workspace / "job.yaml").write_text(yaml.safe_dump(changed(JOB, {"training.iterations": 0})))
    assert run("train", "job.yaml")[0] == 0
    predictions = []
    for text in ("3/2/2014", "2014-02-03"):
        (workspace / "new.csv").write_text(f"x\n{text}\n")
        assert run("predict", "out", "--data", "new.csv")[0] == 0
        predictions.append((workspace / "out" / "predictions.csv").read_text().split(",")[5:])
    assert predictions[0] == predictions[1]


@pytest.mark.parametrize("estimator", ["structural", "statespace"])
def test_a_forecast_can_be_appended_to_its_file(run, workspace, estimator):
    """From the command line, with W-WED and dates that have the day first."""
    days = np.datetime64("2019-01-02") + 7 * np.arange(30)
    dates = [day.strftime("%d/%m/%Y") for day in days.tolist()]
    table = "date,y\n" + "".join(f"{d},{10 + (i * 7) % 5}\n" for i, d in enumerate(dates))
    (workspace / "series.csv").write_text(table)
    if estimator == "statespace":
        job = changed(small_statespace_job.JOB, {"data.time": "date", "data.path": "series.csv"})
    else:
        changes = {"data.freq": "W-WED", "data.item": None, "data.backtest": None}
        job = changed(
            small_forecast_job.FORECAST_JOB,
            {**small_forecast_job.of("structural"), **changes, "model.prediction_length": 3},
        )
    (workspace / "job.yaml").write_text(yaml.safe_dump(job))
    assert run("train", "job.yaml")[0] == 0
    rows = [line.split(",") for line in (workspace / "out" / "forecast.csv").open()][1:]
    place = 0 if estimator == "statespace" else 1
    assert [row[place] for row in rows] == ["31/07/2019", "07/08/2019", "14/08/2019"]
    (workspace / "series.csv").write_text(table + "".join(f"{row[place]},11\n" for row in rows))
    assert run("predict", "out", "--data", "series.csv")[0] == 0
    (first, *_) = [line.split(",") for line in (workspace / "out" / "predictions.csv").open()][1:]
    assert first[place] == "21/08/2019"


def test_an_unknown_time_zone(refused, workspace):
    job = changed(small_statespace_job.JOB, {"data.timezone": "Europe/Bern"})
    (workspace / "job.yaml").write_text(yaml.safe_dump(job))
    assert refused("train", "job.yaml").startswith(
        "data.timezone: 'Europe/Bern': unknown time zone; write it as Europe/Berlin"
    )
