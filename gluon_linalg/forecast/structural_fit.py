"""Maximum likelihood for a batch of series, each with a structural model of its own."""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..blocks.kalman import KalmanFilterLayer
from ..blocks.smoother import KalmanSmootherLayer
from ..blocks.structural import StructuralModel
from ..blocks.structural.bounded import BoundedParameter
from ..fitting.minimize_each import minimize_each
from ..fitting.structural_starts import (
    has_many_maxima,
    mean_squared_change,
    revivals,
    structural_starts,
)
from ..functional.state_space import LinearGaussianSystem
from ..grammar.structural import StructuralDescription
from ..typing import Array, Namespace
from .structural_components import Units, build_components

# Bounds of variances, in squared units of the changes of a series, and how far others may go.
SMALLEST, LARGEST = 1e-14, 1e4
STORED_BOUND = 16.0
# What a variance can be at all.
VARIANCES = 1e-299, 1e299
TOLERANCE = 1e-6


class SeriesBatch(mx.gluon.HybridBlock):
    """Negative diffuse log likelihoods (B,) of B series, each with its own `StructuralModel`.

    Called with y (B, T), covariates (B, T, k) if features k > 0, and mask (B, T). The models
    write the arrays of their systems, and one filter runs over all of them.
    """

    def __init__(
        self,
        description: StructuralDescription,
        features: int,
        units: Sequence[Units],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.description, self.has_covariates = description, features > 0
        self.models: List[StructuralModel] = []
        noise = description.noise_variance
        with self.name_scope():
            for own in units:
                components = build_components(description, features, own)
                model = StructuralModel(components, 1.0 if noise is None else noise)
                self.register_child(model)
                self.models.append(model)
            components = self.models[0].components
            states, diffuse = components.state_size, sum(components.diffuse)
            self.filter = KalmanFilterLayer(states, diffuse=diffuse)
            self.smoother = KalmanSmootherLayer(states, diffuse=diffuse)
        self.initialize()
        self.cast("float64")
        self.hybridize(static_alloc=True, static_shape=True)
        self._initial = [parameter.value() for _, parameter in self._keyed(0)]

    def hybrid_forward(self, F: Namespace, y: Array, *rest: Array) -> Array:
        return self.filter(*self.kalman_inputs(F, y, *rest)[0])

    def kalman_inputs(
        self, F: Namespace, y: Array, *rest: Array
    ) -> Tuple[List[Array], List[Optional[Array]]]:
        """The arguments of the Kalman layers, and of each model what its covariates are around."""
        inputs, centres = [], []
        for index, model in enumerate(self.models):
            own = [F.slice_axis(a, axis=0, begin=index, end=index + 1) for a in (y, *rest)]
            arrays, centre = model.kalman_inputs(F, *own)
            inputs.append(arrays)
            centres.append(centre)
        if len(self.models) == 1:
            return inputs[0], centres
        return [F.concat(*arrays, dim=0) for arrays in zip(*inputs)], centres

    def fit(
        self, arrays: Sequence[mx.nd.NDArray], scales: np.ndarray, iterations: int
    ) -> np.ndarray:
        """Sets all parameters to those of maximum likelihood; returns the negative logs (B,).

        scales: (B,), what the series were divided by: given values are in units of the series.
        """
        squares = self._squares(arrays)
        given = self._given(scales)
        lower, upper = self._bounds(squares, given, arrays[0].shape[1])
        starts, families = self._starts(arrays, squares, given)
        points, values = minimize_each(
            lambda points: self._evaluate(points, arrays),
            [np.clip(points, lower, upper) for points in starts],
            lower, upper, TOLERANCE, iterations, families, self._revivals(arrays),
        )  # fmt: skip
        self._set(points)
        return values

    def after(
        self,
        arrays: Sequence[mx.nd.NDArray],
        ends: Sequence[int],
        covariates: Optional[mx.nd.NDArray],
        steps: int,
    ) -> Tuple[LinearGaussianSystem, np.ndarray]:
        """The system of step ends[b] - 1 of each series, given all of them, and `steps` more.

        covariates: (B, 1 + steps, k) if there are features, at the same steps. Also which series
        (B,) have a forecast: one that hangs on what its observations leave open has none.
        """
        inputs, centres = self.kalman_inputs(mx.nd, *arrays)
        # What is after the end of a series is missing, and tells nothing of its last state.
        mean, covariance = (_at(array, ends) for array in self.smoother(*inputs))
        y = mx.nd.zeros((len(self.models), 1 + steps, 1), dtype="float64")
        emissions = []
        for index, (model, centre) in enumerate(zip(self.models, centres)):
            own = None if covariates is None else covariates[index : index + 1]
            emission = model.components.system(mx.nd, y[:1, :, 0], own).emission
            emissions.append(emission if centre is None else emission - centre)
        emission = mx.nd.concat(*emissions, dim=0)
        covariance, is_known = _without_open(covariance.asnumpy(), emission.asnumpy())
        covariance = mx.nd.array(covariance, dtype="float64")
        factor = fn.covariance_factor(mx.nd, covariance, "StructuralPredictor")
        transition, process_factor, noise_factor = inputs[1], inputs[3], inputs[4]
        system = fn.state_space_system(
            mx.nd, y, transition, emission, process_factor, noise_factor, mean, factor,
            name="StructuralPredictor",
        )  # fmt: skip
        return system, is_known

    def parameter_values(self, index: int, scale: float) -> Dict[str, Union[float, List[float]]]:
        """{name: number or list} of one model, variances in squared units of the series."""
        found = {}
        for name, parameter in self._named(index):
            value = parameter.value() * (scale**2 if name.endswith("variance") else 1.0)
            found[name] = float(value[0]) if value.size == 1 else value.tolist()
        return found

    def _evaluate(self, points, arrays):
        self._set(points)
        with mx.autograd.record():
            losses = self(*arrays)
        losses.backward()
        gradients = np.array([
            np.concatenate([parameter.grad().asnumpy() for _, parameter in self._named(index)])
            for index in range(len(self.models))
        ])  # fmt: skip
        return losses.asnumpy(), gradients

    def _set(self, points):
        for index, point in enumerate(points):
            begin = 0
            for _, parameter in self._named(index):
                end = begin + parameter.shape[0]
                parameter.data()[:] = point[begin:end]
                begin = end

    def _named(self, index):
        """Pairs of a name such as 'trend.slope_variance' and a parameter, in a fixed order."""
        labels = self.models[index].components.labels()
        for (place, name), parameter in self._keyed(index):
            yield name if place is None else f"{labels[place]}.{name}", parameter

    def _keyed(self, index):
        """Pairs of (number of a component or None, name) and a parameter, in the same order."""
        model = self.models[index]
        if model.noise_variance is not None:
            yield (None, "noise_variance"), model.noise_variance
        for place, component in enumerate(model.components.components):
            for name in sorted(component._reg_params):
                yield (place, name), component._reg_params[name]

    def _given(self, scales):
        """What the description gives, by key: natural values (B, k), and whether they are fixed."""
        description, found, fixed = self.description, {}, {}
        if description.noise_variance:
            fixed[id(self.models[0].noise_variance)] = "noise_variance" in description.fixed
        for part, block in zip(description.parts, self.models[0].components.components):
            for name, parameter in part.trained(block).items():
                if part.is_given(name):
                    fixed[id(parameter)] = name in part.fixed
        for (key, parameter), value in zip(self._keyed(0), self._initial):
            if id(parameter) in fixed:
                natural = np.tile(value, (len(scales), 1))
                if key[1].endswith("variance"):
                    natural = np.clip(value / scales[:, None] ** 2, *VARIANCES)
                found[key] = natural, fixed[id(parameter)]
        return found

    def _squares(self, arrays):
        """For each series the mean squares (k,) of the covariates of each drifting regression."""
        if not self.models[0].components.drifts:
            return [[] for _ in self.models]
        _, covariates, mask = (array.asnumpy() for array in arrays)
        found = []
        for own, seen in zip(covariates, mask):
            seen = own[seen == 1]
            squares = np.mean((seen - seen.mean(axis=0)) ** 2, axis=0)
            squares, begin, each = np.where(squares > 0, squares, 1.0), 0, []
            for component in self.models[0].components.components:
                end = begin + component.features
                each += [squares[begin:end]] if component.drifts else []
                begin = end
            found.append(each)
        return found

    def _starts(self, arrays, squares, given):
        """Stored parameters (B, n), a list, and their families, or None where there is one."""
        y, *_, mask = (array.asnumpy() for array in arrays)
        components = self.models[0].components.components
        each = [
            structural_starts(components, [np.where(seen == 1, values, np.nan)], own)
            for values, seen, own in zip(y, mask, squares)
        ]
        for place, starts in enumerate(each):
            for start in starts:
                start.values.update({key: value[place] for key, (value, _) in given.items()})
        # A series may have fewer peaks than another: its first start stands in.
        count = max(map(len, each))
        each = [own + own[:1] * (count - len(own)) for own in each]
        richest = max(each, key=lambda own: len({start.family for start in own}))
        families = [start.family for start in richest]
        points = [np.array([self._stored(own[k].values) for own in each]) for k in range(count)]
        return points, families if has_many_maxima(components) else None

    def _revivals(self, arrays):
        """Stored values (B, n, k) to try where a variance is left near 0; -inf for all else."""
        y, *_, mask = (array.asnumpy() for array in arrays)
        found = []
        for own, seen in zip(y, mask):
            values = np.log(revivals(mean_squared_change([np.where(seen == 1, own, np.nan)])))
            rows = []
            for (_, name), parameter in self._keyed(0):
                # A drifting coefficient has a variance in other units.
                may = name.endswith("variance") and name != "coefficient_variance"
                rows += [values if may else np.full_like(values, -np.inf)] * parameter.shape[0]
            found.append(rows)
        return np.array(found)

    def _stored(self, values):
        """The stored parameters of natural values, (n,)."""
        pieces = []
        for (index, name), parameter in self._keyed(0):
            pieces.append(parameter._stored(values[index, name], name))
        return np.concatenate(pieces)

    def _bounds(self, squares, given, steps):
        """The least and the largest stored parameters, (B, n) each; equal where they are fixed."""
        lower, upper = [], []
        for place, own_squares in enumerate(squares):
            own_squares, ends = iter(own_squares), []
            for (key, parameter), initial in zip(self._keyed(0), self._initial):
                value, is_fixed = given.get(key, (None, False))
                if is_fixed:
                    middle, width = parameter._stored(value[place], key[1]), 0.0
                elif key[1] == "coefficient_variance":
                    middle, width = _variance_range(next(own_squares))
                elif key[1].endswith("variance"):
                    middle, width = _variance_range(1.0)
                elif isinstance(parameter, BoundedParameter):
                    middle, width = 0.0, STORED_BOUND
                else:
                    middle, width = parameter._stored(initial, key[1]), STORED_BOUND
                    if key[1] == "period":
                        # A longer cycle than the series is a trend.
                        longest = np.maximum(2.0 * initial, steps)
                        width = parameter._stored(longest, key[1]) - middle
                middle = middle * np.ones(parameter.shape)
                ends.append((middle - width, middle + width))
            for side, pieces in zip((lower, upper), zip(*ends)):
                side.append(np.concatenate(pieces))
        return np.array(lower), np.array(upper)


def _variance_range(squares):
    """Middle and half width of the logarithms of variances that act on covariates like these."""
    least, most = np.log([SMALLEST, LARGEST])
    return (least + most) / 2 - np.log(squares), (most - least) / 2


def _without_open(covariance, emission):
    """Covariances (B, d, d) without the states of infinite variance, and where these do not matter.

    A coefficient whose covariate has not moved, and does not, is open but contributes nothing.
    """
    is_open = np.isinf(np.diagonal(covariance, axis1=1, axis2=2))
    matters = is_open & (emission != 0).any(axis=(1, 2))
    hidden = is_open[:, :, None] | is_open[:, None, :]
    return np.where(hidden, 0.0, covariance), ~matters.any(axis=1)


def _at(array, ends):
    """array[b, ends[b] - 1] of (B, T, ...)."""
    return mx.nd.concat(*(array[b : b + 1, end - 1] for b, end in enumerate(ends)), dim=0)
