"""Data that packages ship: splits, standardized columns, and where all contenders begin.

What is random is drawn here, once: rows, inducing points, weights of networks and mini-batches.
"""

import csv
from typing import Callable, Dict, List, Tuple

import numpy as np

from ..case import Arrays
from ..process import ROOT

Data = Tuple[np.ndarray, np.ndarray]
LATER = 60
HIDDEN = (32, 16)
START_NOISE = 0.1
# Of Adam: MXNet and PyTorch mean different things by it, and small enough it means nothing.
EPSILON = 1e-12


def co2() -> Arrays:
    """Months of the CO₂ at Mauna Loa in years, but for those without a value; the last are kept."""
    with open(ROOT / "examples" / "data" / "co2_monthly.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["co2_ppm"]]
    months = [row["date"].split("-") for row in rows]
    x = np.array([int(year) + (int(month) - 0.5) / 12 for year, month in months])
    y = np.array([float(row["co2_ppm"]) for row in rows])
    x, centre = x - x[0], y[:-LATER].mean()
    known = {"x": x[:-LATER], "y": y[:-LATER] - centre}
    return {**known, "x_new": x[-LATER:], "y_new": y[-LATER:] - centre}


def co2_in_brief() -> Arrays:
    """Two years and two months."""
    known = co2()
    return {k: a[:2] if k.endswith("new") else a[:24] for k, a in known.items()}


def diabetes() -> Data:
    from sklearn.datasets import load_diabetes

    return load_diabetes(return_X_y=True)


def fair() -> Data:
    """6366 married women who were asked: for how many years, from their answers to the rest."""
    from statsmodels.datasets import fair as survey

    answers = survey.load_pandas().data
    x = answers.drop(columns=["yrs_married", "affairs"])
    return x.to_numpy("float64"), answers["yrs_married"].to_numpy("float64")


def breast_cancer() -> Data:
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer(return_X_y=True)


def digits() -> Data:
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


def few(load: Callable[[], Data]) -> Data:
    """Some rows of a dataset, with all of its classes."""
    x, y = load()
    return x[:60], y[:60]


def problem(
    load: Callable[[], Data],
    rows: int = 0,
    inducing: int = 0,
    batch: int = 0,
    steps: int = 100,
    features: Tuple[int, ...] = HIDDEN,
    seed: int = 0,
) -> Arrays:
    """A dataset, split 7 : 3; rows: how many of the training rows count, 0 for all.

    Columns are standardized by the training rows, targets as well unless they are classes.
    inducing: how many of the training rows are inducing points; batch: the size of the mini-batches
    of each of the `steps`, 0 for all rows; features: the sizes of the layers of a network.
    """
    x, y = load()
    x, y = np.asarray(x, dtype="float64"), np.asarray(y)
    random = np.random.RandomState(seed)
    order = random.permutation(len(x))
    split = int(0.7 * len(x))
    seen, new = order[:split], order[split:]
    seen = seen[: rows or None]
    x = _standardized(x, seen)
    if y.dtype.kind == "f":
        y = _standardized(y[:, None], seen)[:, 0]
    found = {
        "x": x[seen],
        "y": y[seen].astype("float64"),
        "x_new": x[new],
        "y_new": y[new].astype("float64"),
        "batches": _batches(random, len(seen), batch or len(seen), steps),
        "classes": np.array(0 if y.dtype.kind == "f" else int(y.max()) + 1),
    }
    found["inducing"] = x[random.permutation(seen)[: inducing or len(seen)]]
    return {**found, **_weights(random, (x.shape[1], *features))}


def _standardized(values, seen):
    spread = values[seen].std(axis=0)
    return (values - values[seen].mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def _batches(random, count, size, steps):
    """Numbers of rows, (steps, size): all rows in random order, then again."""
    epochs = -(-steps * size // count)
    rows = np.concatenate([random.permutation(count) for _ in range(epochs)])
    return rows[: steps * size].reshape(steps, size)


def _weights(random, sizes) -> Dict[str, np.ndarray]:
    """Of dense layers, (outputs, inputs) each, by Xavier."""
    found = {}
    for number, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        limit = np.sqrt(3.0 / (0.5 * (inputs + outputs)))
        found[f"weight{number}"] = random.uniform(-limit, limit, (outputs, inputs))
    return found


def step_problem(n: int, inducing: int, columns: int, batch: int) -> Arrays:
    """A function of a sum, inducing points among the rows, and a mean of q that is not 0."""
    random = np.random.RandomState(0)
    x = 3.0 * random.rand(n, columns)
    return {
        "x": x,
        "y": np.sin(x.sum(axis=1)) + 0.1 * random.randn(n),
        "inducing": x[random.permutation(n)[:inducing]],
        "weights": random.randn(inducing),
        "batches": _batches(random, n, batch, 2 * n // batch),
        "lengthscales": np.full(columns, 2.0),
    }


def time_problem(n: int) -> Arrays:
    """Irregular times, four in a lengthscale, and a noisy wave."""
    random = np.random.RandomState(0)
    x = np.cumsum(random.exponential(0.25, n))
    return {"x": x, "y": np.sin(x) + 0.1 * random.randn(n), "parameters": np.array([1.0, 1.0, 0.1])}


def weights_of(arrays: Arrays) -> List[np.ndarray]:
    """The weights of all layers, in order."""
    return [arrays[name] for name in sorted(arrays) if name.startswith("weight")]
