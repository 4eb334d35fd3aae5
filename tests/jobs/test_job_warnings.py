"""A job says what speaks against its model, and begins where the data fit best."""

import json
from functools import partial
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest
from scipy.stats import binomtest

from gluon_linalg.blocks.bounded import BoundedParameter
from gluon_linalg.blocks.parameters import PositiveParameter
from gluon_linalg.jobs.forecast.task import Forecasting
from gluon_linalg.jobs.interruption import Interrupted
from gluon_linalg.jobs.metrics import holdout_bands
from gluon_linalg.jobs.reading import validate
from gluon_linalg.jobs.regression import task as regression_task
from gluon_linalg.jobs.state import TrainingState
from gluon_linalg.jobs.train import train
from gluon_linalg.jobs.warning import find_warnings

RANDOM = np.random.default_rng(3)
X = np.linspace(0.0, 10.0, 80)
NOISE = RANDOM.normal(size=80)


@pytest.fixture
def fit(tmp_path, monkeypatch):
    monkeypatch.setattr(regression_task, "plot_model", lambda *_: None)

    def fit_model(y, kernel, output="out", iterations=200, **model):
        rows = "".join(f"{a!r},{b!r}\n" for a, b in zip(X.tolist(), np.asarray(y).tolist()))
        (tmp_path / "table.csv").write_text("x,y\n" + rows)
        document = {
            "task": "gp",
            "data": {"path": str(tmp_path / "table.csv"), "inputs": ["x"], "target": "y"},
            "model": {"kernel": kernel, **model},
            "training": {"iterations": iterations, "checkpoint_every": 1000},
            "output": str(tmp_path / output),
        }
        return train(validate("job", document)).metrics

    return fit_model


@pytest.mark.parametrize("what, count, promised", [("holdout", 60, 0.95), ("backtest", 192, 0.8)])
def test_the_share_inside_a_band(what, count, promised):
    bands = {"holdout": holdout_bands, "backtest": partial(Forecasting.bands, None)}[what]
    task = SimpleNamespace(warnings=lambda: (), parameters={}, bands=bands)
    for inside in range(count + 1):
        metrics = {"rows": count, "observations": count}
        metrics.update(coverage_95=inside / count, coverage_80=inside / count)
        found = find_warnings(task, {what: metrics})
        is_rare = binomtest(inside, count, promised).pvalue < 0.01
        is_far = abs(inside / count - promised) >= 0.04
        # Two ways to make a test two-sided part only at its edge.
        if inside / count < promised - 0.12 or inside / count > promised + 0.12:
            assert is_rare and is_far and len(found) == 1
            assert found[0].startswith(f"{inside} of {count} of the")
        elif not is_far or binomtest(inside, count, promised).pvalue > 0.03:
            assert found == []


def test_bounds():
    low = PositiveParameter("low", [1e-10 * (1.0 + 1e-3), 3.0], lower=1e-10)
    period = BoundedParameter("period", [2.1, 49.99999999], 2.0, 50.0)
    parameters = {"part.variance": low, "part.period": period}
    task = SimpleNamespace(
        warnings=lambda: (),
        bands=lambda metrics: (),
        parameters=parameters,
        value=lambda path: parameters[path].value(),
        typical_size=lambda path: np.nan,
    )
    for parameter in parameters.values():
        parameter.initialize()
        parameter.cast("float64")
    found = find_warnings(task, {})
    assert [line.split(":")[0] for line in found] == [
        "part.variance[0] is at its bound, 1e-10",
        "part.period[1] is at its bound, 50",
    ]
    low.grad_req = "null"
    assert len(find_warnings(task, {})) == 1


def test_a_model_of_noise_explains_nothing(fit):
    found = fit(NOISE, {"rbf": {"lengthscale": 50.0}})["warnings"]
    assert found[0].startswith("the model explains nothing")
    assert found[1].startswith("kernel.rbf.variance fell to")
    # Where independent noise is the model, its likelihood is the closed form.
    found = fit(NOISE, {"white": {"fixed": ["variance"], "variance": 1e-6}}, "white")
    expected = 40.0 * (1.0 + np.log(2.0 * np.pi * NOISE.var()))
    assert found["nlml"]["trained"] == pytest.approx(expected, rel=1e-5)
    assert [line for line in found["warnings"] if "explains nothing" in line]


def test_what_runs_away(fit):
    """A mixture of lengthscales where there is one: alpha has no finite optimum."""
    y = 3.0 * np.exp(-0.5 * (X - 4.0) ** 2) + 0.01 * NOISE
    found = fit(y, {"rational_quadratic": {}})
    assert found["parameters"]["trained"]["kernel.rational_quadratic.alpha"] > 1e3
    (line,) = found["warnings"]
    assert line.startswith("kernel.rational_quadratic.alpha ran away to")
    assert fit(y, {"rbf": {}}, "rbf")["warnings"] == []


@pytest.mark.parametrize("waves", [0.2, 1.0, 3.0])
def test_slow_and_fast_functions_are_found_alike(fit, waves):
    """The best of many searches from given values is not better than the one from the data."""
    y = np.sin(waves * X) + 0.1 * NOISE
    found = fit(y, {"rbf": {}})
    best = min(
        fit(y, {"rbf": {"variance": 1.0, "lengthscale": length}}, f"given{length}",
            noise_variance=0.05)["nlml"]["trained"]
        for length in (0.1, 0.5, 2.0, 10.0)
    )  # fmt: skip
    assert found["nlml"]["trained"] <= best + 1e-4
    assert found["warnings"] == []


def test_a_period_is_found(fit):
    y = np.abs(np.sin(np.pi * X / 1.7)) + 0.3 * X**2 + 0.1 * NOISE
    kernel = {"sum": [{"periodic": {}}, {"rbf": {}}]}
    found = fit(y, kernel)["parameters"]
    initial = found["initial"]["kernel.sum.0.periodic.period"]
    assert initial == pytest.approx(1.7, rel=0.05)
    assert found["trained"]["kernel.sum.0.periodic.period"] == pytest.approx(1.7, rel=0.01)


def test_kernels_of_the_same_columns_do_not_begin_alike(fit):
    found = fit(NOISE, {"sum": [{"rbf": {}}, {"rbf": {}}, {"matern12": {}}]}, iterations=0)
    initial = found["parameters"]["initial"]
    lengths = [value for name, value in initial.items() if "lengthscale" in name]
    assert len(set(np.round(lengths, 6))) > 1


def test_a_run_that_continues_begins_at_the_same_start(fit, tmp_path, monkeypatch):
    y = np.sin(2.0 * X) + 0.1 * NOISE
    whole = fit(y, {"rbf": {}}, "whole", mean="linear")
    advance = TrainingState.advance

    def advance_and_stop(self, loss):
        advance(self, loss)
        if self.iteration == 4:
            self.save()
            raise Interrupted(15, 4)

    monkeypatch.setattr(TrainingState, "advance", advance_and_stop)
    with pytest.raises(Interrupted):
        fit(y, {"rbf": {}}, mean="linear")
    monkeypatch.setattr(TrainingState, "advance", advance)
    again = fit(y, {"rbf": {}}, mean="linear")
    for name in ("nlml", "parameters", "warnings"):
        assert json.dumps(again[name]) == json.dumps(whole[name])
    files = [mx.nd.load(str(tmp_path / f / "model-0000.params")) for f in ("out", "whole")]
    one, other = ([array.asnumpy().tobytes() for array in file.values()] for file in files)
    assert one == other
