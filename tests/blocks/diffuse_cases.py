"""Realistic structural models with their data, and what the dense reference says of them.

    python tests/blocks/diffuse_cases.py [NAME ...]

computes the values in tests/data/diffuse_references.json anew, all of them or those of some cases.
"""

import json
import os
import sys
from collections import namedtuple

import numpy as np

FILE = os.path.join(os.path.dirname(__file__), "..", "data", "diffuse_references.json")
HORIZON = 4
# How far the package keeps dampings and partial autocorrelations from 1.
MARGIN = 2.0**-22

# description, noise_variance: as for `diffuse_reference.Reference`; y (T,), covariates (T + h, k)
# or None, mask (T,) or None; slow: takes seconds.
Case = namedtuple("Case", ["description", "noise_variance", "y", "covariates", "mask", "slow"])


def walk(steps, seed=0):
    """A walk with a slow wave around 100."""
    noise = np.random.RandomState(seed).randn(steps)
    return 100.0 + np.cumsum(0.2 * noise) + 5.0 * np.sin(2.0 * np.pi * np.arange(steps) / 251.0)


def case(description, noise, y, covariates=None, mask=None, slow=False):
    return Case(description, noise, y, covariates, mask, slow)


def level(variance):
    return ("level", {"level_variance": variance})


def trend(level_variance, slope_variance):
    return ("trend", {"level_variance": level_variance, "slope_variance": slope_variance})


def dummy(period, variance):
    return ("seasonal", {"period": period, "seasonal_variance": variance})


def waves(period, harmonics, variance):
    form = {"form": "trigonometric", "harmonics": harmonics}
    return ("seasonal", {"period": period, **form, "seasonal_variance": variance})


def cycle(period, damping, variance):
    return ("cycle", {"period": period, "damping": damping, "cycle_variance": variance})


def ar(coefficients, variance):
    return ("autoregression", {"coefficients": coefficients, "innovation_variance": variance})


def regression(features, drifting=None):
    if drifting is None:
        return ("regression", {"features": features})
    return (
        "regression",
        {"features": features, "drifting": True, "coefficient_variance": drifting},
    )


def covariates(steps, centre, spread, seed=5):
    """One column for each centre."""
    noise = np.random.RandomState(seed).randn(steps + HORIZON, len(centre))
    return np.array(centre) + np.array(spread) * noise


def sines(steps, period=365.25, most=2):
    angle = 2.0 * np.pi * np.arange(steps + HORIZON)[:, None] * np.arange(1, most + 1) / period
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def collinear(steps):
    """Logarithms that grow together."""
    columns = covariates(steps, [0.0, 0.0], [0.01, 0.001])
    first = np.cumsum(columns[:, 0] + 0.008) + 8.0
    return np.column_stack([first, 1.1 * first + 0.1 + np.cumsum(columns[:, 1])])


def breaks(steps):
    """t² and a step."""
    time = np.arange(steps + HORIZON, dtype="float64")
    return np.column_stack([time**2, time >= steps // 3])


def years(steps):
    time = 1900.0 + np.arange(steps + HORIZON)
    return np.column_stack([time, time**2])


def seen(steps, missing_first, every=None, until=0):
    """1 but for the first ones, and for all but each `every`-th up to `until`."""
    mask = np.ones(steps)
    mask[:missing_first] = 0.0
    if every:
        mask[:until] *= np.arange(until) % every == every - 1
    return mask


def growth():
    """Unemployment and log output by quarter, a model of the tests of statsmodels."""
    from statsmodels.datasets import macrodata

    data = macrodata.load_pandas().data
    y, x = data["unemp"].to_numpy("float64"), np.log(data["realgdp"].to_numpy("float64"))
    x = np.append(x, np.full(HORIZON, x[-1]))[:, None]
    description = [
        trend(0.01, 0.06), dummy(4, 1e-4), cycle(10.0, 1, 1e-4), ar([0.2], 0.1), regression(1)
    ]  # fmt: skip
    return case(description, 1e-4, y, x)


def on_level(centre, spread):
    x = covariates(120, [centre], [spread])
    return case([level(0.04), regression(1)], 0.01, walk(120, 3) + (x[:120, 0] - centre) / 8, x)


def week_and_year(steps, slow=False):
    description = [level(0.02), dummy(7, 0.001), waves(365.25, 3, 0)]
    return case(description, 0.01, walk(steps), slow=slow)


def known(kind, options, mean, deviations):
    return (kind, {**options, "prior": (mean, deviations)})


CASES = {
    "cycle of 200": lambda: case([trend(0.01, 1e-4), cycle(200.0, 1, 0.001)], 0.01, walk(300)),
    "fixed cycle": lambda: case([level(0.04), cycle(180.0, 1, 0)], 0.01, walk(300)),
    "week and year": lambda: week_and_year(300),
    "week and year, 1000": lambda: week_and_year(1000),
    "week and year, 3000": lambda: week_and_year(3000, slow=True),
    "sines": lambda: case([trend(0.01, 1e-4), regression(4)], 0.01, walk(300), sines(300)),
    "sines, 1000": lambda: case([trend(0.01, 1e-4), regression(4)], 0.01, walk(1000), sines(1000)),
    "2 waves of a year": lambda: case(
        [trend(0.0044, 0.00397), waves(365.25, 2, 0.00328)], 0.004, walk(800)
    ),
    "3 waves of a year": lambda: case(
        [trend(0.0044, 0.00397), waves(365.25, 3, 0.00328)], 0.004, walk(1000), slow=True
    ),
    "4 waves of a year": lambda: case(
        [trend(0.004, 0.004), waves(365.25, 4, 0.003)], 0.004, walk(1000)
    ),
    "sines, 3000": lambda: case(
        [trend(0.01, 1e-4), regression(4)], 0.01, walk(3000), sines(3000), slow=True
    ),
    "season of 251": lambda: case([trend(0.02, 1e-5), waves(251.0, 2, 1e-4)], 0.01, walk(600)),
    "weeks": lambda: case([trend(0.02, 1e-5), waves(52.18, 6, 1e-4)], 0.01, walk(312)),
    "quarters of hours": lambda: case([level(0.02), waves(96, 3, 1e-4)], 0.01, walk(500)),
    "five minutes": lambda: case([level(0.02), waves(288, 3, 1e-4)], 0.01, walk(1000), slow=True),
    "five minutes, 3000": lambda: case(
        [level(0.02), waves(288, 4, 0)], 0.01, walk(3000), slow=True
    ),
    "hours": lambda: case(
        [level(0.02), waves(24, 3, 1e-4), waves(168, 2, 0)], 0.01, walk(1000), slow=True
    ),
    "months": lambda: case([trend(0.02, 1e-4), dummy(12, 1e-3)], 0.01, walk(100)),
    "months by waves": lambda: case([trend(0.02, 1e-4), waves(12, 6, 1e-3)], 0.01, walk(100)),
    "index of 1e5": lambda: on_level(1e5, 3.0),
    "index of 1e6": lambda: on_level(1e6, 1.0),
    "unix time": lambda: on_level(1e8, 1.0),
    "pressure": lambda: on_level(1013.0, 8.0),
    "hertz": lambda: on_level(50.0, 0.02),
    "several units": lambda: case(
        [level(0.04), regression(3)],
        0.01,
        walk(120, 3),
        covariates(120, [1013.0, 50.0, 1e5], [8.0, 0.02, 3.0]),
    ),
    "collinear": lambda: case([level(0.04), regression(2)], 0.01, walk(200), collinear(200)),
    "an index without a level": lambda: case(
        [ar([0.9], 0.1), regression(2)],
        0.01,
        walk(120, 3),
        np.column_stack([np.ones(120 + HORIZON), covariates(120, [1e6], [1.0])]),
    ),
    "an index beside a season": lambda: case(
        [dummy(7, 0.01), regression(1)], 0.5, walk(120, 3), covariates(120, [1e5], [3.0])
    ),
    "an index beside a damped trend": lambda: case(
        [("damped_trend", {"level_variance": 0.04, "slope_variance": 0.001}), regression(1)],
        0.01,
        walk(120, 3),
        covariates(120, [1e8], [1.0]),
        seen(120, 5),
    ),
    "indices that move together": lambda: case(
        [level(0.04), regression(2)],
        0.01,
        walk(120, 3),
        1e5 + np.cumsum(covariates(120, [0.0, 0.0], [3.0, 0.01]), axis=1),
    ),
    "years and their squares": lambda: case(
        [level(0.04), regression(2)], 0.01, walk(120, 3), years(120)
    ),
    "a drifting index": lambda: case(
        [trend(0.04, 1e-5), regression(1, drifting=[1e-4])],
        0.01,
        walk(120, 3),
        covariates(120, [1e4], [1.0]),
    ),
    "breaks": lambda: case([trend(0.04, 1e-4), regression(2)], 0.01, walk(200), breaks(200)),
    "drifting": lambda: case(
        [level(0.04), regression(2, drifting=[1e-4, 1.0])],
        0.01,
        walk(120),
        covariates(120, [3.0, 50.0], [1.0, 0.02]),
        seen(120, 6),
    ),
    "unemployment on output": growth,
    "slow damped trend": lambda: case(
        [("damped_trend", {"level_variance": 0.01, "slope_variance": 0.001, "damping": 0.9995})],
        0.01,
        walk(300),
    ),
    "slow return to a slope": lambda: case(
        [
            ("semilocal_trend", {"level_variance": 0.01, "slope_variance": 1e-4, "damping": 0.999}),
            dummy(4, 1e-4),
        ],
        0.01,
        walk(300),
    ),
    "slow cycle": lambda: case([level(0.01), cycle(37.0, 0.9999, 0.001)], 0.01, walk(300)),
    "slow autoregression": lambda: case([level(0.01), ar([1.8981, -0.9], 0.02)], 0.01, walk(300)),
    "almost a walk": lambda: case([level(1e-4), ar([0.99999], 0.04)], 0.01, walk(300)),
    "little noise": lambda: case([trend(1e-8, 1e-10), ar([0.95], 1.0)], 1e-7, walk(300)),
    "little of all": lambda: case(
        [level(1e-9), waves(90.0, 2, 1e-13)], 1e-10, 100.0 + 1e-4 * (walk(200) - 100.0)
    ),
    "no noise": lambda: case([trend(0.04, 1e-3), dummy(4, 0.01)], None, walk(200)),
    "no noise of waves": lambda: case([level(0.04), waves(60.0, 2, 0.001)], None, walk(300)),
    "known": lambda: case(
        [
            known("level", {"level_variance": 0.04}, 98.0, 3.0),
            known("cycle", {"period": 251.0, "cycle_variance": 0.01}, [0.0, 5.0], [1.0, 2.0]),
        ],
        0.01,
        walk(120),
    ),
    "first missing": lambda: case(
        [level(0.02), dummy(12, 1e-3)], 0.01, walk(120), mask=seen(120, 7, every=5, until=60)
    ),
    "first of waves missing": lambda: case(
        [trend(0.02, 1e-4), waves(52.18, 3, 1e-3)],
        0.01,
        walk(300),
        mask=seen(300, 11, every=3, until=100),
    ),
    "first of regression missing": lambda: case(
        [level(0.02), regression(2)],
        0.01,
        walk(120),
        covariates(120, [1013.0, 1e5], [8.0, 3.0]),
        seen(120, 7, every=4, until=40),
    ),
}


def stored_and_natural(values, dtype):
    """Stored numbers in the dtype, natural values in longdouble, and d natural / d stored."""
    found = []
    for name, value in values.items():
        value = np.asarray(value, dtype="float64")
        if name[1] in ("damping", "partial_autocorrelation"):
            upper = 1.0 - MARGIN
            lower = 0.0 if name[1] == "damping" else -upper
            stored = np.log((value - lower) / (upper - value)).astype(dtype)
            width = np.longdouble(upper) - lower
            natural = lower + width / (1 + np.exp(-stored.astype(np.longdouble)))
            slope = (natural - lower) * (upper - natural) / width
        else:
            lower = 2.0 if name[1] == "period" else 0.0
            stored = np.log(value - lower).astype(dtype)
            slope = np.exp(stored.astype(np.longdouble))
            natural = slope + lower
        found.append((name, (stored, natural, slope)))
    return dict(found)


def rounded(array, dtype):
    return None if array is None else np.asarray(array).astype(dtype).astype("float64")


def times_of(one):
    """The steps whose smoothed states are kept."""
    steps = len(one.y)
    return [0, 1, steps // 2, steps - 1]


def references(one, dtype):
    """The values of a case whose data and parameters are rounded to the dtype.

    None where rounding leaves nothing of a covariate, as of a unix time in float32.
    """
    from diffuse_reference import Reference

    y, x = rounded(one.y, dtype), rounded(one.covariates, dtype)
    model = Reference(one.description, one.noise_variance, y, x, one.mask)
    parameters = stored_and_natural(model.values, dtype)
    natural = {name: own[1] for name, own in parameters.items()}
    model = Reference(one.description, one.noise_variance, y, x, one.mask, natural)
    found = model.likelihood()
    if found.unidentified.shape[1]:
        return None
    gradient = {
        ".".join(map(str, name)): (found.gradient[name] * own[2]).astype("float64").tolist()
        for name, own in parameters.items()
    }
    kept = {"log_likelihood": found.log_likelihood, "gradient": gradient}
    if dtype == "float64":
        future, past = model.forecast(HORIZON), model.smoothed(times_of(one))
        variance = np.diagonal(past.covariance, axis1=1, axis2=2)
        kept.update(
            forecast_mean=future.mean.tolist(),
            forecast_variance=future.covariance.tolist(),
            smoothed_mean=past.mean.tolist(),
            smoothed_variance=variance.tolist(),
        )
    return kept


def read():
    if not os.path.exists(FILE):
        return {}
    with open(FILE) as file:
        return json.load(file)


def main(names):
    for name in names or sorted(CASES, key=lambda name: CASES[name]().slow):
        one = CASES[name]()
        found = {dtype: references(one, dtype) for dtype in ("float64", "float32")}
        kept = {**read(), name: found}
        print(name, found["float64"]["log_likelihood"], flush=True)
        with open(FILE, "w") as file:
            lines = [f"{json.dumps(k)}: {json.dumps(kept[k])}" for k in CASES if k in kept]
            file.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
