"""Likelihood and smoother of state space models, against JAX, GluonTS and dynamax."""

from functools import partial
from typing import List

from ..case import Case, Contender, ours
from . import problem

JAX = Contender("JAX scan", "jax", f"{__package__}.with_jax:Filter")
GLUONTS = Contender("GluonTS LDS", "gluonts", f"{__package__}.with_gluonts:Filter")
DYNAMAX = Contender("dynamax", "jax", f"{__package__}.with_jax:Smoother")
FILTER, SMOOTHER = f"{__package__}.ours:Filter", f"{__package__}.ours:Smoother"

# Steps, series, states, observations, noises of the process.
SMALL = [(200, 16, 4, 2, 1), (1000, 1, 4, 2, 1), (100, 128, 4, 2, 1)]
LARGE = [(100, 64, 16, 4, 4), (100, 64, 32, 8, 8)]
SEASON = 9
LINES = {
    "T": [(length, 16, 4, 2, 1) for length in (50, 100, 200, 400, 800)],
    "B": [(100, batch, 4, 2, 1) for batch in (1, 8, 32, 128, 512)],
    "d": [(100, 16, states, 2, 1) for states in (2, 4, 8, 16, 32)],
}


def cases() -> List[Case]:
    """In the order of the page."""
    return [
        *[_dense(_filter, sizes) for sizes in (*SMALL, *LARGE)],
        _seasonal(_filter),
        *[_single(sizes) for sizes in SMALL],
        *[_dense(_smoother, sizes) for sizes in (*SMALL, *LARGE)],
        _seasonal(_smoother),
        *[_on_line(grows, sizes) for grows, many in LINES.items() for sizes in many],
    ]


def _filter(name, **options):
    covariance = ours(FILTER, ", covariance form", ["mxnet"], form="covariance")
    parallel = ours(FILTER, ", parallel", ["mxnet"], method="parallel")
    return Case(
        f"kalman/{name}-float64",
        "kalman",
        tolerance=1e-8,
        contenders=[JAX, *ours(FILTER), *covariance, *parallel],
        **options,
    )


def _smoother(name, inputs, small, **options):
    # dynamax adds 1e-9 to the diagonals of what it factors.
    return Case(
        f"smoother/{name}",
        "smoother",
        tolerance=1e-5,
        contenders=[DYNAMAX, *ours(SMOOTHER)],
        inputs=lambda: problem.with_heads(inputs()),
        small=lambda: problem.with_heads(small()),
        **options,
    )


def _dense(kind, sizes):
    work = problem.filter_work if kind is _filter else problem.smoother_work
    return kind(_name(sizes), title=_title(sizes), work=work(*sizes), **_inputs(sizes))


def _seasonal(kind):
    work = problem.filter_work if kind is _filter else problem.smoother_work
    return kind(
        f"100x64-season{SEASON}",
        title=f"100 × 64, a level and a season, d = {SEASON}, p = 1, shared arrays",
        work=work(100, 64, SEASON, 1, 2, shared=True),
        inputs=partial(problem.seasonal, 100, 64, SEASON),
        small=partial(problem.seasonal, 3, 2, SEASON),
    )


def _single(sizes):
    """float32; the reference is JAX's in float64."""
    reference = JAX._replace(label="JAX scan, float64")
    return Case(
        f"kalman/{_name(sizes)}-float32",
        "kalman float32",
        _title(sizes),
        contenders=[reference, GLUONTS, *ours(FILTER, dtype="float32")],
        tolerance=1e-4,
        dtype="float32",
        work=problem.filter_work(*sizes)._replace(bytes=problem.filter_work(*sizes).bytes / 2),
        # LDS unrolls its graph over time: minutes, and gigabytes, at T = 1000.
        slow=sizes[0] > 500,
        turns=7 if sizes[0] > 500 else 15,
        **_inputs(sizes),
    )


def _on_line(grows, sizes):
    size = sizes["TBd".index(grows)]
    kept = [f"{name} = {size}" for name, size in zip("TBdp", sizes) if name != grows]
    return Case(
        f"scaling/kalman-{grows}{size}",
        "scaling",
        _title(sizes),
        contenders=[JAX, *ours(FILTER)],
        tolerance=1e-8,
        work=problem.filter_work(*sizes),
        line=(f"Kalman likelihood, {', '.join(kept)}", grows, size),
        turns=7,
        threads=(1,),
        **_inputs(sizes),
    )


def _inputs(sizes):
    small = (3, 2, *sizes[2:])
    return {"inputs": partial(problem.dense, *sizes), "small": partial(problem.dense, *small)}


def _name(sizes):
    return "{}x{}-d{}p{}".format(*sizes)


def _title(sizes):
    return "{} × {}, d = {}, p = {}".format(*sizes)
