"""Matrices that are covariances, or stationary, whatever is stored."""

from typing import Any, List, Tuple, cast

import mxnet as mx
import numpy as np

from ... import functional as fn
from ...errors import NotPositiveDefiniteError, ShapeError
from ...typing import Array, Namespace
from ..bounded import MARGIN
from ..parameters import PositiveParameter
from ..structural.arrays import beside


class CovarianceParameter(PositiveParameter):
    """A covariance Σ = L Lᵀ (n, n), L (n, r) lower with a positive diagonal.

    Stored are the columns of L from the diagonal on, of the diagonal the logarithms. `value` and
    `set_value` speak of Σ, for rank r < n that next to the given one.
    """

    mixes = True
    has_bounds = False

    def __init__(self, name: str, value: Any, size: int, rank: int, **kwargs: Any) -> None:
        self.size, self.rank = size, rank
        super().__init__(name, value, 0.0, **kwargs)

    def value(self) -> np.ndarray:
        """Σ as a float64 NumPy array."""
        stored = self._exact if self._data is None else self._data[0].asnumpy().astype("float64")
        factor = np.zeros((self.size, self.rank))
        for column, (begin, end) in enumerate(self._columns()):
            factor[column:, column] = stored[begin:end]
            factor[column, column] = np.exp(stored[begin])
        return factor @ factor.T

    def factor(self, F: Namespace, one: Array, stored: Array) -> Array:
        """L in a graph, (1, n, r), of what is stored; one: the number 1, (1, 1)."""
        stored, columns = F.reshape(stored, shape=(1, -1)), []
        for column, (begin, end) in enumerate(self._columns()):
            pieces = [F.exp(F.slice_axis(stored, axis=1, begin=begin, end=begin + 1))]
            if end > begin + 1:
                pieces.append(F.slice_axis(stored, axis=1, begin=begin + 1, end=end))
            if column:
                pieces.insert(0, F.broadcast_axis(0.0 * one, axis=1, size=column))
            columns.append(F.expand_dims(beside(F, pieces, axis=1), axis=2))
        return beside(F, columns, axis=2)

    def natural(self, F: Namespace, stored: Array) -> Array:
        """The first r columns of Σ from the diagonal on, in a graph, (1, n r - r (r - 1) / 2)."""
        one = fn.ones_like(
            F, F.slice_axis(F.reshape(stored, shape=(1, -1)), axis=1, begin=0, end=1)
        )
        factor = self.factor(F, one, stored)
        covariance = fn.product(F, factor, factor, transpose_b=True)
        pieces = []
        for column in range(self.rank):
            own = F.slice_axis(covariance, axis=2, begin=column, end=column + 1)
            pieces.append(F.slice_axis(own, axis=1, begin=column, end=self.size))
        return F.reshape(beside(F, pieces, axis=1), shape=(1, -1))

    def _columns(self) -> List[Tuple[int, int]]:
        ends = np.cumsum([self.size - column for column in range(self.rank)]).tolist()
        return list(zip([0, *ends], ends))

    def _stored(self, value, name):
        covariance = np.asarray(value, dtype="float64")
        if covariance.shape != (self.size, self.size):
            raise ShapeError(
                f"{name}: a covariance of shape {covariance.shape}, expected {(self.size,) * 2}."
            )
        values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
        largest = values[::-1][: self.rank]
        if not (
            np.isfinite(values).all()
            and np.allclose(covariance, covariance.T)
            and (largest > 0).all()
        ):
            raise NotPositiveDefiniteError(
                f"{name}: {covariance.tolist()} is no covariance of rank {self.rank}: its largest "
                f"eigenvalues are {largest.tolist()}."
            )
        root = vectors[:, ::-1][:, : self.rank] * np.sqrt(largest)
        factor = np.linalg.qr(root.T, mode="r").T
        factor = factor * np.where(np.diag(factor) < 0, -1.0, 1.0)
        if not (np.diag(factor) > 0).all():
            raise NotPositiveDefiniteError(
                f"{name}: the first {self.rank} rows of the covariance are linearly dependent; "
                "bring the series into another order."
            )
        columns = []
        for column in range(self.rank):
            own = factor[column:, column].copy()
            own[0] = np.log(own[0])
            columns.append(own)
        return np.concatenate(columns)


class VectorLagPolynomial(PositiveParameter):
    """C_1, ..., C_p (p, k, k) of I - Σ C_j L^j, or with sign = -1 of I + Σ C_j L^j.

    All roots of its determinant are outside the unit circle. Stored are unconstrained matrices A_j,
    of which P_j = B_j⁻¹ A_j, B_j B_jᵀ = I + A_j A_jᵀ, have singular values below 1: the partial
    autocorrelation matrices of a process whose innovations have the covariance I (Ansley & Kohn
    1986, Journal of Statistical Computation and Simulation 24). `value` and `set_value` speak of C.
    """

    mixes = True
    has_bounds = False

    def __init__(
        self, name: str, value: Any, order: int, size: int, sign: float = 1.0, **kwargs: Any
    ) -> None:
        self.order, self.size, self.sign = order, size, sign
        super().__init__(name, value, 0.0, **kwargs)

    def value(self) -> np.ndarray:
        """C as a float64 NumPy array, (p, k, k)."""
        stored = self._exact if self._data is None else self._data[0].asnumpy().astype("float64")
        found = self.coefficients(mx.nd, mx.nd.array(stored, dtype="float64"))
        return np.stack([matrix.asnumpy()[0] for matrix in found])

    def natural(self, F: Namespace, stored: Array) -> Array:
        """C in a graph, (1, p, k, k)."""
        found = [F.expand_dims(matrix, axis=1) for matrix in self.coefficients(F, stored)]
        return beside(F, found, axis=1)

    def coefficients(self, F: Namespace, stored: Array) -> List[Array]:
        """C_1, ..., C_p in a graph, (1, k, k) each.

        The multivariate Durbin-Levinson recursion (Whittle 1963) from a process of variance I; the
        factors of the variances of forward and backward errors and their inverses come along.
        """
        stored = F.reshape(stored, shape=(1, self.order, self.size, self.size))
        forward: List[Array] = []
        backward: List[Array] = []
        identity = None
        for lag in range(self.order):
            own = F.slice_axis(stored, axis=1, begin=lag, end=lag + 1)
            own = F.squeeze(own, axis=1)
            if identity is None:
                identity = fn.identity_like(F, own)
                root = root_inverse = back = back_inverse = identity
            b = fn.cholesky(F, identity + fn.product(F, own, own, transpose_b=True))
            c = fn.cholesky(F, identity + fn.product(F, own, own, transpose_a=True))
            partial = fn.triangular_solve(F, b, own)
            new = fn.product(F, fn.product(F, root, partial), back_inverse)
            turned = fn.product(F, back, fn.transpose(F, partial))
            new_back = fn.product(F, turned, root_inverse)
            forward, backward = (
                [f - fn.product(F, new, g) for f, g in zip(forward, backward[::-1])] + [new],
                [g - fn.product(F, new_back, f) for g, f in zip(backward, forward[::-1])]
                + [new_back],
            )
            inverse_b, inverse_c = (fn.triangular_solve(F, x, identity) for x in (b, c))
            root, root_inverse = fn.product(F, root, inverse_b), fn.product(F, b, root_inverse)
            back = fn.product(F, back, inverse_c, transpose_b=True)
            back_inverse = fn.product(F, c, back_inverse, transpose_a=True)
        return [
            self.sign * fn.product(F, fn.product(F, root_inverse, own), root) for own in forward
        ]

    def _stored(self, value, name):
        given = np.asarray(value, dtype="float64")
        shape = (self.order, self.size, self.size)
        if given.shape != shape:
            raise ShapeError(f"{name}: coefficients of shape {given.shape}, expected {shape}.")
        coefficients = self.sign * given
        size, order = self.size, self.order
        companion = np.eye(order * size, k=-size)
        companion[:size] = np.concatenate(list(coefficients), axis=1)
        radius = np.abs(np.linalg.eigvals(companion)).max()
        if not radius < 1.0 - MARGIN:
            kind = "invertible" if self.sign < 0 else "stationary"
            raise ValueError(
                f"{name}: the coefficients {given.tolist()} are not {kind}: the largest root has "
                f"the modulus {radius:.9g}, expected less than 1."
            )
        covariance = np.zeros_like(companion)
        covariance[:size, :size] = np.eye(size)
        # P = Σ_k A^k Q (A^k)ᵀ, twice as many terms each time (Smith 1968).
        power = companion
        while np.abs(power).max() > 1e-30:
            covariance = covariance + power @ covariance @ power.T
            power = power @ power
        lags = [covariance[:size, k * size : (k + 1) * size] for k in range(order)]
        scale = np.linalg.cholesky(lags[0])
        lags.append(sum(c @ lags[order - 1 - k] for k, c in enumerate(coefficients)))
        lags = [np.linalg.solve(scale, np.linalg.solve(scale, own).T).T for own in lags]
        return _unconstrained(lags, order, size)


def _unconstrained(lags, order, size):
    """A_1, ..., A_p from the autocovariances Γ(0) = I, ..., Γ(p), Γ(h) = E[x_{t+h} x_tᵀ]."""
    forward, backward, found = [], [], []
    root = back = np.eye(size)
    for lag in range(order):
        left = lags[lag + 1] - sum(f @ lags[lag - k] for k, f in enumerate(forward))
        new = left @ np.linalg.inv(back @ back.T)
        partial = np.linalg.solve(root, new) @ back
        inverse_b = np.linalg.cholesky(np.eye(size) - partial @ partial.T)
        own = np.linalg.solve(inverse_b, partial)
        found.append(own)
        new_back = back @ partial.T @ np.linalg.inv(root)
        forward, backward = (
            [f - new @ g for f, g in zip(forward, backward[::-1])] + [new],
            [g - new_back @ f for g, f in zip(backward, forward[::-1])] + [new_back],
        )
        c = np.linalg.cholesky(np.eye(size) + own.T @ own)
        root, back = root @ inverse_b, back @ np.linalg.inv(c).T
    return np.stack(found)


class RealParameter(PositiveParameter):
    """Numbers without bounds, which keep all digits that they were given."""

    mixes = True
    has_bounds = False

    def __init__(self, name: str, value: Any, **kwargs: Any) -> None:
        super().__init__(name, value, 0.0, **kwargs)

    def value(self) -> np.ndarray:
        """The numbers as a float64 NumPy array."""
        return self._exact if self._data is None else self._data[0].asnumpy().astype("float64")

    def natural(self, F: Namespace, stored: Array) -> Array:
        """The same numbers."""
        return F.identity(stored)

    def _stored(self, value, name):
        if not np.isfinite(value).all():
            raise ValueError(f"{name}: {value.tolist()} are not finite numbers.")
        return np.atleast_1d(value)


def real_parameter(
    block: mx.gluon.Block, name: str, value: Any, shape: Tuple[int, ...]
) -> RealParameter:
    """The `RealParameter` `name` of a block; value: of that shape, or None for zeros."""
    value = np.zeros(shape) if value is None else np.asarray(value, dtype="float64")
    if value.shape != shape:
        raise ShapeError(f"{block.name}: {name} has shape {value.shape}, expected {shape}.")
    return cast(RealParameter, _shared(block, RealParameter(block.params.prefix + name, value)))


def waves(size: int, count: int) -> np.ndarray:
    """Columns (n, r) of which no two are alike: 1, then cosines."""
    steps = (np.arange(size) + 0.5) / size
    return np.stack([np.cos(np.pi * k * steps) for k in range(count)], axis=1)


def covariance_parameter(
    block: mx.gluon.Block, name: str, value: Any, size: int, rank: int = 0
) -> CovarianceParameter:
    """The `CovarianceParameter` `name` of a block; value: Σ, a variance for all, or None for 1."""
    rank = rank or size
    if value is None or np.ndim(value) == 0:
        root = np.eye(size) if rank == size else waves(size, rank) / np.sqrt(rank)
        value = (1.0 if value is None else value) * (root @ root.T)
    made = CovarianceParameter(block.params.prefix + name, value, size, rank)
    return cast(CovarianceParameter, _shared(block, made))


def vector_lag_polynomial(
    block: mx.gluon.Block, name: str, value: Any, order: int, size: int, sign: float = 1.0
) -> VectorLagPolynomial:
    """The `VectorLagPolynomial` `name` of a block; value: C, or None for zeros."""
    value = np.zeros((order, size, size)) if value is None else value
    made = VectorLagPolynomial(block.params.prefix + name, value, order, size, sign)
    return cast(VectorLagPolynomial, _shared(block, made))


def _shared(block, made):
    """The parameter, or that of the parameters that the block shares."""
    found = block.params._get_impl(made.name)
    if found is None:
        block.params._params[made.name] = found = made
    return found
