"""The code of README.md and docs/*.md runs as it is printed."""

import re
from pathlib import Path

import mxnet as mx

import gluon_linalg as gl
from gluon_linalg import kernels

ROOT = Path(__file__).resolve().parent.parent


def code_of(name):
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


def test_readme_and_guide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    layers, forecast = code_of("README.md")
    exec(layers, names)
    mean, variance = names["mean"], names["variance"]
    assert mean.shape == variance.shape == (1, 50)
    # The model has seen these points: it must know them better than their spread.
    x, y = names["x"], names["y"]
    assert ((mean - y) ** 2).mean().asscalar() < 0.05 * (y**2).mean().asscalar()

    imports = [line for line in forecast.splitlines() if line.startswith("from ")]
    exec("\n".join(imports), names)
    assert names["DeepStateSpaceEstimator"](freq="M", prediction_length=12).prediction_length == 12

    guide = code_of("docs/guide.md")
    assert len(guide) == 3
    names.update({"mxnet": mx, "mx": mx, "gl": gl, "kernels": kernels})
    for code in guide:
        exec(code, names)
    cauchy, deep = names["Cauchy"](), names["DeepKernel"]()
    for block in (cauchy, deep):
        block.initialize()
    assert cauchy(x).shape == (1, 50, 50)
    assert deep(x, y).shape == (1,)
    assert names["model"](x)[0].shape == (1, 50)


def test_state_space_page():
    names = {}
    filtering, structural = code_of("docs/state_space.md")
    exec(filtering, names)
    assert names["nlml"].shape == (1,)
    assert names["mean"].shape == (1, 100, 2)
    assert names["forecast"].shape == (1, 12, 1)
    # The uncertainty of a forecast grows with its distance.
    variance = names["variance"].asnumpy().ravel()
    assert (variance[1:] > variance[:-1]).all()
    exec(structural, names)
    assert names["loss"].shape == (2,)
    assert names["mean"].shape == names["variance"].shape == (2, 12)
    assert len(names["parts"]) == 2
