"""Expectation maximization for linear-Gaussian state space models (Shumway & Stoffer 1982)."""

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

import mxnet as mx
import numpy as np

from ..blocks.arguments import plain
from ..blocks.kalman import KalmanFilterLayer
from ..blocks.kalman_arrays import kalman_arrays
from ..blocks.smoother import KalmanSmootherLayer
from ..errors import NonFiniteError, ShapeError

NAME = "expectation_maximization"
MATRICES = ("transition", "emission")
COVARIANCES = ("process_covariance", "observation_covariance")
PRIOR = ("prior_mean", "prior_covariance")
FORMS = ("full", "diagonal", "scalar")


@dataclass
class ExpectationMaximization:
    """What `expectation_maximization` has found.

    parameters: {name: float64 NumPy array}, by the names of its arguments; log_likelihoods: before
    each iteration, and after the last; converged: whether the last raised it by less than the
    tolerance.
    """

    parameters: Dict[str, np.ndarray]
    log_likelihoods: List[float]
    converged: bool

    @property
    def log_likelihood(self) -> float:
        """That of the parameters."""
        return self.log_likelihoods[-1]

    def arrays(self, y: Any, **keywords: Any) -> Dict[str, mx.nd.NDArray]:
        """The arguments of a Kalman layer with these parameters: `kalman_arrays`."""
        return kalman_arrays(y, **{**self.parameters, **keywords})


def expectation_maximization(
    y: Any,
    transition: Any,
    emission: Any,
    process_covariance: Any,
    observation_covariance: Any,
    prior_mean: Any = None,
    prior_covariance: Any = None,
    *,
    diffuse_directions: Any = None,
    fixed: Sequence[str] = ("prior_covariance",),
    structure: Optional[Mapping[str, Any]] = None,
    iterations: int = 100,
    tolerance: float = 1e-8,
) -> ExpectationMaximization:
    """Raises the likelihood of a linear-Gaussian model by steps in closed form.

    x_1 ~ N(m, P),   y_t = H x_t + ε_t,  ε ~ N(0, R),   x_{t+1} = A x_t + η_t,  η ~ N(0, Q).

    y: (T,), (T, p) or (B, T, p), NaN where missing; B series share the parameters. transition A:
    (d, d), emission H: (p, d), process_covariance Q: (d, d), observation_covariance R: (p, p),
    prior_mean m: (d,), prior_covariance P: (d, d): where the search begins, in the forms of
    `kalman_arrays`. diffuse_directions: (d, q), in which nothing is known of x_1; the prior is then
    kept.

    fixed: names of parameters that are kept. structure: {name: how it may change}. Of a matrix A or
    H: an array of its shape, of booleans, True where an element is learned, or of whole numbers:
    0 where it is kept, and elements with the same number have the same value. Of a covariance:
    'full', 'diagonal', 'scalar' (a multiple of the identity), or such numbers for the elements of
    its diagonal. Unless given, all of it is learned.

    Each iteration smooths all series (E), and maximizes the expected log likelihood of states and
    observations in A, then Q, then H, then R (M: conditionally, which is as monotone, Meng & Rubin
    1993), with the missing elements of an observation given those that were seen. It never lowers
    the likelihood, but for rounding; where a covariance is singular it stays so. It ends where an
    iteration raises the log likelihood by less than `tolerance` of its size. Near the maximum
    gradients are faster (`fit`).

    Raises ValueError for names and structures that are none, what `kalman_arrays` raises, and
    NonFiniteError where the likelihood is no number.

    >>> y = np.cumsum(np.random.RandomState(0).randn(40)) + np.random.RandomState(1).randn(40)
    >>> start = 1.0, 1.0, 0.5, 0.5, 0.0, 10.0  # A, H, Q, R, m, P
    >>> kept = ["transition", "emission"]
    >>> found = gl.expectation_maximization(y, *start, fixed=kept, iterations=5)
    >>> bool(np.all(np.diff(found.log_likelihoods) > -1e-9))
    True
    """
    observed = _observations(y)
    given = {
        "transition": transition,
        "emission": emission,
        "process_covariance": process_covariance,
        "observation_covariance": observation_covariance,
        "prior_mean": prior_mean,
        "prior_covariance": prior_covariance,
    }
    parameters = _parameters(given, observed.shape[2], diffuse_directions)
    kept = set(fixed) | (set(PRIOR) if diffuse_directions is not None else set())
    forms = _forms(parameters, kept, structure or {}, fixed)
    expectations = _Expectations(observed, diffuse_directions, len(parameters["transition"]))
    curve: List[float] = []
    converged = False
    for iteration in range(iterations + 1):
        likelihood = expectations.log_likelihood(parameters)
        if not np.isfinite(likelihood):
            raise NonFiniteError(f"{NAME}: the log likelihood is not finite.")
        converged = bool(curve) and likelihood - curve[-1] < tolerance * abs(likelihood)
        curve.append(likelihood)
        if converged or iteration == iterations:
            break
        parameters = _maximized(parameters, expectations, forms)
    return ExpectationMaximization(parameters, curve, converged)


class _Moments(NamedTuple):
    """Sums over series and times of expectations given the data."""

    later: np.ndarray  # Σ_{t>1} E[x_t x_tᵀ]
    crossed: np.ndarray  # Σ_{t>1} E[x_t x_{t-1}ᵀ]
    earlier: np.ndarray  # Σ_{t<T} E[x_t x_tᵀ]
    steps: int
    mean: np.ndarray  # of each step, (B, T, d)
    square: np.ndarray  # E[x_t x_tᵀ], (B, T, d, d)


class _Expectations:
    """The E-step, and the likelihood, by the Kalman layers."""

    def __init__(self, y: np.ndarray, directions: Any, states: int) -> None:
        self.y, self.mask = y, np.isfinite(y)
        self.directions = directions
        count = 0 if directions is None else np.shape(np.atleast_2d(np.asarray(directions).T))[0]
        self.filter = KalmanFilterLayer(states, y.shape[2], diffuse=count)
        self.smoother = KalmanSmootherLayer(
            states, y.shape[2], lag_one=y.shape[1] > 1, diffuse=count
        )

    def log_likelihood(self, parameters: Mapping[str, np.ndarray]) -> float:
        return -float(self.filter(**self._arrays(parameters)).sum().asscalar())

    def moments(self, parameters: Mapping[str, np.ndarray]) -> _Moments:
        mean, covariance, *lag_one = (
            array.asnumpy() for array in self.smoother(**self._arrays(parameters))
        )
        square = covariance + mean[..., :, None] * mean[..., None, :]
        crossed = np.zeros(square.shape[2:])
        if lag_one:
            crossed = lag_one[0] + mean[:, 1:, :, None] * mean[:, :-1, None, :]
            crossed = crossed.sum(axis=(0, 1))
        return _Moments(
            square[:, 1:].sum(axis=(0, 1)),
            crossed,
            square[:, :-1].sum(axis=(0, 1)),
            len(mean) * (mean.shape[1] - 1),
            mean,
            square,
        )

    def _arrays(self, parameters):
        return kalman_arrays(self.y, **parameters, diffuse_directions=self.directions)


def _maximized(parameters, expectations, forms):
    """The M-steps."""
    found, moments = dict(parameters), expectations.moments(parameters)
    if moments.steps:
        weights = np.linalg.pinv(found["process_covariance"], hermitian=True)
        a = _matrix(
            found["transition"], moments.crossed, moments.earlier, weights, forms.get("transition")
        )
        moved = a @ moments.crossed.T
        residual = moments.later - moved - moved.T + a @ moments.earlier @ a.T
        found["transition"] = a
        found["process_covariance"] = _covariance(
            found["process_covariance"], residual / moments.steps, forms.get("process_covariance")
        )
    data = _completed(expectations, moments, found["emission"], found["observation_covariance"])
    if data is not None:
        square, crossed, states, count = data
        weights = np.linalg.pinv(found["observation_covariance"], hermitian=True)
        h = _matrix(found["emission"], crossed, states, weights, forms.get("emission"))
        moved = h @ crossed.T
        residual = square - moved - moved.T + h @ states @ h.T
        found["emission"] = h
        found["observation_covariance"] = _covariance(
            found["observation_covariance"], residual / count, forms.get("observation_covariance")
        )
    first = moments.mean[:, 0]
    if "prior_mean" in forms:
        found["prior_mean"] = first.mean(axis=0)
    if "prior_covariance" in forms:
        mean = found["prior_mean"]
        moved = np.outer(mean, first.mean(axis=0))
        square = moments.square[:, 0].mean(axis=0)
        found["prior_covariance"] = _symmetric(square - moved - moved.T + np.outer(mean, mean))
    return found


def _completed(expectations, moments, emission, noise):
    """(Σ E[y yᵀ], Σ E[y xᵀ], Σ E[x xᵀ], n) over the n steps of which something was observed.

    Given x, the missing elements of y are B x + C y_seen with a covariance N.
    """
    mask = expectations.mask.reshape(-1, expectations.mask.shape[2])
    y = np.where(mask, expectations.y.reshape(mask.shape), 0.0)
    mean = moments.mean.reshape(len(mask), -1)
    square = moments.square.reshape(len(mask), *moments.square.shape[2:])
    patterns, places = np.unique(mask, axis=0, return_inverse=True)
    total = None
    for number, seen in enumerate(patterns):
        if not seen.any():
            continue
        here = np.flatnonzero(places.reshape(-1) == number)
        inner = np.linalg.pinv(noise[np.ix_(seen, seen)], hermitian=True)
        complete = np.zeros_like(noise)
        complete[:, seen] = noise[:, seen] @ inner
        # What was seen is itself, also where it has no noise.
        complete[np.ix_(seen, seen)] = np.eye(seen.sum())
        own = (np.eye(len(noise)) - complete) @ emission
        rest = noise - complete @ noise @ complete.T
        states, data = square[here].sum(axis=0), y[here].T @ mean[here]
        crossed = complete @ data + own @ states
        mixed = complete @ data @ own.T
        both = complete @ (y[here].T @ y[here]) @ complete.T + mixed + mixed.T
        both = both + own @ states @ own.T + len(here) * rest
        parts = both, crossed, states, len(here)
        total = parts if total is None else tuple(a + b for a, b in zip(total, parts))
    return total


def _matrix(current, crossed, square, weights, form):
    """The matrix C that minimizes tr W (C S Cᵀ - 2 X Cᵀ), X = crossed, S = square, in a form."""
    if form is None:
        return current
    left = crossed - current @ square
    if isinstance(form, str):
        return current + left @ np.linalg.pinv(square, hermitian=True)
    places = [(form == label).astype("float64") for label in np.unique(form[form > 0])]
    if not places:
        return current
    slopes = [weights @ place @ square for place in places]
    system = np.array([[np.sum(slope * other) for other in places] for slope in slopes])
    target = np.array([np.sum((weights @ left) * place) for place in places])
    # What the data leave open, as where there is no noise, stays as it is.
    change = np.linalg.lstsq(system, target, rcond=None)[0]
    return current + sum(value * place for value, place in zip(change, places))


def _covariance(current, residual, form):
    if form is None:
        return current
    if isinstance(form, str):
        return _symmetric(residual)
    variances = np.diag(current).copy()
    for label in np.unique(form[form > 0]):
        variances[form == label] = np.diag(residual)[form == label].mean()
    return np.diag(np.maximum(variances, 0.0))


def _symmetric(covariance):
    """The covariance without what rounding has made of 0."""
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def _observations(y):
    y = plain("B T p", y)
    array = np.asarray(y.asnumpy() if isinstance(y, mx.nd.NDArray) else y, dtype="float64")
    array = array[:, None] if array.ndim == 1 else array
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or not array.size:
        raise ShapeError(
            f"{NAME}: 'y' has shape {np.shape(y)}, expected (T,), (T, p) or (B, T, p)."
        )
    if np.isinf(array).any():
        raise NonFiniteError(f"{NAME}: 'y' has infinity; a missing observation is NaN.")
    return array


def _parameters(given, series, directions):
    """Float64 arrays with all their axes, checked by `kalman_arrays`."""
    arrays = {k: np.asarray(v, dtype="float64") for k, v in given.items() if v is not None}
    transition = np.atleast_2d(arrays["transition"])
    states = len(transition)
    arrays.setdefault("prior_mean", np.zeros(states))
    if directions is not None:
        arrays.setdefault("prior_covariance", np.zeros((states, states)))
    kalman_arrays(np.zeros((1, series)), **arrays, diffuse_directions=directions)
    shapes = {
        "transition": (states, states),
        "emission": (series, states),
        "process_covariance": (states, states),
        "observation_covariance": (series, series),
        "prior_mean": (states,),
        "prior_covariance": (states, states),
    }
    for name, shape in shapes.items():
        if arrays[name].size != int(np.prod(shape)):
            raise ShapeError(
                f"{NAME}: '{name}' has shape {arrays[name].shape}, expected {shape}, one for all "
                "series and times."
            )
        arrays[name] = arrays[name].reshape(shape)
    return arrays


def _forms(parameters, kept, structure, fixed):
    """How each parameter that is learned may change, 'full' or an array of whole numbers."""
    unknown = (set(fixed) | set(structure)) - set(parameters)
    if unknown:
        raise ValueError(
            f"{NAME}: {', '.join(sorted(unknown))} is none of the parameters "
            f"{', '.join(parameters)}."
        )
    both = set(structure) & set(fixed)
    if both:
        raise ValueError(f"{NAME}: {sorted(both)[0]} is fixed and has a structure; leave one out.")
    wrong = set(structure) & set(PRIOR)
    if wrong:
        raise ValueError(f"{NAME}: {sorted(wrong)[0]} has no structure; it is fixed or learned.")
    return {
        name: _form(name, value, structure.get(name, "full"))
        for name, value in parameters.items()
        if name not in kept
    }


def _form(name, value, given):
    if isinstance(given, str):
        words = FORMS if name in COVARIANCES else FORMS[:1]
        if given not in words:
            raise ValueError(
                f"{NAME}: the structure of {name} is {given!r}, expected one of {words}."
            )
        if given == "full":
            return given
        labels = np.arange(1, len(value) + 1) if given == "diagonal" else np.ones(len(value), int)
    else:
        labels = np.asarray(given)
        shape = value.shape if name in MATRICES else value.shape[:1]
        if labels.shape != shape or labels.dtype.kind not in "biu":
            raise ValueError(
                f"{NAME}: the structure of {name} is {labels.dtype} of shape {labels.shape}, "
                f"expected booleans or whole numbers of shape {shape}."
            )
        if labels.dtype.kind == "b":
            labels = np.where(labels, np.arange(1, labels.size + 1).reshape(shape), 0)
    if name in COVARIANCES and np.any(value != np.diag(np.diag(value))):
        raise ValueError(
            f"{NAME}: {name} begins with covariances that its structure does not have."
        )
    return labels
