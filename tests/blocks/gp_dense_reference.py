"""Gaussian processes of realistic size in longdouble: values and gradients, and the cases.

    python tests/blocks/gp_dense_reference.py [NAME ...]

computes tests/data/gp_references.json anew. Derivatives of the covariance are complex steps, those
of the likelihood are ½ tr((A⁻¹ - α αᵀ) dA).
"""

import json
import os
import sys
from collections import namedtuple

import gp_reference
import numpy as np

FILE = os.path.join(os.path.dirname(__file__), "..", "data", "gp_references.json")
PI, STEP = 4 * np.arctan(np.longdouble(1)), 1e-30
# What kernels and the layer add to the exponential of a stored number.
LOWER = {"noise_variance": 1e-10}

# terms: a list of products, each a list of (kind, parameters) with 'active_dims' among them;
# x (n, d), y (n,).
Case = namedtuple("Case", ["terms", "noise_variance", "x", "y"])


def data(n=500, d=1, spread=10.0, seed=0):
    random = np.random.RandomState(seed)
    x = np.sort(random.uniform(0.0, spread, size=(n, d)), axis=0)
    y = np.sin(x).sum(axis=1) + 0.3 * x[:, 0] / spread + 0.01 * random.randn(n)
    return x, y


def smooth():
    x, y = data()
    return Case([[("RBF", {"variance": 2.0, "lengthscale": 1.5})]], 1e-4, x, y)


def carbon_dioxide():
    """Rasmussen & Williams, section 5.4.3, at years as they are."""
    x, y = gp_reference.co2()
    terms = [
        [("RBF", {"variance": 4356.0, "lengthscale": 67.0})],
        [
            ("RBF", {"variance": 5.76, "lengthscale": 90.0}),
            ("Periodic", {"variance": 1.0, "lengthscale": 1.3, "period": 1.0}),
        ],
        [("RationalQuadratic", {"variance": 0.4356, "lengthscale": 1.2, "alpha": 0.78})],
        [("RBF", {"variance": 0.0324, "lengthscale": 0.1347})],
    ]
    return Case(terms, 0.0361, x[:, None], y)


def two_columns():
    x, y = data(d=2, seed=1)
    x[:, 1] = 1000.0 + 50.0 * np.random.RandomState(2).permutation(x[:, 1])
    return Case([[("Matern52", {"variance": 1.5, "lengthscale": [2.0, 300.0]})]], 1e-4, x, y)


def hours():
    x = np.arange(500.0)[:, None]
    y = np.sin(2 * np.pi * x[:, 0] / 24) + 0.01 * x[:, 0]
    y += 0.1 * np.random.RandomState(3).randn(500)
    terms = [
        [
            ("RBF", {"variance": 1.0, "lengthscale": 200.0}),
            ("Periodic", {"variance": 1.0, "lengthscale": 0.7, "period": 24.0}),
        ],
        [("Linear", {"variance": 1e-4})],
    ]
    return Case(terms, 0.01, x, y)


def close_pairs():
    x, y = data(seed=4)
    x[1::2] = x[::2] + 1e-3
    y[1::2] = y[::2] + 1e-3 * np.random.RandomState(5).randn(250)
    return Case([[("Matern32", {"variance": 1.0, "lengthscale": 2.0})]], 1e-5, x, y)


def almost_constant():
    x, y = data(spread=1.0, seed=6)
    return Case([[("Matern12", {"variance": 1.0, "lengthscale": 1e3})]], 1e-4, x, y)


CASES = {
    "smooth": smooth,
    "carbon dioxide": carbon_dioxide,
    "two columns": two_columns,
    "hours": hours,
    "close pairs": close_pairs,
    "almost constant": almost_constant,
}


def covariance(case, values, x):
    """k(x) + noise; values: by (term, factor, name), and 'noise_variance'."""
    total = values["noise_variance"] * np.eye(len(x), dtype=x.dtype)
    for t, factors in enumerate(case.terms):
        product = 1
        for f, (kind, parameters) in enumerate(factors):
            own = {name: values[t, f, name] for name in parameters}
            product = product * KERNELS[kind](x[:, None] - x[None], x, **own)
        total = total + product
    return total


def _square(difference, lengthscale):
    return ((difference / lengthscale) ** 2).sum(axis=2)


def _distance(difference, lengthscale):
    square = _square(difference, lengthscale)
    same = square == 0
    return np.where(same, 0, np.sqrt(np.where(same, 1, square)))


def _rbf(difference, x, variance, lengthscale):
    return variance * np.exp(-_square(difference, lengthscale) / 2)


def _matern12(difference, x, variance, lengthscale):
    return variance * np.exp(-_distance(difference, lengthscale))


def _matern32(difference, x, variance, lengthscale):
    r = np.sqrt(np.longdouble(3)) * _distance(difference, lengthscale)
    return variance * (1 + r) * np.exp(-r)


def _matern52(difference, x, variance, lengthscale):
    r = np.sqrt(np.longdouble(5)) * _distance(difference, lengthscale)
    return variance * (1 + r + r**2 / 3) * np.exp(-r)


def _rational_quadratic(difference, x, variance, lengthscale, alpha):
    base = 1 + _square(difference, lengthscale) / (2 * alpha)
    return variance * np.exp(-alpha * np.log(base))


def _periodic(difference, x, variance, lengthscale, period):
    sines = np.sin(PI * difference / period)
    return variance * np.exp(-2 * _square(sines, lengthscale))


def _linear(difference, x, variance):
    return variance * (x[:, None] * x[None]).sum(axis=2)


KERNELS = {
    "RBF": _rbf,
    "Matern12": _matern12,
    "Matern32": _matern32,
    "Matern52": _matern52,
    "RationalQuadratic": _rational_quadratic,
    "Periodic": _periodic,
    "Linear": _linear,
}


def natural_values(case, dtype):
    """{key: (natural, d natural / d stored)} in longdouble, stored numbers rounded to the dtype."""
    found = {"noise_variance": case.noise_variance}
    for t, factors in enumerate(case.terms):
        for f, (_, parameters) in enumerate(factors):
            found.update({(t, f, name): value for name, value in parameters.items()})
    pairs = {}
    for key, value in found.items():
        lower = LOWER.get(key, 1e-12)
        stored = np.log(np.atleast_1d(np.float64(value)) - lower).astype(dtype)
        slope = np.exp(stored.astype(np.longdouble))
        pairs[key] = (slope + lower, slope)
    return pairs


def directions(case):
    """A direction (n, d) in which inputs are moved."""
    return np.random.RandomState(9).randn(*case.x.shape)


def references(case, dtype):
    """nlml, its gradient by stored numbers, by y, and along `directions`; and cond(A)."""
    x, y = (a.astype(dtype).astype(np.longdouble) for a in (case.x, case.y))
    pairs = natural_values(case, dtype)
    values = {key: natural for key, (natural, _) in pairs.items()}
    total = covariance(case, values, x)
    factor = cholesky(total)
    root = forward(factor, np.eye(len(y), dtype=np.longdouble))
    inverse = root.T.dot(root)
    weights = inverse.dot(y)
    adjoint = (inverse - np.outer(weights, weights)) / 2
    logs = np.log(np.diag(factor)).sum()
    value = (y.dot(weights) + 2 * logs + len(y) * np.log(2 * PI)) / 2
    gradient = {}
    for key, (natural, slope) in pairs.items():
        elements = []
        for i in range(len(natural)):
            moved = natural.astype(np.clongdouble)
            moved[i] += STEP * 1j
            derivative = covariance(case, {**values, key: moved}, x).imag / STEP
            elements.append(float((adjoint * derivative).sum() * slope[i]))
        gradient[_text(key)] = elements
    moved = x + STEP * 1j * directions(case)
    along = covariance(case, values, moved).imag / STEP
    return {
        "value": float(value),
        "gradient": gradient,
        "of_y": weights.astype("float64").tolist(),
        "along": float((adjoint * along).sum()),
        "condition": float(np.linalg.cond(total.astype("float64"))),
    }


def _text(key):
    return key if isinstance(key, str) else ".".join(map(str, key))


def cholesky(matrix):
    factor = np.zeros_like(matrix)
    for j in range(len(matrix)):
        rest = matrix[j:, j] - factor[j:, :j].dot(factor[j, :j])
        factor[j:, j] = rest / np.sqrt(rest[0])
    return factor


def forward(factor, right):
    found = right.copy()
    for i in range(len(factor)):
        found[i] = (found[i] - factor[i, :i].dot(found[:i])) / factor[i, i]
    return found


def read():
    if not os.path.exists(FILE):
        return {}
    with open(FILE) as file:
        return json.load(file)


def main(names):
    kept = read()
    for name in names or CASES:
        kept[name] = {dtype: references(CASES[name](), dtype) for dtype in ("float64", "float32")}
        print(name, kept[name]["float64"]["value"], f"{kept[name]['float64']['condition']:.1e}")
    with open(FILE, "w") as file:
        lines = [f"{json.dumps(key)}: {json.dumps(kept[key])}" for key in CASES if key in kept]
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
