"""Initial inducing points: centres of clusters, or points that leave the least variance."""

from typing import Optional

import mxnet as mx
import numpy as np

from .._runtime import install_command
from ..blocks.kernels import Kernel
from ..errors import ShapeError
from ..typing import ArrayLike

METHODS = ("variance", "kmeans", "random")
# Of Lloyd's algorithm, which most often ends far earlier.
ROUNDS = 50


def inducing_points(
    x: ArrayLike,
    count: int,
    method: str = "variance",
    kernel: Optional[Kernel] = None,
    seed: int = 0,
) -> np.ndarray:
    """`count` inducing points for inputs x, (n, d) or (B, n, d) -> (m, d) or (B, m, d), float64.

    method 'variance': rows of x, each that of which the variance given those before it is largest
    under `kernel`: the pivots of an incomplete Cholesky factorization of k(x), which costs n m²
    time and n m memory. Fewer than `count` where these explain all variance but rounding.
    'kmeans': centres of clusters of the columns, each divided by its standard deviation (needs
    SciPy). 'random': rows of x without repetition. Burt, Rasmussen & van der Wilk 2020.

    kernel: initialized, with the hyperparameters that training begins with. seed: of 'kmeans' and
    'random'. Raises ShapeError where there are fewer rows than points.

    >>> kernel = gl.kernels.RBF()
    >>> kernel.initialize()
    >>> gl.inducing_points(np.linspace(0, 1, 50)[:, None], 3, kernel=kernel).round(2).tolist()
    [[0.0], [1.0], [0.51]]
    """
    values = x.asnumpy() if isinstance(x, mx.nd.NDArray) else np.asarray(x)
    values = np.asarray(values, dtype="float64")
    if values.ndim not in (2, 3):
        raise ShapeError(f"inducing_points: x has shape {values.shape}, expected (n, d).")
    if not np.isfinite(values).all():
        raise ValueError("inducing_points: x contains NaN or infinity.")
    if not 0 < count <= values.shape[-2]:
        raise ShapeError(
            f"inducing_points: count is {count} for {values.shape[-2]} rows of x; give a number "
            "from 1 to that of the rows."
        )
    if method not in METHODS:
        raise ValueError(f"inducing_points: method is {method!r}, expected {', '.join(METHODS)}.")
    if values.ndim == 3:
        each = [inducing_points(rows, count, method, kernel, seed) for rows in values]
        return np.stack([rows[: min(map(len, each))] for rows in each])
    if method == "variance":
        if kernel is None:
            raise TypeError("inducing_points: method 'variance' needs the kernel.")
        return values[_pivots(values, count, kernel)]
    random = np.random.RandomState(seed)
    if method == "random":
        return values[np.sort(random.permutation(len(values))[:count])]
    return _centres(values, count, random)


def _pivots(x: np.ndarray, count: int, kernel: Kernel) -> np.ndarray:
    """The first pivots of the Cholesky factorization of k(x) with complete pivoting."""
    dtype = "float64"
    inputs = mx.nd.array(x[None], dtype=dtype)
    with mx.autograd.pause():
        left = kernel.evaluate_diagonal(mx.nd, inputs, dtype).asnumpy()[0].copy()
        smallest = 1e-14 * left.max() * len(x)
        rows = np.empty((count, len(x)))
        chosen = np.empty(count, dtype=int)
        for j in range(count):
            pivot = int(np.argmax(left))
            if not left[pivot] > smallest:
                return chosen[:j]
            point = mx.nd.array(x[None, [pivot]], dtype=dtype)
            column = kernel.evaluate(mx.nd, point, inputs, dtype).asnumpy()[0, 0]
            column = column - rows[:j, pivot] @ rows[:j]
            rows[j] = column / np.sqrt(left[pivot])
            left = np.maximum(left - rows[j] ** 2, 0.0)
            left[pivot] = 0.0
            chosen[j] = pivot
    return chosen


def _centres(x: np.ndarray, count: int, random: np.random.RandomState) -> np.ndarray:
    try:
        from scipy.cluster.vq import kmeans2
    except ImportError as error:
        raise ImportError(
            "inducing_points: method 'kmeans' needs SciPy: use 'variance', or "
            f"{install_command('fit')}."
        ) from error
    deviation = x.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    scaled = x / deviation
    start = scaled[_spread(scaled, count, random)]
    centres, _ = kmeans2(scaled, start, iter=ROUNDS, minit="matrix", missing="warn")
    return centres * deviation


def _spread(x: np.ndarray, count: int, random: np.random.RandomState) -> np.ndarray:
    """Rows far from each other, each drawn in proportion to its squared distance (k-means++)."""
    chosen = [int(random.randint(len(x)))]
    distance = ((x - x[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < count:
        total = distance.sum()
        weights = distance / total if total > 0 else None
        chosen.append(int(random.choice(len(x), p=weights)))
        distance = np.minimum(distance, ((x - x[chosen[-1]]) ** 2).sum(axis=1))
    return np.array(chosen)
