"""What likelihoods share: the arguments of a call, and what a posterior asks of them."""

import copy
from typing import Any, Dict, Optional, Tuple

import mxnet as mx

from ... import functional as fn
from ...typing import Array, Namespace, hook
from ..base import LinearAlgebraBlock
from ..parameters import PositiveParameter, parameter_array

# Nodes of the Gauss-Hermite rule; those of no weight are left out, which leaves 44.
POINTS = 64


class Likelihood(LinearAlgebraBlock):
    """E[log p(y | f)] for f ~ N(mean, variance), (mean, variance, y) -> (B, n).

    mean, variance: (B, n), or (B, n, p) where y depends on p = `latents` independent values;
    y: (B, n). A likelihood of which `needs_inputs` is true takes x (B, n, d) as well.

    A subclass implements what `expected_log_density` and `predictive_log_density` call, and
    `predictive_moments` and `draw`; it says in `targets` and `possible` what y may be.

    Raises ValueError where y is not what it may be, ShapeError, DtypeError.

    >>> likelihood = gl.likelihoods.Poisson()
    >>> likelihood.initialize()
    >>> mean, variance, y = mx.nd.zeros((1, 4)), mx.nd.ones((1, 4)), mx.nd.ones((1, 4))
    >>> likelihood(mean, variance, y).shape
    (1, 4)
    """

    latents = 1
    needs_inputs = False
    # What y must be, in words, and whether it is then a constant.
    targets = "numbers, not NaN or infinity"
    discrete = False
    # Natural values in place of those of the parameters, by their name.
    _values: Dict[str, Array] = {}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        axes = "B n" if self.latents == 1 else "B n p"
        self.arguments = (("mean", axes), ("variance", axes), ("y", "B n"))
        if self.needs_inputs:
            self.arguments += (("x", "B n d"),)

    def expected_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        """E[log p(y | f)], (B, n), inside a graph."""
        return self._checked(F, self._expected_log_density, mean, variance, y, x)

    def predictive_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        """log E[p(y | f)], (B, n), inside a graph."""
        return self._checked(F, self._predictive_log_density, mean, variance, y, x)

    @hook
    def predictive_moments(
        self, F: Namespace, mean: Array, variance: Array, x: Optional[Array] = None
    ) -> Tuple[Array, Array]:
        """Mean and variance of a new y, (B, n) each, inside a graph."""
        raise NotImplementedError(f"{type(self).__name__} does not implement this")

    def conditional_moments(self, F: Namespace, f: Array) -> Tuple[Array, Array]:
        """E[y | f] and Var[y | f], (B, n) each, inside a graph; for one latent value."""
        return self.predictive_moments(F, f, fn.zeros_like(F, f))

    def possible(self, F: Namespace, y: Array) -> Array:
        """1 where y can be, 0 where not, (B, n)."""
        return fn.finite(F, y)

    @hook
    def score_and_curvature(self, F: Namespace, f: Array, y: Array) -> Tuple[Array, Array]:
        """∂ log p(y | f)/∂f and -∂² log p(y | f)/∂f² > 0, (B, n) each, inside a graph.

        Only likelihoods that are log-concave in one f have it, and `first_guess`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement this")

    @hook
    def first_guess(self, F: Namespace, y: Array) -> Array:
        """An f that y alone suggests, (B, n), inside a graph."""
        raise NotImplementedError(f"{type(self).__name__} does not implement this")

    def with_values(self, values: Dict[str, Array]) -> "Likelihood":
        """The same likelihood in a graph of these natural values, (B or 1, k) by name."""
        twin = copy.copy(self)
        twin._values = values
        return twin

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

    @hook
    def _expected_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        raise NotImplementedError(f"{type(self).__name__} does not implement this")

    @hook
    def _predictive_log_density(
        self, F: Namespace, mean: Array, variance: Array, y: Array, x: Optional[Array] = None
    ) -> Array:
        raise NotImplementedError(f"{type(self).__name__} does not implement this")

    def _natural(self, F: Namespace, parameter: PositiveParameter, like: Array) -> Array:
        """The natural values of a parameter inside a graph, (1, k)."""
        for name, value in self._values.items():
            if self._reg_params[name] is parameter:
                return value
        stored = parameter_array(F, parameter, like)
        return F.reshape(parameter.natural(F, stored), shape=(1, -1))

    def _checked(
        self,
        F: Namespace,
        function: Any,
        mean: Array,
        variance: Array,
        y: Array,
        x: Optional[Array],
    ) -> Array:
        """What `function` gives where y is possible."""
        mean, variance = fn.guarded(F, mean), fn.guarded(F, variance)
        y = fn.stop(F, y) if self.discrete else fn.guarded(F, y)
        text = f"{self.name}: 'y' must be {self.targets}."
        holds = self.possible(F, fn.stop(F, y))
        if F is mx.nd:
            # Before anything is computed from what may be no number at all.
            fn.require_rows(F, y, holds, ValueError, text)
            return function(F, mean, variance, y, x)
        value = function(F, mean, variance, y, x)
        return fn.require(F, value, holds, ValueError, text, axes=2)


def whole_numbers(F: Namespace, y: Array, most: float) -> Array:
    """1 where y is 0, 1, ..., most."""
    return fn.finite(F, y) * (y >= 0.0) * (y <= most) * (y == F.floor(y))


def _repeated(array: mx.nd.NDArray, size: int) -> mx.nd.NDArray:
    return mx.nd.tile(array, reps=(size, *(1 for _ in array.shape[1:])))
