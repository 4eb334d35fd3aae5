"""The command that measures: what it compares, tells and writes, without any of the peers."""

import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.linalg import sqrtm
from scipy.stats import multivariate_normal, norm

ROOT = Path(__file__).resolve().parent.parent
# Behind the installed package, which is to be tested and not that of the checkout.
sys.path.append(str(ROOT))

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import environments, measure, page, results, scaling, tables  # noqa: E402
from benchmarks.case import HERE, Case, Contender, Work, relative_difference  # noqa: E402
from benchmarks.catalogue import all_cases  # noqa: E402
from benchmarks.process import Failed, Process  # noqa: E402
from benchmarks.processes import datasets, scores  # noqa: E402
from benchmarks.rates import Rates  # noqa: E402

TOYS = """
import os, time
from benchmarks.worker import Missing

class Right:
    error = 0.0
    def __init__(self, arrays, missing=False):
        if missing:
            raise Missing("there are no such toys")
        self._x = arrays["x"]
    def run(self):
        self._square = self._x**2
    def results(self):
        return {"square": self._square + self.error}
    def figures(self):
        return {"elements": self._x.size}

class Quick(Right):
    def run(self):
        super().run()
        return 0.25
    def forward(self):
        self._x**2

class Threads(Right):
    def run(self):
        super().run()
        return float(os.environ["OMP_NUM_THREADS"])

class Wrong(Right):
    error = 1.6e-3

class Broken(Right):
    def run(self):
        raise ValueError("broken toy")

class Ending(Right):
    def run(self):
        os._exit(3)

class Sleeping(Right):
    def run(self):
        time.sleep(60)
"""
RATES = Rates({"float64": 2e9, "float32": 4e9}, 1e9)


def problem():
    return {"x": np.arange(1.0, 5.0)}


def toy(name, classes, environment=HERE, **options):
    contenders = [Contender(label, environment, f"toys:{label}") for label in classes]
    missing = [
        Contender("Away", "torch", "toys:Right"),
        Contender("Gone", HERE, "toys:Right", {"missing": True}),
    ]
    return Case(
        name,
        "kalman",
        f"squares, {name}",
        problem,
        contenders + missing,
        tolerance=1e-8,
        small=problem,
        work=Work(5e8, 1e8),
        **options,
    )


@pytest.fixture
def toys(tmp_path, monkeypatch):
    (tmp_path / "toys.py").write_text(TOYS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    cases = [toy("toy/right", ["Right", "Quick", "Broken"]), toy("toy/wrong", ["Right", "Wrong"])]
    monkeypatch.setattr(command, "all_cases", lambda: cases)
    monkeypatch.setattr(measure, "TURN", 0.001)
    monkeypatch.setattr(command.rates, "measure", lambda threads, folder: RATES)
    return tmp_path


def run(folder, *arguments):
    where = ["--environments", str(folder / "none"), "--output", str(folder / "out")]
    return CliRunner().invoke(command.main, ["run", *arguments, "--turns", "2", *where])


def test_run(toys):
    """Rows are written, one with a mismatch is not timed, and the next run keeps the others."""
    told = run(toys, "--threads", "1")
    assert told.exit_code == 1 and "2 rows failed" in told.output
    assert "\nBroken: ValueError: broken toy\nAway: the environment torch is not" in told.output
    known = json.loads((toys / "out" / "results.json").read_text())
    assert known["rates"]["1"]["bytes"] == 1e9
    right, wrong = known["rows"]
    assert (right["case"], right["threads"], right["limit"]) == ("toy/right", 1, 0.25)
    own = right["contenders"]
    assert own["Right"]["difference"] == 0.0 and own["Right"]["run"]["turns"] == 2
    assert own["Right"]["first"] > 0.0 and own["Right"]["memory"] >= 0
    assert own["Right"]["figures"] == {"elements": 4.0}
    assert "forward" not in own["Right"] and own["Quick"]["forward"]["median"] > 0.0
    assert own["Quick"]["run"] == {"median": 0.25, "low": 0.25, "high": 0.25, "turns": 2}
    assert own["Broken"]["failed"] == "ValueError: broken toy"
    assert "benchmarks setup torch" in own["Away"]["missing"]
    assert own["Gone"]["missing"] == "there are no such toys"
    said = "Wrong differs from Right by 1.0e-04, more than 1e-08"
    assert wrong["failed"] == said
    assert not any("run" in own for own in wrong["contenders"].values())

    text = (toys / "out" / "benchmarks.md").read_text()
    (line,) = (line for line in text.splitlines() if "| Quick |" in line)
    assert line.startswith("|  |  | Quick | 250 | 250 – 250 | ")
    assert line.endswith(" | 1.00 | 4.00 |") and f"failed: {said}" in text
    assert "| Broken | failed | – |" in text and "| Gone | not run | – |" in text
    assert str(toys) not in text

    assert run(toys, "toy/right", "--threads", "2", "--only", "Quick").exit_code == 0
    rows = json.loads((toys / "out" / "results.json").read_text())["rows"]
    keys = [(row["case"], row["threads"]) for row in rows]
    assert keys == [("toy/right", 1), ("toy/right", 2), ("toy/wrong", 1)]
    assert list(rows[1]["contenders"]) == ["Quick"]


def test_what_threads_are_worth(toys, monkeypatch):
    """In a row of several threads, this package also has a process with one."""
    own = toy("toy/own", [])
    own.contenders[:0] = [
        Contender("PyTorch", HERE, "toys:Quick"),
        Contender("native", HERE, "toys:Threads"),
    ]
    monkeypatch.setattr(command, "all_cases", lambda: [own])
    assert run(toys, "toy/own", "--threads", "2", "--only", "native").exit_code == 0
    (row,) = json.loads((toys / "out" / "results.json").read_text())["rows"]
    seconds = {label: one["run"]["median"] for label, one in row["contenders"].items()}
    assert seconds == {"native": 2.0, "native, 1 thread": 1.0}
    row["contenders"]["PyTorch"] = {"environment": "torch", "run": {"median": 0.5}}
    assert tables.ratios([row])[2].endswith("| PyTorch | 4.00 | – | 2.00 |")


def test_a_name_stands_once_and_what_has_no_results_says_how_to_measure_them():
    both = [
        row for row in results.of_folder(None).rows if row["case"] == "kalman/200x16-d4p2-float64"
    ]
    assert len(both) == 2
    lines = tables.details(both)
    assert sum(line.startswith(f"| {both[0]['title']} |") for line in lines) == 1
    assert "|  | 2 |" in "".join(lines)
    own = "<!-- table: deep state -->\n<!-- end -->"
    filled = page.fill(own, results.of_folder(None), [])
    assert "benchmarks run deep_state/monthly deep_state/weekly" in filled


def test_names(toys):
    told = run(toys, "toi")
    assert told.exit_code == 2 and "no case is called 'toi'" in told.output


def test_workers(toys):
    """They stand still between requests; one that hangs or ends is told of."""

    def make(name, timeout=30.0):
        inputs = toys / "inputs.npz"
        np.savez(inputs, **problem())
        worker = Process(sys.executable, threads=1)
        options = {"options": {}, "inputs": inputs, "small": None, "memory": False}
        try:
            worker.ask("make", timeout, target=f"toys:{name}", **options)
            return stands_still(worker._child.pid)
        finally:
            worker.close()

    assert make("Right")
    with pytest.raises(Failed, match="the process ended: status 3"):
        make("Ending")
    with pytest.raises(Failed, match="no answer within 1 s"):
        make("Sleeping", timeout=1.0)


def stands_still(process):
    for _ in range(200):
        if re.search(r"State:\s+T", Path(f"/proc/{process}/status").read_text()):
            return True
        time.sleep(0.05)
    return False


def test_differences():
    values = {"a": np.array([1.0, -4.0]), "b": np.array([2.0])}
    assert relative_difference({"a": np.array([1.0, -4.5])}, values) == 0.125
    assert relative_difference({"b": np.array([2.0]), "a": values["a"] + 1.0}, values) == 0.25
    assert np.isnan(relative_difference({"a": np.array([np.nan, -4.0])}, values))
    for wrong in ({}, {"c": values["a"]}, {"a": values["b"]}):
        with pytest.raises(ValueError):
            relative_difference(wrong, values)


def test_scaling():
    """The exponents of exact powers, and of the last two sizes."""
    seconds = {100: 0.5, 200: 2.0, 400: 32.0}
    rows = [
        {
            "line": ["toys", "n", size],
            "threads": 1,
            "taken": measure.taken(),
            "contenders": {"toy": {"run": {"median": median}}},
        }
        for size, median in seconds.items()
    ]
    lines = scaling.lines(rows)
    assert lines[4] == "| toy | 500 | 2000 | 32000 | 3.00 | 4.00 |"
    assert scaling.exponent([1, 10, 100], [3.0, 300.0, 30000.0]) == pytest.approx(2.0)


def test_numbers():
    told = [tables.number(x) for x in (0.0123456, 1.0, 99.95, 1234.5, 0.0, None, np.nan)]
    assert told == ["0.0123", "1.00", "100.0", "1230", "0", "–", "–"]


def test_scores_of_predictions():
    """Those of numbers by SciPy, those of classes by hand."""
    y, mean, variance = np.array([0.0, 1.0, 5.0]), np.array([0.5, 1.0, 1.0]), np.array([1, 0.25, 4])
    found = scores.of_numbers(y, mean, variance)
    expected = norm.logpdf(y, mean, np.sqrt(variance)).mean()
    assert found["log density"] == pytest.approx(expected, rel=1e-12)
    assert found["RMSE"] == pytest.approx(np.sqrt((0.25 + 16.0) / 3), rel=1e-12)
    assert found["in 95 % band"] == pytest.approx(2 / 3)
    # Bins of 0.6 to 0.7, two with one right, and of 0.9 to 1, one that is wrong.
    given = np.array([[0.62, 0.38], [0.36, 0.64], [0.95, 0.05]])
    found = scores.of_classes(np.array([0, 0, 1]), given)
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["log density"] == pytest.approx(np.log([0.62, 0.36, 0.05]).mean())
    assert found["calibration error"] == pytest.approx((abs(1 - 1.26) + 0.95) / 3)


def test_splits():
    """Training rows are standardized and others are not seen; batches go through all rows."""
    known = datasets.problem(datasets.diabetes, inducing=7, batch=100, steps=6)
    assert known["x"].shape == (309, 10) and known["x_new"].shape == (133, 10)
    np.testing.assert_allclose(known["x"].std(axis=0), 1.0, rtol=1e-12)
    np.testing.assert_allclose(known["y"].mean(), 0.0, atol=1e-12)
    assert known["batches"].shape == (6, 100)
    assert len(np.unique(known["batches"].ravel()[:309])) == 309
    rows = {tuple(row) for row in known["x"]}
    assert len(rows & {tuple(row) for row in known["x_new"]}) == 0
    assert len(rows & {tuple(row) for row in known["inducing"]}) == 7


def test_table_of_scores():
    own = {"environment": HERE, "figures": {"RMSE": 0.5}, "run": {"median": 2.0}}
    peer = {"environment": "torch", "figures": {"RMSE": 0.25}, "run": {"median": 8.0}}
    row = {"title": "toy", "taken": measure.taken(), "contenders": {"Peer": peer, "own": own}}
    lines = tables.scores([row, {**row, "failed": "too far"}])
    assert lines[0] == "|  |  | RMSE | seconds | / Peer |"
    assert lines[2:5] == [
        "| toy | Peer | 0.250 | 8.00 | 1.00 |",
        "|  | own | 0.500 | 2.00 | 0.250 |",
        "| toy | failed: too far |  |  |  |",
    ]


def test_page():
    """It has the tables of all cases, with what was measured."""
    cases = all_cases()
    names = [case.name for case in cases]
    assert len(set(names)) == len(names)
    assert {case.table for case in cases} | {"rates", "ratios"} == set(page.marked_tables())
    assert not page.is_stale(results.of_folder(None), names), "run `python -m benchmarks page`"


def test_environments(tmp_path):
    """All versions are pinned, and one that has others is not used."""
    assert {one.environment for case in all_cases() for one in case.contenders} == {
        HERE,
        *environments.names(),
    }
    for name in environments.names():
        text = (environments.REQUIREMENTS / f"{name}.txt").read_text()
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in text.splitlines()), name
        with pytest.raises(LookupError, match=f"{name} is not set up"):
            environments.python_of(name, tmp_path)
        (tmp_path / name).mkdir()
        stamp = tmp_path / name / environments.STAMP
        stamp.write_text(text)
        assert environments.python_of(name, tmp_path) == str(tmp_path / name / "bin" / "python")
        stamp.write_text(text.replace("==", "==9"))
        with pytest.raises(LookupError, match="other versions"):
            environments.python_of(name, tmp_path)


def test_targets():
    """Each contender is a class that is there; its libraries may not be."""
    for target in {one.target for case in all_cases() for one in case.contenders}:
        module, name = target.split(":")
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert re.search(rf"^class {name}\b", source, re.MULTILINE), target


def gaussian(arrays, covariance):
    return -multivariate_normal(None, covariance).logpdf(arrays["y"])


def gp_value(arrays):
    x = arrays["x"] / arrays["lengthscales"]
    squared = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    variance, noise = arrays["variances"]
    return gaussian(arrays, variance * np.exp(-0.5 * squared) + noise * np.eye(len(x)))


def blr_value(arrays):
    prior, noise = arrays["variances"]
    phi = arrays["phi"]
    return gaussian(arrays, prior * phi @ phi.T + noise * np.eye(len(phi)))


def matern_value(arrays):
    variance, lengthscale, noise = arrays["parameters"]
    r = np.sqrt(5.0) * np.abs(arrays["x"][:, None] - arrays["x"]) / lengthscale
    covariance = variance * (1.0 + r + r**2 / 3.0) * np.exp(-r)
    return gaussian(arrays, covariance + noise * np.eye(len(r)))


def bound_value(arrays):
    """-(N/b) Σ E log p(y) + KL of q with mean w and covariance I, whose variances are k(x, x)."""

    def kernel(a, b):
        gaps = (a[:, None] - b) / arrays["lengthscales"]
        return np.exp(-0.5 * (gaps**2).sum(axis=2))

    z, w, rows = arrays["inducing"], arrays["weights"], arrays["batches"][0]
    factor = np.linalg.cholesky(kernel(z, z) + 1e-8 * np.eye(len(z)))
    mean = np.linalg.solve(factor, kernel(z, arrays["x"][rows])).T @ w
    noise = datasets.START_NOISE
    density = norm.logpdf(arrays["y"][rows], mean, np.sqrt(noise)) - 0.5 / noise
    return 0.5 * w @ w - len(arrays["x"]) * density.mean()


ORACLES = {
    "Step": ("value", bound_value),
    "InTime": ("value", matern_value),
    "Cholesky": ("output0", lambda arrays: np.linalg.cholesky(arrays["a"])),
    "Lq": ("output1", lambda arrays: np.linalg.qr(arrays["a"].swapaxes(1, 2))[1].swapaxes(1, 2)),
    "Eigh": ("output1", lambda arrays: np.linalg.eigvalsh(arrays["a"])),
    "Solve": ("output0", lambda arrays: np.linalg.solve(arrays["a"], arrays["b"])),
    "Sqrt": ("output0", lambda arrays: np.array([sqrtm(a) for a in arrays["a"]])),
    "Svd": ("output1", lambda arrays: np.linalg.svd(arrays["a"])[1]),
    "GaussianProcess": ("value", gp_value),
    "LinearRegression": ("value", blr_value),
}


@pytest.mark.parametrize("target", sorted({
    one.target
    for case in all_cases()
    for one in case.contenders
    if case.small and one.environment == HERE
}))  # fmt: skip
def test_ours(target, monkeypatch):
    """What of this package is measured computes what it says."""
    # It would change the backend of the whole process.
    monkeypatch.setattr("benchmarks.backend.use", lambda name: None)
    case, contender = next(
        (case, one) for case in all_cases() for one in case.contenders if one.target == target
    )
    module, name = target.split(":")
    arrays = case.small()
    layer = getattr(__import__(module, fromlist=[name]), name)(arrays, **contender.options)
    layer.run()
    if hasattr(layer, "forward"):
        layer.forward()
    found = layer.results()
    assert all(np.isfinite(array).all() for array in found.values())
    if name in ORACLES:
        key, oracle = ORACLES[name]
        expected = oracle(arrays)
        expected = expected**2 if getattr(layer, "squares", False) else expected
        np.testing.assert_allclose(found[key], np.reshape(expected, found[key].shape), rtol=1e-9)
