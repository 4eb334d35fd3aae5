"""What likelihoods share: the arguments of a call, and what a posterior asks of them."""

from typing import Any, Optional, Tuple

import mxnet as mx

from ... import functional as fn
from ...errors import NonFiniteError
from ...typing import Array, Namespace, hook
from ..base import LinearAlgebraBlock
from ..parameters import PositiveParameter, parameter_array

# Nodes of the Gauss-Hermite rule; those of no weight are left out, which leaves 44.
POINTS = 64


class Likelihood(LinearAlgebraBlock):
    """E[log p(y | f)] for f ~ N(mean, variance), (mean, variance, y) -> (B, n).

    mean, variance: (B, n), or (B, n, p) where y depends on p = `latents` independent values;
    y: (B, n). A likelihood of which `needs_inputs` is true takes x (B, n, d) as well.

    A subclass implements `expected_log_density`, `predictive_log_density`, `predictive_moments`
    and `draw`, all of them functions of F and arrays, for use inside graphs.
    """

    latents = 1
    needs_inputs = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        axes = "B n" if self.latents == 1 else "B n p"
        self.arguments = (("mean", axes), ("variance", axes), ("y", "B n"))
        if self.needs_inputs:
            self.arguments += (("x", "B n d"),)

    @hook
    def expected_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        """E[log p(y | f)], (B, n)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement this")

    @hook
    def predictive_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        """log E[p(y | f)], (B, n)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement this")

    @hook
    def predictive_moments(
        self, F: Namespace, mean: Array, variance: Array, x: Optional[Array] = None
    ) -> Tuple[Array, Array]:
        """Mean and variance of a new y, (B, n) each."""
        raise NotImplementedError(f"{type(self).__name__} does not implement this")

    @hook
    def draw(self, f: mx.nd.NDArray, x: Optional[mx.nd.NDArray] = None) -> mx.nd.NDArray:
        """One y for each f, (B, n) or (B, n, p) -> (B, n), from MXNet's random state."""
        raise NotImplementedError(f"{type(self).__name__} does not implement this")

    def sample(
        self,
        mean: mx.nd.NDArray,
        variance: mx.nd.NDArray,
        size: int = 1,
        x: Optional[mx.nd.NDArray] = None,
    ) -> mx.nd.NDArray:
        """Samples of y at each point by itself, (size, B, n)."""
        shape = (size * mean.shape[0], *mean.shape[1:])
        noise = mx.nd.random.normal(shape=shape, dtype=mean.dtype, ctx=mean.context)
        mean, variance = _repeated(mean, size), _repeated(variance, size)
        f = mean + mx.nd.sqrt(variance) * noise
        drawn = self.draw(f, None if x is None else _repeated(x, size))
        return drawn.reshape((size, -1, drawn.shape[1]))

    def hybrid_forward(
        self,
        F: Namespace,
        mean: Array,
        variance: Array,
        y: Array,
        x: Optional[Array] = None,
        **stored: Any,
    ) -> Array:
        return self.expected_log_density(F, mean, variance, y, x)

    # What subclasses call.

    def natural(self, F: Namespace, parameter: PositiveParameter, like: Array) -> Array:
        """The natural values of a parameter inside a graph, (1, k)."""
        stored = parameter_array(F, parameter, like)
        return F.reshape(parameter.natural(F, stored), shape=(1, -1))

    def real(self, F: Namespace, y: Array) -> Array:
        """y where it is finite."""
        text = f"{self.name}: 'y' contains NaN or infinity."
        return fn.require(F, y, fn.finite(F, y), NonFiniteError, text, axes=2)

    def counts(self, F: Namespace, y: Array) -> Array:
        """y as a constant, where it is 0, 1, 2, ..."""
        y = fn.stop(F, y)
        holds = fn.finite(F, y) * (y >= 0.0) * (y == F.floor(y))
        text = f"{self.name}: 'y' must be counts: 0, 1, 2 and so on."
        return fn.require(F, y, holds, ValueError, text, axes=2)

    def labels(self, F: Namespace, y: Array, classes: int) -> Array:
        """y as a constant, where it is 0, ..., classes - 1."""
        y = fn.stop(F, y)
        holds = fn.finite(F, y) * (y >= 0.0) * (y <= classes - 1.0) * (y == F.floor(y))
        text = f"{self.name}: 'y' must be the numbers of classes, 0 to {classes - 1}."
        return fn.require(F, y, holds, ValueError, text, axes=2)


def _repeated(array: mx.nd.NDArray, size: int) -> mx.nd.NDArray:
    return mx.nd.tile(array, reps=(size, *(1 for _ in array.shape[1:])))
