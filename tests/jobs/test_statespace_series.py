"""The series of a table: its steps, their names, and what is missing."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_statespace_job import TABLE
from test_job_fuzz import TABLES

from gluon_linalg.jobs.errors import JobError
from gluon_linalg.jobs.time_series.series import read_series


@pytest.mark.parametrize(
    "step, times, later",
    [
        (None, ["1999-12-31", "2000-01-31", "2000-02-29"], ["2000-03-31", "2000-04-30"]),
        ("month", ["2000-01", "2000-03"], ["2000-04", "2000-05"]),
        ("quarter", ["2000-01", "2000-07"], ["2000-10", "2001-01"]),
        (None, ["2000-02-29", "2001-02-28"], ["2002-02-28", "2003-02-28"]),
        (None, ["2000-01-30", "2000-02-06"], ["2000-02-13", "2000-02-20"]),
        (None, ["2000-02-28", "2000-02-29"], ["2000-03-01", "2000-03-02"]),
        ("day", ["2000-02-28", "2000-03-01"], ["2000-03-02", "2000-03-03"]),
        ("year", ["1999-05-03", "2001-05-03"], ["2002-05-03", "2003-05-03"]),
        (None, ["0.1", "0.2", "0.3"], ["0.4", "0.5"]),
        (5, ["10", "20"], ["25", "30"]),
        (None, ["1958.2083", "1958.2917", "1958.375"], ["1958.45835", "1958.5417"]),
    ],
)
def test_times_go_on(tmp_path, step, times, later):
    path = tmp_path / "table.csv"
    path.write_text("t,y\n" + "".join(f"{time},1\n" for time in times))
    series = read_series(path, "t", step, "y", [])
    count = len(series.y)
    assert series.labels(count, count + 2) == later
    assert [label for label in series.labels(0, count) if label in times] == times
    assert np.isnan(series.y).sum() == count - len(times)


def test_a_blank_line_is_a_row_where_no_time_tells(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\ny\n1\n\n2\n\n\n")
    series = read_series(path, None, None, "y", [])
    np.testing.assert_array_equal(series.y, [1, np.nan, 2])
    assert series.labels(0, 4) == ["1", "2", "3", "4"]


@settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(
    data=st.binary(max_size=60),
    rows=TABLES,
    where=st.integers(0, 200),
    step=st.sampled_from([None, 1.0, "day", "month"]),
    time=st.sampled_from([None, "year"]),
)
def test_whatever_the_table_holds(workspace, data, rows, where, step, time):
    """A series with a forecast's times, or one line."""
    damaged = TABLE.encode()[:where] + data + TABLE.encode()[where:]
    built = "\n".join(["year,y", *(",".join(row) for row in rows)]).encode("utf-8", "surrogatepass")
    for content in (data, damaged, built):
        (workspace / "table.csv").write_bytes(content)
        try:
            series = read_series("table.csv", time, step, "y", [])
            assert not np.isnan(series.y[-1])
            assert len(series.labels(0, len(series.y) + 3)) == len(series.y) + 3
        except JobError as error:
            assert "\n" not in str(error)
