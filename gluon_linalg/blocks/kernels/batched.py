"""A kernel with hyperparameters for each element of the batch."""

import copy
from typing import Any, Dict, List, Optional, Tuple

import mxnet as mx
import numpy as np

from ... import functional as fn
from ... import native
from ...errors import ShapeError
from ...typing import Array, Namespace
from ..bounded import BoundedParameter
from ..given import GivenParameter
from ..parameters import PositiveParameter, parameter_array
from .base import Kernel
from .combination import Wrapper


class Batched(Wrapper):
    """A kernel of which each of `batch` elements has its own hyperparameters.

    One graph then fits many processes. x: (batch, n, d). kernel: tells what is computed and where
    all begin; of its own parameters none is used. Those of this kernel have their names, such as
    'lengthscale' or of a sum '0.variance', and the shapes (batch, k); a prior, `lower` and
    `grad_req` are taken over. A noise variance for each element is a `White` in the kernel, of a
    layer whose noise_variance is None. `gluon_linalg.fit_each` fits all at once.

    Raises ShapeError for another batch, ValueError for a kernel with a network of its own.

    >>> kernel = gl.kernels.Batched(gl.kernels.RBF(), 2)
    >>> kernel.initialize()
    >>> kernel.lengthscale.set_value([[1.0], [2.0]])
    >>> print(kernel(mx.nd.array([[[0.0], [1.0]]] * 2))[:, 0, 1].asnumpy().round(4))
    [0.6065 0.8825]
    """

    def __init__(self, kernel: Kernel, batch: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(kernel, Kernel):
            raise TypeError(f"{self.name}: kernel is {kernel!r}, expected a gluon_linalg kernel.")
        if not (isinstance(batch, (int, np.integer)) and batch > 0):
            raise ValueError(f"{self.name}: batch is {batch!r}, expected a number from 1 on.")
        own = kernel.hyperparameters()
        if any(p not in own.values() for p in kernel.collect_params().values()):
            raise ValueError(
                f"{self.name}: the kernel has a network of its own, which is only one."
            )
        # Not as an attribute that Gluon registers: its parameters are not trained.
        object.__setattr__(self, "kernel", kernel)
        self._batch = int(batch)
        for name, parameter in own.items():
            full_name = self.params.prefix + name.replace(".", "_")
            twin = _replicated(full_name, parameter, self._batch)
            self.params._params[full_name] = twin
            setattr(self, name, twin)

    def inside(
        self,
        F: Namespace,
        x: Array,
        z: Optional[Array],
        dtype: str,
        hyperparameters: Any,
        constant: bool,
    ) -> Tuple[Array, Optional[Array], Any]:
        return x, z, self.values(F, x, dtype, constant)

    def own(self, *args: Any, **keywords: Any) -> Dict[str, Array]:
        """None: all are those of the kernel."""
        return {}

    def write(self, program: native.KernelProgram, **hyperparameters: Array) -> None:
        """Nothing, also without hyperparameters."""

    def linear_sde(
        self, F: Namespace, like: Array, orders: fn.Orders, hyperparameters: Any = None
    ) -> fn.LinearSDE:
        return self.kernel.linear_sde(F, like, orders, self.values(F, like, "float64"))

    def without_state_space(self) -> List[Kernel]:
        return self.kernel.without_state_space()

    def state_space_bounds(self, orders: fn.Orders) -> Tuple[float, float]:
        """The largest of all elements."""
        twin = copy.deepcopy(self.kernel)
        found = []
        for element in range(self._batch):
            for name, parameter in twin.hyperparameters().items():
                values = self._reg_params[name].value()[element]
                parameter.set_value(values.reshape(parameter.shape))
            found.append(twin.state_space_bounds(orders))
        largest, errors = zip(*found)
        return max(largest), max(errors)

    def hyperparameters(self) -> Dict[str, Any]:
        """None that others may give."""
        return {}

    def values(
        self, F: Namespace, x: Array, dtype: str, constant: bool = False
    ) -> Dict[str, Array]:
        """Natural values (batch, k) by the names of the kernel."""
        if F is mx.nd and len(x) != self._batch:
            raise ShapeError(
                f"{self.name}: 'x' has batch {len(x)}, but there are hyperparameters for "
                f"{self._batch} elements."
            )
        found = {}
        for name, parameter in self._reg_params.items():
            stored = F.cast(parameter_array(F, parameter, x), dtype=dtype)
            stored = fn.stop(F, stored) if constant else stored
            found[name] = parameter.natural(F, stored)
        return found


def _replicated(name: str, parameter: Any, batch: int) -> mx.gluon.Parameter:
    """A parameter of the same kind with a row for each element."""
    value = parameter.value().reshape(-1)
    values = np.broadcast_to(value, (batch, len(value)))
    twin: Any
    if isinstance(parameter, BoundedParameter):
        twin = BoundedParameter(name, values, parameter.lower, parameter.upper, parameter.closed)
    elif isinstance(parameter, PositiveParameter):
        twin = PositiveParameter(name, values, parameter.lower)
    else:
        twin = GivenParameter(name, values)
    twin.grad_req = parameter.grad_req
    if getattr(parameter, "prior", None) is not None:
        twin.prior = parameter.prior
    return twin
