"""Structural time series of several related series, with common trends."""

from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import numpy as np

from ... import functional as fn
from ...typing import Array, Namespace
from ..structural.arrays import beside, matrix
from ..structural.base import Component, Sum
from .base import MultivariateModel, VectorSystem, checked_count
from .parameters import CovarianceParameter, covariance_parameter


class MultivariateStructuralModel(MultivariateModel):
    """Negative diffuse log likelihood of seemingly unrelated structural time series (SUTSE).

    y_t = Σ_c (H_c ⊗ I_p) x_t^c + ε_t,  ε_t ~ N(0, noise_covariance),
    x_{t+1}^c = (A_c ⊗ I_p) x_t^c + η_t,  η_t ~ N(0, Σ_c) in each disturbed state,

    every series having the same components, with states of its own, whose disturbances are
    correlated among the series: a component is that of `gluon_linalg.structural` for one series,
    and each of its variances becomes a covariance (p, p), `level_covariance` for `level_variance`.
    Other parameters, such as the damping and the period of a cycle, are shared.

    components: a component, a sum, or a list, without `Regression` and `ARIMA`; their variances are
    where all series begin. rank: {name of a variance: r}, for a covariance of rank r < p: the r
    common trends of Harvey 1989, section 8.5. noise_covariance: initial, (p, p) or a variance for
    all; None for none. State: for each component its states, each with the p series. Durbin &
    Koopman 2012, section 3.3; Harvey 1989, chapter 8.

    covariates: how many there are; their `effects` on each series are learned, from 0 on.

    Arguments, options (covariates, method, length), methods and errors as in `MultivariateModel`;
    ValueError for components that are none, or a rank without its variance.

    >>> model = gl.MultivariateStructuralModel(2, gl.structural.LocalLevel())
    >>> model.initialize()
    >>> mean, covariance = model.forecaster(4)(mx.nd.zeros((1, 5, 2)))
    >>> mean.shape, covariance.shape
    ((1, 4, 2), (1, 4, 2, 2))
    """

    def __init__(
        self,
        series: int,
        components: Union[Component, Sequence[Component]],
        rank: Optional[Mapping[str, int]] = None,
        noise_covariance: Any = 1.0,
        **options: Any,
    ) -> None:
        name = type(self).__name__
        checked_count(name, "series", series, 1)
        given = [components] if isinstance(components, Component) else list(components)
        parts = Sum(*given).components
        for part in parts:
            if part.features or part.kind == "arima":
                raise ValueError(f"{name}: a component {part.kind} is for one series only.")
        self._diffuse_states = [
            state * series + k
            for state, is_diffuse in enumerate(d for part in parts for d in part.diffuse)
            if is_diffuse
            for k in range(series)
        ]
        size = series * sum(part.state_size for part in parts)
        super().__init__(series, size, len(self._diffuse_states), **options)
        rank = dict(rank or {})
        # By number of the component and name of the variance.
        self.covariances: List[Dict[str, CovarianceParameter]] = []
        self.parts = parts
        names: List[str] = []
        for part in parts:
            self.register_child(part)
            self.covariances.append({
                variance: self._covariance(part, variance, rank.get(variance, series), names)
                for variance in sorted({name for _, name, _ in part._disturbances})
            })  # fmt: skip
        unknown = set(rank) - {v for own in self.covariances for v in own}
        if unknown:
            raise ValueError(f"{name}: rank has {sorted(unknown)[0]!r}, which is no variance here.")
        self.noise_covariance = None
        if noise_covariance is not None:
            self.noise_covariance = covariance_parameter(
                self, "noise_covariance", noise_covariance, series
            )
        elif not any(self.covariances):
            raise ValueError(f"{name}: nothing is random; give it a noise_covariance.")
        self.state_names = [
            f"{part.label}: {state} of series {k + 1}"
            for part in parts
            for state in part.state_names
            for k in range(series)
        ]

    def system(self, F: Namespace, y: Array, mask: Array) -> VectorSystem:
        one = self.one(F, y)
        identity = matrix(F, one, np.eye(self.series).tolist())
        transitions, emissions, noises, priors = [], [], [], []
        sizes, variances = [], []
        for part, covariances in zip(self.parts, self.covariances):
            factors = {
                name: parameter.factor(F, one, self.stored(F, parameter, y))
                for name, parameter in covariances.items()
            }
            variances += [_variances(F, factor) for factor in factors.values()]
            values = {**part.values(F, F.reshape(y, shape=(1, -1))), **dict.fromkeys(factors, one)}
            transitions.append(fn.kronecker(F, part.transition(F, one, **values), identity))
            emission = F.squeeze(part.emission(F, one, None), axis=0)
            emissions.append(fn.kronecker(F, emission, identity))
            noises.append(_disturbances(F, one, part, factors))
            priors.append(self._prior_factor(F, one, part, factors, values, identity))
            sizes.append(part.state_size * self.series)
        noise = _zeros(F, one, self.series, 1)
        if self.noise_covariance is not None:
            stored = self.stored(F, self.noise_covariance, y)
            noise = self.noise_covariance.factor(F, one, stored)
            variances.append(_variances(F, noise))
        mean, directions = self._diffuse_part(F, one, y, mask, variances)
        return VectorSystem(
            F.expand_dims(_stacked(F, one, transitions, sizes), axis=0),
            F.expand_dims(beside(F, emissions, axis=2), axis=0),
            F.expand_dims(_stacked(F, one, noises, sizes), axis=0),
            F.expand_dims(noise, axis=0),
            mean,
            _stacked(F, one, priors, sizes),
            directions,
            None,
        )

    def _covariance(self, part, variance, rank, taken):
        """The covariance that takes the place of a variance, which the component then lacks."""
        if not (type(rank) is int and 1 <= rank <= self.series):
            raise ValueError(
                f"{type(self).__name__}: the rank of {variance} is {rank!r}, expected an integer "
                f"from 1 to {self.series}."
            )
        own = part._reg_params.pop(variance)
        part.params._params.pop(own.name)
        name = variance.replace("variance", "covariance")
        name = name if name not in taken else f"{part.label}_{len(taken)}_{name}"
        taken.append(name)
        value = float(own.value()[0])
        parameter = covariance_parameter(self, name, value, self.series, rank)
        setattr(self, name, parameter)
        return parameter

    def _prior_factor(self, F, one, part, factors, values, identity):
        size = part.state_size
        if part.prior == "stationary":
            # What makes a stationary state vary is one disturbance.
            first = part.diffuse.index(False)
            name = next(name for state, name, _ in part._disturbances if state == first)
            return fn.kronecker(F, part.stationary_factor(F, one, **values), factors[name])
        deviations = np.diag(part._prior_deviations)
        if not deviations.any():
            return _zeros(F, one, size * self.series, 1)
        return fn.kronecker(F, matrix(F, one, deviations.tolist()), identity)

    def _diffuse_part(self, F, one, y, mask, variances):
        """Prior mean (B or 1, d) and directions, in sizes of each series, as `diffuse_part`."""
        means = [m for part in self.parts for m in part._prior_mean for _ in range(self.series)]
        prior_mean = F.reshape(matrix(F, one, [means]), shape=(1, -1))
        if not self._diffuse_states:
            return prior_mean, None
        y, count = fn.stop(F, y), F.sum(mask, axis=1)
        location = F.sum(y, axis=1) / F.maximum(count, fn.ones_like(F, count))
        level, begin = None, 0
        for part in self.parts:
            if level is None and part.level_state is not None:
                level = (begin + part.level_state) * self.series
            begin += part.state_size
        if level is not None:
            rows = np.eye(self.series, self.state_size, k=level).tolist()
            chosen = F.reshape(matrix(F, one, rows), shape=(self.series, -1))
            prior_mean = F.broadcast_add(prior_mean, F.dot(location, chosen))
        total = variances[0]
        for own in variances[1:]:
            total = total + own
        sizes = fn.stop(F, F.broadcast_add(F.sqrt(total), fn.zeros_like(F, location)))
        rows = [
            [float(j == state) for j in range(self.state_size)] for state in self._diffuse_states
        ]
        every = len(self._diffuse_states) // self.series
        columns = F.broadcast_mul(
            matrix(F, one, rows), F.expand_dims(F.tile(sizes, reps=(1, every)), 2)
        )
        return prior_mean, F.transpose(columns, axes=(0, 2, 1))


def _disturbances(F, one, part, factors):
    """G, (1, d p, Σ r): each disturbed state with the factor of its covariance."""
    columns = []
    for state, name, _ in part._disturbances:
        place = matrix(F, one, [[float(row == state)] for row in range(part.state_size)])
        columns.append(fn.kronecker(F, place, factors[name]))
    return beside(F, columns, axis=2) if columns else None


def _variances(F, factor):
    """The diagonal of L Lᵀ, (1, p), a constant."""
    return fn.stop(F, F.sum(F.square(factor), axis=2))


def _stacked(F, one, blocks, heights):
    """Blocks (1, m_i, n_i), None for no columns, on the diagonal of one array."""
    found, total, before = [], sum(heights), 0
    for block, height in zip(blocks, heights):
        if block is not None:
            pieces = []
            if before:
                pieces.append(_like_zeros(F, block, before))
            pieces.append(block)
            if total - before - height:
                pieces.append(_like_zeros(F, block, total - before - height))
            found.append(beside(F, pieces, axis=1))
        before += height
    return beside(F, found or [_zeros(F, one, total, 1)], axis=2)


def _like_zeros(F, block, height):
    """Zeros of so many rows, as wide as a block."""
    row = F.slice_axis(fn.zeros_like(F, block), axis=1, begin=0, end=1)
    return F.broadcast_axis(row, axis=1, size=height)


def _zeros(F, one, height, width) -> Array:
    return F.broadcast_axis(
        F.reshape(0.0 * one, shape=(1, 1, 1)), axis=(1, 2), size=(height, width)
    )
