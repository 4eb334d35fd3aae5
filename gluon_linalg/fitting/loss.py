"""The loss of a block on given arrays, as a function of the vector of its parameters."""

from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..analysis.state_space import has_innovations, received
from ..blocks.base import LinearAlgebraBlock
from ..blocks.ppca import PPCALikelihoodLayer
from ..errors import LinearAlgebraError, ShapeError, UnidentifiedError
from .information import natural
from .vector import ParameterVector


class Loss:
    """Value and gradient of Σ layer(*arrays), or of objective(layer, *arrays).

    `parameters`: those that are trained, by their paths in the block, such as 'kernel.variance'.
    A matrix that is not positive definite, and NaN, count as a loss of +inf, but at the start.
    """

    def __init__(
        self,
        layer: mx.gluon.Block,
        arrays: Sequence[Any],
        keywords: Mapping[str, Any],
        objective: Optional[Callable[..., mx.nd.NDArray]] = None,
    ) -> None:
        self.layer, self.evaluations = layer, 0
        self._objective = objective
        # As they were given: what has an index keeps it.
        self.given, self.keywords = arrays, keywords
        self._batches: Optional[Iterator[Any]] = None
        self._loader = arrays[0] if len(arrays) == 1 and _is_loader(arrays[0]) else None
        _refuse_empty([*arrays, *keywords.values()])
        self.arrays = self._next_batch() if self._loader else _received(layer, arrays, keywords)
        self.device = next(a.context for a in self.arrays if isinstance(a, mx.nd.NDArray))
        if self.is_likelihood:
            self._refuse_too_few()
        # The error of a start that cannot be computed reaches the user; parameters get shapes.
        with mx.autograd.pause():
            self._of(self.arrays).wait_to_read()
        self.parameters = trained_parameters(layer)
        if not self.parameters:
            raise ValueError("fit: the block has no parameter with a gradient.")
        self._vector = ParameterVector(self.parameters)

    @property
    def title(self) -> str:
        """What tables call the model."""
        return type(self.layer).__name__

    @property
    def observations(self) -> Optional[int]:
        """The numbers that were observed, if the layer calls them y: without what is masked.

        Of probabilistic components the samples, which are rows of x.
        """
        rules = [name for name, _ in getattr(self.layer, "arguments", ())]
        given = dict(zip(rules, self.arrays))
        if isinstance(self.layer, PPCALikelihoodLayer):
            return int(np.prod(given["x"].shape[:2]))
        if given.get("y") is None:
            return None
        mask = given.get("mask")
        return int(given["y"].size if mask is None else mask.sum().asscalar())

    @property
    def is_of_batches(self) -> bool:
        """Whether the arrays are those of one batch of a `DataLoader`."""
        return self._loader is not None

    @property
    def is_likelihood(self) -> bool:
        """Whether the loss is that of the layer itself, on all data."""
        return self._objective is None and self._loader is None and not self.is_bound

    @property
    def is_bound(self) -> bool:
        """Whether the loss is that of a bound on the likelihood, on all data."""
        is_own = self._objective is None and self._loader is None
        return is_own and getattr(self.layer, "bounds_likelihood", False)

    @property
    def auxiliary(self) -> Sequence[str]:
        """The names of what is trained to make a bound tight, and is no part of the model."""
        return getattr(self.layer, "auxiliary", ()) if self.is_bound else ()

    @property
    def fixed(self) -> Dict[str, np.ndarray]:
        """The natural values of what could be trained and is not, by name."""
        found = {}
        for name, parameter in self.layer._collect_params_with_prefix().items():
            is_learnable = not isinstance(parameter, mx.gluon.parameter.Constant)
            if parameter.grad_req == "null" and parameter._differentiable and is_learnable:
                stored = parameter.data(self.device).asnumpy()
                found[name] = natural(parameter, stored.astype("float64"))
        return found

    def vector(self) -> np.ndarray:
        """What the parameters store, as one float64 vector."""
        return self._vector.get(self.device)

    def set_vector(self, vector: np.ndarray) -> None:
        """Stores a vector."""
        self._vector.set(vector)

    def pieces(self, vector: np.ndarray) -> Iterator[Tuple[mx.gluon.Parameter, np.ndarray]]:
        """Each parameter with its part of a vector."""
        return self._vector.pieces(vector)

    def values(self, vector: np.ndarray) -> Dict[str, np.ndarray]:
        """The parameters at a vector in natural units, by name."""
        pairs = zip(self.parameters, self.pieces(vector))
        return {name: natural(parameter, stored) for name, (parameter, stored) in pairs}

    def at(self, vector: np.ndarray) -> Tuple[float, np.ndarray]:
        """Value and gradient at a vector, which is stored."""
        self.set_vector(vector)
        return self.evaluate(is_noisy=False)

    def value(self, vector: np.ndarray) -> float:
        """The value at a vector, which is stored."""
        self.set_vector(vector)
        try:
            with mx.autograd.pause():
                value = float(self._of(self.arrays).asscalar())
        except LinearAlgebraError:
            return np.inf
        return value if np.isfinite(value) else np.inf

    def evaluate(self, is_noisy: bool) -> Tuple[float, np.ndarray]:
        """Value and gradient at what is stored; `is_noisy`: as in training, with dropout."""
        self.evaluations += 1
        if self._loader is not None and is_noisy:
            self.arrays = self._next_batch()
        self._vector.clear()
        try:
            with mx.autograd.record(train_mode=is_noisy):
                total = self._of(self.arrays)
            total.backward(train_mode=is_noisy)
            value, gradient = float(total.asscalar()), self._vector.gradient(self.device)
        except LinearAlgebraError:
            return np.inf, np.zeros(len(self.vector()))
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            return np.inf, np.zeros_like(gradient)
        return value, gradient

    def _refuse_too_few(self) -> None:
        """Refuses data of which a likelihood hangs on no parameter."""
        given = dict(zip([name for name, _ in getattr(self.layer, "arguments", ())], self.arrays))
        y, mask = given.get("y"), given.get("mask")
        if y is None or (mask is None and not hasattr(self.layer, "least_observations")):
            return
        count = int((mask if mask is not None else mx.nd.ones_like(y)).sum(axis=1).max().asscalar())
        if not count:
            raise UnidentifiedError("fit: nothing is observed, all of 'y' is missing.")
        least = getattr(self.layer, "least_observations", 0)
        if count <= least:
            raise UnidentifiedError(
                f"fit: {count} observations, but the initial values of the components alone take "
                f"{least}. Give more observations, fewer components, or known priors (prior=(mean, "
                "standard deviations))."
            )

    def _of(self, arrays: Sequence[Any]) -> mx.nd.NDArray:
        if self._objective is not None:
            return self._objective(self.layer, *arrays).sum()
        return self.layer(*arrays).sum()

    def _next_batch(self) -> Sequence[Any]:
        for _ in range(2):
            if self._batches is None:
                self._batches = iter(self._loader)  # type: ignore[arg-type]
            batch = next(self._batches, None)
            if batch is not None:
                return tuple(batch) if isinstance(batch, (list, tuple)) else (batch,)
            self._batches = None
        raise ValueError("fit: the DataLoader has no batch.")


def _received(
    layer: mx.gluon.Block, arrays: Sequence[Any], keywords: Mapping[str, Any]
) -> Sequence[Any]:
    """The arguments in their order, as NDArrays in the dtype of the block."""
    if has_innovations(layer):
        return received(layer, arrays, keywords)
    if isinstance(layer, LinearAlgebraBlock):
        return layer._from_data(*arrays, **keywords)
    if keywords:
        raise TypeError("fit: arguments by name are for blocks of this package.")
    dtypes = [np.dtype(p.dtype).name for p in layer.collect_params().values()]
    dtype = dtypes[0] if dtypes else "float32"
    return tuple(
        a if isinstance(a, mx.nd.NDArray) else mx.nd.array(np.asarray(a), dtype=dtype)
        for a in arrays
    )


def _refuse_empty(arrays: Sequence[Any]) -> None:
    for number, array in enumerate(arrays, start=1):
        shape = getattr(array, "shape", None)
        if shape is not None and 0 in shape:
            raise ShapeError(f"fit: array {number} is empty, shape {tuple(shape)}.")


def _is_loader(value: Any) -> bool:
    return isinstance(value, mx.gluon.data.DataLoader)


def trained_parameters(layer: mx.gluon.Block) -> Dict[str, mx.gluon.Parameter]:
    """Parameters with gradients by path; one that is shared has its first."""
    found, seen = {}, set()
    for name, parameter in layer._collect_params_with_prefix().items():
        if parameter.grad_req != "null" and id(parameter) not in seen:
            seen.add(id(parameter))
            found[name] = parameter
    return found
