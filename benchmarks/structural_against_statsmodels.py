"""Maximum likelihood of structural models of shipped series and slow seasons, against statsmodels.

    pip install ".[cpu,jobs,forecast,test]"
    OMP_NUM_THREADS=1 python benchmarks/structural_against_statsmodels.py --output results
    OMP_NUM_THREADS=1 python benchmarks/structural_against_statsmodels.py --statsmodels

Each model of `structural_pairs` is fitted by `StructuralPredictor`, by a job `task: statespace` at
its default settings, in this process, and by statsmodels: once as it comes, and once with its best
effort, from random starts by L-BFGS and Powell. Where only variances are learned and the season is
slow, the bar is also the best of many starts for the likelihood by dense generalized least squares,
since statsmodels' exact diffuse filter is wrong there. What all of them found is then judged by one
and the same likelihood, the dense one of the tests (`tests/blocks/diffuse_reference.py`).

The second command makes statsmodels' part anew, which takes an hour; it is kept beside this file.
The first makes ours, prints the table with the seconds of both (statsmodels' default fit is timed
again, the median of three), and writes it to results.csv and results.md. `--only WORDS`
takes the pairs with these words in their name, `--which slow` or `shipped` one of the two lists.
The predictor always has noise, so it may do better where the model has none.
"""

import argparse
import contextlib
import csv
import functools
import io
import json
import os
import sys
import tempfile
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "blocks"), os.path.join(HERE, "..")]

import numpy as np  # noqa: E402
import scipy.linalg  # noqa: E402
import scipy.optimize  # noqa: E402
from diffuse_reference import NOISE, Reference  # noqa: E402
from diffuse_systems import REAL  # noqa: E402
from statsmodels.tsa.statespace.initialization import Initialization  # noqa: E402
from statsmodels.tsa.statespace.structural import UnobservedComponents  # noqa: E402
from structural_pairs import pairs, statsmodels_options, values_of_statsmodels  # noqa: E402

CACHE = os.path.join(HERE, "structural_against_statsmodels.json")
STARTS, SECONDS, DENSE_STARTS = 20, 60.0, 2
# As near to 1 as a damping factor comes in the package: the likelihood has a limit there.
MOST = 1.0 - 2.0**-22
COLUMNS = [
    ("pair", "pair"),
    ("n", "n"),
    ("statsmodels", "statsmodels"),
    ("statsmodels_s", "s"),
    ("best", "best effort"),
    ("dense", "dense"),
    ("predictor", "predictor"),
    ("predictor_s", "s"),
    ("job", "job"),
    ("job_s", "s"),
    ("predictor_gap", "predictor - bar"),
    ("job_gap", "job - bar"),
]


def judged(pair, values, noise=None):
    """The diffuse log likelihood of a pair at natural values, by dense algebra."""
    values = {k: np.atleast_1d(v).astype("float64") for k, v in values.items()}
    for (_, name), value in values.items():
        if name in ("damping", "partial_autocorrelation"):
            np.clip(value, -MOST, MOST, out=value)
        if name.endswith("variance"):
            np.clip(value, 1e-300, None, out=value)
    has_noise = pair.noise if noise is None else noise
    return reference_of(pair, values, has_noise).likelihood(gradient=False).log_likelihood


def reference_of(pair, values, noise=True):
    observed = np.isfinite(pair.y)
    y = np.where(observed, pair.y, 0.0)
    return Reference(pair.components, 1.0 if noise else None, y, pair.covariates, observed, values)


def by_statsmodels(pair, judge):
    """What statsmodels finds: as it comes, and with its best effort; judge: values -> a number."""
    begin = time.perf_counter()
    seconds, model, result = default_fit(pair)
    found = {"n": int(np.isfinite(pair.y).sum()), "seconds": seconds}
    found["default"] = _described(pair, model, result, judge)
    model = _with_our_prior(pair, model)
    random, tried = np.random.RandomState(0), []
    with contextlib.suppress(np.linalg.LinAlgError, ValueError):
        tried.append(model.fit(disp=0, maxiter=300))
    changes = np.nanvar(np.diff(pair.y))
    for _ in range(STARTS):
        if time.perf_counter() - begin > SECONDS:
            break
        with contextlib.suppress(np.linalg.LinAlgError, ValueError):
            start = [_start(name, random, changes) for name in model.param_names]
            tried.append(model.fit(start, disp=0, maxiter=300))
    # Its likelihood may be wrong, and without bound where a cycle is not damped: the dense one of
    # the tests decides.
    best, described = _best_of(pair, model, tried, judge)
    polished = []
    for method in ("powell", "bfgs"):
        if time.perf_counter() - begin > 2 * SECONDS:
            break
        with contextlib.suppress(np.linalg.LinAlgError, ValueError):
            polished.append(model.fit(best.params, disp=0, method=method, maxiter=100))
            best, described = _best_of(pair, model, [best, polished[-1]], judge)
    found["best"] = described
    found["best_seconds"] = time.perf_counter() - begin
    return found


def default_fit(pair):
    """(seconds, model, result) of statsmodels as it comes."""
    begin = time.perf_counter()
    model = UnobservedComponents(pair.y, **statsmodels_options(pair))
    result = model.fit(disp=0, maxiter=200)
    return time.perf_counter() - begin, model, result


def _best_of(pair, model, results, judge):
    """The best by the dense likelihood, and its description; several of one value count once."""
    distinct = {round(float(r.llf), 3): r for r in results if np.isfinite(r.llf)}
    judged_all = [(_described(pair, model, result, judge), result) for result in distinct.values()]
    described, best = max(judged_all, key=lambda one: _or_least(one[0]["log_likelihood"]))
    return best, described


def _with_our_prior(pair, model):
    """The model with the stationary prior of a damped cycle, which is diffuse in statsmodels."""
    damped = [index for index, (k, o) in enumerate(pair.components) if k == "cycle"]
    if not damped or pair.components[damped[0]][1]["damping"] == 1:
        return model
    begin = int(model.level + model.trend + model._k_seasonal_states + model._k_freq_seas_states)
    prior = Initialization(model.k_states)
    stationary = (begin, begin + 2 + model.ar_order)
    for first, last, kind in (
        (0, begin, "diffuse"),
        (*stationary, "stationary"),
        (stationary[1], model.k_states, "diffuse"),
    ):
        if last > first:
            prior.set((first, last), kind)
    model.ssm.initialization = prior
    return model


def _start(name, random, changes):
    if name.startswith("sigma2"):
        return changes * 10.0 ** random.uniform(-4.0, 0.5)
    if name.startswith("frequency"):
        return 2.0 * np.pi / np.exp(random.uniform(np.log(3.0), np.log(60.0)))
    if name.startswith("damping"):
        return random.uniform(0.5, 0.99)
    return random.uniform(-0.3, 0.9) if name == "ar.L1" else random.uniform(-0.4, 0.0)


def _described(pair, model, result, judge):
    values = values_of_statsmodels(pair, model.param_names, result.params)
    told = {f"{index}.{name}": np.atleast_1d(v).tolist() for (index, name), v in values.items()}
    value = judge(values)
    return {"log_likelihood": value, "its_own": float(result.llf), "values": _plain(told)}


def _plain(values):
    return {name: [float(v) for v in value] for name, value in values.items()}


def _or_least(value):
    return value if np.isfinite(value) else -np.inf


class DenseFit:
    """Maximum likelihood by dense algebra of a model that learns nothing but variances."""

    def __init__(self, pair):
        self.reference = reference_of(pair, {})
        self.keys = list(self.reference.values)
        for key in self.keys:
            self.reference.values[key][:] = 1.0
        model = self.reference._eliminated()
        self.residual = model.residual
        self.constant = -0.5 * (
            len(self.residual) * np.log(2 * np.pi) + model.log_determinant
        )  # fmt: skip
        self.parts = {NOISE: np.eye(len(self.residual))}
        for index, piece in self.reference._pieces(REAL):
            names = [key for key in self.keys if key[0] == index]
            blocks = self.reference._responses(piece, REAL)[2]
            for number, block in enumerate(blocks):
                own = np.asarray(model.turn(block)[model.rank :], dtype="float64")
                key = names[min(number, len(names) - 1)]
                self.parts[key] = self.parts.get(key, 0.0) + own @ own.T

    def negative(self, logs):
        """The negative log likelihood and its gradient by log variances."""
        variances = np.exp(logs)
        total = sum(v * self.parts[key] for v, key in zip(variances, self.keys))
        factor = scipy.linalg.cholesky(total, lower=True, overwrite_a=True, check_finite=False)
        inverse = scipy.linalg.lapack.dpotri(factor, lower=1)[0]
        weights = scipy.linalg.cho_solve((factor, True), self.residual)
        value = self.constant - np.log(np.diag(factor)).sum() - 0.5 * self.residual @ weights
        gradient = []
        for key in self.keys:
            part = self.parts[key]
            trace = 2 * np.sum(np.tril(inverse, -1) * part) + np.diag(inverse) @ np.diag(part)
            gradient.append(-0.5 * trace + 0.5 * weights @ part @ weights)
        return -value, -np.array(gradient) * variances

    def judge(self, values):
        """The log likelihood at natural values."""
        variances = [max(float(values[key]), 1e-300) for key in self.keys]
        return float(-self.negative(np.log(variances))[0])

    def best(self, changes, known):
        """The variances of the best, and what every start came to; known: one of the starts."""
        random, found = np.random.RandomState(1), []
        size = len(self.keys)
        starts = [np.log([max(known[key], 1e-12 * changes) for key in self.keys])]
        starts += [np.log(changes) + random.uniform(-9.0, 0.0, size) for _ in range(DENSE_STARTS)]
        for start in starts:
            bounds = [(np.log(changes) - 28.0, np.log(changes) + 5.0)] * size
            with contextlib.suppress(np.linalg.LinAlgError):
                found.append(
                    scipy.optimize.minimize(
                        self.negative, start, jac=True, method="L-BFGS-B", bounds=bounds,
                        options={"maxiter": 60, "ftol": 1e-10},
                    )
                )  # fmt: skip
        best = min(found, key=lambda one: one.fun)
        return dict(zip(self.keys, np.exp(best.x))), [float(-one.fun) for one in found]


def by_dense(pair, fit, known):
    changes = np.nanvar(np.diff(pair.y))
    begin = time.perf_counter()
    values, every = fit.best(changes, known)
    told = {f"{index}.{name}": [float(v)] for (index, name), v in values.items()}
    return {
        "log_likelihood": judged(pair, values),
        "every_start": every,
        "values": told,
        "seconds": time.perf_counter() - begin,
    }


def _by_key(values):
    """{'0.level_variance': [v]} by (component, name)."""
    pairs_of = ((name.split("."), value) for name, value in values.items())
    return {(None if i == "None" else int(i), name): v[0] for (i, name), v in pairs_of}


def only_variances(pair):
    return all(kind in ("level", "trend", "seasonal") for kind, _ in pair.components)


def by_predictor(pair):
    """(seconds, log likelihood)."""
    from gluonts.dataset.common import ListDataset

    from gluon_linalg.forecast import StructuralPredictor

    entry = {"start": "1900-01-01", "target": pair.y}
    if pair.covariates is not None:
        entry["feat_dynamic_real"] = np.vstack([pair.covariates, pair.covariates[-1:]]).T
    data = ListDataset([entry], freq="D")
    begin = time.perf_counter()
    predictor = StructuralPredictor(
        "D", 1, [_told(*c) for c in pair.components if c[0] != "regression"],
        use_feat_dynamic_real=pair.covariates is not None, forecast="distribution",
    )  # fmt: skip
    forecast = next(iter(predictor.predict(data)))
    seconds, values = time.perf_counter() - begin, {}
    labels = {}
    for index, (kind, _) in enumerate(pair.components):
        count = labels.setdefault(kind, []).append(index) or len(labels[kind])
        label = kind if count == 1 else f"{kind}_{count}"
        for name, value in forecast.info["parameters"].items():
            if name.startswith(f"{label}."):
                values[index, name.split(".")[1]] = value
    values[NOISE] = forecast.info["parameters"]["noise_variance"]
    return seconds, judged(pair, values, noise=True)


def by_job(pair):
    """(seconds, log likelihood)."""
    from gluon_linalg.jobs.cli import main

    count = 0 if pair.covariates is None else pair.covariates.shape[1]
    names = [f"x{k}" for k in range(count)]
    components = [_told(*c) for c in pair.components]
    job = {
        "task": "statespace",
        "data": {"path": "table.csv", "time": "step", "target": "y", "covariates": names},
        "model": {"components": components, **({} if pair.noise else {"noise_variance": 0})},
        "forecast": {"steps": 1},
        "output": "out",
    }
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "table.csv"), "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["step", *names, "y"])
            for step in range(len(pair.y) + 1):
                last = min(step, len(pair.y) - 1)
                own = [] if pair.covariates is None else pair.covariates[last].tolist()
                seen = step == last and np.isfinite(pair.y[step])
                table.writerow([step, *own, repr(float(pair.y[step])) if seen else ""])
        path = os.path.join(folder, "job.yaml")
        with open(path, "w") as file:
            json.dump(job, file)
        told = io.StringIO()
        begin = time.perf_counter()
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            try:
                main(["train", path, "--output", os.path.join(folder, "out")])
            except SystemExit as ended:
                if ended.code:
                    raise RuntimeError(told.getvalue()[-500:]) from None
        seconds = time.perf_counter() - begin
        with open(os.path.join(folder, "out", "metrics.json")) as file:
            trained = json.load(file)["parameters"]["trained"]
    values = {}
    for name, value in trained.items():
        if name == "noise_variance":
            values[NOISE] = value
        else:
            _, index, _, own = name.split(".")
            values[int(index), own] = value
    return seconds, judged(pair, _partial(values))


def _partial(values):
    """Coefficients of autoregressions as partial autocorrelations."""
    from diffuse_systems import partial_autocorrelations

    found = {}
    for (index, name), value in values.items():
        if name == "coefficients":
            name, value = "partial_autocorrelation", partial_autocorrelations(np.atleast_1d(value))
        found[index, name] = value
    return found


def _told(kind, options):
    """A component as jobs and the predictor want it: all that is learned at its default."""
    options = {k: v for k, v in options.items() if v is not None and k != "features"}
    if kind == "autoregression":
        return {"ar": {"order": len(options["coefficients"])}}
    return {kind: options}


def written(path, content):
    """The file in one step: a run that is stopped keeps what it had."""
    with open(f"{path}.part", "w") as file:
        file.write(content)
    os.replace(f"{path}.part", path)


def make_cache(chosen):
    cache = read_cache()
    for pair in chosen:
        if pair.name in cache:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if only_variances(pair) and any(p.name == pair.name for p in pairs("slow")):
                fit = DenseFit(pair)
                found = by_statsmodels(pair, fit.judge)
                found["dense"] = by_dense(pair, fit, _by_key(found["best"]["values"]))
            else:
                found = by_statsmodels(pair, functools.partial(judged, pair))
        cache[pair.name] = found
        written(CACHE, json.dumps(cache, indent=1, sort_keys=True) + "\n")
        print(pair.name, found["default"]["log_likelihood"], found["best"]["log_likelihood"],
              found.get("dense", {}).get("log_likelihood"), f"{found['best_seconds']:.0f} s",
              flush=True)  # fmt: skip


def read_cache():
    if not os.path.exists(CACHE):
        return {}
    with open(CACHE) as file:
        return json.load(file)


def compare(chosen, output):
    cache, rows = read_cache(), []
    for pair in chosen:
        known = cache.get(pair.name)
        if known is None:
            print(f"{pair.name}: not in the cache, run with --statsmodels first", file=sys.stderr)
            continue
        row = {
            "pair": pair.name,
            "n": known["n"],
            "statsmodels": known["default"]["log_likelihood"],
            "statsmodels_s": _median_seconds(pair),
            "best": known["best"]["log_likelihood"],
            "dense": known.get("dense", {}).get("log_likelihood"),
        }
        bar = max(v for v in (row["statsmodels"], row["best"], row["dense"]) if v is not None)
        for name, fit in (("predictor", by_predictor), ("job", by_job)):
            try:
                row[f"{name}_s"], row[name] = fit(pair)
                row[f"{name}_gap"] = row[name] - bar
            except Exception as error:
                print(f"{pair.name}: {name}: {error}", file=sys.stderr)
                row[name] = row[f"{name}_s"] = row[f"{name}_gap"] = None
        rows.append(row)
        print(_line(row), flush=True)
        if output:
            _write_tables(rows, output)
    for name in ("predictor", "job"):
        gaps = [row[f"{name}_gap"] for row in rows if row[f"{name}_gap"] is not None]
        below = sum(gap < -0.01 for gap in gaps)
        print(
            f"{name}: {len(gaps)} fits, {below} below the bar by more than 0.01, "
            f"{sum(gap > 0.01 for gap in gaps)} above; worst {min(gaps, default=0):.3f}"
        )
        ratios = [row[f"{name}_s"] / row["statsmodels_s"] for row in rows if row[f"{name}_s"]]
        if ratios:
            quartiles = np.percentile(ratios, [0, 25, 50, 75, 100])
            told = ", ".join(f"{ratio:.1f}" for ratio in quartiles)
            print(f"{name}: seconds, in those of statsmodels' default fit: quartiles {told}")


def _median_seconds(pair, runs=3):
    """Of statsmodels' default fit, taken in the same run as ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(np.median([default_fit(pair)[0] for _ in range(runs)]))


def _line(row):
    cells = []
    for key, _ in COLUMNS:
        value = row.get(key)
        digits = 1 if key.endswith("_s") else 4
        cells.append(f"{value:.{digits}f}" if isinstance(value, float) else str(value or ""))
    return "| " + " | ".join(cells) + " |"


def _write_tables(rows, output):
    lines = ["| " + " | ".join(title for _, title in COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    written(f"{output}.md", "\n".join(lines + [_line(row) for row in rows]) + "\n")
    text = io.StringIO()
    table = csv.DictWriter(text, [key for key, _ in COLUMNS])
    table.writeheader()
    table.writerows(rows)
    written(f"{output}.csv", text.getvalue())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--statsmodels", action="store_true", help="fill the cache")
    parser.add_argument("--which", choices=["all", "shipped", "slow"], default="all")
    parser.add_argument("--only", default="", help="words in the names of the pairs")
    parser.add_argument("--output", help="write OUTPUT.csv and OUTPUT.md")
    given = parser.parse_args()
    chosen = [pair for pair in pairs(given.which) if given.only in pair.name]
    if given.statsmodels:
        make_cache(chosen)
    else:
        compare(chosen, given.output)


if __name__ == "__main__":
    main()
