"""Distributions of new observations of processes whose likelihood is not normal.

P(y <= q) is the mean of P(y <= q | f) over f ~ N(mean, variance), a sum over even nodes.
Likelihoods are those of float64.
"""

from typing import Any, Callable, NamedTuple, Tuple

import mxnet as mx
import numpy as np

from ..blocks.likelihoods import (
    Gaussian,
    HeteroscedasticGaussian,
    Likelihood,
    NegativeBinomial,
    Poisson,
    StudentT,
)
from ..plots.style import checked_level

# Of a standard normal number, with spacings that follow what jumps within a tenth of it.
NODES = np.linspace(-7.0, 7.0, 281)
WEIGHTS = np.exp(-0.5 * NODES**2) / np.exp(-0.5 * NODES**2).sum()
# Halvings of an interval: to less than rounding, of any that is as wide as numbers are.
HALVINGS = 100
# Fixes where in the jump of its distribution function a count is taken to be.
SEED = 0


class Latent(NamedTuple):
    """Mean and variance of the latent values, (n,) or (n, p) each, and the inputs (n, d)."""

    mean: np.ndarray
    variance: np.ndarray
    x: np.ndarray


def below(likelihood: Likelihood, latent: Latent, y: np.ndarray) -> np.ndarray:
    """P(new observation <= y), (n,), for y (n,)."""
    if isinstance(likelihood, Gaussian):
        return _normal(y, latent.mean, latent.variance + likelihood.noise_variance.value())
    if isinstance(likelihood, HeteroscedasticGaussian):
        return _heteroscedastic(likelihood, latent, y)
    given = _conditional(likelihood)
    f = latent.mean[:, None] + np.sqrt(latent.variance)[:, None] * NODES
    return given(f, y[:, None]) @ WEIGHTS


def quantile(likelihood: Likelihood, latent: Latent, share: float) -> np.ndarray:
    """The least y with P(new observation <= y) >= share, (n,)."""
    mean, variance = moments(likelihood, latent)
    # By Chebyshev's inequality.
    reach = np.sqrt(variance / min(share, 1.0 - share)) * (1.0 + 1e-9)
    low, high = mean - reach, mean + reach
    if likelihood.discrete:
        low, high = np.full_like(low, -1.0), np.ceil(high) + 1.0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        middle = np.floor(middle) if likelihood.discrete else middle
        is_above = below(likelihood, latent, middle) >= share
        low, high = np.where(is_above, low, middle), np.where(is_above, middle, high)
        if likelihood.discrete and (high - low <= 1.0).all():
            break
        if (high - low <= 1e-12 * (np.abs(low) + np.abs(high))).all():
            break
    return high


def residuals(likelihood: Likelihood, latent: Latent, y: np.ndarray) -> np.ndarray:
    """Standard normal if the distributions are right, (n,): Φ⁻¹(P(new observation <= y)).

    Of counts, where that jumps, it is at a place in the jump that is drawn (Dunn & Smyth 1996).
    """
    from scipy.special import ndtri

    share = below(likelihood, latent, y)
    if likelihood.discrete:
        before = below(likelihood, latent, y - 1.0)
        share = before + np.random.RandomState(SEED).uniform(size=len(y)) * (share - before)
    return ndtri(np.clip(share, 1e-16, 1.0 - 1e-16))


def moments(likelihood: Likelihood, latent: Latent) -> Tuple[np.ndarray, np.ndarray]:
    """Mean and variance of new observations, (n,) each."""
    mean, variance, x = (_array(values) for values in latent)
    own = x if likelihood.needs_inputs else None
    with mx.autograd.pause():
        return _numbers(*likelihood.predictive_moments(mx.nd, mean, variance, own))


def expected_moments(
    likelihood: Likelihood, mean: np.ndarray, variance: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Mean and variance of E[y | f] over f ~ N(mean, variance), (n,) each."""
    f = mean[:, None] + np.sqrt(np.maximum(variance, 0.0))[:, None] * NODES
    values = likelihood.conditional_moments(mx.nd, mx.nd.array(f, dtype="float64"))[0].asnumpy()
    found = values @ WEIGHTS
    return found, (values - found[:, None]) ** 2 @ WEIGHTS


def log_density(likelihood: Likelihood, latent: Latent, y: np.ndarray) -> np.ndarray:
    """log p(y), (n,)."""
    mean, variance, x = (_array(values) for values in latent)
    own = x if likelihood.needs_inputs else None
    with mx.autograd.pause():
        found = likelihood.predictive_log_density(mx.nd, mean, variance, _array(y), own)
    return _numbers(found)[0]


def _array(values: np.ndarray) -> mx.nd.NDArray:
    return mx.nd.array(values[None], dtype="float64")


def _numbers(*arrays: mx.nd.NDArray) -> Any:
    return tuple(array.asnumpy()[0] for array in arrays)


def _normal(y, mean, variance):
    from scipy.special import ndtr

    return ndtr((y - mean) / np.sqrt(variance))


def _heteroscedastic(likelihood, latent, y):
    if likelihood.network is not None:
        return _normal(y, *moments(likelihood, latent))
    (mean, log_mean), (variance, log_variance) = latent.mean.T, latent.variance.T
    noise = np.exp(log_mean[:, None] + np.sqrt(log_variance)[:, None] * NODES)
    return _normal(y[:, None], mean[:, None], variance[:, None] + noise) @ WEIGHTS


def _conditional(likelihood: Likelihood) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """P(y <= q | f) of f (n, H) and q (n, 1)."""
    from scipy import special

    def of_count(function: Any) -> Any:
        return lambda f, q: np.where(q < 0.0, 0.0, function(np.exp(f), np.maximum(q, 0.0)))

    if isinstance(likelihood, Poisson):
        return of_count(lambda rate, q: special.gammaincc(q + 1.0, rate))
    if isinstance(likelihood, NegativeBinomial):
        size = 1.0 / float(likelihood.dispersion.value()[0])
        return of_count(lambda rate, q: special.betainc(size, q + 1.0, size / (size + rate)))
    if isinstance(likelihood, StudentT):
        scale, freedom = (
            float(p.value()[0]) for p in (likelihood.scale, likelihood.degrees_of_freedom)
        )
        return lambda f, q: special.stdtr(freedom, (q - f) / scale)
    raise TypeError(
        f"analyze: the distribution function of {type(likelihood).__name__} is not known, so there "
        "are no intervals; its predictor has moments and log densities."
    )


def intervals(likelihood: Likelihood, latent: Latent, levels: Any) -> Any:
    """mean, std, and the ends of intervals by their level in percent, by name."""
    mean, variance = moments(likelihood, latent)
    columns = {"mean": mean, "std": np.sqrt(variance)}
    for level in levels:
        tail = 0.5 - checked_level(level) / 200.0
        columns[f"lower_{level:g}"] = quantile(likelihood, latent, tail)
        columns[f"upper_{level:g}"] = quantile(likelihood, latent, 1.0 - tail)
    return columns
