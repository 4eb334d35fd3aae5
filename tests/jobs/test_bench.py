"""`gluon-linalg bench`: its numbers, its table, and a server's."""

import json
import os
import shutil

import numpy as np
import pytest
from small_serving import FEATURE_JOBS, JOBS, serving, trained

from gluon_linalg.jobs.predict import TrainedModel
from gluon_linalg.jobs.serving import bench as bench_module


def test_table_and_json(run):
    status, out, err = run("bench", trained("gp"), "--rows", "1,5", "--seconds", "0.02")
    assert (status, err) == (0, "")
    title, versions, header, *rows = out.splitlines()
    assert title == f"{trained('gp')}: gp in float64 on cpu(0)"
    assert "MXNet 1.9.1" in versions
    assert header.split() == ["rows", "calls", "median", "ms", "95", "%", "ms", "rows/s"]
    assert [row.split()[0] for row in rows] == ["1", "5"]
    status, out, err = run("bench", trained("gp"), "--rows", "1,5", "--seconds", "0.02", "--json")
    report = json.loads(out)
    assert (report["task"], report["context"], report["url"]) == ("gp", "cpu(0)", None)
    assert {"gluon_linalg", "mxnet", "numpy", "python"} <= set(report["versions"])
    assert [row["rows"] for row in report["results"]] == [1, 5]


def test_numbers(monkeypatch):
    """Of calls that take 1, 2, ..., 100 ms."""
    times = [k / 1000 for k in range(1, 101)]
    found = bench_module._summary(32, times)
    assert found["calls"] == 100
    assert found["median_ms"] == pytest.approx(50.5)
    assert found["p95_ms"] == pytest.approx(95.05)
    assert found["rows_per_second"] == pytest.approx(32 * 100 / 5.05)
    clock = iter(np.arange(0.0, 100.0, 0.25))
    monkeypatch.setattr(bench_module.time, "perf_counter", lambda: next(clock))
    calls = []
    times = bench_module._times(lambda: calls.append(1), seconds=4.0)
    # A round looks at the clock three times, 0.25 s from one look to the next.
    assert set(times) == {0.25} and len(calls) == bench_module.WARM_UP + len(times)
    assert len(times) == 6


@pytest.mark.parametrize("task", [*JOBS, *FEATURE_JOBS])
def test_rows_of_any_number(task):
    model = TrainedModel(trained(task), "cpu")
    for count in (1, 2, 40):
        rows = model.read(model.sample_rows(count))
        least = model.description.get("least_observations", 1)
        assert model.predictor.count(rows) == max(count, least)
        assert len(model.predict(rows)[-1][1]) > 0
    if task == "gp":
        table = model.read(model.sample_rows(20))
        assert table.texts["x"] == [str(0.25 * (i % 3)) for i in range(20)]


def test_a_folder_without_a_sample(run, tmp_path):
    shutil.copytree(trained("blr"), tmp_path / "out")
    os.remove(tmp_path / "out" / "sample.csv")
    status, out, err = run("bench", tmp_path / "out", "--rows", "3", "--seconds", "0.01")
    assert (status, out) == (2, "") and "sample.csv" in err and "--overwrite" in err


@pytest.mark.parametrize("task", ["gp", "statespace", "panel", "features of blr"])
def test_a_server(run, task):
    options = ("--rows", "2,8", "--seconds", "0.02", "--json")
    with serving(trained(task)) as running:
        url = f"http://127.0.0.1:{running.port}"
        status, out, err = run("bench", trained(task), "--url", url, *options)
        assert (status, err) == (0, "")
        report = json.loads(out)
        assert report["url"] == url and len(report["results"]) == 2
        if task != "gp":
            return
        # The server of another model, a wrong path, too many rows.
        status, _, err = run("bench", trained("statespace"), "--url", url, *options)
        assert status == 2 and "422" in err and "there is no column" in err
        status, _, err = run("bench", trained("gp"), "--url", url + "/x", *options)
        assert status == 2 and "404" in err
        status, _, err = run("bench", trained("gp"), "--url", url, "--rows", "1001")
        assert status == 2 and "413" in err and err.count("\n") == 1
    status, _, err = run("bench", trained("gp"), "--url", url, *options)
    assert status == 2 and "no answer: Connection refused" in err


@pytest.mark.parametrize("wrong", ["", "0", "1,", "a", "1.5", "-1", "1e3", "99999999", "1;2"])
def test_wrong_numbers_of_rows(run, wrong):
    status, out, err = run("bench", trained("gp"), f"--rows={wrong}")
    assert (status, out) == (2, "") and "--rows" in err and err.count("\n") == 1


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://a", "http://", "http://a:b", "x"])
def test_wrong_urls(run, url):
    status, out, err = run("bench", trained("gp"), "--url", url, "--rows", "1")
    assert (status, out) == (2, "") and url in err and err.count("\n") == 1
