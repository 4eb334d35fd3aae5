"""The published figures of the two example jobs."""

import json

import numpy as np
import pytest
from small_job import ROOT

EXAMPLES = ROOT / "examples"


def trained(run, tmp_path, example):
    status, out, err = run("train", EXAMPLES / example, "--output", tmp_path / "out")
    assert status == 0, err
    assert "NLML" in out
    return json.loads((tmp_path / "out" / "metrics.json").read_text())


def test_mauna_loa(run, tmp_path):
    metrics = trained(run, tmp_path, "co2/job.yaml")
    assert metrics["rows"] == 521
    assert metrics["nlml"]["trained"] <= 115.06
    # The optimum of this model, found by another program too, is no lower than this.
    assert metrics["nlml"]["trained"] > 115.0
    assert metrics["nlml"]["trained_per_observation"] == metrics["nlml"]["trained"] / 521
    assert metrics["warnings"] == []
    # Fixed; their logarithms are stored, and which way these round is the processor's choice.
    for name in ("period", "variance"):
        value = metrics["parameters"]["trained"][f"kernel.sum.1.product.1.periodic.{name}"]
        assert value == pytest.approx(1.0, rel=np.finfo("float64").eps)


def test_mauna_loa_with_holdout(run, tmp_path):
    metrics = trained(run, tmp_path, "co2/holdout.yaml")
    assert metrics["rows"] == 461
    assert metrics["holdout"]["rows"] == 60
    assert 0 < metrics["holdout"]["rmse"] < 1.5
    assert metrics["holdout"]["coverage_95"] > 0.8
    assert metrics["nlml"]["trained"] == pytest.approx(106.0542, abs=0.01)
    assert metrics["warnings"] == []


def test_olympic_marathon(run, tmp_path):
    metrics = trained(run, tmp_path, "olympic_marathon/job.yaml")
    assert metrics["nlml"]["initial"] == pytest.approx(145.3328, abs=1e-3)
    assert metrics["nlml"]["trained"] <= 7.2879
