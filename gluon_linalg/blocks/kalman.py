"""The Kalman filter as a layer, and what its relatives share (Seeger et al. 2017, section 2.3).

One model for all of them:

    x_1 ~ N(m, S Sᵀ),   y_t = H_t x_t + d_t + D_t ε_t,   x_{t+1} = A_t x_t + b_t + G_t η_t,

the prior being that of the state at the first observation, ε and η standard normal.
"""

import contextlib
from typing import Any, Iterator, List, Mapping, Optional, Tuple, Union

import mxnet as mx
import numpy as np

from .. import functional as fn
from .. import native
from ..errors import ShapeError
from ..typing import Array, Namespace, Rules, given, hook
from .base import LinearAlgebraBlock
from .kalman_prior import stationary_prior

Outputs = Union[Array, Tuple[Array, ...]]

METHODS = ("sequential", "parallel")
FORMS = ("square_root", "covariance")

SYSTEM = (
    ("transition", "B? T? d d"),
    ("emission", "B? T? p d"),
    ("process_factor", "B? T? d r"),
    ("observation_factor", "B? T? p q"),
    ("prior_mean", "B? d"),
    ("prior_factor", "B? d s"),
)
PRIOR = ("prior_mean", "prior_factor")
OPTIONS = (("mask", "B N p"), ("transition_offset", "B? T? d"), ("emission_offset", "B? T? p"))


class ScanningBlock(LinearAlgebraBlock):
    """A block with scans, which are built for one T: that of y, its first argument, at each call.

    A graph is compiled anew for another T. Where the block is inside the graph of another one,
    which gives it symbols without shapes, its layers need their `length`.
    """

    def _open_scans(self) -> List["KalmanLayer"]:
        """The layers that take their T from y."""
        raise NotImplementedError(f"{type(self).__name__} does not implement _open_scans")

    @contextlib.contextmanager
    def tracing(self, *arrays: Optional[mx.nd.NDArray]) -> Iterator[None]:
        layers = self._open_scans()
        with super().tracing(*arrays):
            for layer in layers:
                layer._traced_length = given(arrays[0]).shape[1]
            try:
                yield
            finally:
                for layer in layers:
                    layer._traced_length = None

    def _pattern_of(self, args):
        length = args[0].shape[1] if self._open_scans() else None
        return (*super()._pattern_of(args), length)


class KalmanLayer(ScanningBlock):
    """What the layers of a linear-Gaussian state space model share.

    y: (B, T, p); transition A: (B, T, d, d); emission H: (B, T, p, d); process_factor G:
    (B, T, d, r); observation_factor D: (B, T, p, q); prior_mean m: (B, d); prior_factor S:
    (B, d, s); mask: (B, T, p), 1 where y is observed and 0 where it is not, whatever stands there;
    transition_offset b: (B, T, d); emission_offset d: (B, T, p). Any array but y and mask may have
    1 in place of B or T. The last three may be left out, or be None.

    state_size d, observation_size p. method: 'sequential', a loop over any T, or 'parallel', scans
    of depth O(log T), whose graph is for one T: `length`, or that of the y of a call, for each of
    which it is compiled anew. Inside the graph of another block a parallel layer needs its length.
    precision: 'float64' computes in float64 inside; results have the dtype of the block, float32 or
    what it was cast to.

    diffuse: q, the number of directions in which nothing is known of the first state. Then
    diffuse_directions D, (B or 1, d, q), stands after prior_factor, and x_1 = m + S ξ + D δ with a
    flat δ: the likelihood is -lim log p(y) + Σ_k log(κ_k |D_k| √2π) as δ_k ~ N(0, κ_k²) grows wide
    (of as many k as the data determine), exactly (`functional.diffuse`). The length of D_k changes
    only rounding; it is best of the size that the state may have there, or somewhat above.

    prior: 'known', or 'stationary' for that of a process which began long before y: prior_mean and
    prior_factor are no arguments then, and come from A, b and G of the first step
    (`kalman_prior.stationary_prior`; s is d). With diffuse directions all beside them is
    stationary.

    singular: 'refuse' raises where an innovation has no variance of its own (a sensor without noise
    that repeats another one); 'skip' passes over such an element, as the univariate treatment does:
    it counts as missing, and is an error only if it is not what it must be (`functional.certain`).

    A subclass implements `compute` for arrays in the dtype of the computation.
    """

    arguments: Rules = (("y", "B N p"),) + SYSTEM + OPTIONS
    required: int = 7
    # How many more steps than y the arrays of the system have.
    _further = 0
    # T while a graph is traced, where there is no length.
    _traced_length: Optional[int] = None

    def __init__(
        self,
        state_size: int,
        observation_size: int = 1,
        method: str = "sequential",
        length: Optional[int] = None,
        precision: Optional[str] = None,
        diffuse: int = 0,
        prior: str = "known",
        singular: str = "refuse",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._states = self._size("state_size", state_size)
        self._observations = self._size("observation_size", observation_size)
        if method not in METHODS:
            raise ValueError(f"{self.name}: method is {method!r}, expected one of {METHODS}.")
        if precision not in (None, "float64"):
            raise ValueError(
                f"{self.name}: precision is {precision!r}, expected 'float64' or None."
            )
        self._method, self._precision = method, precision
        if precision is not None:
            self._dtype = "float32"
        self._length = None if length is None else self._size("length", length)
        self._diffuse = self._size("diffuse", diffuse) if diffuse else 0
        if self._diffuse:
            place = 1 + len(SYSTEM)
            rules = self.arguments
            self.arguments = (*rules[:place], ("diffuse_directions", "B? d u"), *rules[place:])
            self.required = self.required + 1
        for value, choices, what in (
            (prior, ("known", "stationary"), "prior"),
            (singular, ("refuse", "skip"), "singular"),
        ):
            if value not in choices:
                raise ValueError(f"{self.name}: {what} is {value!r}, expected one of {choices}.")
        self._skips = singular == "skip"
        self._is_stationary = prior == "stationary"
        if self._is_stationary:
            # The columns of the prior factor are d.
            kept = [pair for pair in self.arguments if pair[0] not in PRIOR]
            self.arguments = tuple((k, "B d" if k == "prior_noise" else axes) for k, axes in kept)
            self.required = self.required - len(PRIOR)

    def hybrid_forward(self, F: Namespace, *arrays: Optional[Array]) -> Outputs:
        if self._precision is not None:
            arrays = tuple(a if a is None else F.cast(a, "float64") for a in arrays)
        results = self.results(F, *arrays)
        if self._precision is None:
            return results
        if not isinstance(results, tuple):
            return F.cast(results, self._dtype)
        return tuple(F.cast(result, self._dtype) for result in results)

    def results(self, F: Namespace, *arrays: Optional[Array]) -> Outputs:
        """The results inside a graph, also that of another block, in the dtype of the arrays."""
        own, options = self._completed(F, arrays)
        return self.compute(F, *own, **options)

    def _completed(self, F, arrays):
        """The arrays of `compute`, with the prior and the mask that the options ask for."""
        names = [name for name, _ in self.arguments]
        given = dict(zip(names, [*arrays, *[None] * (len(names) - len(arrays))]))
        directions = given.pop("diffuse_directions", None)
        if self._is_stationary:
            process = (given.get(k) for k in ("transition", "process_factor", "transition_offset"))
            found = dict(zip(PRIOR, stationary_prior(F, *process, directions, self.name)))
            place = len(SYSTEM) - 1
            pairs = list(given.items())
            given = dict([*pairs[:place], *found.items(), *pairs[place:]])
        if self._skips:
            given["mask"] = self._uncertain(F, given, directions)
        return list(given.values()), {} if directions is None else {"directions": directions}

    def _uncertain(self, F, given, directions):
        """The mask with 0 for what is certain."""
        arrays = [given[name] for name, _ in (*SYSTEM, *OPTIONS)]
        y, mask = given["y"], arrays[len(SYSTEM)]
        if self._further:
            future = F.tile(
                fn.zeros_like(F, F.slice_axis(y, axis=1, begin=0, end=1)),
                reps=(1, self._further, 1),
            )
            seen = fn.ones_like(F, y) if mask is None else mask
            y, arrays[len(SYSTEM)] = (F.concat(x, future, dim=1) for x in (y, seen))
        system = fn.state_space_system(F, y, *arrays, name=self.name)
        if directions is not None:
            joined = fn.with_directions(F, system, directions)
            system = system._replace(prior_factor=joined.prior_factor)
        found = fn.uncertain_mask(F, system, self._states, self._observations, self.name)
        return F.slice_like(found, given["y"], axes=(1,))

    @hook
    def compute(
        self, F: Namespace, *arrays: Optional[Array], directions: Optional[Array] = None
    ) -> Outputs:
        """The results, inside a graph; directions: D, where there are diffuse ones."""
        raise NotImplementedError(f"{type(self).__name__} does not implement compute")

    def _size(self, name, value):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{self.name}: {name} is {value!r}, expected an integer of 1 or more.")
        return int(value)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        for letter, expected, name in (
            ("d", self._states, "state_size"),
            ("p", self._observations, "observation_size"),
            ("u", self._diffuse, "diffuse"),
        ):
            if sizes.get(letter, 0) != expected:
                raise ShapeError(
                    f"{self.name}: {name} is {expected}, but the arrays have {sizes[letter]}."
                )
        steps = sizes["N"] + self._further
        if sizes.get("T", steps) != steps:
            raise ShapeError(
                f"{self.name}: {sizes['N']} observations need arrays for {steps} steps, or for 1; "
                f"got {sizes['T']}."
            )
        if self._length is not None and sizes["N"] != self._length:
            raise ShapeError(
                f"{self.name}: built for length={self._length}, got {sizes['N']} observations."
            )

    def _open_scans(self):
        return [self] if self._method == "parallel" and self._length is None else []

    def _scan_length(self, F, system):
        """The number of steps for scans, None for loops."""
        if self._method != "parallel":
            return None
        if self._length is not None:
            return self._length + self._further
        if F is mx.nd:
            return system.observed.shape[1]
        if self._traced_length is None:
            raise ShapeError(
                f"{self.name}: method='parallel' is built for one number of observations, which "
                "the graph of the network around it does not tell; give length=T, or use "
                "method='sequential', which takes any."
            )
        return self._traced_length + self._further

    def _system(self, F, y, *arrays, directions=None):
        system = fn.state_space_system(F, y, *arrays, name=self.name)
        return system if directions is None else fn.with_directions(F, system, directions)

    def _filter(self, F, system, form="square_root"):
        return fn.kalman_filter(
            F,
            system,
            self._states,
            self._observations,
            form,
            self._scan_length(F, system),
            self.name,
        )

    def _backward(self, F, system, filtered):
        return fn.backward_pass(F, system, filtered, self._states, self._scan_length(F, system))

    def _moments_of(self, F, wanted, *arrays, **options):
        """`native_moments`, which refuse what the method cannot do without native operators."""
        regular = self._method == "parallel"
        return fn.native_moments(F, wanted, *arrays, regular=regular, **options)

    def _tangents(self, F, system, filtered):
        return fn.MomentTangents(F, system, filtered, self._scan_length(F, system))


class KalmanFilterLayer(KalmanLayer):
    """Negative log marginal likelihood of a state space model, -log p(y_1, ..., y_T), (B,).

    With `moments` also the filtered mean E[x_t | y_1..y_t], (B, T, d), and covariance (B, T, d, d);
    with moments='factor' a lower factor of the covariance in its place, which keeps in float32 what
    the covariance cannot hold, and is a constant.
    The gradient comes from one backward recursion (`functional.kalman_score`): no loop is
    differentiated, and singular Q = G Gᵀ, R = D Dᵀ and S Sᵀ are as good as any.

    Arguments as in `KalmanLayer`. form: 'square_root', or 'covariance', which is faster for many
    small systems in float64 and loses its precision where variances differ by more than 1/ε.
    In C++ (`use_backend`) one operator in square-root form, a loop over time, computes the
    likelihood without moments whatever method and form are: they choose what an exported graph,
    and MXNet's operators, do.

    Raises SingularMatrixError where an observation has no variance of its own, NonFiniteError,
    ShapeError, DtypeError.

    >>> arrays = gl.kalman_arrays([0.0], 1.0, 1.0, 1.0, 1.0, 0.0, 1.0)  # y, A, H, Q, R, m, P
    >>> round(gl.KalmanFilterLayer(1)(**arrays).asnumpy().item(), 4)  # ½ log 2π·2
    1.2655
    """

    # Names of arguments that are constants to whoever calls: work for their gradients may be left
    # out, and they are 0 then.
    constants: Tuple[str, ...] = ()

    def __init__(
        self,
        state_size: int,
        observation_size: int = 1,
        method: str = "sequential",
        length: Optional[int] = None,
        form: str = "square_root",
        moments: Union[bool, str] = False,
        precision: Optional[str] = None,
        diffuse: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(state_size, observation_size, method, length, precision, diffuse, **kwargs)
        if form not in FORMS:
            raise ValueError(f"{self.name}: form is {form!r}, expected one of {FORMS}.")
        if form == "covariance" and method == "parallel":
            raise ValueError(f"{self.name}: form='covariance' has no parallel method.")
        if moments not in (False, True, "factor") or (moments == "factor" and form != FORMS[0]):
            raise ValueError(
                f"{self.name}: moments is {moments!r}, expected True, False or, in the square-root "
                "form, 'factor'."
            )
        if moments == "factor" and diffuse:
            raise ValueError(
                f"{self.name}: moments='factor' is given for a known prior; with diffuse "
                "directions use moments=True."
            )
        self._form, self._moments = form, moments

    def compute(
        self,
        F: Namespace,
        y: Array,
        *arrays: Optional[Array],
        directions: Optional[Array] = None,
    ) -> Outputs:
        if directions is not None and self._moments:
            return self._diffuse_moments(F, y, *arrays, directions=directions)
        if not native.applies(F, y):
            return self._passes(F, y, *arrays, directions=directions)
        likelihood = fn.native_likelihood(
            F,
            y,
            *arrays,
            directions=directions,
            parallel=self._method == "parallel",
            explain=lambda: self._passes(F, y, *arrays, directions=directions),
            name=self.name,
            constants=self.constants,
        )
        if not self._moments:
            return likelihood
        wanted = ("filtered", "factor") if self._moments == "factor" else ("filtered",)
        found = self._moments_of(F, wanted, y, *arrays)
        if found is None:
            return self._passes(F, y, *arrays)
        spread = found.filtered_covariance if self._moments is True else found.filtered_factor
        return likelihood, found.filtered_mean, spread

    def _passes(self, F, y, *arrays, directions=None):
        """The results by a pass of the filter and one back."""
        system = self._system(F, y, *arrays, directions=directions)
        filtered, value = self._filter(F, system, self._form)
        smoothed = self._backward(F, system, filtered)
        likelihood = fn.scored_likelihood(F, system, value, filtered, smoothed)
        if not self._moments:
            return likelihood
        tangents = self._tangents(F, system, filtered)
        mean = fn.filtered_mean(F, filtered)
        covariance = fn.filtered_covariance(F, filtered, self._observations)
        change = tangents.filtered_moments(covariance)
        spread = F.broadcast_add(change.covariance, covariance)
        if self._moments == "factor":
            factor = fn.filtered_factor(F, filtered.roots, self._observations)
            spread = F.broadcast_add(factor, fn.zeros_like(F, spread))
        return likelihood, vectors(F, mean + change.mean), fn.batch_first(F, spread)

    def _diffuse_moments(self, F, y, *arrays, directions):
        """Those of what is known at each time of δ; variances are inf where that is not all."""
        system = self._system(F, y, *arrays, directions=directions)
        sizes, length = (self._states, self._observations), self._scan_length(F, system)
        views = fn.KalmanViews(F, system, None, sizes, length, self.name)
        smoothed = self._backward(F, system, views.pass_)
        likelihood = fn.scored_likelihood(F, system, views.value, views.pass_, smoothed)
        mean, spread = views.filtered.mean, views.filtered.covariance
        return likelihood, vectors(F, mean), fn.batch_first(F, spread)

    def open_states(self, *arrays: mx.nd.NDArray) -> mx.nd.NDArray:
        """1 for the elements of the first state that the data leave open, else 0, (B, d).

        Arguments as in a call, all of them NDArrays; for layers with diffuse directions.
        """
        own, options = self._completed(mx.nd, arrays)
        system = self._system(mx.nd, *own, **options)
        filtered, _ = self._filter(mx.nd, system)
        return fn.left_open(mx.nd, system.prior_mean, filtered.settlement).squeeze(axis=(0, 1, 4))


def vectors(F: Namespace, x: Array) -> Array:
    """(1, T, B, d, 1) as (B, T, d)."""
    return F.squeeze(fn.batch_first(F, x), axis=3)
