"""The scripts in examples/ run, and show what they are there to show."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name, *arguments, folder="deep"):
    path = EXAMPLES / folder / f"{name}.py"
    specification = importlib.util.spec_from_file_location(f"example_{name}", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.main(list(arguments))


def test_network_with_bayesian_regression_on_top():
    results = run("mlp_blr", "--epochs", "40")
    # The spread of the targets is 77: a normal distribution with it is worth -5.8 for each point.
    for name, figures in results.items():
        assert figures["rmse"] < 65, name
        assert -5.65 < figures["log_likelihood"] < -5.0, name
    # One linear map of 10 features has little to overfit.
    assert results["BLR, no network"]["rmse"] == pytest.approx(55.5, abs=0.5)


@pytest.mark.slow
def test_a_pendulum_is_no_linear_spring():
    results = run("pendulum")
    # Known exactly, an angle is worth 1.58.
    assert results["linear"] + 0.15 < results["network"] < 1.58


def test_principal_components_in_a_classifier():
    results = run("pca_network", "--epochs", "4")
    for figures in results.values():
        assert figures["reloaded"] == figures["accuracy"]
    plain = results["without PCABlock"]["accuracy"]
    reconstruction = results["PCABlock, reconstruction"]["accuracy"]
    # Ten digits: chance is 0.1.
    assert min(plain, reconstruction) > 0.8
    assert abs(plain - reconstruction) < 0.06
    # Scores change order and sign from batch to batch.
    assert results["PCABlock, scores"]["accuracy"] < reconstruction - 0.2


def test_deep_canonical_correlation(tmp_path):
    picture = tmp_path / "new" / "canonical.png"
    results = run("deep_cca", "--epochs", "80", "--picture", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")
    linear, deep = results["linear CCA"], results["deep CCA"]
    assert np.isfinite([linear, deep]).all()
    # 10 correlations, each at most 1; independent halves would give about 0.
    assert 5.0 < linear + 0.5 < deep < 10.0


@pytest.mark.slow
def test_sunspots_have_a_sign():
    """The loss of DeepAR in the same windows is 0.224; the figures are those of the docs."""
    results = run("backtest", folder="sunspots")
    assert results["with signs"]["quantile_loss"] == pytest.approx(0.204, abs=2e-3)
    assert results["with signs"]["MASE"] == pytest.approx(0.745, abs=5e-3)
    assert results["square roots"]["quantile_loss"] == pytest.approx(0.236, abs=2e-3)
