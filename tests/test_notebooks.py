"""The notebooks of docs/notebooks: their scripts run, and what is stored is of these scripts."""

import json
import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(ROOT.glob("docs/notebooks/*.py"))
# One of them with each commit, the others each night.
QUICK = "kalman_filter"


def code_of(text):
    """The lines of code, without markers and prose."""
    lines = [line.rstrip() for line in text.splitlines()]
    return [line for line in lines if line and not re.match(r"# ?", line)]


def test_each_script_has_a_notebook_and_a_page():
    pages = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(SCRIPTS) > 7
    for script in SCRIPTS:
        assert script.with_suffix(".ipynb").exists(), "run python docs/make_notebooks.py"
        assert f"notebooks/{script.stem}.md" in pages
        assert f"docs/notebooks/{script.stem}.ipynb" in readme


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_is_stored_is_of_the_script(script):
    notebook = json.loads(script.with_suffix(".ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    stored = "\n".join("".join(cell["source"]) for cell in cells)
    assert code_of(stored) == code_of(script.read_text(encoding="utf-8"))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert all(output["output_type"] != "error" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(s, id=s.stem, marks=[] if s.stem == QUICK else [pytest.mark.slow])
        for s in SCRIPTS
    ],
)
def test_it_runs(script, monkeypatch):
    monkeypatch.chdir(script.parent)
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    with matplotlib.rc_context():
        plt.switch_backend("agg")
        names = {"__name__": "notebook"}
        exec(compile(script.read_text(encoding="utf-8"), script.name, "exec"), names)
        assert shown
        plt.close("all")
    if script.stem in FOUND:
        FOUND[script.stem](names)


def ship(names):
    """The deviations with which the data were made."""
    assert 0.1 < names["push"] < 0.2 and 2.5 < names["measurement"] < 3.5


def marathons(names):
    assert names["by_hand"] == pytest.approx(names["by_layer"], rel=1e-10)
    assert names["result"].converged


def single_precision(names):
    assert max(names["errors"]["LQ"]) < 1e-4
    # Not a number where it failed.
    assert not max(names["errors"]["Cholesky"][-4:]) < 1e-4


def carbon_dioxide(names):
    assert names["inside"].sum() >= 50


def river(names):
    found = names["all_years"].parameters
    assert found["noise_variance"].item() == pytest.approx(15098.5, rel=1e-3)


def deep(names):
    runs = names["runs"]
    assert runs[200][0] < runs[30][0] < runs[5][0]
    assert runs[200][1] < 0.7 < 0.8 < runs[30][1]


def out_of_range(names):
    within, models = names["within"], names["models"]
    covered = {
        name: [names["coverage"](*model, where) for where in (within, ~within)]
        for name, model in models.items()
    }
    assert all(inside > 0.85 for inside, _ in covered.values())
    assert covered["tanh features"][1] < 0.7 < 0.8 < covered["tanh and Fourier features"][1]


def digits(names):
    last = {name: curve[:, -1].mean() for name, curve in names["curves"].items()}
    assert (
        last["BatchNorm"] > last["WhiteningBlock"] > last["nothing"] > last["its form 'pca'"] + 0.5
    )


def noise_of_the_moment(names):
    assert names["errors"]["noise by the LSTM"] < 0.8 * names["errors"]["one noise for all"]


def lamp(names):
    linear, deep = names["table"]["held out"]
    assert deep > 0.95 > 0.92 > linear


def shops(names):
    assert names["errors"]["model"] < names["errors"]["naive"]
    assert 0.6 < names["inside"] < 0.9


def served(names):
    assert len(names["table"]) == 69
    mean = np.interp(names["data"].year, names["years"], names["table"]["mean"])
    assert np.abs(mean - names["data"].pace_min_per_km).median() < 0.1


# What a notebook says, and that it is so.
FOUND = {
    "kalman_lstm": noise_of_the_moment,
    "deep_cca": lamp,
    "deep_state_space": shops,
    "served": served,
    "kalman_filter": ship,
    "gaussian_process": marathons,
    "bayesian_linear_regression": single_precision,
    "co2": carbon_dioxide,
    "nile": river,
    "deep_kernel": deep,
    "network_blr": out_of_range,
    "whitening": digits,
}
