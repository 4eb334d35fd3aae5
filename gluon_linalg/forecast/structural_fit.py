"""Maximum likelihood for a batch of series, each with a structural model of its own."""

from typing import Dict, List, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..blocks.bounded import BoundedParameter
from ..blocks.structural import RobustStructuralModel
from ..fitting.minimize_each import minimize_each
from ..fitting.structural_information import (
    SpectralInformation,
    frequencies,
    spectral_shapes,
)
from ..fitting.structural_starts import (
    has_many_maxima,
    mean_squared_change,
    revivals,
    structural_starts,
)
from ..fitting.units import without_outliers
from ..functional.diffuse import first_column, other_columns, settled
from ..functional.state_space import LinearGaussianSystem
from ..grammar.structural import StructuralDescription
from ..typing import Array, Namespace
from .structural_components import Units, build_components
from .structural_likelihood import BatchLikelihood

# Bounds of variances, in squared units of the changes of a series, and how far others may go.
SMALLEST, LARGEST = 1e-14, 1e4
STORED_BOUND = 16.0
# How far degrees of freedom are from 2, where a variance has no end.
FREEDOM = 0.5, 200.0
# What a variance can be at all.
VARIANCES = 1e-299, 1e299
TOLERANCE = 1e-8
# Elements of a batch are computed in registers of so many.
LANES = 8


NAME = "StructuralPredictor"
# Of the model itself, whose numbers for initial states are 0.
NO_UNITS = Units(0.0, np.inf)


class SeriesBatch:
    """B series, each with parameters of its own for one `StructuralModel`.

    The parameters are rows of one array, so that the graph has the nodes of one model. Numbers for
    initial states, which are in the units of a series, are added to the arrays of the model.
    """

    def __init__(
        self, description: StructuralDescription, features: int, units: Sequence[Units]
    ) -> None:
        self.description, self.has_covariates = description, features > 0
        self._features = features
        components = build_components(description, features, NO_UNITS)
        self.model = description.model(components, 1.0)
        self.components = self.model.components
        self._likelihood = BatchLikelihood(self)
        self._likelihood.hybridize(static_alloc=True, static_shape=True)
        parameters = [parameter for _, parameter in self._keyed()]
        self._initial = [parameter.value() for parameter in parameters]
        sizes = [parameter.shape[0] for parameter in parameters]
        self._ends = np.cumsum([0, *sizes]).tolist()
        self._points = mx.nd.zeros((len(units), self._ends[-1]), dtype="float64")
        self._priors: List[mx.nd.NDArray] = []
        self.set_units(units)

    def set_units(self, units: Sequence[Units]) -> None:
        """Other series of the same number."""
        if not self.description.has_known_priors:
            return
        means, factors = [], []
        for own in units:
            blocks = build_components(self.description, self._features, own)
            means.append(np.concatenate([block._prior_mean for block in blocks]))
            factors.append(np.diag(np.concatenate([b._prior_deviations for b in blocks])))
        self._priors = [mx.nd.array(np.array(x), dtype="float64") for x in (means, factors)]

    def kalman_inputs(
        self, F: Namespace, points: Array, y: Array, *rest: Array
    ) -> Tuple[List[Array], Optional[Array]]:
        """The arguments of the Kalman layers, and what covariates are around.

        points: stored parameters (B, n); y (B, T), covariates (B, T, k) if there are any, mask
        (B, T), and prior means (B, d) and factors (B, d, d) if there are numbers for them.
        """
        priors = 2 if self.description.has_known_priors else 0
        data, priors_given = rest[: len(rest) - priors], rest[len(rest) - priors :]
        stored = self._stored_by_name(F, points)
        arrays, centre = self.model.kalman_inputs(F, y, *data, stored=stored)
        if priors:
            mean, factor = priors_given
            arrays[5], arrays[6] = F.broadcast_add(arrays[5], mean), arrays[6] + factor
        return arrays, centre

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
        information = self._information(arrays, squares)
        logs = None if information is None else np.ones(self._ends[-1], dtype=bool)
        known: List[mx.nd.NDArray] = []
        points, values = minimize_each(
            lambda points, problems: self._evaluate(points, arrays, problems, known),
            [np.clip(points, lower, upper) for points in starts],
            lower, upper, TOLERANCE, iterations, families, self._revivals(arrays), information,
            logs,
        )  # fmt: skip
        self._points[:] = points
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
        inputs, centre = self.kalman_inputs(mx.nd, self._points, *arrays, *self._priors)
        mean, covariance = self._last_states(inputs, ends)
        y = mx.nd.zeros((len(ends), 1 + steps, 1), dtype="float64")
        stored = self._stored_by_name(mx.nd, self._points)
        emission = self.components.system(mx.nd, y[:, :, 0], covariates, stored).emission
        if centre is not None:
            emission = mx.nd.broadcast_sub(emission, centre)
        covariance, is_known = _without_open(covariance.asnumpy(), emission.asnumpy())
        covariance = mx.nd.array(covariance, dtype="float64")
        factor = fn.covariance_factor(mx.nd, covariance, NAME)
        transition, process_factor = inputs[1], inputs[3]
        noise_factor = (
            self.model.noise_ahead(mx.nd, y[:, :, 0], stored).sqrt().reshape((-1, 1, 1, 1))
        )
        system = fn.state_space_system(
            mx.nd, y, transition, emission, process_factor, noise_factor, mean, factor,
            name=NAME,
        )  # fmt: skip
        return system, is_known

    def _last_states(self, inputs, ends):
        """Mean (B, d) and covariance (B, d, d) of the states of steps ends[b] - 1, given all.

        What is after the end of a series is missing: they are filtered states. Where the data leave
        a state open its variance is infinite.
        """
        F, states, own = mx.nd, self.components.state_size, list(inputs)
        directions = own.pop(7) if any(self.components.diffuse) else None
        system = fn.state_space_system(F, *own, name=NAME)
        if directions is not None:
            system = fn.with_directions(F, system, directions)
        filtered, _ = fn.kalman_filter(F, system, states, 1, name=NAME)
        last = filtered._replace(
            mean=_at(filtered.mean, ends),
            whitened=_at(filtered.whitened, ends),
            innovation=_at(filtered.innovation, ends),
            roots=type(filtered.roots)(*(_at(root, ends) for root in filtered.roots)),
        )
        columns, covariance = fn.filtered_mean(F, last), fn.filtered_covariance(F, last, 1)
        if filtered.settlement is not None:
            open_columns, columns = columns, settled(F, columns, filtered.settlement)
            spread = other_columns(F, columns)
            covariance = covariance + fn.product(F, spread, spread, transpose_b=True)
            covariance = fn.with_infinite(F, covariance, open_columns, filtered.settlement)
        mean = first_column(F, columns)
        return mean.reshape((-1, states)), covariance.reshape((-1, states, states))

    def parameter_values(self, index: int, scale: float) -> Dict[str, Union[float, List[float]]]:
        """{name: number or list} of one model, variances in squared units of the series."""
        labels, point, found = self.components.labels(), self._points[index].asnumpy(), {}
        for ((place, name), parameter), own in zip(self._keyed(), self._pieces(point)):
            value = parameter.natural_of(own) * (scale**2 if name.endswith("variance") else 1.0)
            label = name if place is None else f"{labels[place]}.{name}"
            found[label] = float(value[0]) if value.size == 1 else value.tolist()
        return found

    def _evaluate(self, points, arrays, problems=None, known=None):
        """Values and gradients at points (m, n) of the problems (m,), by default each once.

        known: a list that takes what calls have in common.
        """
        known = [] if known is None else known
        problems = np.arange(len(self._points)) if problems is None else np.asarray(problems)
        if not known:
            known += [*arrays, *(self._priors if self._likelihood.takes_priors else ())]
            if self._likelihood.constants:
                inputs, _ = self.kalman_inputs(mx.nd, self._points, *arrays, *self._priors)
                known += [inputs[place] for place in self._likelihood.constants]
        # Rows fill the registers of the operators.
        whole = -(-len(problems) // LANES) * LANES if 2 * len(problems) >= LANES else len(problems)
        rows = np.resize(problems, whole)
        chosen = mx.nd.array(rows, dtype="int32")
        own = [a if a.shape[0] == 1 < len(self._points) else a.take(chosen) for a in known]
        stored = mx.nd.array(np.resize(points, (len(rows), points.shape[1])), dtype="float64")
        stored.attach_grad()
        with mx.autograd.record():
            losses = self._likelihood(stored, *own)
        losses.backward()
        return losses.asnumpy()[: len(points)], stored.grad.asnumpy()[: len(points)]

    def _pieces(self, point):
        """What of stored numbers (n,) belongs to each parameter."""
        return [point[begin:end] for begin, end in zip(self._ends, self._ends[1:])]

    def _stored_by_name(self, F, points):
        """`Stored` parameters of all series."""
        pieces = [
            F.slice_axis(points, axis=1, begin=begin, end=end)
            for begin, end in zip(self._ends, self._ends[1:])
        ]
        blocks = self.components.components
        keys = [(None if k is None else blocks[k], name) for (k, name), _ in self._keyed()]
        return dict(zip(keys, pieces))

    def _keyed(self):
        """Pairs of (number of a component or None, name) and a parameter, in a fixed order."""
        if self.model.noise_variance is not None:
            yield (None, "noise_variance"), self.model.noise_variance
        if isinstance(self.model, RobustStructuralModel):
            yield (None, "degrees_of_freedom"), self.model.degrees_of_freedom
        for place, component in enumerate(self.components.components):
            for name in sorted(component._reg_params):
                yield (place, name), component._reg_params[name]

    def _given(self, scales):
        """What the description gives, by key: natural values (B, k), and whether they are fixed."""
        description, found, fixed = self.description, {}, {}
        if description.noise_variance:
            fixed[id(self.model.noise_variance)] = "noise_variance" in description.fixed
        if isinstance(self.model, RobustStructuralModel):
            # It begins where the description says, or at its default.
            name = "degrees_of_freedom"
            fixed[id(self.model.degrees_of_freedom)] = name in description.fixed
        for part, block in zip(description.parts, self.components.components):
            for name, parameter in part.trained(block).items():
                if part.is_given(name):
                    fixed[id(parameter)] = name in part.fixed
        for (key, parameter), value in zip(self._keyed(), self._initial):
            if id(parameter) in fixed:
                natural = np.tile(value, (len(scales), 1))
                if key[1].endswith("variance"):
                    natural = np.clip(value / scales[:, None] ** 2, *VARIANCES)
                found[key] = natural, fixed[id(parameter)]
        return found

    def _squares(self, arrays):
        """For each series the mean squares (k,) of the covariates of each drifting regression."""
        if not self.components.drifts:
            return [[] for _ in range(len(self._points))]
        _, covariates, mask = (array.asnumpy() for array in arrays)
        found = []
        for own, seen in zip(covariates, mask):
            seen = own[seen == 1]
            squares = np.mean((seen - seen.mean(axis=0)) ** 2, axis=0)
            squares, begin, each = np.where(squares > 0, squares, 1.0), 0, []
            for component in self.components.components:
                end = begin + component.features
                each += [squares[begin:end]] if component.drifts else []
                begin = end
            found.append(each)
        return found

    def _starts(self, arrays, squares, given):
        """Stored parameters (B, n), a list, and their families, or None where there is one."""
        components = self.components.components
        each = [
            structural_starts(components, [values], own)
            for values, own in zip(self._typical(arrays), squares)
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

    def _information(self, arrays, squares):
        """`SpectralInformation` where variances are all that is unknown, else None."""
        if not all(name.endswith("variance") for (_, name), _ in self._keyed()):
            return None
        observed, blocks = arrays[-1].asnumpy() == 1, self.components.components
        # What a series is beside does not matter to it.
        lengths = [int(np.flatnonzero(own)[-1]) + 1 for own in observed]
        known = {length: self._shapes(length) for length in set(lengths)}
        drifting = [index for index, block in enumerate(blocks) if block.drifts]
        shapes = []
        for length, each in zip(lengths, squares):
            sizes = dict(zip(((place, "coefficient_variance") for place in drifting), each))
            parts = [known[length][key] * sizes.get(key, 1.0) for key, _ in self._keyed()]
            shapes.append(np.concatenate(parts, axis=1))
        counts = observed.sum(axis=1) - sum(self.components.diffuse)
        return SpectralInformation(shapes, counts, lengths)

    def _shapes(self, steps):
        """`spectral_shapes` of all variances, by key."""
        found = {(None, "noise_variance"): np.ones((len(frequencies(steps)), 1))}
        for place, block in enumerate(self.components.components):
            if block.noise_size:
                shapes = spectral_shapes(block, steps)
                found.update({(place, name): shape for name, shape in shapes.items()})
        return found

    def _revivals(self, arrays):
        """Stored values (B, n, k) to try where a variance is left near 0; -inf for all else."""
        found = []
        for own in self._typical(arrays):
            values = np.log(revivals(mean_squared_change([own])))
            rows = []
            for (_, name), parameter in self._keyed():
                # A drifting coefficient has a variance in other units.
                may = name.endswith("variance") and name != "coefficient_variance"
                rows += [values if may else np.full_like(values, -np.inf)] * parameter.shape[0]
            found.append(rows)
        return np.array(found)

    def _typical(self, arrays):
        """Each series (T,), NaN where missing, and for outliers where the noise has such."""
        y, *_, mask = (array.asnumpy() for array in arrays)
        series = [np.where(seen == 1, values, np.nan) for values, seen in zip(y, mask)]
        is_robust = isinstance(self.model, RobustStructuralModel)
        return [without_outliers(own) for own in series] if is_robust else series

    def _stored(self, values):
        """The stored parameters of natural values, (n,)."""
        pieces = []
        for (index, name), parameter in self._keyed():
            pieces.append(parameter._stored(values[index, name], name))
        return np.concatenate(pieces)

    def _bounds(self, squares, given, steps):
        """The least and the largest stored parameters, (B, n) each; equal where they are fixed."""
        lower, upper = [], []
        for place, own_squares in enumerate(squares):
            own_squares, ends = iter(own_squares), []
            for (key, parameter), initial in zip(self._keyed(), self._initial):
                value, is_fixed = given.get(key, (None, False))
                if is_fixed:
                    middle, width = parameter._stored(value[place], key[1]), 0.0
                elif key[1] == "coefficient_variance":
                    middle, width = _variance_range(next(own_squares))
                elif key[1].endswith("variance"):
                    middle, width = _variance_range(1.0)
                elif key[1] == "degrees_of_freedom":
                    middle, width = np.mean(np.log(FREEDOM)), np.ptp(np.log(FREEDOM)) / 2
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
    """array[0, ends[b] - 1, b] of (1, T or 1, B or 1, ...), as (1, 1, B, ...); None of None."""
    if array is None:
        return None
    _, steps, batch = array.shape[:3]
    times = np.minimum(ends, steps) - 1
    chosen = array.asnumpy()[0, times, np.minimum(np.arange(len(ends)), batch - 1)]
    return mx.nd.array(chosen[None, None], dtype=array.dtype)
