"""Derivatives of kernels by their inputs, in closed form.

`DERIVATIVES` has a function for each class of kernels. It is looked up by the class itself, not by
one that it inherits from: a subclass may mean another function.
"""

from .. import kernels as k
from ..coregionalization import OutputKernel
from .algebraic import categorical, constant, linear, polynomial, white
from .arc_cosine import arc_cosine
from .base import DERIVATIVES, Differentiated, differentiated
from .combined import batched, change_point, product, scaled, total
from .network import deep, gibbs
from .stationary import (
    cosine,
    matern12,
    matern32,
    matern52,
    matern72,
    periodic,
    powered_exponential,
    rational_quadratic,
    rbf,
    spectral_mixture,
)

DERIVATIVES.update(
    {
        k.RBF: rbf,
        k.Matern12: matern12,
        k.Matern32: matern32,
        k.Matern52: matern52,
        k.Matern72: matern72,
        k.RationalQuadratic: rational_quadratic,
        k.PoweredExponential: powered_exponential,
        k.Periodic: periodic,
        k.Cosine: cosine,
        k.SpectralMixture: spectral_mixture,
        k.Linear: linear,
        k.Polynomial: polynomial,
        k.ArcCosine: arc_cosine,
        k.Constant: constant,
        k.White: white,
        k.Categorical: categorical,
        OutputKernel: categorical,
        k.Sum: total,
        k.Product: product,
        k.Scaled: scaled,
        k.ChangePoint: change_point,
        k.Batched: batched,
        k.Deep: deep,
        k.Gibbs: gibbs,
    }
)

__all__ = ["DERIVATIVES", "Differentiated", "differentiated"]
