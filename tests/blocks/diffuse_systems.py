"""Structural time series as explicit linear maps of initial states and disturbances.

No recursion over y, no covariance of a state: what y is made of is written out from powers of the
transition, in longdouble, in complex longdouble (for derivatives by a complex step) or in mpmath.
"""

from collections import namedtuple

import mpmath
import numpy as np

# What one component, or one harmonic of a season, is made of: x_{t+1} = A x_t + G η_t with
# contribution h x_t, emission h (d,) or (T, d), process (d, r); x_1 = mean + prior η_0, prior
# (d, s), and diffuse (d,), booleans.
Piece = namedtuple("Piece", ["transition", "emission", "process", "mean", "prior", "diffuse"])

Numbers = namedtuple("Numbers", ["array", "cos", "sin", "sqrt", "pi"])
_PI = 4 * np.arctan(np.longdouble(1))
REAL = Numbers(lambda v: np.array(v, dtype=np.longdouble), np.cos, np.sin, np.sqrt, _PI)
COMPLEX = REAL._replace(array=lambda v: np.array(v, dtype=np.clongdouble))


def multiple_precision():
    """mpmath at its present precision."""

    def exact(value):
        whole = float(value) if isinstance(value, np.floating) else value
        return mpmath.mpf(whole) + (mpmath.mpf(float(value - whole)) if whole is not value else 0)

    return Numbers(
        lambda values: np.frompyfunc(exact, 1, 1)(np.array(values, dtype=object)),
        mpmath.cos,
        mpmath.sin,
        np.frompyfunc(mpmath.sqrt, 1, 1),
        +mpmath.pi,
    )


def parameters(description):
    """{(number of the component, name): values (n,)}, what a model of `description` learns.

    description: a list of (kind, options), the options being those of the components of
    `gluon_linalg.structural` by the names of `PIECES`.
    """
    found = {}
    for index, (kind, options) in enumerate(description):
        for name in LEARNED[kind]:
            if name == "partial_autocorrelation":
                value = partial_autocorrelations(options.get("coefficients", [0.0]))
            elif name == "damping" and options.get("damping", 0.9) in (None, 1):
                continue
            else:
                value = options.get(name, 0.9 if name == "damping" else 1.0)
            if name == "coefficient_variance":
                if not options.get("drifting"):
                    continue
                value = np.broadcast_to(value, (options["features"],))
            if name.endswith("variance") and (value is None or not np.any(value)):
                continue
            found[index, name] = np.atleast_1d(np.asarray(value, dtype=np.longdouble))
    return found


def pieces_of(kind, options, values, covariates, numbers):
    """The pieces of one component; values: those of its parameters in `numbers`, by name."""
    pieces = PIECES[kind](options, values, covariates, numbers)
    prior = options.get("prior")
    if prior is None or isinstance(prior, str):
        return pieces
    (piece,) = pieces
    size = len(piece.mean)
    mean, deviations = (np.broadcast_to(part, (size,)) for part in prior)
    factor = numbers.array(np.diag(deviations))
    return [piece._replace(mean=numbers.array(mean), prior=factor, diffuse=(False,) * size)]


def responses(piece, times, rows, numbers):
    """What `rows` (n, d) of the states at `times` (n,), from 0 on, are made of, piece by piece.

    Returns their mean (n,), their map from the diffuse initial states (n, q), and a generator of
    maps (n, E) from independent standard normal disturbances, those of the prior first.
    """
    last, size = int(max(times)), len(piece.mean)
    powers = [numbers.array(np.eye(size))]
    for _ in range(last):
        powers.append(piece.transition.dot(powers[-1]))
    powers = np.array(powers)

    def at_start(columns):
        found = numbers.array(np.zeros((len(times), columns.shape[1])))
        for i in range(size):
            if np.any(rows[:, i] != 0):
                found = found + rows[:, i : i + 1] * powers[times, i].dot(columns)
        return found

    def maps():
        if piece.prior.shape[1]:
            yield at_start(piece.prior)
        lags = times[:, None] - np.arange(last)[None, :] - 1
        later, lags = lags >= 0, np.maximum(lags, 0)
        for j in range(piece.process.shape[1]):
            impulse = powers.dot(piece.process[:, j])
            found = 0
            for i in range(size):
                if np.any(rows[:, i] != 0):
                    found = found + rows[:, i : i + 1] * impulse[lags, i]
            yield found * later

    columns = numbers.array(np.eye(size))[:, np.flatnonzero(piece.diffuse)]
    return at_start(piece.mean[:, None])[:, 0], at_start(columns), maps()


def emission_rows(piece, times, numbers):
    """The rows (n, d) that make contributions to y of the states at `times`."""
    if piece.emission.ndim == 2:
        return piece.emission[times]
    return numbers.array(np.ones((len(times), 1))) * piece.emission


def _piece(numbers, transition, emission, variances, prior=None, diffuse=None):
    """variances: pairs of a state and the variance of its disturbance, None where there is none."""
    transition, size = numbers.array(transition), len(transition)
    variances = [(state, value) for state, value in variances if value is not None]
    process = numbers.array(np.zeros((size, len(variances))))
    for column, (state, value) in enumerate(variances):
        process[state, column] = numbers.sqrt(value)
    prior = numbers.array(np.zeros((size, 0))) if prior is None else prior
    diffuse = (True,) * size if diffuse is None else diffuse
    emission = numbers.array(emission)
    return Piece(transition, emission, process, numbers.array(np.zeros(size)), prior, diffuse)


def _one(values, name):
    return values[name][0] if name in values else None


def _level(options, values, covariates, numbers):
    return [_piece(numbers, [[1]], [1], [(0, _one(values, "level_variance"))])]


def _trend(options, values, covariates, numbers):
    damping, slope = _one(values, "damping"), _one(values, "slope_variance")
    variances = [(0, _one(values, "level_variance")), (1, slope)]
    transition = [[1, 1], [0, 1 if damping is None else damping]]
    prior = diffuse = None
    stationary = options.get("prior") != "diffuse"
    if damping is not None and slope is not None and stationary:
        prior = numbers.array(np.zeros((2, 1)))
        prior[1, 0] = numbers.sqrt(slope / ((1 - damping) * (1 + damping)))
        diffuse = (True, False)
    return [_piece(numbers, transition, [1, 0], variances, prior, diffuse)]


def _semilocal_trend(options, values, covariates, numbers):
    damping, slope = _one(values, "damping"), _one(values, "slope_variance")
    variances = [(0, _one(values, "level_variance")), (1, slope)]
    prior = numbers.array(np.zeros((3, 1)))
    prior[1, 0] = numbers.sqrt(slope / ((1 - damping) * (1 + damping)))
    transition = [[1, 1, 1], [0, damping, 0], [0, 0, 1]]
    return [_piece(numbers, transition, [1, 0, 0], variances, prior, (True, False, True))]


def _seasonal(options, values, covariates, numbers):
    period, variance = options["period"], _one(values, "seasonal_variance")
    if options.get("form", "dummy") == "dummy":
        size = int(period) - 1
        transition = np.eye(size, k=-1)
        transition[0] = -1
        return [_piece(numbers, transition, np.eye(size)[0], [(0, variance)])]
    pieces = []
    for j in range(1, (options.get("harmonics") or int(period // 2)) + 1):
        if 2 * j == period:
            pieces.append(_piece(numbers, [[-1]], [1], [(0, variance)]))
        else:
            rotation = _rotation(2 * numbers.pi * j / numbers.array([period])[0], numbers)
            pieces.append(_piece(numbers, rotation, [1, 0], [(0, variance), (1, variance)]))
    return pieces


def _cycle(options, values, covariates, numbers):
    damping, variance = _one(values, "damping"), _one(values, "cycle_variance")
    transition = _rotation(2 * numbers.pi / values["period"][0], numbers)
    prior = diffuse = None
    if damping is not None:
        transition = transition * damping
        if variance is not None and options.get("prior") != "diffuse":
            deviation = numbers.sqrt(variance / ((1 - damping) * (1 + damping)))
            prior, diffuse = numbers.array(np.eye(2)) * deviation, (False, False)
    return [_piece(numbers, transition, [1, 0], [(0, variance), (1, variance)], prior, diffuse)]


def _autoregression(options, values, covariates, numbers):
    coefficients = numbers.array(np.zeros(0))
    for r in values["partial_autocorrelation"]:
        coefficients = np.append(coefficients - r * coefficients[::-1], r)
    size, variance = len(coefficients), _one(values, "innovation_variance")
    transition = numbers.array(np.eye(size, k=-1))
    transition[0] = coefficients
    prior = diffuse = None
    if variance is not None and options.get("prior") != "diffuse":
        prior, diffuse = _stationary_factor(transition, variance, numbers), (False,) * size
    return [_piece(numbers, transition, np.eye(size)[0], [(0, variance)], prior, diffuse)]


def _regression(options, values, covariates, numbers):
    size = options["features"]
    variances = values.get("coefficient_variance", [None] * size)
    return [_piece(numbers, np.eye(size), covariates, list(enumerate(variances)))]


PIECES = {
    "level": _level,
    "trend": _trend,
    "damped_trend": _trend,
    "semilocal_trend": _semilocal_trend,
    "seasonal": _seasonal,
    "cycle": _cycle,
    "autoregression": _autoregression,
    "regression": _regression,
}
LEARNED = {
    "level": ("level_variance",),
    "trend": ("level_variance", "slope_variance"),
    "damped_trend": ("level_variance", "slope_variance", "damping"),
    "semilocal_trend": ("level_variance", "slope_variance", "damping"),
    "seasonal": ("seasonal_variance",),
    "cycle": ("period", "damping", "cycle_variance"),
    "autoregression": ("partial_autocorrelation", "innovation_variance"),
    "regression": ("coefficient_variance",),
}


def partial_autocorrelations(coefficients):
    """Those of an AR(p), by the recursion of Durbin and Levinson backwards."""
    current, found = np.atleast_1d(np.asarray(coefficients, dtype=np.longdouble)), []
    while len(current):
        r = current[-1]
        found.insert(0, r)
        current = (current[:-1] + r * current[:-1][::-1]) / ((1 - r) * (1 + r))
    return np.array(found)


def _rotation(angle, numbers):
    cosine, sine = numbers.cos(angle), numbers.sin(angle)
    return numbers.array([[cosine, sine], [-sine, cosine]])


def _stationary_factor(transition, variance, numbers):
    """A triangular root of P = A P Aᵀ + variance e_1 e_1ᵀ, solved as d² linear equations."""
    size = len(transition)
    matrix = numbers.array(np.eye(size**2)) - np.kron(transition, transition)
    right = numbers.array(np.zeros(size**2))
    right[0] = variance
    covariance = _solve(matrix, right).reshape(size, size)
    factor = numbers.array(np.zeros((size, size)))
    for j in range(size):
        rest = covariance[j:, j] - (factor[j:] * factor[j]).sum(axis=1)
        factor[j:, j] = rest / numbers.sqrt(rest[0])
    return factor


def _solve(matrix, right):
    """Elimination with pivots, in any kind of number."""
    rows = np.column_stack([matrix, right])
    size = len(rows)
    for k in range(size):
        pivot = k + max(range(size - k), key=lambda i: abs(rows[k + i, k]))  # noqa: B023
        rows[[k, pivot]] = rows[[pivot, k]]
        for i in range(size):
            if i != k:
                rows[i] = rows[i] - rows[k] * (rows[i, k] / rows[k, k])
    return rows[:, -1] / np.diag(rows)
