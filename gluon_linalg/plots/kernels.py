"""What functions a kernel expects."""

from typing import Any, Optional, Tuple

import mxnet as mx
import numpy as np

from .style import FAINT, INK, MODEL, drawn

POINTS = 300
# What is added to the variances, as a share, so that rounding leaves the matrix a factor.
JITTER = 1e-9


def plot_kernel(
    kernel: Any, ends: Tuple[float, float] = (0.0, 5.0), samples: int = 5, seed: Optional[int] = 0
) -> Any:
    """Functions drawn from a process of one input with this kernel, and its covariance: a figure.

    kernel: an initialized kernel of one column; ends: of the inputs; samples: how many functions.
    """
    x = np.linspace(*ends, POINTS)
    dtype = np.dtype(getattr(kernel, "dtype", None) or "float32").name
    with mx.autograd.pause():
        matrix = kernel(mx.nd.array(x[None, :, None], dtype=dtype)).asnumpy()[0].astype("float64")
    values, vectors = np.linalg.eigh(matrix + JITTER * np.trace(matrix) / POINTS * np.eye(POINTS))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    drawn_samples = root @ np.random.RandomState(seed).normal(size=(POINTS, samples))
    return drawn(_draw, x, drawn_samples, matrix)


def _draw(pyplot, x, samples, matrix):
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(10, 4), constrained_layout=True, gridspec_kw={"width_ratios": [2, 1]}
    )
    spread = 1.96 * np.sqrt(np.diag(matrix))
    left.fill_between(x, -spread, spread, color=MODEL, alpha=0.12, lw=0)
    left.plot(x, samples, lw=1.2)
    left.axhline(0.0, color=FAINT, lw=0.6, zorder=0)
    left.set_xlabel("x")
    left.set_title("Functions drawn from it")
    middle = len(x) // 2
    right.plot(x - x[middle], matrix[middle], color=INK, lw=1.4)
    right.set_xlabel("distance from the middle")
    right.set_title("Covariance with the middle")
    return figure
