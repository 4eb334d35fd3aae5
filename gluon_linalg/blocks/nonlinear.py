"""Filters of state space models whose transition and emission are any HybridBlocks.

    x_1 ~ N(m, S Sᵀ),   y_t = h(x_t, v_t) + D_t ε_t,   x_{t+1} = f(x_t, u_t) + G_t η_t,

or y_t ~ p(y | h(x_t, v_t)) with a likelihood of `blocks.likelihoods`. The filter brings f and h to
affine functions where the state is likely to be (`functional.sigma_points`), in square-root form.
"""

import contextlib
from functools import partial
from itertools import count
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple, Union

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import ShapeError
from ..functional import linearization
from ..functional.recursion import for_each_with
from ..functional.sigma_points import Points, Rule, sigma_rule
from ..typing import Array, Namespace, Rules
from ..typing import given as known
from .casting import dtype_name
from .kalman import KalmanLayer, Outputs
from .likelihoods import Likelihood
from .nonlinear_calls import Calls, Model, apart, over_all_times, over_batches, squared

NOISE = ("observation_factor", "B? T? p q")
ARGUMENTS: Rules = (
    ("y", "B N p"),
    ("process_factor", "B? T? d r"),
    NOISE,
    ("prior_mean", "B? d"),
    ("prior_factor", "B? d s"),
    ("mask", "B N p"),
    ("transition_input", "B? T? k"),
    ("emission_input", "B? T? l"),
)


class NonlinearLayer(KalmanLayer):
    """What the layers of a nonlinear state space model share.

    y: (B, T, p); process_factor G: (B, T, d, r); observation_factor D: (B, T, p, q); prior_mean m:
    (B, d); prior_factor S: (B, d, s); mask: (B, T, p), 1 where y is observed and 0 where not;
    transition_input u: (B, T, k); emission_input v: (B, T, l), known numbers beside the state. Any
    array but y and mask may have 1 in place of B or T. The last three may be left out, or be None.

    transition f, emission h: HybridBlocks, the layer's children, which are called on points (R, d)
    for any number of rows R, where there are inputs on (R, d) and (R, k), and give (R, d) and
    (R, p). They may have no memory from row to row (batch normalization). state_size d,
    observation_size p.

    rule: 'cubature', 'unscented', 'gauss_hermite' or 'extended', or a `Cubature`, `Unscented`,
    `GaussHermite` or `Extended` with its options. For 'extended' the blocks return their value and
    their Jacobian, (R, d) and (R, d, d), (R, p) and (R, p, d).

    likelihood: None, or what y is given h(x), element by element: `Poisson`, `Bernoulli`,
    `NegativeBinomial`, `StudentT` ... There is no observation_factor then; y is treated by its
    mean and variance given x.

    updates: how often each update is repeated about the state that it found (iterated posterior
    linearization, García-Fernández et al. 2015; with 'extended' the iterated extended filter);
    step: how far towards that state, above 0 and at most 1.

    One graph is for any T: a loop. With length=T it is unrolled for this T, which is faster where T
    is small, and takes long to compile where it is large. Blocks that were loaded from files
    (`SymbolBlock`) are always unrolled, and need their length inside the graph of another block.

    Where f and h are affine, all results are those of the Kalman layers.
    """

    # A graph for them calls the blocks before the loop, where oneDNN may not be.
    shapes_need_a_graph = True
    # The dtype of a call, and of one while a graph is traced; None where nobody knows it.
    outer: Optional[str] = None
    _traced_dtype: Optional[str] = None

    def __init__(
        self,
        transition: mx.gluon.HybridBlock,
        emission: mx.gluon.HybridBlock,
        state_size: int,
        observation_size: int = 1,
        rule: Union[str, Rule] = "cubature",
        likelihood: Optional[Likelihood] = None,
        updates: int = 0,
        step: float = 1.0,
        length: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(state_size, observation_size, length=length, **kwargs)
        for block, what in ((transition, "transition"), (emission, "emission")):
            if not isinstance(block, mx.gluon.HybridBlock):
                raise TypeError(
                    f"{self.name}: {what} is a {type(block).__name__}, expected a HybridBlock."
                )
        self._rule = sigma_rule(rule, self._states, self.name)
        self._updates = self._count("updates", updates)
        if isinstance(step, bool) or not isinstance(step, (int, float)) or not 0 < step <= 1:
            raise ValueError(
                f"{self.name}: step is {step!r}, expected a number above 0, at most 1."
            )
        self._step = float(step)
        self._checked: Set[Any] = set()
        if likelihood is not None:
            self._check_likelihood(likelihood)
        self.transition, self.emission, self.likelihood = transition, emission, likelihood
        # What is loaded from files is no part of the body of MXNet's loop.
        self._is_unrolled = any(_has_files(block) for block in (transition, emission))
        self.arguments = tuple(a for a in ARGUMENTS if likelihood is None or a is not NOISE)
        self.required = len(self.arguments) - 3

    def _count(self, name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            raise ValueError(f"{self.name}: {name} is {value!r}, expected an integer, 0 or more.")
        return int(value)

    def _check_likelihood(self, likelihood: Any) -> None:
        if not isinstance(likelihood, Likelihood):
            raise TypeError(
                f"{self.name}: likelihood is a {type(likelihood).__name__}, expected a Likelihood "
                "such as gl.likelihoods.Poisson()."
            )
        if likelihood.latents != 1 or likelihood.needs_inputs:
            raise ValueError(
                f"{self.name}: {type(likelihood).__name__} needs more of each observation than one "
                "number; expected a likelihood of one latent value."
            )
        if not self._rule.has_points:
            raise ValueError(
                f"{self.name}: a likelihood needs a rule with points: use rule='cubature', "
                "'unscented' or 'gauss_hermite'."
            )

    def _check(self, args: Any) -> None:
        super()._check(args)
        given = dict(zip((name for name, _ in self.arguments), args))
        # What the blocks give depends on these alone, and they are called for it.
        inputs = (given.get("transition_input"), given.get("emission_input"))
        kind = (
            given["y"].dtype,
            given["y"].context,
            *(x is not None and x.shape[2] for x in inputs),
        )
        if kind not in self._checked:
            Calls(self, mx.nd, None).check(given["y"], given)
            self._checked.add(kind)

    def results(self, F: Namespace, *arrays: Optional[Array]) -> Outputs:
        """The results inside a graph, also that of another block."""
        self.outer = known(arrays[0]).dtype if F is mx.nd else self.dtype or self._traced_dtype
        found = self._results(F, self._arrays(F, arrays))
        if isinstance(found, tuple):
            return tuple(self.cast_from(F, x) for x in found)
        return self.cast_from(F, found)

    def cast_to(self, F: Namespace, x: Array) -> Array:
        """x in the dtype of the computation.

        That is float64, in which oneDNN computes nothing: MXNet's loop does not wait for what goes
        in, and resets what oneDNN keeps with memory that it is to write to (`for_each`). In the
        graph of a network around a layer whose blocks have no parameters it is that of the arrays,
        which nobody knows there.
        """
        return x if self.outer is None else F.cast(x, dtype="float64")

    def cast_from(self, F: Namespace, x: Array) -> Array:
        """x in the dtype of the arrays and of the blocks."""
        return x if self.outer is None else F.cast(x, dtype=self.outer)

    @contextlib.contextmanager
    def tracing(self, *arrays: Optional[mx.nd.NDArray]) -> Iterator[None]:
        with super().tracing(*arrays):
            self._traced_dtype = dtype_name(known(arrays[0]).dtype)
            try:
                yield
            finally:
                self._traced_dtype = None

    def _pattern_of(self, args):
        return (*super()._pattern_of(args), dtype_name(args[0].dtype))

    def _results(self, F: Namespace, given: Dict[str, Any]) -> Outputs:
        raise NotImplementedError(f"{type(self).__name__} does not implement _results")

    def _arrays(self, F: Namespace, arrays: Tuple[Optional[Array], ...]) -> Dict[str, Any]:
        """The arrays of a call by their names, y and mask with the steps ahead."""
        names = [name for name, _ in self.arguments]
        given: Dict[str, Any] = dict.fromkeys(names)
        for name, x in zip(names, arrays):
            given[name] = None if x is None else self.cast_to(F, x)
        if self._further:
            y, mask = given["y"], given["mask"]
            first = fn.zeros_like(F, F.slice_axis(y, axis=1, begin=0, end=1))
            future = F.tile(first, reps=(1, self._further, 1))
            seen = fn.ones_like(F, y) if mask is None else mask
            given.update(y=F.concat(y, future, dim=1), mask=F.concat(seen, future, dim=1))
        return given

    def _open_scans(self):
        return [self] if self._is_unrolled and self._length is None else []

    def _steps(self) -> Optional[int]:
        """How many times there are, those ahead included, where the loop is unrolled in a graph."""
        length = self._traced_length if self._length is None else self._length
        if length is None and self._is_unrolled:
            raise ShapeError(
                f"{self.name}: the loop over time is unrolled where 'transition' or 'emission' "
                "comes from files; the graph of the network around it does not tell for how many "
                "observations; give length=T."
            )
        return None if length is None else length + self._further

    def _pass(self, F: Namespace, given: dict, *wanted: str) -> List[Array]:
        """What the filter says of each time, (1, T, B, m, n), with that of the steps ahead.

        wanted: 'log_likelihood' (1, 1), 'predicted', 'filtered' or 'about', that about which the
        emission was brought to an affine function: [mean, lower factor] (d, 1 + d).
        """
        model, (mean, factor) = over_all_times(F, given, self.likelihood, self.name)
        points = self._points(F, F.squeeze(factor, axis=(0, 1)))
        constants: Any = () if points is None else points[:3]
        times = count()

        def body(
            arrays: List[Array], state: Array, constants: List[Array]
        ) -> Tuple[List[Array], Array]:
            own = None if points is None else Points._make([*constants, points.size])
            calls, step = Calls(self, F, own), model.at(F, arrays)
            found = self._updated(F, calls, step, next(times), *apart(F, state))
            found["predicted"] = state
            mean, factor = apart(F, found["filtered"])
            moved = calls.transition(mean, factor, step.transition_input)
            following = linearization.predicted(F, moved, step.process_factor, self.name)
            return [found[name] for name in wanted], F.concat(*following, dim=2)

        blocks = [b for b in (self.transition, self.emission, self.likelihood) if b is not None]
        parameters = {p.name: p for block in blocks for p in block.collect_params().values()}
        first = F.concat(mean, factor, dim=4)
        if F is not mx.nd and any(p._deferred_init for p in parameters.values()):
            # Whose shapes no graph finds through a loop.
            first_moments = (F.squeeze(x, axis=(0, 1)) for x in (mean, factor))
            nothing = Calls(self, F, points).nothing(model, *first_moments)
            first = F.broadcast_add(first, F.reshape(nothing, shape=(1, 1, 1, 1, 1)))
        return for_each_with(
            F,
            body,
            model.arrays(),
            first,
            constants,
            parameters.values(),
            self._steps(),
            partial(self.cast_to, F),
        )

    def _points(self, F: Namespace, factor: Array) -> Optional[Points]:
        """The points of the rule, in the dtype of a factor (R, d, d)."""
        return self._rule.points(F, factor, self._states) if self._rule.has_points else None

    def _updated(
        self, F: Namespace, calls: Calls, step: Model, time: int, mean: Array, factor: Array
    ) -> Dict[str, Array]:
        """The state given y_t, linearized `updates` times more, and the rest as in `_pass`."""
        shift = spread = None
        about, wide = mean, factor
        for k in range(self._updates + 1):
            observation, variance = calls.emission(about, wide, step.emission_input)
            found = linearization.updated(
                F,
                observation,
                spread,
                shift,
                step.observed,
                known(step.observation_factor if variance is None else variance),
                step.mask,
                self._observations,
                time,
                self.name,
                self.likelihood is None,
            )
            if k < self._updates:
                change = found.shift if shift is None else found.shift - shift
                shift = self._step * change if shift is None else shift + self._step * change
                spread = found.spread
                about = mean + fn.product(F, factor, shift)
                wide = fn.product(F, factor, spread)
        value = found.log_likelihood
        if self.likelihood is not None:
            density = calls.log_density(mean, factor, step)
            value = linearization.log_evidence(F, density, found, calls.points)
        after = mean + fn.product(F, factor, found.shift), fn.product(F, factor, found.spread)
        return {
            "log_likelihood": F.reshape(value, shape=(-1, 1, 1)),
            "filtered": F.concat(*after, dim=2),
            "about": F.concat(about, wide, dim=2),
        }


class NonlinearFilterLayer(NonlinearLayer):
    """Negative log likelihood of a nonlinear state space model, -Σ_t log p(y_t | y_1..y_{t-1}).

    (B,), or with `per_step` that of each step, (B, T). With `moments` also the filtered mean,
    (B, T, d), and covariance, (B, T, d, d); with moments='factor' a lower factor of it instead.

    The density of y_t is normal, with the mean and the variance of the last linearization; with a
    `likelihood` it is ∫ p(y_t | x) N(x) dx by the rule about the updated state, exact up to the
    rule for a normal x. Everything is differentiable. Arguments, model (transition, emission,
    state_size, observation_size) and its options (rule, likelihood, updates, step, length) as in
    `NonlinearLayer`.

    Raises SingularMatrixError where an observation has no variance of its own, NonFiniteError,
    ShapeError, DtypeError, ValueError for a rule with negative weights or too many points.

    >>> same = mx.gluon.nn.HybridLambda(lambda F, x: 1.0 * x)
    >>> one = mx.nd.ones((1, 1, 1, 1))
    >>> loss = gl.NonlinearFilterLayer(same, same, 1)
    >>> loss(mx.nd.zeros((1, 1, 1)), one, one, mx.nd.zeros((1, 1)), one[0]).asnumpy().round(4)
    array([1.2655], dtype=float32)
    """

    def __init__(
        self,
        *model: Any,
        moments: Union[bool, str] = False,
        per_step: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*model, **options)
        if moments not in (False, True, "factor"):
            raise ValueError(
                f"{self.name}: moments is {moments!r}, expected True, False or 'factor'."
            )
        self._moments, self._per_step = moments, bool(per_step)

    def _results(self, F: Namespace, given: Dict[str, Any]) -> Outputs:
        wanted = ("log_likelihood", "filtered")[: 2 if self._moments else 1]
        found, *moments = self._pass(F, given, *wanted)
        likelihood = -F.squeeze(fn.batch_first(F, found), axis=(2, 3))
        if not self._per_step:
            likelihood = F.sum(likelihood, axis=1)
        if not self._moments:
            return likelihood
        mean, factor = over_batches(F, moments[0])
        return likelihood, mean, factor if self._moments == "factor" else squared(F, factor)


def _has_files(block: mx.gluon.Block) -> bool:
    parts = (block, *block._children.values())
    return isinstance(block, mx.gluon.SymbolBlock) or any(map(_has_files, parts[1:]))
