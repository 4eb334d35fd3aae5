"""The blocks of a nonlinear state space model, called on points, and its arrays at each time."""

from functools import partial
from typing import Any, Callable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx

from .. import functional as fn
from ..errors import ShapeError
from ..functional.checks import require_each
from ..functional.linearization import Linearized, regression
from ..functional.matrix import with_axis
from ..functional.sigma_points import Points
from ..functional.state_space import LinearGaussianSystem, leading_axes, over_batch
from ..typing import Array, Namespace
from .explaining import listed

# The arrays of a call by their names.
Arguments = Mapping[str, Any]


class Calls:
    """The transition and the emission of a layer as affine functions of ξ, x = m + L ξ."""

    def __init__(self, layer: Any, F: Namespace, points: Optional[Points]) -> None:
        self.points: Any = points
        self._layer, self._F = layer, F

    def transition(self, mean: Array, factor: Array, inputs: Optional[Array]) -> Linearized:
        """f about mean (R, d, 1), factor (R, d, d); inputs (R, k)."""
        layer = self._layer
        if self.points is None:
            return self._expanded(layer.transition, "transition", mean, factor, inputs)
        x = self._at_points(mean, factor)
        return regression(self._F, self._values("transition", x, inputs), self.points)

    def emission(
        self, mean: Array, factor: Array, inputs: Optional[Array]
    ) -> Tuple[Linearized, Optional[Array]]:
        """h, and None; or the mean of y, and a factor of its expected variance given x."""
        F, layer = self._F, self._layer
        if self.points is None:
            return self._expanded(layer.emission, "emission", mean, factor, inputs), None
        values = self._values("emission", self._at_points(mean, factor), inputs)
        if layer.likelihood is None:
            return regression(F, values, self.points), None
        rows = F.reshape(values, shape=(0, -1))
        moments = self._of_block(partial(layer.likelihood.conditional_moments, F), rows)
        expected, variance = (F.reshape_like(x, values) for x in moments)
        variance = F.sum(F.broadcast_mul(variance, self.points.weights), axis=2)
        noise = fn.diagonal_matrix(F, F.sqrt(variance))
        return regression(F, expected, self.points), noise

    def log_density(self, mean: Array, factor: Array, step: "Model") -> Callable[[Array], Array]:
        """log p(y | x) of x = m + L u, u (R, d, S), over what is observed, (R, S)."""
        F, likelihood = self._F, self._layer.likelihood

        def of(u: Array) -> Array:
            x = F.broadcast_add(fn.product(F, factor, u), mean)
            values = self._values("emission", x, step.emission_input)
            observed = F.broadcast_add(step.observed, fn.zeros_like(F, values))
            latent, y = (F.reshape(x, shape=(0, -1)) for x in (values, observed))
            certain = fn.zeros_like(F, latent)
            of_block = partial(likelihood.expected_log_density, F)
            (density,) = self._of_block(of_block, latent, certain, y)
            density = F.reshape_like(density, values)
            if step.mask is not None:
                density = F.broadcast_mul(density, step.mask)
            return F.sum(density, axis=1)

        return of

    def nothing(self, model: "Model", mean: Array, factor: Array) -> Array:
        """0, (1,), of a call of both blocks at the first step, which tells shapes."""
        F = self._F
        first = (F.slice_axis(x, axis=1, begin=0, end=1) for x in model.arrays())
        step = model.at(F, [F.squeeze(x, axis=(0, 1)) for x in first])
        found = (
            self.transition(mean, factor, step.transition_input).mean,
            self.emission(mean, factor, step.emission_input)[0].mean,
        )
        zeros = [fn.zeros_like(F, x) for x in found]
        totals = [F.sum(F.where(zero, x, zero)) for zero, x in zip(zeros, found)]
        return totals[0] + totals[1]

    def check(self, y: Array, given: Arguments) -> None:
        """Calls the blocks once, on zeros, and raises ShapeError for what they do not give."""
        layer = self._layer
        x = mx.nd.zeros((2, layer._states), dtype=y.dtype, ctx=y.context)
        with mx.autograd.pause():
            for what, size in (("transition", layer._states), ("emission", layer._observations)):
                inputs = given.get(f"{what}_input")
                known = [] if inputs is None else [_first_rows(inputs)]
                found = getattr(layer, what)(x, *known)
                wanted = (
                    [(2, size)] if layer._rule.has_points else [(2, size), (2, size, x.shape[1])]
                )
                got = (
                    [a.shape for a in found] if isinstance(found, (list, tuple)) else [found.shape]
                )
                if got != wanted:
                    expected = " and ".join(_named(shape) for shape in wanted)
                    raise ShapeError(
                        f"{layer.name}: '{what}' gave {' and '.join(map(str, got))} for points "
                        f"{x.shape}; expected {expected}: {_HINTS[layer._rule.has_points]}"
                    )

    def _of_block(self, block: Callable[..., Any], *arrays: Array) -> List[Array]:
        """What a block gives, which computes in the dtype of its parameters."""
        F, layer = self._F, self._layer
        found = block(*(layer.cast_from(F, x) for x in arrays))
        return [layer.cast_to(F, x) for x in listed(found)]

    def _at_points(self, mean: Array, factor: Array) -> Array:
        """x (R, d, S)."""
        F = self._F
        return F.broadcast_add(F.dot(factor, self.points.nodes), mean)

    def _values(self, what: str, x: Array, inputs: Optional[Array]) -> Array:
        """What a block gives at x (R, d, S), (R, n, S)."""
        F, layer = self._F, self._layer
        size = layer._states if what == "transition" else layer._observations
        rows = F.reshape(F.transpose(x, axes=(0, 2, 1)), shape=(-1, layer._states))
        known = [] if inputs is None else [F.repeat(inputs, repeats=self.points.size, axis=0)]
        (values,) = self._of_block(getattr(layer, what), rows, *known)
        values = F.reshape(values, shape=(-1, self.points.size, size))
        # A graph refuses what has another number of rows.
        ends = {"lhs_begin": 0, "lhs_end": 1, "rhs_begin": 0, "rhs_end": 1}
        values = F.reshape_like(values, fn.stop(F, x), **ends)
        return F.transpose(values, axes=(0, 2, 1))

    def _expanded(self, block, what, mean, factor, inputs):
        """The value and the Jacobian at the mean."""
        F, layer = self._F, self._layer
        size = layer._states if what == "transition" else layer._observations
        known = [] if inputs is None else [inputs]
        value, jacobian = self._of_block(block, F.squeeze(mean, axis=2), *known)
        value = F.reshape(value, shape=(-1, size, 1))
        jacobian = F.reshape(jacobian, shape=(-1, size, layer._states))
        return Linearized(value, fn.product(F, jacobian, factor), None)


_HINTS = {
    True: "one row for each point, and no Jacobian but with rule='extended'.",
    False: "the value and the Jacobian, for rule='extended'.",
}


class Model(NamedTuple):
    """The arrays of a model, None where there are none, over all times or at one of them."""

    observed: Array  # (1, T, B, p, 1), or (B, p, 1)
    process_factor: Array  # (1, T, B, d, r)
    mask: Optional[Array]  # (1, T, B, p, 1)
    observation_factor: Optional[Array]  # (1, T, B, p, q)
    transition_input: Optional[Array]  # (1, T, B, k, 1), or (B, k)
    emission_input: Optional[Array]  # (1, T, B, l, 1), or (B, l)

    def arrays(self) -> List[Array]:
        """Those that there are."""
        return [x for x in self if x is not None]

    def at(self, F: Namespace, arrays: Sequence[Array]) -> "Model":
        """The model at one time, of the `arrays` there."""
        left = iter(arrays)
        step = Model._make(None if x is None else next(left) for x in self)
        inputs = (step.transition_input, step.emission_input)
        known = (None if x is None else F.squeeze(x, axis=2) for x in inputs)
        return Model(*step[:4], *known)


def linear_model(F: Namespace, given: Arguments, name: str) -> LinearGaussianSystem:
    """What the model shares with a linear one, checked; its A and H are 0."""
    y, mean, factor = given["y"], given["prior_mean"], given["prior_factor"]
    squared = fn.zeros_like(F, fn.product(F, factor, factor, transpose_b=True))
    row = F.expand_dims(F.slice_axis(y, axis=1, begin=0, end=1), axis=3)
    column = fn.zeros_like(F, row)
    emission = F.broadcast_mul(
        column, fn.zeros_like(F, F.expand_dims(F.expand_dims(mean, axis=1), axis=1))
    )
    noise = given.get("observation_factor")
    return fn.state_space_system(
        F,
        y,
        F.expand_dims(squared, axis=1),
        emission,
        given["process_factor"],
        column if noise is None else noise,
        mean,
        factor,
        given["mask"],
        name=name,
    )


def over_all_times(
    F: Namespace, given: Arguments, likelihood: Any, name: str
) -> Tuple[Model, Tuple[Array, Array]]:
    """The `Model`, and mean (1, 1, B, d, 1) and lower factor (1, 1, B, d, d) of the first state.

    ValueError where y is not what the likelihood takes.
    """
    system = linear_model(F, given, name)
    observed = system.observed
    if likelihood is not None:
        flat = F.reshape(observed, shape=(1, -1))
        holds = F.reshape_like(likelihood.possible(F, fn.stop(F, flat)), observed)
        text = f"{name}: 'y' must be {likelihood.targets}."
        observed = require_each(F, observed, holds, ValueError, text)

    inputs = (given[name] for name in ("transition_input", "emission_input"))
    rest = (
        system.mask,
        None if likelihood is not None else system.observation_factor,
        *(None if x is None else fn.time_first(F, with_axis(F, x, 3)) for x in inputs),
    )
    model = Model(
        observed,
        fn.over_time(F, system.process_factor, observed),
        *(None if x is None else fn.over_time(F, x, observed) for x in rest),
    )
    mean, factor = (over_batch(F, x, observed) for x in (system.prior_mean, system.prior_factor))
    square = fn.zeros_like(F, fn.product(F, factor, factor, transpose_b=True))
    wide = F.squeeze(F.concat(factor, square, dim=4), axis=(0, 1))
    return model, (mean, leading_axes(F, fn.lq(F, wide, name)[1]))


def apart(F: Namespace, joined: Array) -> Tuple[Array, Array]:
    """Mean (B, d, 1) and factor (B, d, d) of [mean, factor]."""
    mean = F.slice_axis(joined, axis=2, begin=0, end=1)
    return mean, F.slice_axis(joined, axis=2, begin=1, end=None)


def over_batches(F: Namespace, joined: Array) -> Tuple[Array, Array]:
    """Means (B, T, d) and factors (B, T, d, d) of [mean, factor] (1, T, B, d, 1 + d)."""
    joined = fn.batch_first(F, joined)
    mean = F.squeeze(F.slice_axis(joined, axis=3, begin=0, end=1), axis=3)
    return mean, F.slice_axis(joined, axis=3, begin=1, end=None)


def squared(F: Namespace, factor: Array) -> Array:
    """L Lᵀ, bitwise symmetric, (B, T, d, d)."""
    return fn.symmetrize(F, fn.product(F, factor, factor, transpose_b=True), axes=4)


def _first_rows(inputs: Array) -> Array:
    """Two rows (2, k) of inputs (B, T, k)."""
    return mx.nd.tile(inputs[0, :1], reps=(2, 1))


def _named(shape: Tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})"
