"""Tests of residuals, which are independent and standard normal where the model is right."""

from typing import List, NamedTuple, Optional, Tuple

import numpy as np


class ResidualTest(NamedTuple):
    """A test: what it is of, its statistic, and how probable one as large is by chance."""

    name: str
    statistic: float
    p: float


def residual_tests(residuals: np.ndarray, lags: Optional[int] = None) -> List[ResidualTest]:
    """Ljung-Box, Jarque-Bera and H of residuals (n,) in their order, NaN where one is missing.

    lags: of Ljung-Box; None for min(10, n // 5).
    """
    lags = min(10, len(residuals) // 5) if lags is None else lags
    return [
        ResidualTest(f"Ljung-Box Q({lags})", *ljung_box(residuals, lags)),
        ResidualTest("Jarque-Bera", *jarque_bera(residuals)),
        ResidualTest(
            f"heteroskedasticity H({round(len(residuals) / 3)})", *variance_ratio(residuals)
        ),
    ]


def ljung_box(residuals: np.ndarray, lags: int, fitted: int = 0) -> Tuple[float, float]:
    """Q = n (n + 2) Σ_k r_k² / n_k over lags, n_k the number of pairs, and its p, of χ²(lags).

    fitted: how many degrees of freedom a model has taken. Ljung & Box 1978; with missing values
    the pairs are those observed (Stoffer & Toloi 1992). NaN where there are too few.
    """
    from scipy.stats import chi2

    count = int(np.isfinite(residuals).sum())
    if lags < 1 or lags <= fitted or count < 3:
        return np.nan, np.nan
    found, pairs = autocorrelations(residuals, lags)
    seen = pairs > 0
    statistic = count * (count + 2.0) * float(np.sum(found[seen] ** 2 / pairs[seen]))
    return statistic, float(chi2.sf(statistic, lags - fitted))


def autocorrelations(residuals: np.ndarray, lags: int) -> Tuple[np.ndarray, np.ndarray]:
    """r_1, ..., r_lags of residuals (n,), and the numbers of their pairs; NaN ones are left out."""
    known = np.isfinite(residuals)
    mean = np.mean(residuals[known]) if known.any() else 0.0
    centred = np.where(known, residuals - mean, 0.0)
    square = float(np.sum(np.square(centred))) or 1.0
    found = [float(np.sum(centred[k:] * centred[:-k])) / square for k in range(1, lags + 1)]
    pairs = [int(np.sum(known[k:] & known[:-k])) for k in range(1, lags + 1)]
    return np.array(found), np.array(pairs)


def jarque_bera(residuals: np.ndarray) -> Tuple[float, float]:
    """n/6 (S² + (K - 3)²/4) of skewness S and kurtosis K, and its p, of χ²(2).

    NaN residuals are left out. Jarque & Bera 1987.
    """
    from scipy.stats import chi2

    known = residuals[np.isfinite(residuals)]
    if len(known) < 3 or not known.std() > 0:
        return np.nan, np.nan
    scaled = (known - known.mean()) / known.std()
    skewness, kurtosis = np.mean(scaled**3), np.mean(scaled**4)
    statistic = len(known) / 6.0 * float(skewness**2 + 0.25 * (kurtosis - 3.0) ** 2)
    return statistic, float(chi2.sf(statistic, 2))


def variance_ratio(residuals: np.ndarray) -> Tuple[float, float]:
    """H: the mean square of the last third over that of the first, and its two-sided p, of F.

    Harvey 1989, section 5.4; NaN residuals are left out, and their degrees of freedom with them.
    """
    from scipy.stats import f

    third = round(len(residuals) / 3)
    ends = [part[np.isfinite(part)] for part in (residuals[:third], residuals[-third:])]
    if third < 1 or min(map(len, ends)) < 2 or not np.any(ends[0]):
        return np.nan, np.nan
    first, last = (float(np.mean(part**2)) for part in ends)
    below = float(f.cdf(last / first, len(ends[1]), len(ends[0])))
    return last / first, 2.0 * min(below, 1.0 - below)
