"""The component base class, with its variances and priors, and sums of components."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union, cast

import numpy as np

from ... import functional as fn
from ...errors import ShapeError
from ...typing import Array, Namespace, hook
from ..base import LinearAlgebraBlock
from ..bounded import VARIANCE_FLOOR, BoundedParameter
from ..parameters import parameter_array, positive_parameter
from .arrays import beside, block_diagonal, element, matrix, ones_for

# 'diffuse', 'stationary', or means and standard deviations, one number each or one for each state.
Prior = Union[None, str, Sequence[Any]]


# Stored parameters of B models of one kind, (B, n), by component (None for the model) and name.
Stored = Mapping[Tuple[Optional["Component"], str], Array]


class System(NamedTuple):
    """The arrays of a component, see `Component`.

    >>> component = gl.structural.LocalLevel()
    >>> component.initialize()
    >>> [array.shape for array in component(mx.nd.zeros((1, 5)))]
    [(1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1), (1, 1), (1, 1, 1)]
    """

    transition: Array
    emission: Array
    process_factor: Array
    prior_mean: Array
    prior_factor: Array


class Component(LinearAlgebraBlock):
    """A part of a structural time series model, y_t = Σ_components H_t x_t + noise.

    x_{t+1} = A x_t + G η_t,  x_1 ~ N(m, S Sᵀ), or diffuse.

    Called with y (B, T), which gives dtype and device only, and with covariates (B or 1, T, k) if
    it is a regression, a component returns its `System`: transition A (1, 1, d, d); emission H
    (B or 1, T or 1, 1, d); process_factor G (1, 1, d, r), one column of zeros where nothing
    disturbs the state; prior_mean m (1, d) and prior_factor S (1, d, d), zero for the states that
    `diffuse` tells of. All of it is computed in float64, whatever the dtype of the block.

    Variances are learnable and named for their quantity; a variance of 0 (or None) makes no
    parameter: the quantity is deterministic. `prior` is 'diffuse', 'stationary' where states
    have a stationary distribution, a pair (mean, standard deviations), each one number or one for
    each state, or None: stationary where possible, else diffuse. `label` names the
    contribution in `StructuralModel.decompose`. ``+`` makes sums.

    A subclass calls `_disturb` and `_set_prior` and implements `transition`, `emission` and, if
    it has one, `stationary_factor`.

    Raises ShapeError, DtypeError, ValueError for options that are none. Harvey 1989, chapter 2.

    >>> component = gl.structural.LocalLinearTrend()
    >>> component.initialize()
    >>> transition, *_ = component(mx.nd.zeros((1, 5)))
    >>> print(transition.asnumpy()[0, 0])
    [[1. 1.]
     [0. 1.]]
    """

    arguments = (("y", "B T"), ("covariates", "C T k"))
    required = 1
    kind: Optional[str] = None
    features = 0
    # Whether coefficients of covariates change in time.
    drifts = False
    # Whether its emission has learned numbers.
    learns_emission = False
    # The state that takes the mean of y as its prior mean, if there is one.
    level_state: Optional[int] = None

    def __init__(self, state_size: int, label: Optional[str] = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.state_size = state_size
        self.label = cast(str, label or self.kind)
        # What messages call the states, and which are the coefficients of covariates.
        self.state_names = [f"state {k + 1}" for k in range(state_size)]
        self.is_coefficient: Tuple[bool, ...] = (False,) * state_size
        self._disturbances: List[Tuple[int, str, int]] = []
        self._dtype = "float32"

    @property
    def noise_size(self) -> int:
        """r, the number of disturbances, also 0."""
        return len(self._disturbances)

    def hybrid_forward(
        self, F: Namespace, y: Array, covariates: Optional[Array] = None, **stored: Array
    ) -> Tuple[Array, ...]:
        y = F.cast(y, "float64")
        covariates = None if covariates is None else F.cast(covariates, "float64")
        return tuple(F.cast(array, self._dtype) for array in self.system(F, y, covariates))

    def system(
        self,
        F: Namespace,
        like: Array,
        covariates: Optional[Array] = None,
        stored: Optional[Stored] = None,
    ) -> System:
        """The `System` inside a graph, on the device of `like` (B, T), float64 as all of it.

        stored: parameters of B models of this kind in place of its own; then all arrays of the
        system have B in place of their first 1.
        """
        one, values = ones_for(F, like, stored), self.values(F, like, stored)
        if self.prior == "stationary":
            prior_factor = self.stationary_factor(F, one, **values)
        else:
            prior_factor = matrix(F, one, np.diag(self._prior_deviations).tolist())
        return System(
            F.expand_dims(self.transition(F, one, **values), axis=1),
            self.emission(F, one, covariates, **values),
            F.expand_dims(self._process_factor(F, one, values), axis=1),
            F.reshape(matrix(F, one, [self._prior_mean]), shape=(-1, self.state_size)),
            prior_factor,
        )

    @hook
    def transition(self, F: Namespace, one: Array, **values: Array) -> Array:
        """A, (1, d, d)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement transition")

    def emission(
        self, F: Namespace, one: Array, covariates: Optional[Array], **values: Array
    ) -> Array:
        """H, (B or 1, T or 1, 1, d)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement emission")

    @hook
    def stationary_factor(self, F: Namespace, one: Array, **values: Array) -> Array:
        """A factor of the stationary covariance, (1, d, d), with zeros for diffuse states."""
        raise NotImplementedError(f"{type(self).__name__} does not implement stationary_factor")

    def values(
        self, F: Namespace, like: Array, stored: Optional[Stored] = None
    ) -> Dict[str, Array]:
        """Own parameters inside a graph by attribute name, (1, n) in natural units.

        A bounded one comes with 1 - value², named ``..._complement``. Of `stored` ones, (B, n).
        """
        found = {}
        for name, parameter in self._reg_params.items():
            given = None if stored is None else stored[self, name]
            own = stored_numbers(F, parameter, like, given)
            found[name] = parameter.natural(F, own)
            if isinstance(parameter, BoundedParameter):
                found[f"{name}_complement"] = parameter.complement(F, own)
        return found

    def variances(self, F: Namespace, like: Array, stored: Optional[Stored] = None) -> List[Array]:
        """The variances of the component inside a graph, a list of (1, n) or, `stored`, (B, n)."""
        values = self.values(F, like, stored)
        return [values[name] for name in sorted({name for _, name, _ in self._disturbances})]

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        if self.features != sizes.get("k", 0):
            raise ShapeError(
                f"{self.name}: got {sizes.get('k', 0)} covariates, expected {self.features}, one "
                "for each feature of the regressions."
            )

    def __add__(self, other: "Component") -> "Sum":
        return Sum(self, other) if isinstance(other, Component) else NotImplemented

    def _disturb(self, states, name, variance):
        """The parameter `name`, one variance for all of these states or one for each."""
        if variance is None or np.all(np.asarray(variance) == 0):
            return None
        parameter = positive_parameter(self, name, variance, VARIANCE_FLOOR)
        each = parameter.shape[0] > 1
        self._disturbances += [(s, name, i if each else 0) for i, s in enumerate(states)]
        return parameter

    def _process_factor(self, F, one, values):
        rows = [[0.0] * max(1, self.noise_size) for _ in range(self.state_size)]
        for column, (state, name, index) in enumerate(self._disturbances):
            rows[state][column] = F.sqrt(element(F, values[name], index))
        return matrix(F, one, rows)

    def _set_prior(self, prior, stationary=()):
        """Reads `prior`; stationary: the states that have a stationary distribution."""
        self._prior_mean = self._prior_deviations = [0.0] * self.state_size
        if prior is None:
            prior = "stationary" if stationary else "diffuse"
        if not (isinstance(prior, str) and prior in ("diffuse", "stationary")):
            self._prior_mean, self._prior_deviations = self._known_prior(prior)
            self.prior, self.diffuse = "known", (False,) * self.state_size
            return
        if prior == "stationary" and not stationary:
            raise ValueError(
                f"{self.name}: prior is 'stationary', but this process has no stationary "
                "distribution; use 'diffuse' or a pair (mean, standard deviations)."
            )
        self.prior = prior
        settled = stationary if prior == "stationary" else ()
        self.diffuse = tuple(state not in settled for state in range(self.state_size))

    def _known_prior(self, prior):
        try:
            mean, deviations = (
                np.broadcast_to(np.asarray(part, dtype="float64"), (self.state_size,))
                for part in prior
            )
            understood = np.isfinite(mean).all() and np.isfinite(deviations).all()
        except (TypeError, ValueError):
            understood = False
        if not (understood and (deviations >= 0).all()):
            raise ValueError(
                f"{self.name}: prior is {prior!r}, expected 'diffuse', 'stationary' or a pair "
                f"(mean, standard deviations), each one number or {self.state_size} numbers, the "
                "deviations not below 0."
            )
        return mean.tolist(), deviations.tolist()


class Sum(Component):
    """Several components, y_t = Σ_i H_i x_i: independent states in the order of the components.

    Made by ``+``; sums of sums are flat, and several components of a kind are allowed. The
    columns of the covariates belong to the regressions in their order.

    Harvey 1989, chapter 2.

    >>> components = gl.structural.LocalLevel() + gl.structural.Seasonal(4)
    >>> components.state_size
    4
    """

    kind = "sum"

    def __init__(self, *components: Component, **kwargs: Any) -> None:
        components = _flatten(components)
        super().__init__(sum(c.state_size for c in components), **kwargs)
        self.components = components
        for component in components:
            self.register_child(component)
        self.features = sum(c.features for c in components)
        self.required = 2 if self.features else 1
        self.diffuse = tuple(d for c in components for d in c.diffuse)
        self.is_coefficient = tuple(f for c in components for f in c.is_coefficient)
        self.drifts = any(c.drifts for c in components)
        levels = [o + c.level_state for c, o in self.offsets() if c.level_state is not None]
        self.level_state = levels[0] if levels else None

    @property
    def noise_size(self) -> int:
        return sum(c.noise_size for c in self.components)

    def offsets(self) -> List[Tuple[Component, int]]:
        """Pairs of a component and the number of its first state."""
        starts = np.cumsum([0] + [c.state_size for c in self.components]).tolist()
        return list(zip(self.components, starts))

    def labels(self) -> List[str]:
        """One name for each component: its label, numbered where several have the same."""
        names = []
        for component in self.components:
            count, name = 1, component.label
            while name in names:
                count += 1
                name = f"{component.label}_{count}"
            names.append(name)
        return names

    def system(
        self,
        F: Namespace,
        like: Array,
        covariates: Optional[Array] = None,
        stored: Optional[Stored] = None,
    ) -> System:
        one, parts, column = ones_for(F, like, stored), [], 0
        for component in self.components:
            own = None
            if component.features:
                last = column + component.features
                own = F.slice_axis(covariates, axis=2, begin=column, end=last)
                column = last
            parts.append(component.system(F, like, own, stored))
        steps = None
        if self.features:
            steps = fn.zeros_like(F, F.slice_axis(covariates, axis=2, begin=0, end=1))
            steps = F.expand_dims(steps, axis=3)
        transitions = [F.squeeze(part.transition, axis=1) for part in parts]
        noises = [F.squeeze(part.process_factor, axis=1) for part in parts]
        heights = [c.state_size for c in self.components]
        widths = [c.noise_size for c in self.components]
        return System(
            F.expand_dims(block_diagonal(F, one, transitions, heights, heights), axis=1),
            beside(F, [part.emission for part in parts], axis=3, spread=steps),
            F.expand_dims(block_diagonal(F, one, noises, heights, widths), axis=1),
            beside(F, [part.prior_mean for part in parts], axis=1),
            block_diagonal(F, one, [part.prior_factor for part in parts], heights, heights),
        )

    def variances(self, F: Namespace, like: Array, stored: Optional[Stored] = None) -> List[Array]:
        return [variance for c in self.components for variance in c.variances(F, like, stored)]


def stored_numbers(F: Namespace, parameter: Any, like: Array, given: Optional[Array]) -> Array:
    """What a parameter stores inside a graph, (1, n) in float64; `given`, (B, n), in its place."""
    if given is not None:
        return given
    return F.reshape(F.cast(parameter_array(F, parameter, like), "float64"), shape=(1, -1))


def _flatten(components):
    flat = []
    for component in components:
        if not isinstance(component, Component):
            raise TypeError(f"{component!r} is not a component of gluon_linalg.structural.")
        flat.extend(component.components if type(component) is Sum else [component])
    return flat
