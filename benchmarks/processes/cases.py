"""Gaussian processes fitted to data, a step of a sparse one, and likelihoods of long series."""

from functools import partial
from typing import Callable, List, NamedTuple

import numpy as np

from ..case import Arrays, Case, Contender, ours
from . import datasets

GPYTORCH = "GPyTorch"
ROWS = 1000  # of the larger dataset, for the exact process
# Observations, inducing points, columns and rows of a step.
STEP = (100_000, 200, 8, 1024)
LENGTHS = (10_000, 100_000, 1_000_000)


class Method(NamedTuple):
    """A class of `ours` and `with_gpytorch` with its learning rate, and what it needs of data."""

    title: str
    target: str
    rate: float
    lengthscale: float = 3.0
    tolerance: float = 0.01


EXACT = Method("exact, ARD", "Exact", 0.05)
SGPR = Method("SGPR", "SGPR", 0.05)
SVGP = Method("SVGP", "SVGP", 0.02)
# Rounding grows along the path of a network: paths part after some twenty steps.
DEEP = Method("SVGP with a deep kernel", "DeepSVGP", 0.01, 1.0, 0.1)
BLR = Method("linear regression on a network", "NetworkRegression", 0.01, 1.0)
# Theirs draws samples of the latent values of several classes.
SEVERAL = {"rate": 0.05, "tolerance": 0.1}


def cases() -> List[Case]:
    """In the order of the page."""
    diabetes = partial(_data, "diabetes", datasets.diabetes)
    fair = partial(_data, "fair", datasets.fair)
    cancer = partial(_data, "breast cancer", datasets.breast_cancer)
    digits = partial(_data, "digits", datasets.digits)
    return [
        _co2(),
        diabetes(EXACT),
        diabetes(SGPR, inducing=50),
        diabetes(SVGP, inducing=50, batch=100, steps=300),
        diabetes(DEEP, inducing=50, batch=100, steps=300, features=(8, 2)),
        diabetes(BLR, features=(8, 2)),
        fair(EXACT, rows=ROWS, title=f"exact, ARD, {ROWS} rows"),
        fair(SGPR, inducing=100),
        fair(SVGP, inducing=100, batch=256, steps=300),
        fair(DEEP, inducing=100, batch=256, steps=300),
        fair(BLR),
        cancer(SVGP, title="SVGP, all rows inducing", steps=50),
        cancer(SVGP, inducing=50, batch=100, steps=300),
        cancer(DEEP, inducing=50, batch=100, steps=300),
        digits(SVGP._replace(**SEVERAL), inducing=100, batch=128, steps=200),
        digits(DEEP._replace(tolerance=0.1), inducing=100, batch=128, steps=200),
        *[_step(dtype) for dtype in ("float64", "float32")],
        *[_in_time(n) for n in LENGTHS],
    ]


def largest_difference(results: Arrays, reference: Arrays) -> float:
    """Of any score."""
    return float(np.max([np.abs(results[name] - reference[name]) for name in results]))


def _data(
    name: str,
    load: Callable[..., datasets.Data],
    method: Method,
    title: str = "",
    **sizes: int,
) -> Case:
    title = title or method.title
    options = {"rate": method.rate, "lengthscale": method.lengthscale}
    target = f"{__package__}.{{}}:{method.target}"
    return Case(
        f"gp_data/{name}-{title}".replace(", ", "-").replace(" ", "-"),
        f"data {name}",
        title,
        inputs=partial(datasets.problem, load, **sizes),
        small=partial(datasets.problem, partial(datasets.few, load), steps=2),
        contenders=[
            Contender(GPYTORCH, "torch", target.format("with_gpytorch"), options),
            *ours(target.format("ours"), only=("native",), **options),
        ],
        tolerance=method.tolerance,
        difference=largest_difference,
        turns=1,
        memory=False,
        fits=True,
        threads=(1,),
    )


def _co2():
    target = f"{__package__}.{{}}:CO2"
    return Case(
        "gp_data/co2",
        "data co2",
        "461 months, forecast of 5 years",
        inputs=datasets.co2,
        small=datasets.co2_in_brief,
        contenders=[
            Contender(GPYTORCH, "torch", target.format("with_gpytorch")),
            *ours(target.format("ours"), ", exact", only=("native",), state_space=False),
            *ours(target.format("ours"), ", state space", only=("native",), state_space=True),
        ],
        tolerance=0.05,
        difference=largest_difference,
        turns=1,
        memory=False,
        fits=True,
        threads=(1,),
    )


def _step(dtype):
    target = f"{__package__}.{{}}:Step"
    n, inducing, columns, batch = STEP
    return Case(
        f"svgp/n{n}-{dtype}",
        "svgp",
        f"{dtype}, n = {n}, {inducing} inducing points, batches of {batch}",
        inputs=partial(datasets.step_problem, *STEP),
        small=partial(datasets.step_problem, 60, 10, 2, 20),
        contenders=[
            Contender(GPYTORCH, "torch", target.format("with_gpytorch"), {"dtype": dtype}),
            *ours(target.format("ours"), dtype=dtype),
        ],
        tolerance=1e-6 if dtype == "float64" else 1e-2,
        dtype=dtype,
        threads=(1, 2),
    )


def _in_time(n):
    target = f"{__package__}.ours:InTime"
    return Case(
        f"gp_time/n{n}",
        "process in time",
        f"Matérn 5/2, n = {n}",
        inputs=partial(datasets.time_problem, n),
        small=partial(datasets.time_problem, 20),
        contenders=[
            *ours(target, only=("native",), dtype="float64"),
            *ours(target, ", float32", only=("native",), dtype="float32"),
        ],
        tolerance=1e-3,
        line=("Matérn 5/2 process in time", "n", n),
        turns=15 if n < 10**6 else 5,
        threads=(1,),
    )
