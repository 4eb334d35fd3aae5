"""Likelihoods with the gradients of their hyperparameters, against PyTorch and GPyTorch."""

from functools import partial
from typing import Dict, List

import numpy as np

from ..case import Case, Contender, Work, ours

COLUMNS = 5
LENGTHSCALE, VARIANCE, NOISE = 1.35, 1.0, 0.05
SIZES = (1000, 2000, 4000)
LINE = (250, 500, 1000, 2000, 4000)
# Rows and features of a linear regression.
BLR = (10_000, 100)


def cases() -> List[Case]:
    """In the order of the page."""
    return [
        *[_gp(n, dtype) for dtype in ("float64", "float32") for n in SIZES],
        _blr(*BLR),
        *[_on_line(n) for n in LINE],
    ]


def _gp(n, dtype, name="gp/n{}-{}", table="gp", peers=("PyTorch", "GPyTorch"), **options):
    target = f"{__package__}.with_torch:"
    makers = {"PyTorch": "GaussianProcess", "GPyTorch": "GPyTorch"}
    return Case(
        name.format(n, dtype),
        table,
        f"{dtype}, n = {n}",
        inputs=partial(gp_problem, n),
        small=partial(gp_problem, 20),
        contenders=[
            *[Contender(peer, "torch", target + makers[peer], {"dtype": dtype}) for peer in peers],
            *ours(f"{__package__}.ours:GaussianProcess", dtype=dtype),
        ],
        tolerance=1e-8 if dtype == "float64" else 2e-3,
        # potrf and potri; the matrix and its inverse, of which a half has to be there.
        work=Work(n**3, 2 * np.dtype(dtype).itemsize * n * n),
        dtype=dtype,
        turns=15 if n < 4000 else 7,
        **options,
    )


def _on_line(n):
    return _gp(
        n,
        "float64",
        name="scaling/gp-n{}",
        table="scaling",
        peers=["PyTorch"],
        line=("GP likelihood, float64", "n", n),
        threads=(1,),
    )


def gp_problem(n: int) -> Dict[str, np.ndarray]:
    """Points in five columns, a function of their sum, and the hyperparameters."""
    random = np.random.RandomState(0)
    x = 3.0 * random.rand(n, COLUMNS)
    return {
        "x": x,
        "y": np.sin(x.sum(axis=1)) + 0.1 * random.randn(n),
        "lengthscales": np.full(COLUMNS, LENGTHSCALE),
        "variances": np.array([VARIANCE, NOISE]),
    }


def _blr(n, d):
    return Case(
        f"blr/n{n}-d{d}",
        "blr",
        f"n = {n}, d = {d}",
        inputs=partial(blr_problem, n, d),
        small=partial(blr_problem, 20, 3),
        contenders=[
            Contender("PyTorch qr", "torch", f"{__package__}.with_torch:LinearRegression"),
            *ours(f"{__package__}.ours:LinearRegression"),
        ],
        tolerance=1e-8,
        # The factorization without Q, and the gradient of the features, a product.
        work=Work(2.0 * n * d**2 + 2.0 * n * d**2, 2 * 8.0 * n * d),
    )


def blr_problem(n: int, d: int) -> Dict[str, np.ndarray]:
    """Features, targets, and the variances of the prior and of the noise."""
    random = np.random.RandomState(0)
    phi = random.randn(n, d)
    y = phi @ random.randn(d) / np.sqrt(d) + 0.3 * random.randn(n)
    return {"phi": phi, "y": y, "variances": np.array([1.0, 0.1])}
