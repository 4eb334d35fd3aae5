"""Fits the parameters of a block whose output is a loss."""

import contextlib
import sys
import warnings
from typing import Any, Callable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from ..blocks.explaining import called_as_before
from ..blocks.parameters import PositiveParameter
from ..errors import NonFiniteError, listing
from . import optimizer_state
from .beginning import begin, step_units, stuck
from .descent import LIMIT, Bounds, Descent
from .loss import Loss
from .result import FitResult, Progress
from .steps import NotFinite, NotFiniteAtFirst, steps

LBFGS = "lbfgs"
# So many times the size of the loss, and the tolerance is a share of the fall and not of the loss.
FALL = 100.0

Callback = Callable[[Progress], Any]


def fit(
    layer: mx.gluon.Block,
    *arrays: Any,
    method: Union[str, mx.optimizer.Optimizer] = LBFGS,
    iterations: int = 500,
    tolerance: float = 1e-10,
    gradient_tolerance: float = 1e-5,
    learning_rate: Optional[float] = None,
    bounds: Optional[Mapping[str, Tuple[Optional[float], Optional[float]]]] = None,
    restarts: int = 0,
    spread: float = 1.0,
    seed: int = 0,
    patience: Optional[int] = None,
    objective: Optional[Callable[..., mx.nd.NDArray]] = None,
    callbacks: Sequence[Callback] = (),
    progress: Optional[bool] = None,
    **keywords: Any,
) -> FitResult:
    """The parameters θ that minimize Σ_b layer(*arrays)_b, left in the layer: a `FitResult`.

    layer: an initialized block whose output is a loss of any shape, such as every `*Layer` of this
    package and `StructuralModel`; it is compiled while it is fitted. arrays, keywords: its
    arguments, as NDArrays, NumPy arrays or what `numpy.asarray` takes (pandas), for blocks of this
    package with or without the batch axis; NaN in the y of a state space model is missing, and so
    is what a masked array hides; columns of a DataFrame are series where one axis is theirs. With a
    Gluon optimizer the only one may be a `DataLoader`, which gives the arrays of each iteration in
    turn.

    method: 'lbfgs' (SciPy's L-BFGS-B on all data, with float64 parameters in mind), or the name of
    a Gluon optimizer or one itself, with its `learning_rate`. iterations: the most of them;
    tolerance: 'lbfgs' stops where an iteration lowers the loss by less than this share of it;
    gradient_tolerance: or where no element of the gradient is larger; patience: stop after so many
    iterations without a lower loss.
    bounds: {name: (lowest, highest)} in natural units, for 'lbfgs'; names as in the result, such as
    'kernel.lengthscale'. restarts: how many more starts are tried, drawn around the first with
    standard deviation `spread` in stored units (logarithms, for positive parameters); the lowest
    loss counts. objective: takes (layer, *arrays) to the loss in place of the layer's sum, as with
    a penalty or priors. callbacks: each is called with a `Progress` after every iteration, and
    ends the search by returning True. progress: a bar; None for one on a terminal.

    Ctrl-C ends the search as well; the layer has the best point found. Raises what the layer raises
    at the start, NonFiniteError where its loss is not finite there, UnidentifiedError where nothing
    is observed, or no more than initial values take, ShapeError, ValueError, TypeError.

    >>> layer = gl.BLRLikelihoodLayer()
    >>> layer.initialize()
    >>> layer.cast("float64")
    >>> x = np.linspace(0, 1, 20)
    >>> phi, y = np.stack([np.ones(20), x], axis=1), 1.0 + 2.0 * x + 0.1 * np.cos(50 * x)
    >>> result = gl.fit(layer, phi, y)
    >>> result.converged, sorted(result.parameters)
    (True, ['noise_variance', 'prior_variance'])
    """
    _check(method, iterations, restarts, bounds, learning_rate)
    loss = Loss(layer, arrays, keywords, objective)
    if method != LBFGS and restarts:
        raise ValueError("fit: restarts are for method='lbfgs'.")
    with mx.autograd.pause(), compiled(layer):
        begin(loss)
        start = loss.vector()
        first = loss.at(start)[0]
        if not np.isfinite(first):
            raise NonFiniteError("fit: the loss is not a finite number at the initial values.")
        run, limits = _Run(loss, start, first, iterations, patience, callbacks, progress), None
        with contextlib.closing(run):
            if method != LBFGS:
                converged, message = run.by_optimizer(method, learning_rate)
            else:
                limits = _stored_bounds(loss, bounds)
                starts = [start, *_drawn(start, restarts, spread, seed)]
                converged, message = run.by_descent(starts, limits, tolerance, gradient_tolerance)
    ends = stuck(loss, run.best)
    if ends:
        message = (
            f"{listing(ends)} at the lower end of its range: give y in larger units, or initial "
            "values of its size"
        )
        warnings.warn(f"fit: not converged: {message}.", stacklevel=2)
        converged = False
    found = run.best, run.best_loss, first, run.curve, converged, message
    return FitResult(layer, loss, *found, limits=limits)


class _Noisy:
    """The loss as in training, with dropout, and of the next batch of a `DataLoader`."""

    def __init__(self, loss: Loss) -> None:
        self.vector, self.set_vector, self._loss = loss.vector, loss.set_vector, loss

    def evaluate(self, iteration: int) -> float:
        return self._loss.evaluate(is_noisy=True)[0]


class _Stop(Exception):
    """Ends a search, with a message."""


class _Run:
    """One search with its starts: the best point, the curve, and who is told of it."""

    def __init__(self, loss, start, first, iterations, patience, callbacks, progress):
        self.loss, self.iterations, self.patience = loss, iterations, patience
        self.best, self.best_loss, self.curve = start, first, [first]
        self._callbacks, self._bar, self._since = callbacks, None, 0
        if sys.stderr.isatty() if progress is None else progress:
            from tqdm import tqdm

            self._bar = tqdm(total=iterations, unit="it", file=sys.stderr, leave=False)

    def by_descent(self, starts, limits, tolerance, gradient_tolerance):
        """L-BFGS-B from each of the starts. (converged, message) of the lowest."""
        found, units = (False, LIMIT), _units(self.loss)
        limits = _divided(limits, units)
        for number, start in enumerate(starts):
            first = self.loss.at(start)[0] if number else self.best_loss
            if not np.isfinite(first):
                continue
            before = self.best_loss
            try:
                outcome = self._to_rest(start, first, units, limits, tolerance, gradient_tolerance)
            except (_Stop, KeyboardInterrupt) as reason:
                return False, str(reason) or "interrupted"
            if not number or self.best_loss < before:
                found = outcome
        return found

    def _to_rest(self, start, first, units, limits, tolerance, gradient_tolerance):
        """L-BFGS-B from one start, in units (n,) as the limits are. (converged, message)."""
        left = self.iterations
        while True:
            descent = Descent(
                lambda point: _in_units(self.loss.at(point * units), units),
                start / units, first, bounds=limits,
            )  # fmt: skip
            done = len(self.curve)
            try:
                outcome = descent.run(
                    left,
                    tolerance,
                    gradient_tolerance,
                    lambda value, own=descent: self._advance(own.best * units, value),
                )
            finally:
                self._keep(descent.best * units, descent.best_loss)
            left -= len(self.curve) - done
            # From far above the search goes on where it is, to what is a share of the loss.
            size = max(1.0, abs(descent.best_loss))
            is_coarse = first - descent.best_loss > FALL * size
            if not (outcome[0] and is_coarse and left > 0):
                return outcome
            start, first = descent.best * units, descent.best_loss

    def by_optimizer(self, method, learning_rate):
        """Steps of a Gluon optimizer; back, at half the rate, where the loss is not finite."""
        trainer, devices = _trainer(self.loss, method, learning_rate), [self.loss.device]
        optimizer_state.reset(trainer, devices)
        message = LIMIT
        try:
            for value in steps(trainer, _Noisy(self.loss), devices, 0, self.iterations):
                self._advance(self.loss.vector(), value)
        except NotFiniteAtFirst:
            message = "the loss is not finite before the first step"
        except NotFinite:
            message = "the loss is not finite after a step, however small the learning rate"
        except (_Stop, KeyboardInterrupt) as reason:
            message = str(reason) or "interrupted"
        # Without the noise of training.
        self.best_loss = self.loss.value(self.best)
        return False, message

    def close(self):
        """The layer has the best point, whatever ended the search."""
        self.loss.set_vector(self.best)
        if self._bar is not None:
            self._bar.close()

    def _advance(self, vector, value):
        self.curve.append(value)
        self._since = 0 if value < self.best_loss else self._since + 1
        self._keep(vector, value)
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {self.best_loss:.6g}", refresh=False)
            self._bar.update(1)
        told = Progress(len(self.curve) - 1, value, self.best_loss)
        if any([callback(told) is True for callback in self._callbacks]):
            raise _Stop("a callback ended the search")
        if self.patience is not None and self._since >= self.patience:
            raise _Stop(f"no lower loss for {self.patience} iterations (patience)")

    def _keep(self, vector, value):
        if value < self.best_loss:
            self.best, self.best_loss = np.array(vector), value


def _units(loss: Loss) -> np.ndarray:
    """What a step of 1 is in each element of the vector: 1, or that of the sizes of series."""
    own = step_units(loss)
    pieces = [
        np.broadcast_to(own.get(name, 1.0), parameter.shape).reshape(-1)
        for name, parameter in loss.parameters.items()
    ]
    return np.concatenate(pieces)


def _in_units(found: Tuple[float, np.ndarray], units: np.ndarray) -> Tuple[float, np.ndarray]:
    return found[0], found[1] * units


def _divided(limits: Bounds, units: np.ndarray) -> Bounds:
    if not limits:
        return limits
    return [
        (None if low is None else low / unit, None if high is None else high / unit)
        for (low, high), unit in zip(limits, units)
    ]


def _trainer(loss: Loss, method: Any, learning_rate: Optional[float]) -> mx.gluon.Trainer:
    options = {} if learning_rate is None else {"learning_rate": learning_rate}
    parameters = list(loss.parameters.values())
    if isinstance(method, mx.optimizer.Optimizer):
        return mx.gluon.Trainer(parameters, method, kvstore=None)
    return mx.gluon.Trainer(parameters, method.lower(), options, kvstore=None)


def _drawn(start: np.ndarray, count: int, spread: float, seed: int) -> List[np.ndarray]:
    random = np.random.RandomState(seed)
    return [start + spread * random.normal(size=start.shape) for _ in range(count)]


def _stored_bounds(loss: Loss, bounds: Optional[Mapping[str, Any]]) -> Bounds:
    """Natural bounds by name as those of the elements of the vector."""
    if not bounds:
        return None
    unknown = set(bounds) - set(loss.parameters)
    if unknown:
        names = ", ".join(loss.parameters)
        raise ValueError(f"fit: bounds for {listing(sorted(unknown))}; the parameters are {names}.")
    found: List[Tuple[Optional[float], Optional[float]]] = []
    for name, parameter in loss.parameters.items():
        own = bounds.get(name, (None, None))
        stored = (None if end is None else _stored(parameter, float(end), name) for end in own)
        found += [tuple(stored)] * int(np.prod(parameter.shape))  # type: ignore[list-item]
    return found


def _stored(parameter: mx.gluon.Parameter, value: float, name: str) -> float:
    if isinstance(parameter, PositiveParameter):
        return float(parameter._stored(np.asarray(value), name)[0])
    return value


def _check(method, iterations, restarts, bounds, learning_rate):
    known = sorted(mx.optimizer.Optimizer.opt_registry)
    is_name = isinstance(method, str) and method.lower() in (LBFGS, *known)
    if not is_name and not isinstance(method, mx.optimizer.Optimizer):
        raise ValueError(f"fit: method is {method!r}, expected 'lbfgs' or one of {known}.")
    for name, value, least in (("iterations", iterations, 1), ("restarts", restarts, 0)):
        if not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"fit: {name} is {value!r}, expected a whole number from {least} on.")
    if method == LBFGS and learning_rate is not None:
        raise ValueError("fit: 'lbfgs' has no learning_rate.")
    if method != LBFGS and bounds:
        raise ValueError("fit: bounds are for method='lbfgs'.")


@contextlib.contextmanager
def compiled(layer: mx.gluon.Block) -> Iterator[None]:
    """Inside it a HybridBlock is compiled; afterwards it is called as it was before."""
    with called_as_before(layer):
        if isinstance(layer, mx.gluon.HybridBlock):
            layer.hybridize(static_alloc=True, static_shape=True)
        yield
