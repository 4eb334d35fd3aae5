"""Diffuse Gaussian likelihood, smoothing and forecasts of structural time series, by dense algebra.

y = X δ + M η with diffuse initial states δ (q) and standard normal η. With N an orthonormal basis
of what is orthogonal to X, the diffuse log likelihood is that of Nᵀy,

  -½ [(n - rank X) log 2π + log|Nᵀ M Mᵀ N| + log|XᵀX| + |(NᵀM Mᵀ N)^-½ Nᵀy|²],

which is -½ [(n - q) log 2π + log|V| + log|Xᵀ V⁻¹ X| + ...] of generalized least squares with
V = M Mᵀ wherever V is regular (Harville 1974, Biometrika 61; de Jong 1991, Annals of Statistics
19). M is never squared: log determinants come from a QR of (NᵀM)ᵀ. X is eliminated in longdouble,
so regressors far from 0 cost nothing.
"""

from collections import namedtuple

import mpmath
import numpy as np
import scipy.linalg
from diffuse_elimination import Eliminated
from diffuse_systems import (
    COMPLEX,
    REAL,
    emission_rows,
    multiple_precision,
    parameters,
    pieces_of,
    responses,
)

NOISE = (None, "noise_variance")
STEP = 1e-30

# log_likelihood: a float; gradient: {(component, name): (n,)} for natural values; rank: of X;
# unidentified: (q, q - rank), directions of the diffuse states that y says nothing about.
Likelihood = namedtuple("Likelihood", ["log_likelihood", "gradient", "rank", "unidentified"])
# mean (m,), covariance (m, m), and whether the data determine it, estimable (m,).
Moments = namedtuple("Moments", ["mean", "covariance", "estimable"])


class Reference:
    """A model with its data. description: as for `diffuse_systems.parameters`.

    noise_variance: a number, or None; y (T,); covariates (T or more, k), mask (T,) of 0/1, both
    optional; values: natural values that take the place of those of the description, by the keys of
    `values`, such as (0, 'level_variance').
    """

    def __init__(
        self, description, noise_variance, y, covariates=None, mask=None, values=None
    ):  # fmt: skip
        self.description = description
        self.values = parameters(description)
        if noise_variance:
            self.values[NOISE] = np.atleast_1d(np.longdouble(noise_variance))
        for key, value in (values or {}).items():
            assert key in self.values, f"{key} is not one of {list(self.values)}"
            self.values[key] = np.atleast_1d(np.asarray(value, dtype=np.longdouble))
        self.steps = len(y)
        self.covariates = covariates
        observed = np.ones(len(y)) if mask is None else np.asarray(mask)
        self.times = np.flatnonzero(observed)
        self.y = np.asarray(y, dtype=np.longdouble)[self.times]

    def likelihood(self, gradient=True):
        """The `Likelihood`; without a gradient it is None."""
        model = self._eliminated()
        count, rank = len(self.y) - model.rank, model.rank
        value = -0.5 * (
            count * np.log(2 * np.pi)
            + 2 * np.log(np.abs(np.diag(model.factor))).sum()
            + model.log_determinant
            + model.whitened @ model.whitened
        )
        found = self._gradient(model) if gradient else None
        return Likelihood(float(value), found, rank, model.null_space)

    def smoothed(self, times=None):
        """Mean (n, d), covariance (n, d, d) and estimable (n, d) of the states at n times, or all.

        States are in the order of the components, as in the package.
        """
        times = np.arange(self.steps) if times is None else np.asarray(times)
        size = sum(len(piece.mean) for _, piece in self._pieces(REAL))
        rows = np.tile(np.eye(size), (len(times), 1))
        mean, covariance, estimable = self._moments(np.repeat(times, size), rows)
        shape = (len(times), size)
        blocks = covariance.reshape(shape + shape)
        each = np.arange(len(times))
        return Moments(mean.reshape(shape), blocks[each, :, each, :], estimable.reshape(shape))

    def forecast(self, steps):
        """Mean, variance and estimable (h,) of the observations after the last."""
        times = np.arange(self.steps, self.steps + steps)
        rows = [emission_rows(piece, times, REAL) for _, piece in self._pieces(REAL)]
        mean, covariance, estimable = self._moments(times, np.concatenate(rows, axis=1))
        noise = float(self.values[NOISE][0]) if NOISE in self.values else 0.0
        return Moments(mean, np.diag(covariance) + noise, estimable)

    def likelihood_in_digits(self, digits=60, gradient=True):
        """(log likelihood, gradient) by generalized least squares in mpmath, for short series."""
        with mpmath.workdps(digits):
            numbers = multiple_precision()
            exact = {key: numbers.array(value) for key, value in self.values.items()}
            value = self._generalized_least_squares(exact, numbers)
            if not gradient:
                return float(value), None
            found, step = {}, mpmath.mpf(10) ** (-digits // 3)
            for key, array in exact.items():
                found[key] = np.zeros(len(array))
                for i in range(len(array)):
                    sides = []
                    for sign in (1, -1):
                        moved = array.copy()
                        moved[i] = moved[i] * (1 + sign * step)
                        changed = {**exact, key: moved}
                        sides.append(self._generalized_least_squares(changed, numbers))
                    found[key][i] = float((sides[0] - sides[1]) / (2 * step * array[i]))
            return float(value), found

    def _pieces(self, numbers, values=None, only=None):
        """Pairs of the number of a component and a piece of it, in the order of the states."""
        values, column, found = self.values if values is None else values, 0, []
        for index, (kind, options) in enumerate(self.description):
            own = None
            if kind == "regression":
                own = np.asarray(self.covariates)[:, column : column + options["features"]]
                column += options["features"]
            if only in (None, index):
                named = {n: numbers.array(v) for (i, n), v in values.items() if i == index}
                for piece in pieces_of(kind, options, named, own, numbers):
                    found.append((index, piece))
        return found

    def _responses(self, piece, numbers):
        return responses(piece, self.times, emission_rows(piece, self.times, numbers), numbers)

    def _units(self):
        """Units of the diffuse states: 1, and of coefficients 1 / root mean square of theirs."""
        units = []
        for index, piece in self._pieces(REAL):
            own = np.ones(len(piece.mean), dtype=np.longdouble)
            if self.description[index][0] == "regression":
                square = np.mean(np.square(piece.emission[: self.steps]), axis=0)
                own = 1 / np.sqrt(square + (square == 0))
            units.append(own[np.array(piece.diffuse)])
        return np.concatenate(units)

    def _eliminated(self):
        """X eliminated, Nᵀ M Mᵀ N factored: see the attributes of `Eliminated`."""
        means, columns = [], []
        for _, piece in self._pieces(REAL):
            mean, own, _ = self._responses(piece, REAL)
            means.append(mean)
            columns.append(own)
        units = self._units()
        model = Eliminated(np.concatenate(columns, axis=1) * units, units)
        model.turned_y = model.turn((self.y - sum(means))[:, None])
        model.residual = _double(model.turned_y[model.rank :, 0])
        count, root = len(model.residual), None
        if NOISE in self.values:
            root = float(np.sqrt(self.values[NOISE][0])) * np.eye(count)
        for _, piece in self._pieces(REAL):
            for block in self._responses(piece, REAL)[2]:
                own = _double(model.turn(block)[model.rank :]).T
                stacked = own if root is None else np.concatenate([root, own])
                root = np.linalg.qr(stacked, mode="r")
        model.factor = root.T
        model.whitened = model.solve(model.residual)
        return model

    def _gradient(self, model):
        weights = model.solve(model.whitened, transposed=True)
        # X⁺ M Mᵀ N, from which the coefficients are those of least squares, corrected.
        mixed = np.zeros((len(model.units), len(weights)))
        for _, piece in self._pieces(REAL):
            for block in self._responses(piece, REAL)[2]:
                turned = model.turn(block)
                own = _double(model.left_inverse(turned))
                mixed = mixed + own @ _double(turned[model.rank :]).T
        plain = _double(model.left_inverse(model.turned_y))[:, 0]
        coefficients = plain - mixed @ weights
        found = {}
        if NOISE in self.values:
            inverse = model.solve(np.eye(len(weights)))
            total = weights @ weights - np.square(inverse).sum()
            found[NOISE] = np.array([0.5 * total])
        for index in range(len(self.description)):
            names = [name for i, name in self.values if i == index]
            gradients = {n: np.zeros(len(self.values[index, n])) for n in names}
            begins = np.cumsum([0] + [sum(p.diffuse) for _, p in self._pieces(REAL)])
            places = [k for k, (i, _) in enumerate(self._pieces(REAL)) if i == index]
            for place in places:
                piece, diffuse = self._pieces(REAL)[place][1], slice(*begins[place : place + 2])
                moved = [
                    (name, i, self._moved(index, name, i)[place - places[0]][1])
                    for name in names
                    for i in range(len(self.values[index, name]))
                ]
                self._add(model, weights, mixed, coefficients, piece, diffuse, moved, gradients)
            found.update({(index, name): value for name, value in gradients.items()})
        return found

    def _moved(self, index, name, i):
        """The pieces of a component at a complex step in one value."""
        values = {k: v.astype(np.clongdouble) for k, v in self.values.items() if k[0] is not None}
        values[index, name][i] += STEP * 1j
        return self._pieces(COMPLEX, values, only=index)

    def _add(self, model, weights, mixed, coefficients, piece, diffuse, moved, gradients):
        """dφ = -tr(B dX) + uᵀdX β - tr(Mᵀ P dM) + (Mᵀu)ᵀ(dMᵀu) + uᵀdm of one piece.

        P = N (NᵀVN)⁻¹ Nᵀ, u = P y and B the left inverse of X with B V N = 0.
        """
        changed = [self._responses(other, COMPLEX) for _, _, other in moved]
        for (name, i, _), (mean, columns, _) in zip(moved, changed):
            shift = model.turn(_derivative(mean)[:, None])
            gradients[name][i] += weights @ _double(shift[model.rank :, 0])
            turned = model.turn(_derivative(columns) * model.units[diffuse])
            below = _double(turned[model.rank :])
            solved = model.solve(model.solve(below), transposed=True)
            inverse = _double(model.left_inverse(turned)) - mixed @ solved
            gradients[name][i] += weights @ below @ coefficients[diffuse] - np.trace(
                inverse[diffuse]
            )
        for blocks in zip(self._responses(piece, REAL)[2], *[maps for _, _, maps in changed]):
            below = _double(model.turn(blocks[0])[model.rank :])
            solved = model.solve(model.solve(below), transposed=True)
            own = below.T @ weights
            for (name, i, _), block in zip(moved, blocks[1:]):
                derivative = _derivative(block)
                if derivative.any():
                    derivative = _double(model.turn(derivative)[model.rank :])
                    gradients[name][i] += own @ (derivative.T @ weights)
                    gradients[name][i] -= (solved * derivative).sum()

    def _moments(self, times, rows):
        """Moments of rows (m, d) of the states at times (m,)."""
        model = self._eliminated()
        mean, start, begin = 0.0, [], 0
        pairs = []
        for _, piece in self._pieces(REAL):
            own = REAL.array(rows[:, begin : begin + len(piece.mean)])
            begin += len(piece.mean)
            offset, columns, maps = responses(piece, times, own, REAL)
            mean = mean + offset
            start.append(columns)
            pairs += zip(self._responses(piece, REAL)[2], maps)
        start = np.concatenate(start, axis=1) * model.units
        count = len(self.y)
        if NOISE in self.values:
            noise = np.sqrt(self.values[NOISE][0]) * np.eye(count, dtype=np.longdouble)
            pairs.append((noise, np.zeros((len(times), count), dtype=np.longdouble)))
        stacked = []
        for block, target in pairs:
            # Disturbances after the last observation, or after the last target.
            width = max(block.shape[1], target.shape[1])
            block, target = (np.pad(a, ((0, 0), (0, width - a.shape[1]))) for a in (block, target))
            turned = model.turn(block)
            left = target - start.dot(model.left_inverse(turned))
            stacked.append(_double(np.concatenate([turned[model.rank :], left]).T))
        root = np.linalg.qr(np.concatenate(stacked), mode="r")
        size = count - model.rank
        whitened = model.residual
        if size:
            # Older versions of SciPy take no empty system.
            whitened = scipy.linalg.solve_triangular(root[:size, :size].T, whitened, lower=True)
        plain = start.dot(model.left_inverse(model.turned_y))[:, 0]
        mean = _double(mean + plain) + root[:size, size:].T @ whitened
        rest = root[size:, size:]
        return Moments(mean, rest.T @ rest, model.estimable(start))

    def _generalized_least_squares(self, values, numbers):
        y, columns, total = numbers.array(self.y), [], 0
        for _, piece in self._pieces(numbers, values):
            mean, own, maps = self._responses(piece, numbers)
            y = y - mean
            columns.append(own)
            for block in maps:
                total = total + block.dot(block.T)
        x = np.concatenate(columns, axis=1)
        if NOISE in values:
            total = total + values[NOISE][0] * numbers.array(np.eye(len(y)))
        # The likelihood does not change with a prior on top of the diffuse one, and this is regular
        # where the covariance is not.
        factor = _cholesky(total + x.dot(x.T), numbers)
        x, y = _forward(factor, x), _forward(factor, y[:, None])
        information = _cholesky(x.T.dot(x), numbers)
        explained = _forward(information, x.T.dot(y))
        logs = sum(mpmath.log(f[i, i]) for f in (factor, information) for i in range(len(f)))
        square = (y * y).sum() - (explained * explained).sum()
        return -((len(y) - x.shape[1]) * mpmath.log(2 * mpmath.pi) + 2 * logs + square) / 2


def _derivative(array):
    return array.imag / STEP


def _cholesky(matrix, numbers):
    factor = numbers.array(np.zeros(matrix.shape))
    for j in range(len(matrix)):
        rest = matrix[j:, j] - (factor[j:] * factor[j]).sum(axis=1)
        factor[j:, j] = rest / numbers.sqrt(rest[0])
    return factor


def _forward(factor, right):
    found = right.copy()
    for i in range(len(factor)):
        if i:
            found[i] = found[i] - factor[i, :i].dot(found[:i])
        found[i] = found[i] / factor[i, i]
    return found


def _double(array):
    return np.asarray(array, dtype="float64")
