"""Kernels whose hyperparameters a network emits."""

from typing import Any, Dict, Mapping, Optional

import mxnet as mx
import numpy as np

from ...errors import ShapeError
from ...typing import Array, Namespace
from ..base import LinearAlgebraBlock
from .base import Kernel


class Emitted(LinearAlgebraBlock):
    """A kernel without parameters, (x, *hyperparameters) -> (B, n, n): an array for each of them.

    Each element of the batch may have its own, so that one graph computes many kernels; gradients
    flow to what emits them.

    x: (B, n, d). kernel: tells what is computed, and how many numbers k each hyperparameter has; of
    its own values none is used. The hyperparameters are natural and positive (a softplus or exp of
    what a network computes), but for those that may have any sign, such as the location of a
    `ChangePoint`: (B or 1, k), in the order of `initial`, which has the kernel's initial values
    (k,) by name. Another array z (B, m, d) after them gives k(x, z), (B, n, m). A call also
    takes all by name: ``emitted(x, lengthscale=l, variance=v)``, of a sum ``**{"0.variance": v}``.
    dtype: 'float32' or 'float64', until a cast.

    Raises ShapeError.

    >>> kernel = gl.kernels.Emitted(gl.kernels.RBF())
    >>> one = mx.nd.ones((1, 1))
    >>> x = mx.nd.array([[[0.0], [1.0]]])
    >>> round(kernel(x, variance=2 * one, lengthscale=one)[0, 0, 1].asnumpy().item(), 4)
    1.2131
    """

    def __init__(self, kernel: Kernel, dtype: str = "float32", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(kernel, Kernel):
            raise TypeError(f"{self.name}: kernel is {kernel!r}, expected a gluon_linalg kernel.")
        # Not as an attribute that Gluon registers: a trainer would look for gradients of
        # parameters that nothing depends on.
        object.__setattr__(self, "kernel", kernel)
        self._dtype = np.dtype(dtype).name
        emitted = kernel.hyperparameters()
        if any(p not in emitted.values() for p in kernel.collect_params().values()):
            raise ValueError(
                f"{self.name}: the kernel has a network of its own, whose parameters none can emit."
            )
        self.initial = {name: p.value().reshape(-1) for name, p in emitted.items()}
        given = tuple((name, f"B? k{i}") for i, name in enumerate(self.initial))
        self.arguments = (("x", "B n d"), *given, ("z", "B m d"))
        self.required = 1 + len(given)

    def hybrid_forward(self, F: Namespace, x: Array, *arrays: Array) -> Array:
        count = len(self.initial)
        named = {
            name: self._of_values(F, array, len(values))
            for (name, values), array in zip(self.initial.items(), arrays)
        }
        z = arrays[count] if len(arrays) > count else None
        return self.kernel.matrix(F, x, z, self._dtype, named)

    def evaluate(
        self, F: Namespace, x: Array, z: Optional[Array], hyperparameters: Dict[str, Array]
    ) -> Array:
        """k(x, z), or k(x) when z is None, inside a graph; symmetric up to rounding."""
        return self.kernel.evaluate(F, x, z, self._dtype, hyperparameters)

    def _of_values(self, F: Namespace, array: Array, count: int) -> Array:
        """The array (B or 1, k), in a graph that refuses another k: broadcasting takes many."""
        if F is mx.nd:
            return array
        like = F.zeros(shape=(count,), dtype=self._dtype)
        return F.reshape_like(array, like, lhs_begin=1, lhs_end=2, rhs_begin=0, rhs_end=1)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        self.kernel.check_columns(sizes["d"])
        for index, (name, values) in enumerate(self.initial.items()):
            given = sizes[f"k{index}"]
            if given != len(values):
                raise ShapeError(
                    f"{self.name}: '{name}' has {given} values, the kernel it was made of has "
                    f"{len(values)}."
                )
