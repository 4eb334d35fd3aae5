"""Every fenced block of README.md, CONTRIBUTING.md and docs/*.md works by itself, as printed."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import mxnet as mx
import numpy as np
import pytest
import scipy.linalg
import yaml
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

import gluon_linalg as gl
from gluon_linalg.jobs.commands import command
from gluon_linalg.jobs.reading import validate

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
    *sorted(f"docs/jobs/{path.name}" for path in (ROOT / "docs" / "jobs").glob("*.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(*languages):
    """Parameters of a test: the name of each block, which is page:line, and its text."""
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            if found[1] in languages:
                line = text.count("\n", 0, found.start()) + 1
                # MXNet's recurrent networks in GluonTS take seconds to compile.
                marks = [pytest.mark.slow] if "DeepStateEstimator," in found[2] else []
                yield pytest.param(page, found[2], id=f"{page}:{line}", marks=marks)


def test_all_blocks_are_found():
    """None in a language of which nothing here knows; nor one that opens and does not close.

    Blocks of `py` are other packages' code, which is not run here.
    """
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        found = [block[1] for block in FENCE.finditer(text)]
        assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(found), page
        assert set(found) <= {"python", "py", "sh", "yaml", "json", ""}, page


@pytest.mark.parametrize("page, code", blocks("python"))
def test_python(page, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "_network.LDS = LDS" in code:
        # The page replaces it, for good.
        from gluonts.mx.model.deepstate import _network

        monkeypatch.setattr(_network, "LDS", _network.LDS)
    names = {}
    exec(compile(code, page, "exec"), names)
    checked = [check(names) for part, check in CHECKS.items() if part in code]
    assert len(checked) == 1, "what does this block show?"


def backend(names):
    assert names["gl"].backend_status().backend == "auto"


def fitted(names):
    assert names["result"].converged
    assert 0.1 < names["result"].parameters["noise_variance"] < 0.5


def scored(names):
    assert names["scores"].min() > 0.8
    assert np.all(np.abs(names["mean"] - names["y"][:5]) < 4 * names["deviation"])


def told_of_series(names):
    forecast = names["found"].forecast(12)
    assert str(forecast.index[0]) == "2022-01" and names["parts"].shape == (96, 6)
    assert (names["found"].diagnostics()["p"] > 0.01).all()
    assert Path("components.png").exists()


def told_of_rows(names):
    assert names["process"].calibration().loc[95, "inside"] > 85
    assert list(names["weights"].coefficients().index) == ["1", "x", "x²", "x³"]


def told_of_counts(names):
    table = names["visits"].posterior([1.0, 5.0], levels=(80,))
    true = np.exp(1.0 + np.sin([1.0, 5.0]))
    assert (table["lower_80"] <= true).all() and (table["upper_80"] >= true).all()
    assert np.trace(names["busy"].confusion()) > 55


def told_of_components(names):
    assert names["components"].explained()["explained_ratio"].iloc[0] > 0.6


def penalized(names):
    assert names["result"].converged


def layers(names):
    x, y, mean = names["x"], names["y"], names["mean"]
    assert mean.shape == names["variance"].shape == (1, 50)
    # The model has seen these points: it must know them better than their spread.
    assert ((mean - y) ** 2).mean().asscalar() < 0.05 * (y**2).mean().asscalar()
    assert gl.load("model")(x)[0].shape == (1, 50)


def forecasts(names):
    assert [one.samples.shape for one in names["forecasts"]] == 2 * [(100, 12)]


def cauchy(names):
    kernel = names["Cauchy"]()
    kernel.initialize()
    x = np.array([[[0.0], [1.0], [3.0]]])
    np.testing.assert_allclose(
        kernel(mx.nd.array(x)).asnumpy(), 1.0 / (1.0 + (x - x.transpose(0, 2, 1)) ** 2), rtol=1e-6
    )


def emitted_kernel(names):
    net = names["OneForEach"]()
    net.initialize()
    matrix = net(mx.nd.random.normal(shape=(2, 4, 3)), mx.nd.array([[1.0, 0.0], [0.0, 1.0]]))
    variance = mx.nd.split(net.emit(mx.nd.array([[1.0, 0.0], [0.0, 1.0]])), 2, axis=1)[0]
    np.testing.assert_allclose(matrix.asnumpy()[:, 0, :1], variance.asnumpy(), rtol=1e-6)
    assert matrix.shape == (2, 4, 4)


def deep_labels(names):
    kernel = names["kernel"]
    kernel.initialize()
    assert kernel(mx.nd.array([[[0.0, 0.5], [2.0, 0.1]]])).shape == (1, 2, 2)


def fitted_each(names):
    assert names["losses"].shape == (8,)


def deep_kernel(names):
    net = names["DeepKernel"]()
    net.initialize()
    assert net(mx.nd.ones((1, 5, 3)), mx.nd.ones((1, 5))).shape == (1,)


def export(names):
    assert names["mean"].shape == names["variance"].shape == (1, 20)


def plain(names):
    assert callable(names["load"])


def filtering(names):
    assert names["nlml"].shape == (1,)
    assert names["mean"].shape == (1, 100, 2)
    assert names["forecast"].shape == (1, 12, 1)
    # The uncertainty of a forecast grows with its distance.
    variance = names["variance"].asnumpy().ravel()
    assert (variance[1:] > variance[:-1]).all()


def diffuse(names):
    assert names["forecast"].shape == (1, 12, 1)
    # The limit of wide priors.
    gl, states, wide = names["gl"], names["states"], 1000.0
    model = (*names["system"], names["prior_mean"], wide * names["directions"])
    wide_nlml = gl.KalmanFilterLayer(states)(names["y"], *model).asscalar()
    expected = wide_nlml - states * np.log(wide * np.sqrt(2 * np.pi))
    assert names["nlml"].asscalar() == pytest.approx(expected, rel=1e-4)
    *_, variance = gl.KalmanForecastLayer(states, steps=12)(names["y"], *model)
    np.testing.assert_allclose(names["variance"].asnumpy(), variance.asnumpy(), rtol=1e-4)


def plain_matrices(names):
    """As one Gaussian."""
    size, transition = 100, names["transition"]
    states = [100.0 * np.eye(2)]
    for _ in range(1, size):
        states.append(transition @ states[-1] @ transition.T + names["process"])
    covariance = np.empty((size, size))
    for i in range(size):
        power = states[i]
        for j in range(i, size):
            covariance[i, j] = covariance[j, i] = power[0, 0]
            power = transition @ power
    gaussian = multivariate_normal(np.zeros(size), covariance + names["noise"] * np.eye(size))
    assert names["nlml"].asscalar() == pytest.approx(-gaussian.logpdf(names["y"]), rel=1e-8)


def any_times(names):
    """As one Gaussian: x_1 ~ N(0, I), then exp(F h) and what it adds to P = F-stationary + rest."""
    drift = np.array([[0.0, 1.0], [-2.0, -0.5]])
    diffusion = np.outer([0.0, 0.6], [0.0, 0.6])
    stationary = scipy.linalg.solve_continuous_lyapunov(drift, -diffusion)
    times, count = names["times"] - names["times"][0], len(names["y"])
    covariance = np.empty((count, count))
    for i in range(count):
        moved = scipy.linalg.expm(drift * times[i])
        state = moved @ (np.eye(2) - stationary) @ moved.T + stationary
        for j in range(i, count):
            onward = scipy.linalg.expm(drift * (times[j] - times[i])) @ state
            covariance[i, j] = covariance[j, i] = onward[0, 0]
    gaussian = multivariate_normal(np.zeros(count), covariance + 0.01 * np.eye(count))
    assert names["nlml"].asscalar() == pytest.approx(-gaussian.logpdf(names["y"]), rel=1e-8)


def views(names):
    assert names["outlier"] == 40
    assert names["views"]["log_likelihood"].shape == (1, 100)


def stacked_cell(names):
    assert names["output"].shape == (4, 10, 2)
    assert len(names["states"]) == len(names["network"].state_info())


def structural(names):
    assert names["loss"].shape == (2,)
    assert names["mean"].shape == names["variance"].shape == (2, 12)
    assert len(names["parts"]) == 2


def deep_state(names):
    forecast = names["forecast"]
    assert forecast.item_id == "shop 7" and forecast.samples.shape == (100, 12)
    # The level is found.
    assert abs(forecast.mean.mean() - 80.0) < 1.0


def windows(names):
    assert np.isfinite(names["loss"].asnumpy()).all()
    forecast = next(iter(names["predictor"].predict(names["dataset"])))
    assert forecast.samples.shape == (100, 12)


def gaussian_process(names):
    assert names["forecast"].item_id == "shop 3" and np.isfinite(names["forecast"].mean).all()


def alike(names):
    paths = names["first"].samples
    wave = np.sin(2 * np.pi * (60 + np.arange(6)) / 8.5)
    assert paths.shape == (100, 6) and np.corrcoef(paths.mean(axis=0), wave)[0, 1] > 0.9


def promoted(names):
    # The influence is known, and larger than all else in the last series.
    forecast = list(names["predictor"].predict(names["promoted"]))[-1]
    assert np.corrcoef(forecast.mean, names["influence"][84:])[0, 1] > 0.9


def structural_predictor(names):
    assert names["forecast"].samples.shape == (100, 8)


def lds(names):
    assert names["_network"].LDS is names["LDS"]


def process(names):
    assert names["loss"].shape == (3,)
    assert names["samples"].shape == (3, 5, 10)


def harness(names):
    names["test_cube"](".")
    names["MatrixCubeBlock"].hybrid_forward = lambda self, F, a: F.identity(a)
    with pytest.raises(AssertionError, match="from differences"):
        names["test_cube"](".")


def sparse(names):
    truth = np.sin(2 * names["x"][..., 0])
    assert np.abs(names["mean"].asnumpy() - truth).max() < 0.15
    assert names["log_density"].shape == names["variance"].shape == (1, 500)
    # The noise has a deviation of 0.1: that of a density of its own is 0.88.
    assert names["log_density"].mean().asscalar() > 0.6


def classes(names):
    found = names["probability"].asnumpy() > 0.5
    assert (found == names["y"]).mean() > 0.9


def with_priors(names):
    prior = names["priors"].parameters_with_priors(names["layer"])
    assert len(prior) == len(names["starts"][0]) == 2
    assert names["loss"].shape == (2,)


def in_time(names):
    mean, variance = (names[k].asnumpy()[0] for k in ("mean", "variance"))
    assert abs(mean[1] - np.sin(25.0)) < 0.2
    assert variance[1] < variance[0] < variance[2]


def counts(names):
    counts, log_rate = names["counts"], names["log_rate"].asnumpy()[0]
    assert abs(np.exp(log_rate).mean() - counts.mean()) < 0.2
    assert (abs(names["mean"].asnumpy() - counts[-5:].mean()) < 2.5).all()


def arima(names):
    assert names["result"].converged
    (coefficient,) = [
        v for k, v in names["result"].parameters.items() if k.endswith(".seasonal_ma")
    ]
    assert -1.0 < coefficient < 0.0


def dynamic_factor(names):
    assert names["result"].converged
    assert names["states"].shape[:2] == (1, 60)
    assert [a.shape for a in (names["mean"], names["spread"])] == [(1, 3, 3), (1, 3, 3, 3)]


def maximized(names):
    steps = np.diff(names["found"].log_likelihoods)
    assert len(steps) > 2 and (steps > -1e-9).all()
    assert names["nlml"].asscalar() == pytest.approx(-names["found"].log_likelihood, rel=1e-9)


def posterior_views(names):
    x, y, fold = names["x"], names["y"], np.arange(60) % 5
    with_noise = names["layer"].condition(x[fold != 2], y[fold != 2], include_noise=True)
    mean, variance = (
        a.asnumpy() for a in with_noise(mx.nd.array(x[None, fold == 2], dtype="float64"))
    )
    held_out = [a.asnumpy()[:, fold == 2] for a in names["held_out"]]
    np.testing.assert_allclose(held_out[:2], [mean, variance], rtol=1e-9)
    deviation = names["slope_covariance"].asscalar() ** 0.5
    assert abs(names["slope"].asscalar() - np.cos(5.0)) < 3 * deviation < 2
    assert names["fewer"].inputs.shape == (1, 60, 1)
    found = gl.load("slope")(mx.nd.array([[[5.0]]], dtype="float64"))
    np.testing.assert_allclose(found[1].asnumpy(), names["slope_covariance"].asnumpy(), rtol=1e-12)


def outputs(names):
    between = names["between"].asnumpy()
    assert between.shape == (1, 40, 3, 3)
    assert (between[:, :, 0, 1] < 0).all()
    mean, _ = names["partly"](names["data"][0])
    assert np.abs(mean.asnumpy()[0, :, 0] - names["wave"][0]).max() < 0.3


def sparse_outputs(names):
    wave = names["wave"][0]
    truth = np.stack([wave, -0.5 * wave], axis=1)
    # Of the second output, half of which nobody has seen, the first one tells.
    assert np.abs(names["mean"].asnumpy()[0] - truth).max() < 0.2
    assert abs(names["second"].asscalar() + 0.5) < 0.15


def solved(names):
    a, b = names["a"].asnumpy(), names["b"].asnumpy()
    x = np.linalg.solve(a, b)
    np.testing.assert_allclose(names["x"].asnumpy(), x, rtol=1e-10)
    half = -2.0 * np.linalg.solve(a, x) @ x.transpose(0, 2, 1)
    np.testing.assert_allclose(
        names["a"].grad.asnumpy(), 0.5 * (half + half.transpose(0, 2, 1)), rtol=1e-8
    )


def regressed(names):
    assert names["result"].converged
    error = names["mean"].asnumpy()[0] - np.sin(3 * names["x"])
    assert np.abs(error).max() < 0.15


def components(names):
    scores = PCA(2).fit_transform(names["x"])
    np.testing.assert_allclose(np.abs(names["scores"].asnumpy()[0]), np.abs(scores), rtol=1e-6)
    covariance = np.cov(names["white"].asnumpy()[0].T, bias=True)
    np.testing.assert_allclose(covariance, np.eye(5), atol=5e-3)


def with_gap(names):
    assert len(names["parts"]) == 2
    assert (names["mean"].asnumpy() > 13).all()


def short_structural(names):
    mean, _ = list(names["parts"].values())[0]
    assert np.abs(mean.asnumpy()[0] - 0.1 * names["months"]).max() < 0.5


def quick_start(names):
    truth = np.tanh(3 * names["new"].asnumpy()[0, :, 0]) + 0.3 * names["new"].asnumpy()[0, :, 0]
    assert np.abs(names["mean"].asnumpy()[0] - truth).max() < 0.15
    assert names["result"].start_loss == pytest.approx(-15, abs=1)
    assert names["result"].loss == pytest.approx(-58, abs=2)


def last_layer(names):
    truth = np.sin(2 * names["x"].asnumpy()[0, :, 0])
    assert np.sqrt(np.mean((names["mean"].asnumpy()[0] - truth) ** 2)) < 0.1


def gaussian(kernel):
    """Minus the log likelihood of the page's data, and mean and variance at 2.5."""
    x, new = np.linspace(0, 5, 20), 2.5
    a = 2 * kernel(np.abs(x[:, None] - x) / 1.5) + 0.1 * np.eye(20)
    k = 2 * kernel(np.abs(x - new) / 1.5)
    solved = np.linalg.solve(a, np.stack([np.sin(x), k], axis=1))
    loss = -multivariate_normal(np.zeros(20), a).logpdf(np.sin(x))
    mean, explained = k @ solved
    return loss, mean, 2 - explained


def like_gpytorch(names):
    found = [names[k].asnumpy().item() for k in ("loss", "mean", "variance")]
    np.testing.assert_allclose(found, gaussian(lambda r: np.exp(-0.5 * r * r)), rtol=1e-6)
    np.testing.assert_allclose(found, [4.9600, 0.5974, 0.0191], atol=5e-5)


def like_gpflow(names):
    found = names["result"].start_loss, *(names[k].asnumpy().item() for k in ("mean", "variance"))
    root = np.sqrt(3)
    expected = gaussian(lambda r: (1 + root * r) * np.exp(-root * r))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(found, [8.7716, 0.5915, 0.0423], atol=5e-5)


def statsmodels_nile(names):
    np.testing.assert_allclose(names["result"].params, [15098.5, 1469.2], rtol=1e-4)


def like_statsmodels(names):
    found = names["result"].parameters
    assert found["noise_variance"].item() == pytest.approx(15098.5, rel=1e-4)
    assert list(found.values())[1].item() == pytest.approx(1469.2, rel=1e-4)


def like_scikit_learn(names):
    # With both libraries.
    assert names["likelihood"] == pytest.approx(11.148984, abs=1e-5)
    assert names["deviation"].max() == pytest.approx(0.100784, abs=1e-5)


def raw(names):
    assert names["raw"].asscalar() == pytest.approx(4.959998, abs=1e-6)
    # By the lengthscale; that of its logarithm is 1.5 times as large.
    assert 1.5 * names["scale"].grad.asscalar() == pytest.approx(-3.886159, abs=1e-6)


def not_raw(names):
    assert names["loss"].asscalar() == pytest.approx(4.959998, abs=1e-6)
    assert names["gradient"].asscalar() == pytest.approx(-3.886159, abs=1e-6)


def two_forecasts(names):
    assert [one.samples.shape for one in names["forecasts"]] == 2 * [(100, 6)]


# What a block shows, by a part of it.
def pendulum(names):
    assert abs(names["layer"].transition.stiffness.data().asscalar() - 3.0) < 0.3
    assert abs(names["mean"][0, -1, 0].asscalar() - (names["angle"] - 0.2 * names["speed"])) < 0.3


def told_of_panel(names):
    ahead = names["found"].forecast(6)
    assert list(ahead.columns.levels[0]) == ["north", "south"] and str(ahead.index[0]) == "2019-01"
    assert ahead["south"]["std"].iloc[0] > ahead["north"]["std"].iloc[0]


def told_of_several(names):
    ahead, table = names["ahead"], names["table"]
    assert list(ahead.columns.levels[0]) == list(table.columns)
    assert str(ahead.index[0]) == "2019Q1" and len(ahead) == 4
    assert (ahead["north"]["upper_95"] > ahead["north"]["mean"]).all()


CHECKS = {
    "class Pendulum": pendulum,
    "found.forecast(4, levels=(80, 95))": told_of_several,
    "panel = pd.DataFrame(walks": told_of_panel,
    "gl.CholeskySolveBlock()": solved,
    "phi = np.stack([x**power": regressed,
    "gl.WhiteningBlock()": components,
    "y[40:46] = np.nan": with_gap,
    "months = np.arange(60)": short_structural,
    "kernel = kernels.Deep(features, kernels.RBF())\n": quick_start,
    "class BayesianLastLayer": last_layer,
    "data = [mx.nd.array(a[None], dtype": like_gpytorch,
    "kernels.Matern32(variance=2.0": like_gpflow,
    "sm.tsa.UnobservedComponents(": statsmodels_nile,
    "LocalLevel(level_variance=1000.0)": like_statsmodels,
    "normalize_y=True": like_scikit_learn,
    "GPRegressor(kernels.RBF(), noise_variance": like_scikit_learn,
    "linalg.sumlogdiag": raw,
    "gradient = kernel.lengthscale.grad()": not_raw,
    "from gluonts.mx import": two_forecasts,
    "structural.ARIMA(": arima,
    "structural.GeneralizedStructuralModel(": counts,
    "gl.DynamicFactorModel(": dynamic_factor,
    "gl.expectation_maximization(": maximized,
    "gl.StateSpaceGPLayer(": in_time,
    "kernels.RBF()) * kernels.Categorical": deep_labels,
    "gl.fit_each(layer": fitted_each,
    "structural.LocalLevel(0.1)": fitted,
    "objective=penalized": penalized,
    "found.decompose()": told_of_series,
    "weights.coefficients()": told_of_rows,
    "busy.confusion()": told_of_counts,
    "components.loadings()": told_of_components,
    "cross_val_score(": scored,
    "predictor.cross_validation(": posterior_views,
    "gl.MultiOutputGPLikelihoodLayer(": outputs,
    "gl.SGPRLikelihoodLayer(kernel, points": sparse,
    "gl.output_rows(places": sparse_outputs,
    "likelihoods.Bernoulli(), count=600": classes,
    "priors.PriorLoss(": with_priors,
    "gl.use_backend(": backend,
    "check_block(MatrixCubeBlock": harness,
    "mx.nd.sin(x.sum(axis=2))": layers,
    "trainer=trainer)": forecasts,
    "class Cauchy": cauchy,
    "class OneForEach": emitted_kernel,
    "class DeepKernel": deep_kernel,
    "gl.export(layer.condition(": export,
    "import builtins": plain,
    "KalmanSmootherLayer(": filtering,
    "prior_covariance=100": plain_matrices,
    "times=times": any_times,
    "gl.KalmanViewsLayer(": views,
    "gl.KalmanCell(": stacked_cell,
    "diffuse=states": diffuse,
    "StructuralModel(components": structural,
    "past_length=24,\n": deep_state,
    "create_windows": windows,
    "GaussianProcessEstimator(": gaussian_process,
    "alike = ": alike,
    "influence = ": promoted,
    "StructuralPredictor(": structural_predictor,
    "_network.LDS = LDS": lds,
    "exact_inference": process,
}


def test_a_program_without_this_package_loads_what_is_exported(tmp_path, monkeypatch):
    printed = [block.values[1] for block in blocks("python")]
    exporting, loading = (
        next(code for code in printed if part in code)
        for part in ("gl.export(layer.condition(", "import builtins")
    )
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(exporting, names)
    np.save("x.npy", names["x"].asnumpy())
    program = (
        f"{loading}\nimport sys\nassert 'gluon_linalg' not in sys.modules\n"
        "mean, variance = load('model')(mxnet.nd.array(numpy.load('x.npy')))\n"
        "numpy.save('mean.npy', mean.asnumpy())"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    np.testing.assert_allclose(np.load("mean.npy"), names["mean"].asnumpy(), rtol=1e-5)


@pytest.mark.parametrize("page, text", blocks("yaml"))
def test_yaml(page, text):
    """Each is a whole job, for data that are there."""
    job = validate(page, yaml.load(text, Loader=yaml.BaseLoader))
    beside = [path.parent / job.data.path for path in ROOT.glob("examples/*/job.yaml")]
    assert any(path.exists() for path in beside)


@pytest.mark.parametrize("page, text", blocks("json"))
def test_json(page, text):
    assert json.loads(text)


@pytest.mark.parametrize("page, text", blocks("sh"))
def test_sh(page, text):
    subprocess.run(["bash", "-n"], input=text, check=True, text=True)
    for words in commands_of(text):
        if words[:2] == ["pip", "install"]:
            check_requirements(words[2:])
        if "gluon-linalg" in words[:1]:
            check_command(words[1:])


def commands_of(text):
    """The words of each command; && and what follows, &, comments and variables fall away."""
    text = re.sub(
        r"\\\n", " ", re.sub(r"<<'EOF'.*?^EOF$", "", text, flags=re.DOTALL | re.MULTILINE)
    )
    for line in text.splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            yield [word for word in words if word != "&"]


def check_requirements(words):
    known = (ROOT / "setup.py").read_text(encoding="utf-8")
    for extra in re.findall(r"\[(.*?)\]", " ".join(words)):
        for name in extra.split(","):
            assert f'"{name}":' in known


def check_command(words):
    """As the command line would: its options are there, and the examples that it names."""
    for word in words:
        if word.startswith("examples/"):
            assert (ROOT / word).exists()
    sub = command.commands[words[0]]
    context = sub.make_context(words[0], list(words[1:]))
    if words[0] == "launch":
        check_command(list(context.params["arguments"]))


def test_a_wrong_command_would_be_found():
    for wrong in ("train", "train a.yaml --nothing", "launch --workers 2 -- train a --nothing"):
        with pytest.raises(click.ClickException):
            check_command(wrong.split())
    with pytest.raises(AssertionError):
        check_command(["train", "examples/nothing/job.yaml"])
    with pytest.raises(AssertionError):
        check_requirements(["gluon-linalg[nothing]"])
