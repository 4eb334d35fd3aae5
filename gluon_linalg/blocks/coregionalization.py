"""How several outputs depend on each other."""

from typing import Any, Optional

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import ShapeError
from ..functional.coregionalization import coregionalization_factor
from ..typing import Array, ArrayLike, Dtype, Namespace
from .given import given_parameter
from .kernels import Categorical, Kernel
from .kernels.base import ActiveDims
from .parameters import parameter_array, positive_parameter


class Coregionalization(mx.gluon.HybridBlock):
    """B = W Wᵀ + diag(κ), the covariance of k outputs at unit variance of the kernel.

    outputs: k; rank: r, the columns of W, 0 for independent outputs. mixing: the initial W (k, r);
    kappa: the initial κ, positive, one number or (k,). By default half of the variance is shared,
    B_aa is near 1, and the columns of W are cosines of 0, 1, ... half waves over the outputs:
    W = 0 would never move. W is the parameter `mixing`, κ the parameter `kappa`, with priors and
    ``grad_req = 'null'`` as all have them. ``Coregionalization(k, rank=0, kappa=1.0)`` with
    ``kappa.grad_req = 'null'`` is k independent processes with one kernel.

    The size of B and the variance of the kernel are one thing: freeze that variance.

    >>> between = gl.Coregionalization(2, mixing=[[1.0], [2.0]], kappa=0.5)
    >>> between.initialize()
    >>> between.value()  # W Wᵀ + diag(κ)
    array([[1.5, 2. ],
           [2. , 4.5]])
    """

    def __init__(
        self,
        outputs: int,
        rank: int = 1,
        mixing: Optional[ArrayLike] = None,
        kappa: Optional[ArrayLike] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if int(outputs) != outputs or outputs < 1:
            raise ValueError(f"{self.name}: outputs is {outputs!r}, expected a positive integer.")
        if int(rank) != rank or not 0 <= rank <= outputs:
            raise ValueError(
                f"{self.name}: rank is {rank!r}, expected an integer from 0 to {outputs}, the "
                "number of outputs."
            )
        self.outputs, self.rank = int(outputs), int(rank)
        kappa = (0.5 if rank else 1.0) if kappa is None else kappa
        values = np.asarray(kappa, dtype="float64")
        if values.ndim > 1 or values.size not in (1, outputs):
            raise ShapeError(
                f"{self.name}: kappa has shape {values.shape}, expected one number or ({outputs},)."
            )
        self.kappa = positive_parameter(self, "kappa", np.full(outputs, 1.0) * values.reshape(-1))
        self.mixing = None
        if rank:
            start = _cosines(outputs, rank) if mixing is None else np.asarray(mixing, "float64")
            if start.shape != (outputs, rank):
                raise ShapeError(
                    f"{self.name}: mixing has shape {start.shape}, expected ({outputs}, {rank})."
                )
            self.mixing = given_parameter(self, "mixing", start)
        elif mixing is not None:
            raise ValueError(f"{self.name}: rank is 0, so there is no mixing.")

    def value(self) -> np.ndarray:
        """B as a float64 NumPy array, (k, k)."""
        shared = 0.0 if self.mixing is None else self.mixing.value() @ self.mixing.value().T
        return shared + np.diag(self.kappa.value())

    def kernel(self, active_dims: ActiveDims = None) -> Kernel:
        """B of the numbers of outputs in one column, a kernel with the parameters of this block.

        Times a kernel of the other columns it is the intrinsic model for any rows (x, output); a
        sum of such products is the linear model.
        """
        return OutputKernel(self, active_dims)

    def hybrid_forward(self, F: Namespace, like: Array, **stored: Any) -> Array:
        return self.matrix(F, like, str(np.dtype(self.kappa.dtype).name))

    def matrix(self, F: Namespace, like: Array, dtype: Dtype) -> Array:
        """B inside a graph, (1, k, k), on the device of `like`."""
        stored = F.cast(parameter_array(F, self.kappa, like), dtype=dtype)
        own = F.expand_dims(self.kappa.natural(F, stored), axis=0)
        matrix = fn.diagonal_matrix(F, own)
        if self.mixing is None:
            return matrix
        mixing = self._mixing(F, like, dtype)
        return matrix + fn.product(F, mixing, mixing, transpose_b=True)

    def factor(self, F: Namespace, like: Array, dtype: Dtype, scale: Array) -> Array:
        """C with diag(s) B diag(s) = C Cᵀ by LQ, a constant (1, k, k), for s (1, k)."""
        stored = F.cast(parameter_array(F, self.kappa, like), dtype=dtype)
        deviation = F.sqrt(F.expand_dims(self.kappa.natural(F, stored), axis=0)) * scale
        if self.mixing is None:
            return fn.stop(F, fn.diagonal_matrix(F, deviation))
        mixing = F.broadcast_mul(self._mixing(F, like, dtype), F.expand_dims(scale, axis=2))
        return coregionalization_factor(F, mixing, deviation)

    def _mixing(self, F: Namespace, like: Array, dtype: Dtype) -> Array:
        return F.expand_dims(F.cast(parameter_array(F, self.mixing, like), dtype=dtype), axis=0)


class OutputKernel(Categorical):
    """B of a `Coregionalization`, whose parameters it has."""

    def __init__(
        self, coregionalization: Coregionalization, active_dims: ActiveDims = None
    ) -> None:
        Kernel.__init__(self, active_dims=active_dims)
        self.levels, self._rank = coregionalization.outputs, coregionalization.rank
        self.one_hot = False
        self.coregionalization = coregionalization
        self.factor, self.variance = coregionalization.mixing, coregionalization.kappa


def _cosines(outputs: int, rank: int) -> np.ndarray:
    angle = np.pi * np.outer(np.arange(outputs) + 0.5, np.arange(rank)) / outputs
    return np.cos(angle) * np.where(np.arange(rank) == 0, 1.0, np.sqrt(2.0)) * (0.5 / rank) ** 0.5
