"""The same data in other units give the same model; what is constant has no deviation."""

import numpy as np
import pytest

from gluon_linalg.fitting.units import mean_and_deviation
from gluon_linalg.jobs.lda import task as lda_task
from gluon_linalg.jobs.pca import task as pca_task
from gluon_linalg.jobs.predict import predict_file
from gluon_linalg.jobs.reading import validate
from gluon_linalg.jobs.regression import task as regression_task
from gluon_linalg.jobs.train import train
from gluon_linalg.jobs.units import target_units


@pytest.mark.parametrize("constant", [0.1, 14.62, -1e-9 / 3, 1e9 / 7, 0.0])
def test_the_deviation_of_a_constant_is_zero(constant):
    values = np.full((1000, 2), constant)
    values[:, 1] += np.arange(1000.0) * (abs(constant) or 1.0) * 1e-6
    mean, deviation = mean_and_deviation(values)
    assert mean[0] == constant and deviation[0] == 0.0
    expected = np.sqrt((1000**2 - 1) / 12) * (abs(constant) or 1.0) * 1e-6
    assert deviation[1] == pytest.approx(expected, rel=1e-9)


def test_a_constant_but_for_rounding():
    values = np.where(np.arange(50) % 2, 0.1 + 0.2, 0.3)
    assert len(set(values)) == 2
    assert mean_and_deviation(values)[1] == 0.0
    # What deviates in the last digits that a file may have is no rounding.
    assert mean_and_deviation(1e9 + np.arange(50) * 1e-4)[1] > 1e-4


@pytest.mark.parametrize("constant, scale", [(0.1, 0.1), (-14.62, 14.62), (0.0, 1.0)])
def test_a_constant_target_is_scaled_by_its_magnitude(constant, scale):
    units = target_units("path", "standardize", np.full(37, constant))
    assert (units.target_offset, units.target_scale) == (constant, scale)


ROWS, HELD = 30, 6
RANDOM = np.random.default_rng(5)
TIMES = np.sort(RANDOM.uniform(0.0, 10.0, ROWS))
OTHER = RANDOM.normal(size=ROWS)
TARGET = np.sin(TIMES) + 0.3 * TIMES + 0.4 * OTHER + 0.1 * RANDOM.normal(size=ROWS)
MODELS = {
    "rbf": ("gp", {"kernel": {"rbf": {}}}),
    "linear mean": ("gp", {"kernel": {"matern52": {"columns": ["t"]}}, "mean": "linear"}),
    "sum": (
        "gp",
        {
            "kernel": {
                "sum": [
                    {"product": [{"periodic": {"columns": ["t"]}}, {"rbf": {}}]},
                    {"linear": {}},
                    {"scaled": {"kernel": {"constant": {}}}},
                ]
            },
            "mean": "constant",
        },
    ),
    "polynomial kernel": ("gp", {"kernel": {"sum": [{"polynomial": {}}, {"white": {}}]}}),
    "linear": ("blr", {"features": {"linear": {}}}),
    "polynomial": ("blr", {"features": {"polynomial": {"degree": 3}}}),
    "network": ("blr", {"features": {"mlp": {"hidden": [4]}}}),
}
# The unit of t, of the other column, of the target, and where t begins.
UNITS = {
    "small": (1e-9, 1e9, 1e-9, 0.0),
    "large": (1e4, 1e-3, 1e9, 1e6),
}
BASE = (1.0, 1.0, 1.0, 0.0)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Trains a model of MODELS on the data in other units; returns the metrics."""
    monkeypatch.setattr(regression_task, "plot_model", lambda *_: None)

    def train_job(name, units, dtype="float64", scaling="center", **data):
        of_t, of_other, of_target, begin = units
        spread = TIMES.std()
        columns = [of_t * (TIMES + begin * spread), of_other * (OTHER + begin)]
        columns.append(of_target * (TARGET + begin))
        rows = "".join(",".join(map(repr, row)) + "\n" for row in np.transpose(columns).tolist())
        (tmp_path / "table.csv").write_text("t,other,y\n" + rows)
        task, model = MODELS[name]
        document = {
            "task": task,
            "data": {
                "path": str(tmp_path / "table.csv"),
                "inputs": ["t", "other"],
                "target": "y",
                "target_scaling": scaling,
                "holdout": {"fraction": HELD / ROWS},
                **data,
            },
            "model": {**model, "dtype": dtype},
            "training": {"iterations": 15},
            "output": str(tmp_path / "out"),
        }
        return train(validate("job", document), overwrite=True).metrics

    return train_job


def assert_same_model(found, base, unit, tolerance):
    """Likelihoods of n numbers in another unit differ by n log unit, densities by log unit."""
    count = ROWS - HELD
    for moment in ("initial", "trained"):
        shifted = found["nlml"][moment] - count * np.log(unit)
        assert shifted == pytest.approx(base["nlml"][moment], abs=count * tolerance), moment
    assert found["holdout"]["rmse"] / unit == pytest.approx(base["holdout"]["rmse"], rel=tolerance)
    density = found["holdout"]["nlpd"] - np.log(unit)
    assert density == pytest.approx(base["holdout"]["nlpd"], abs=tolerance)
    assert found["holdout"]["coverage_95"] == base["holdout"]["coverage_95"]


@pytest.mark.parametrize("name", MODELS)
def test_the_same_data_in_other_units_give_the_same_model(trained, name):
    base = trained(name, BASE)
    assert base["nlml"]["trained"] < base["nlml"]["initial"] - 1.0
    for units in UNITS.values():
        found = trained(name, units)
        assert_same_model(found, base, units[2], tolerance=1e-6)
        assert found["training"]["iterations"] == base["training"]["iterations"]


@pytest.mark.parametrize("name", ["linear mean", "sum", "network"])
def test_the_same_in_float32(trained, name):
    base = trained(name, BASE, "float32")
    for units in UNITS.values():
        assert_same_model(trained(name, units, "float32"), base, units[2], tolerance=3e-3)


@pytest.mark.parametrize(
    "name, scaling",
    [
        ("rbf", "raw"),
        ("rbf", "standardize"),
        ("linear mean", "raw"),
        ("linear mean", "center"),
        ("polynomial", "raw"),
        ("polynomial", "standardize"),
    ],
)
def test_every_scaling_of_the_target(trained, name, scaling):
    """What is reported is in the units that the job chose."""
    base = trained(name, BASE, scaling=scaling)
    # What is left as it is may have another unit, but not another zero, unless a mean takes it.
    begin = 1e6 if scaling != "raw" or name == "linear mean" else 0.0
    units = (7.0, 1e-3, 1e5, begin)
    found = trained(name, units, scaling=scaling)
    unit = 1.0 if scaling == "standardize" else units[2]
    shift = (ROWS - HELD) * np.log(unit)
    assert found["nlml"]["trained"] - shift == pytest.approx(base["nlml"]["trained"], abs=1e-5)
    rmse = found["holdout"]["rmse"] / units[2]
    assert rmse == pytest.approx(base["holdout"]["rmse"], rel=1e-6)
    noise = found["parameters"]["trained"]["noise_variance"] / unit**2
    assert noise == pytest.approx(base["parameters"]["trained"]["noise_variance"], rel=1e-5)
    if name == "linear mean" and scaling == "raw":
        bias = found["parameters"]["trained"]["mean.bias"] / unit
        assert bias - 1e6 == pytest.approx(base["parameters"]["trained"]["mean.bias"], rel=1e-4)
        weight = np.array(found["parameters"]["trained"]["mean.weight"]) / unit * units[:2]
        assert weight == pytest.approx(base["parameters"]["trained"]["mean.weight"], rel=1e-5)


@pytest.mark.parametrize("name, scaling", [("linear", "raw"), ("polynomial", "center")])
def test_features_that_keep_their_units(trained, name, scaling):
    base = trained(name, BASE, input_scaling=scaling)
    assert len(base["parameters"]["trained"]["prior_variance"]) == (3 if name == "linear" else 7)
    units = (1e3, 1e-3, 1e-6, 0.0)
    assert_same_model(trained(name, units, input_scaling=scaling), base, units[2], 1e-7)


def test_initial_values_are_in_the_units_of_the_data(trained, monkeypatch):
    """Those that are given are taken as they are, however small: no start is searched for."""

    def model(of_t, of_target):
        kernel = {"rbf": {"variance": 2.0 * of_target**2, "lengthscale": 1.5 * of_t}}
        kernel["rbf"]["columns"] = ["t"]
        return "gp", {"kernel": kernel, "noise_variance": 0.05 * of_target**2}

    monkeypatch.setitem(MODELS, "given", model(1.0, 1.0))
    base = trained("given", BASE)
    monkeypatch.setitem(MODELS, "given", model(1e-6, 1e-9))
    found = trained("given", (1e-6, 1.0, 1e-9, 0.0))
    assert_same_model(found, base, 1e-9, tolerance=1e-7)
    initial = found["parameters"]["initial"]
    assert initial["kernel.rbf.variance"] == pytest.approx(2e-18, rel=1e-12)
    assert initial["kernel.rbf.lengthscale"] == pytest.approx(1.5e-6, rel=1e-12)
    assert initial["noise_variance"] == pytest.approx(0.05e-18, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("standardize", [False, True])
def test_principal_components_in_other_units(tmp_path, monkeypatch, standardize, dtype):
    monkeypatch.setattr(pca_task, "save_picture", lambda *_: None)
    x = RANDOM.normal(size=(20, 3)) @ np.array([[3.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 0.2]])

    def analyse(unit, begin):
        rows = unit * (x + begin)
        text = "".join(",".join(map(repr, row)) + "\n" for row in rows.tolist())
        (tmp_path / "table.csv").write_text("a,b,c\n" + text)
        document = {
            "task": "pca",
            "data": {"path": str(tmp_path / "table.csv"), "columns": ["a", "b", "c"]},
            "model": {"components": 2, "standardize": standardize, "dtype": dtype},
            "output": str(tmp_path / "out"),
        }
        metrics = train(validate("job", document), overwrite=True).metrics
        # The exported model on the rows of the file, by the command's own way.
        path, _, _ = predict_file(str(tmp_path / "out"), str(tmp_path / "table.csv"), None, "cpu")
        return metrics, np.loadtxt(path, delimiter=",", skiprows=1)

    base, scores = analyse(1.0, 0.0)
    for unit, begin in ((1e-9, 0.0), (1e9, 0.0), (1e-5, 1e6)):
        found, other = analyse(unit, begin)
        size = 1.0 if standardize else unit
        variances = np.array(found["components"]["explained_variance"]) / size**2
        np.testing.assert_allclose(variances, base["components"]["explained_variance"], rtol=1e-8)
        np.testing.assert_allclose(other / size, scores, atol=1e-7 if dtype == "float64" else 2e-5)
        known, expected = found["probabilistic"], base["probabilistic"]
        noise = known["noise_variance"] / size**2
        assert noise == pytest.approx(expected["noise_variance"], rel=1e-7)
        assert known["nll"] - x.size * np.log(size) == pytest.approx(expected["nll"], rel=1e-7)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_discriminants_in_other_units(tmp_path, monkeypatch, dtype):
    """Of each column its own; the classes are as probable, and the scores the same."""
    monkeypatch.setattr(lda_task, "save_picture", lambda *_: None)
    names = np.array(list("abcabb") * 4)
    x = RANDOM.normal(size=(24, 3)) + (names == "a")[:, None] * [1, 0, 2] + (names == "b")[:, None]

    def analyse(units, begin):
        rows = (np.array(units) * (x + begin)).tolist()
        text = "".join(",".join(map(repr, row)) + f",{name}\n" for row, name in zip(rows, names))
        (tmp_path / "table.csv").write_text("a,b,c,kind\n" + text)
        document = {
            "task": "lda",
            "data": {"columns": ["a", "b", "c"], "target": "kind"},
            "model": {"dtype": dtype, "ridge": 0.01},
            "output": str(tmp_path / "out"),
        }
        document["data"]["path"] = str(tmp_path / "table.csv")
        metrics = train(validate("job", document), overwrite=True).metrics
        path, _, _ = predict_file(str(tmp_path / "out"), str(tmp_path / "table.csv"), None, "cpu")
        return metrics, np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(1, 6))

    base, answers = analyse([1.0, 1.0, 1.0], 0.0)
    for units, begin in (([1e-9, 1.0, 1e9], 0.0), ([1e5, 1e-5, 1.0], 1e6)):
        found, other = analyse(units, begin)
        assert found["directions"]["eigenvalues"] == pytest.approx(
            base["directions"]["eigenvalues"], rel=1e-7
        )
        np.testing.assert_allclose(other, answers, atol=1e-7 if dtype == "float64" else 2e-5)


@pytest.mark.parametrize("constant", [0.1, 14.62, 2.0])
def test_predictions_beside_a_constant_column(tmp_path, monkeypatch, constant):
    """A step of a hundredth away from a column that was constant changes little."""
    monkeypatch.setattr(regression_task, "plot_model", lambda *_: None)
    rows = "".join(f"{t!r},{constant!r},{y!r}\n" for t, y in zip(TIMES.tolist(), TARGET.tolist()))
    (tmp_path / "table.csv").write_text("t,other,y\n" + rows)
    (tmp_path / "new.csv").write_text(f"t,other\n5,{constant!r}\n5,{1.01 * constant!r}\n")
    for task, model in (MODELS["linear"], MODELS["rbf"]):
        document = {
            "task": task,
            "data": {"path": str(tmp_path / "table.csv"), "inputs": ["t", "other"], "target": "y"},
            "model": model,
            "output": str(tmp_path / task),
        }
        metrics = train(validate("job", document)).metrics
        assert metrics["warnings"] == [
            "column 'other' is constant in the rows to train on: it tells nothing"
        ]
        path, _, _ = predict_file(str(tmp_path / task), str(tmp_path / "new.csv"), None, "cpu")
        table = np.loadtxt(path, delimiter=",", skiprows=1)
        np.testing.assert_allclose(table[1, 2:], table[0, 2:], atol=0.01)
