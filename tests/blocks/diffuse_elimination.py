"""Elimination of regressors in longdouble, by Householder reflections with pivots."""

import numpy as np
import scipy.linalg

# Columns of X of which so little is left beside the others are taken to depend on them.
DEPENDENT = 1e-14


class Eliminated:
    """Householder reflections that turn X (n, q), in units of its columns, into [R; 0].

    rank: of X; log_determinant: that of XᵀX in units 1, of what is not 0; null_space (q, q - rank).
    What has been turned is kept here by `diffuse_reference`: factor, a root L of NᵀVN, and
    turned_y, residual and whitened, which are [Uᵀ; Nᵀ] y, Nᵀy and L⁻¹ Nᵀy.
    """

    def __init__(self, columns, units):
        self.units, self._size = units, columns.shape[1]
        lengths = np.sqrt(np.square(columns).sum(axis=0))
        lengths = lengths + (lengths == 0)
        order, self._vectors, work = _reflected(columns / lengths)
        self.rank = len(self._vectors)
        upper = np.zeros((self.rank, self._size), dtype=np.longdouble)
        upper[:, order] = work[: self.rank]
        # X = U upper: the rows of `upper`, turned once more, give its rank and its inverse.
        _, self._right, work = _reflected((upper * lengths).T, pivoting=False)
        self._lower = work[: self.rank].T
        # The reflections count their columns in order, which `upper` has kept.
        logs = np.log(np.abs(np.diag(self._lower))).sum() - np.log(units).sum()
        self.log_determinant = float(2 * logs)
        basis = _turned_back(self._right, np.eye(self._size, dtype=np.longdouble))
        self._row_space = basis[:, : self.rank]
        self.null_space = (units[:, None] * basis[:, self.rank :]).astype("float64")

    def turn(self, array):
        """[Uᵀ; Nᵀ] array."""
        return _turned(self._vectors, array)

    def left_inverse(self, turned):
        """X⁺ array, in units of the columns, given `turn(array)`."""
        right, found = turned[: self.rank], []
        for i in range(self.rank):
            before = sum(self._lower[i, j] * found[j] for j in range(i))
            found.append((right[i] - before) / self._lower[i, i])
        rows = np.array(found).reshape(self.rank, turned.shape[1])
        rest = np.zeros((self._size - self.rank, turned.shape[1]), dtype=np.longdouble)
        return _turned_back(self._right, np.concatenate([rows, rest]))

    def solve(self, array, transposed=False):
        """L⁻¹ array, or L⁻ᵀ array, L Lᵀ = Nᵀ M Mᵀ N."""
        if not len(self.factor):
            # Older versions of SciPy take no empty system.
            return array
        return scipy.linalg.solve_triangular(
            self.factor, array, lower=True, trans=int(transposed), check_finite=False
        )

    def estimable(self, rows):
        """Whether rows (m, q) are combinations of those of X."""
        rest = rows - rows.dot(self._row_space).dot(self._row_space.T)
        size = np.sqrt(np.square(rows).sum(axis=1))
        return np.sqrt(np.square(rest).sum(axis=1)) <= 1e-9 * size


def _reflected(columns, pivoting=True):
    """Order of the columns, reflections, and what they turn the ordered columns into."""
    work, order, vectors = columns.copy(), np.arange(columns.shape[1]), []
    for k in range(min(work.shape)):
        if pivoting:
            lengths = np.sqrt(np.square(work[k:, k:]).sum(axis=0))
            best = k + int(np.argmax(lengths))
            if lengths[best - k] < DEPENDENT:
                break
            for array in (work.T, order):
                array[[k, best]] = array[[best, k]]
        vector = work[:, k].copy()
        vector[:k] = 0
        vector[k] += np.copysign(np.sqrt(np.square(vector).sum()), vector[k])
        vector /= np.sqrt(np.square(vector).sum())
        vectors.append(vector)
        work -= 2 * np.outer(vector, vector.dot(work))
    return order, vectors, work


def _turned(vectors, array):
    for vector in vectors:
        array = array - 2 * np.outer(vector, vector.dot(array))
    return array


def _turned_back(vectors, array):
    return _turned(vectors[::-1], array)
