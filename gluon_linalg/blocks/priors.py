"""Prior distributions of parameters: ``layer.kernel.lengthscale.prior = priors.LogNormal(0, 1)``.

A prior is an attribute of the parameter. `PriorLoss` adds those of a whole network to its loss,
and `draw_from_priors` starts a network from a draw of them.
"""

import math
from typing import Any, Dict, Optional, cast

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..functional.gaussian import HALF_LOG_2PI
from ..typing import Array, Namespace, hook
from .given import GivenParameter
from .parameters import PositiveParameter, parameter_array

# How often a draw is repeated that a parameter cannot be.
ATTEMPTS = 1000


class Prior:
    """A density of each element of a parameter, independent of the others, in natural units.

    The natural value of a positive parameter is what its `value()` says, not the stored logarithm.

    >>> layer = gl.GPLikelihoodLayer(gl.kernels.RBF())
    >>> layer.noise_variance.prior = gl.priors.HalfNormal(0.5)
    """

    # Whether values are above 0.
    positive = True

    def __init__(self, **arguments: float) -> None:
        for name, value in arguments.items():
            if not np.isfinite(value) or (name not in ("location", "mean") and value <= 0):
                raise ValueError(
                    f"{type(self).__name__}: {name} is {value!r}, expected a "
                    f"{'' if name in ('location', 'mean') else 'positive '}number."
                )
        self.arguments = {name: float(value) for name, value in arguments.items()}

    @hook
    def log_density(self, F: Namespace, value: Array) -> Array:
        """log p of each element, in any shape, inside a graph."""
        raise NotImplementedError(f"{type(self).__name__} does not implement log_density")

    @hook
    def sample(self, random: np.random.RandomState, shape: Any) -> np.ndarray:
        """Draws from `random`, a NumPy generator."""
        raise NotImplementedError(f"{type(self).__name__} does not implement sample")

    def over(self, unit: float, offset: float = 0.0) -> "Prior":
        """The distribution of (θ - offset)/unit; only that of any sign has an offset."""
        arguments = dict(self.arguments)
        if "location" in arguments:
            arguments["location"] -= math.log(unit)
        elif "rate" in arguments:
            arguments["rate"] *= unit
        elif "mean" in arguments:
            arguments["mean"] = (arguments["mean"] - offset) / unit
            arguments["deviation"] /= unit
        else:
            arguments["scale"] /= unit
        return type(self)(**arguments)

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value:g}" for name, value in self.arguments.items())
        return f"{type(self).__name__}({inside})"


class Normal(Prior):
    """N(mean, deviation²): log p = -½ ((θ - mean)/deviation)² - log deviation - ½ log 2π.

    >>> round(gl.priors.Normal(1.0, 2.0).log_density(mx.nd, mx.nd.array([1.0])).asnumpy().item(), 4)
    -1.6121
    """

    positive = False

    def __init__(self, mean: float = 0.0, deviation: float = 1.0) -> None:
        super().__init__(mean=mean, deviation=deviation)

    def log_density(self, F: Namespace, value: Array) -> Array:
        mean, deviation = self.arguments.values()
        scaled = (value - mean) * (1.0 / deviation)
        return -0.5 * F.square(scaled) - (math.log(deviation) + HALF_LOG_2PI)

    def sample(self, random: np.random.RandomState, shape: Any) -> np.ndarray:
        mean, deviation = self.arguments.values()
        return np.asarray(random.normal(mean, deviation, size=shape))


class LogNormal(Prior):
    """log θ ~ N(location, scale²): log p = log N(log θ | location, scale²) - log θ.

    >>> round(gl.priors.LogNormal().log_density(mx.nd, mx.nd.array([1.0])).asnumpy().item(), 4)
    -0.9189
    """

    def __init__(self, location: float = 0.0, scale: float = 1.0) -> None:
        super().__init__(location=location, scale=scale)

    def log_density(self, F: Namespace, value: Array) -> Array:
        logarithm = F.log(value)
        return Normal(*self.arguments.values()).log_density(F, logarithm) - logarithm

    def sample(self, random: np.random.RandomState, shape: Any) -> np.ndarray:
        location, scale = self.arguments.values()
        return np.exp(random.normal(location, scale, size=shape))


class Gamma(Prior):
    """log p = a log b - log Γ(a) + (a - 1) log θ - b θ, a = shape, b = rate; mean a/b.

    >>> round(gl.priors.Gamma(1.0, 2.0).log_density(mx.nd, mx.nd.array([1.0])).asnumpy().item(), 4)
    -1.3069
    """

    def __init__(self, shape: float, rate: float) -> None:
        super().__init__(shape=shape, rate=rate)

    def log_density(self, F: Namespace, value: Array) -> Array:
        shape, rate = self.arguments.values()
        constant = shape * math.log(rate) - math.lgamma(shape)
        return (shape - 1.0) * F.log(value) - rate * value + constant

    def sample(self, random: np.random.RandomState, shape: Any) -> np.ndarray:
        form, rate = self.arguments.values()
        return random.gamma(form, 1.0 / rate, size=shape)


class InverseGamma(Prior):
    """1/θ ~ Gamma: log p = a log b - log Γ(a) - (a + 1) log θ - b/θ, a = shape, b = scale.

    >>> prior = gl.priors.InverseGamma(1.0, 2.0)
    >>> round(prior.log_density(mx.nd, mx.nd.array([1.0])).asnumpy().item(), 4)
    -1.3069
    """

    def __init__(self, shape: float, scale: float) -> None:
        super().__init__(shape=shape, scale=scale)

    def log_density(self, F: Namespace, value: Array) -> Array:
        shape, scale = self.arguments.values()
        constant = shape * math.log(scale) - math.lgamma(shape)
        return -(shape + 1.0) * F.log(value) - scale / value + constant

    def sample(self, random: np.random.RandomState, shape: Any) -> np.ndarray:
        form, scale = self.arguments.values()
        return scale / random.gamma(form, 1.0, size=shape)


class HalfNormal(Prior):
    """|N(0, scale²)|: log p = log 2 + log N(θ | 0, scale²).

    >>> round(gl.priors.HalfNormal().log_density(mx.nd, mx.nd.array([1.0])).asnumpy().item(), 4)
    -0.7258
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(scale=scale)

    def log_density(self, F: Namespace, value: Array) -> Array:
        return Normal(0.0, self.arguments["scale"]).log_density(F, value) + math.log(2.0)

    def sample(self, random: np.random.RandomState, shape: Any) -> np.ndarray:
        return np.abs(random.normal(0.0, self.arguments["scale"], size=shape))


class HalfCauchy(Prior):
    """|Cauchy(0, scale)|: log p = log 2 - log(π scale) - log(1 + (θ/scale)²).

    >>> round(gl.priors.HalfCauchy().log_density(mx.nd, mx.nd.array([1.0])).asnumpy().item(), 4)
    -1.1447
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(scale=scale)

    def log_density(self, F: Namespace, value: Array) -> Array:
        scale = self.arguments["scale"]
        bent = F.log1p(F.square(value * (1.0 / scale)))
        return -bent + (math.log(2.0) - math.log(math.pi * scale))

    def sample(self, random: np.random.RandomState, shape: Any) -> np.ndarray:
        return np.abs(random.standard_cauchy(size=shape)) * self.arguments["scale"]


class PriorLoss(mx.gluon.HybridBlock):
    """loss -> loss - log p(θ)/B, (B,) -> (B,), whose sum has the priors of a network once.

    block: the network, any Gluon block, whose parameters θ with an attribute `prior` count. The
    density is that of natural values. Its maximum with that of the likelihood is the maximum a
    posteriori in these. With `jacobian` the density is that of the stored, unconstrained number ξ
    of a positive parameter θ = lower + e^ξ: log p(θ) + ξ, as samplers need it; its maximum depends
    on the transform, that of the other does not. Priors are read when a graph is made: set them
    before `hybridize`.

    >>> kernel = gl.kernels.RBF()
    >>> kernel.lengthscale.prior = gl.priors.LogNormal()
    >>> kernel.initialize()
    >>> round(gl.priors.PriorLoss(kernel)(mx.nd.zeros((1,))).asnumpy().item(), 4)  # ½ log 2π at 1
    0.9189
    """

    def __init__(self, block: mx.gluon.Block, jacobian: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.block, self._jacobian = block, jacobian
        if not parameters_with_priors(block):
            raise ValueError(
                f"{self.name}: no parameter of {block.name} has a prior. Set one: "
                "layer.kernel.lengthscale.prior = gluon_linalg.priors.LogNormal(0, 1)."
            )

    def hybrid_forward(self, F: Namespace, loss: Array) -> Array:
        total: Any = None
        for parameter in parameters_with_priors(self.block).values():
            term = F.reshape(self._log_density(F, parameter, loss), shape=(1,))
            total = term if total is None else total + term
        count = F.reshape(F.sum(fn.ones_like(F, loss)), shape=(1,))
        return F.broadcast_sub(loss, total / count)

    def _log_density(self, F: Namespace, parameter: Any, like: Array) -> Array:
        """log p of one parameter, the sum over its elements."""
        stored = parameter_array(F, parameter, like)
        if not isinstance(parameter, PositiveParameter):
            return F.sum(parameter.prior.log_density(F, stored))
        density = parameter.prior.log_density(F, parameter.natural(F, stored))
        return F.sum(density + stored if self._jacobian else density)


def parameters_with_priors(block: mx.gluon.Block) -> Dict[str, Any]:
    """The parameters of a network that have a prior, by name. Raises TypeError, ValueError.

    >>> kernel = gl.kernels.RBF()
    >>> kernel.lengthscale.prior = gl.priors.LogNormal()
    >>> len(gl.priors.parameters_with_priors(kernel))
    1
    """
    found = {}
    for name, parameter in block.collect_params().items():
        prior = getattr(parameter, "prior", None)
        if prior is None:
            continue
        if not isinstance(prior, Prior):
            raise TypeError(f"{name}: its prior is {prior!r}, expected one of gluon_linalg.priors.")
        if prior.positive and not isinstance(parameter, PositiveParameter):
            raise ValueError(
                f"{name}: {prior!r} is a distribution of positive numbers, but the parameter may "
                "have any sign; use Normal."
            )
        found[name] = parameter
    return found


def draw_from_priors(block: mx.gluon.Block, seed: Optional[int] = None) -> Dict[str, np.ndarray]:
    """Sets each parameter that has a prior to a draw from it; returns the values by name.

    For restarts: block is initialized, or will be. A draw that the parameter cannot be, such as
    one below its least value, is made anew. seed: of NumPy's generator; None for another each time.

    >>> kernel = gl.kernels.RBF()
    >>> kernel.lengthscale.prior = gl.priors.LogNormal()
    >>> kernel.initialize()
    >>> drawn = gl.priors.draw_from_priors(kernel, seed=0)
    >>> bool(np.allclose(list(drawn.values())[0], kernel.lengthscale.value()))
    True
    """
    random = np.random.RandomState(seed)
    drawn = {}
    for name, parameter in parameters_with_priors(block).items():
        lower = parameter.lower if isinstance(parameter, PositiveParameter) else -np.inf
        value = _above(parameter.prior, random, parameter.shape, lower, name)
        if isinstance(parameter, (PositiveParameter, GivenParameter)):
            parameter.set_value(value)
        else:
            parameter.set_data(mx.nd.array(value, dtype=parameter.dtype))
        drawn[name] = value
    return drawn


def _above(
    prior: Prior, random: np.random.RandomState, shape: Any, lower: float, name: str
) -> np.ndarray:
    value = np.asarray(prior.sample(random, shape))
    for _ in range(ATTEMPTS):
        outside = ~(np.isfinite(value) & (value > lower))
        if not outside.any():
            return cast(np.ndarray, value)
        value[outside] = prior.sample(random, int(outside.sum()))
    raise ValueError(f"{name}: {prior!r} gives no value above {lower:g}.")
