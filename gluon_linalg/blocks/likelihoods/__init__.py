"""Likelihoods p(y | f) of processes with a normal marginal."""

from .base import Likelihood
from .categorical import Categorical
from .counts import NegativeBinomial, Poisson
from .labels import Bernoulli, Ordinal
from .real import Gaussian, HeteroscedasticGaussian, StudentT

__all__ = [
    "Bernoulli",
    "Categorical",
    "Gaussian",
    "HeteroscedasticGaussian",
    "Likelihood",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "StudentT",
]
