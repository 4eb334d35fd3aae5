"""Series and structural models to fit to them: those that statsmodels ships, and slow seasons.

A model is a list of components, as in `tests/blocks/diffuse_systems.py`, and whether there is noise
besides; `statsmodels_options` says the same to `UnobservedComponents`.
"""

import os
from collections import namedtuple

import numpy as np
import pandas as pd
import statsmodels
from statsmodels import datasets

Pair = namedtuple("Pair", ["name", "y", "components", "noise", "covariates"])

LEVEL = ("level", {})
CONSTANT = ("level", {"level_variance": 0})
TREND = ("trend", {})
SMOOTH = ("trend", {"level_variance": 0})
DRIFT = ("trend", {"slope_variance": 0})
LINE = ("trend", {"level_variance": 0, "slope_variance": 0})
CYCLE = ("cycle", {"period": 10.0, "damping": 0.9})
UNDAMPED = ("cycle", {"period": 10.0, "damping": 1})
AR1 = ("autoregression", {"coefficients": [0.0]})
AR2 = ("autoregression", {"coefficients": [0.0, 0.0]})


def dummy(period, **options):
    return ("seasonal", {"period": period, **options})


def waves(period, harmonics=None, **options):
    return dummy(period, form="trigonometric", harmonics=harmonics, **options)


def regression(features):
    return ("regression", {"features": features})


# (series, components, whether there is noise); a tuple of names is a target and its covariates.
SHIPPED = [
    ("nile", [CONSTANT], True),
    ("nile", [LEVEL], True),
    ("nile", [LEVEL], False),
    ("nile", [TREND], True),
    ("nile", [LINE], True),
    ("nile", [LEVEL, AR1], True),
    ("nile", [CONSTANT, AR2], True),
    ("nile", [LEVEL, CYCLE], True),
    ("sunspots", [LEVEL, CYCLE], True),
    ("sunspots", [LEVEL, UNDAMPED], True),
    ("sunspots", [CONSTANT, CYCLE], True),
    ("sunspots", [CONSTANT, CYCLE], False),
    ("sunspots", [CONSTANT, UNDAMPED], True),
    ("sunspots", [LEVEL, AR2], False),
    ("sunspots", [CONSTANT, waves(11, 3)], True),
    ("co2 by month", [TREND, dummy(12)], True),
    ("co2 by month", [TREND, waves(12)], True),
    ("co2 by month", [SMOOTH, waves(12, 3)], True),
    ("co2 by month", [DRIFT, dummy(12), AR1], True),
    ("realgdp", [TREND], True),
    ("realgdp", [DRIFT], False),
    ("realgdp", [DRIFT, AR2], False),
    ("realgdp", [SMOOTH], True),
    ("realgdp", [SMOOTH, CYCLE], True),
    ("realgdp", [DRIFT, CYCLE], True),
    (("realcons", "realdpi"), [LEVEL, regression(1)], True),
    (("realcons", "realdpi", "realgdp"), [LEVEL, regression(2)], True),
    (("realcons", "realdpi"), [CONSTANT, regression(1), AR1], True),
    ("realinv", [TREND, CYCLE], True),
    ("realinv", [DRIFT, AR2], True),
    ("cpi", [TREND], True),
    ("cpi", [SMOOTH], True),
    ("cpi", [("trend", {"level_variance": 0}), AR1], False),
    ("m1", [TREND], True),
    ("m1", [TREND, AR1], True),
    ("infl", [LEVEL], True),
    ("infl", [LEVEL, dummy(4)], True),
    ("infl", [LEVEL, AR1], True),
    ("infl", [LEVEL, CYCLE], True),
    ("tbilrate", [LEVEL, AR1], True),
    ("tbilrate", [LEVEL, AR2], False),
    (("tbilrate", "infl"), [LEVEL, regression(1)], True),
    ("unemp", [LEVEL], False),
    ("unemp", [SMOOTH], True),
    ("unemp", [LEVEL, AR2], False),
    ("unemp", [LEVEL, AR2], True),
    ("unemp", [LEVEL, CYCLE], True),
    ("unemp", [LEVEL, UNDAMPED], True),
    (("unemp", "realgdp"), [LEVEL, regression(1), AR1], True),
    (("unemp", "infl", "tbilrate"), [TREND, regression(2)], True),
    ("elnino", [CONSTANT, waves(12, 2), AR1], True),
    ("elnino", [CONSTANT, dummy(12, seasonal_variance=0), AR2], True),
    ("elnino", [LEVEL, dummy(12, seasonal_variance=0), CYCLE], True),
    ("equipment", [TREND, dummy(12)], True),
    ("equipment", [TREND, waves(12, 4)], True),
    ("equipment", [DRIFT, dummy(12, seasonal_variance=0), CYCLE], True),
    ("housing", [LEVEL, dummy(12)], True),
    ("housing", [LEVEL, dummy(12), AR1], True),
    ("interest", [LEVEL, AR1], True),
    ("inflation", [LEVEL, dummy(4)], True),
    (("interest", "inflation"), [LEVEL, regression(1)], True),
    ("clark", [DRIFT, AR2], False),
    ("clark", [TREND, CYCLE], True),
    ("gnp deflator", [SMOOTH, CYCLE], True),
    ("danish money", [TREND, dummy(4)], True),
]
SLOW = [
    ("co2 by week", [TREND, waves(52.18, 6)], True),
    ("co2 by week", [SMOOTH, waves(52.18, 4), AR1], True),
    ("season of 251", [TREND, waves(251, 2)], True),
    ("year and week", [LEVEL, dummy(7), waves(365.25, 3)], True),
    ("hours of weeks", [LEVEL, waves(24, 4), waves(168, 3)], True),
    ("quarters of hours", [LEVEL, waves(96, 4)], True),
    ("five minutes", [LEVEL, waves(288, 4)], True),
]


def pairs(which="all"):
    """The `Pair`s: 'shipped', 'slow' or 'all'."""
    rows = {"shipped": SHIPPED, "slow": SLOW, "all": SHIPPED + SLOW}[which]
    found = []
    for names, components, noise in rows:
        names = (names,) if isinstance(names, str) else names
        columns = [series(name) for name in names]
        covariates = np.column_stack(columns[1:]) if columns[1:] else None
        title = f"{' on '.join(names[:2])}{' and '.join(['', *names[2:]])}: "
        title += " + ".join([_words(*c) for c in components] + ["noise"] * noise)
        found.append(Pair(title, columns[0], components, noise, covariates))
    return found


def _words(kind, options):
    names = {"autoregression": f"AR({len(options.get('coefficients', []))})", "trend": "trend"}
    variances = [options.get(n, 1) for n in ("level_variance", "slope_variance")]
    if kind == "trend":
        return {(0, 1): "smooth trend", (1, 0): "drift", (0, 0): "line"}.get(
            tuple(variances), "trend"
        )
    if kind == "level" and not variances[0]:
        return "constant"
    if kind == "cycle" and options["damping"] == 1:
        return "undamped cycle"
    if kind == "seasonal":
        fixed = "fixed " if options.get("seasonal_variance") == 0 else ""
        if "form" not in options:
            return f"{fixed}season {options['period']}"
        most = options["harmonics"] or int(options["period"] // 2)
        return f"{fixed}{most} waves of {options['period']}"
    return names.get(kind, kind)


def series(name):
    """A series by its name, NaN where missing."""
    if name in GENERATED:
        return GENERATED[name]()
    if name in ("realgdp", "realcons", "realdpi", "realinv", "cpi", "m1"):
        return 100.0 * np.log(_macrodata(name))
    if name in ("infl", "tbilrate", "unemp"):
        return _macrodata(name)
    return SHIPPED_SERIES[name]()


def _macrodata(name):
    return datasets.macrodata.load_pandas().data[name].to_numpy("float64")


def _co2(rule):
    data = datasets.co2.load_pandas().data["co2"]
    return data.resample("MS").mean().to_numpy() if rule == "month" else data["1990":"1999"].values


def _file(*path, **options):
    return pd.read_csv(os.path.join(os.path.dirname(statsmodels.__file__), *path), **options)


SHIPPED_SERIES = {
    "nile": lambda: datasets.nile.load_pandas().data["volume"].to_numpy("float64"),
    "sunspots": lambda: datasets.sunspots.load_pandas().data["SUNACTIVITY"].to_numpy("float64"),
    "co2 by month": lambda: _co2("month"),
    "co2 by week": lambda: _co2("week"),
    "elnino": lambda: datasets.elnino.load_pandas().data.iloc[:, 1:].to_numpy("float64").ravel(),
    "equipment": lambda: _file("datasets/elec_equip/elec_equip.csv").iloc[:, -1].to_numpy(),
    "interest": lambda: 100 * datasets.interest_inflation.load_pandas().data["R"].to_numpy(),
    "inflation": lambda: 100 * datasets.interest_inflation.load_pandas().data["Dp"].to_numpy(),
    "danish money": lambda: 100 * datasets.danish_data.load_pandas().data["lrm"].to_numpy(),
    "housing": lambda: _file("tsa/holtwinters/tests/results/housing-data.csv")[
        "HOUSTNSA"
    ].to_numpy()[:240],
    "clark": lambda: (
        100
        * np.log(
            _file("tsa/statespace/tests/results/clark1989.csv", header=None)[0].to_numpy("float64")
        )
    ),
    "gnp deflator": lambda: 100 * _file("tsa/tests/results/gnpdef.csv").iloc[:, 0].to_numpy(),
}


def _walk(steps, seed, size=0.2):
    return 100.0 + np.cumsum(size * np.random.RandomState(seed).randn(steps))


def _wave(steps, period, size, phase=0.0):
    return size * np.sin(2.0 * np.pi * np.arange(steps) / period + phase)


GENERATED = {
    "season of 251": lambda: _walk(1800, 0) + _wave(1800, 251, 5.0),
    "year and week": lambda: (
        _walk(1500, 1)
        + _wave(1500, 365.25, 3.0)
        + _wave(1500, 365.25 / 2, 1.0, 1.0)
        + np.tile([0.5, 0.2, 0.0, 0.1, 0.4, -0.5, -0.7], 215)[:1500]
        + 0.3 * np.random.RandomState(11).randn(1500)
    ),
    "hours of weeks": lambda: (
        _walk(1344, 2, 0.05)
        + _wave(1344, 24, 2.0)
        + _wave(1344, 12, 0.7, 2.0)
        + _wave(1344, 168, 1.0)
        + 0.3 * np.random.RandomState(12).randn(1344)
    ),
    "quarters of hours": lambda: (
        _walk(1344, 3, 0.05)
        + _wave(1344, 96, 2.0)
        + _wave(1344, 48, 0.7, 2.0)
        + 0.3 * np.random.RandomState(13).randn(1344)
    ),
    "five minutes": lambda: (
        _walk(1440, 4, 0.03)
        + _wave(1440, 288, 2.0)
        + _wave(1440, 144, 0.7, 2.0)
        + 0.3 * np.random.RandomState(14).randn(1440)
    ),
}


def statsmodels_options(pair):
    """The keyword arguments of `UnobservedComponents` besides the data."""
    options = {"irregular": pair.noise, "use_exact_diffuse": True}
    seasons = []
    for kind, o in pair.components:
        if kind in ("level", "trend"):
            options.update(level=True, stochastic_level=o.get("level_variance", 1) != 0)
            if kind == "trend":
                options.update(trend=True, stochastic_trend=o.get("slope_variance", 1) != 0)
        elif kind == "seasonal" and "form" not in o:
            options["seasonal"] = o["period"]
            options["stochastic_seasonal"] = o.get("seasonal_variance", 1) != 0
        elif kind == "seasonal":
            most = o["harmonics"] or int(o["period"] // 2)
            seasons.append(({"period": o["period"], "harmonics": most}, o))
        elif kind == "cycle":
            options.update(cycle=True, stochastic_cycle=True, damped_cycle=o["damping"] != 1)
        elif kind == "autoregression":
            options["autoregressive"] = len(o["coefficients"])
        else:
            options.update(exog=pair.covariates, mle_regression=False)
    if seasons:
        options["freq_seasonal"] = [season for season, _ in seasons]
        options["stochastic_freq_seasonal"] = [o.get("seasonal_variance") != 0 for _, o in seasons]
    return options


def values_of_statsmodels(pair, names, parameters):
    """Natural values by (component, name), as the dense reference wants them."""
    from diffuse_systems import partial_autocorrelations

    found, parameters = {}, dict(zip(names, parameters))

    def take(beginning):
        return parameters.pop(next(n for n in parameters if n.startswith(beginning)))

    if pair.noise:
        found[None, "noise_variance"] = take("sigma2.irregular")
    for index, (kind, o) in enumerate(pair.components):
        if kind in ("level", "trend") and o.get("level_variance", 1) != 0:
            found[index, "level_variance"] = take("sigma2.level")
        if kind == "trend" and o.get("slope_variance", 1) != 0:
            found[index, "slope_variance"] = take("sigma2.trend")
        if kind == "seasonal" and o.get("seasonal_variance", 1) != 0:
            form = "sigma2.freq_seasonal" if "form" in o else "sigma2.seasonal"
            found[index, "seasonal_variance"] = take(form)
        if kind == "cycle":
            found[index, "cycle_variance"] = take("sigma2.cycle")
            found[index, "period"] = 2.0 * np.pi / take("frequency.cycle")
            if o["damping"] != 1:
                found[index, "damping"] = take("damping.cycle")
        if kind == "autoregression":
            found[index, "innovation_variance"] = take("sigma2.ar")
            coefficients = [take(f"ar.L{k + 1}") for k in range(len(o["coefficients"]))]
            found[index, "partial_autocorrelation"] = partial_autocorrelations(coefficients)
    assert not parameters, parameters
    return found
