"""Derivatives by x of the exact posterior of several outputs."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

from .. import functional as fn
from ..typing import Array, Namespace
from .kernel_derivatives import Differentiated, differentiated
from .kernel_derivatives.base import pairs_of, plus
from .mean import mean_slope


def gradients(F: Namespace, posterior: Any, x: Array) -> Tuple[Array, Array]:
    """∂E f_a/∂x and ∂Var f_a/∂x at x (B, m, d) in the dtype of the factor, (B, m, k, d) each."""
    found = _of_pairs(F, posterior, x)
    own = posterior._projected(F, [each.value for each in found])
    prior = _of_kernels(F, posterior, None, x)
    changes = []
    for j, columns in enumerate(_columns(F, found)):
        change = -posterior._taken(F, own, posterior._projected(F, columns))
        slope = _of_outputs(F, posterior, [each.slopes[j] for each in prior], prior[0].value)
        changes.append(2.0 * plus(change, slope))
    return _mean_slopes(F, posterior, x, found), F.stack(*changes, axis=3)


def derivatives(F: Namespace, posterior: Any, x: Array) -> Tuple[Array, Array]:
    """Mean and covariance of ∂f_a/∂x at x (B, m, d), (B, m, k, d) and (B, m, k, d, d)."""
    found, d = _of_pairs(F, posterior, x), posterior._input_sizes()[1]
    projected = [posterior._projected(F, columns) for columns in _columns(F, found)]
    prior = _of_kernels(F, posterior, None, x, twice=True)
    entries: Dict[Tuple[int, int], Array] = {}
    for a, b in pairs_of(d):
        bends = [each.bends.get((a, b)) for each in prior]
        own = _of_outputs(F, posterior, bends, prior[0].value)
        entries[a, b] = plus(-posterior._taken(F, projected[a], projected[b]), own)
    rows = [F.stack(*(entries[min(a, b), max(a, b)] for b in range(d)), axis=3) for a in range(d)]
    return _mean_slopes(F, posterior, x, found), F.stack(*rows, axis=3)


def _of_kernels(
    F: Namespace, posterior: Any, points: Optional[Array], x: Array, twice: bool = False
) -> List[Differentiated]:
    """`differentiated` of each kernel, which is in float64, in the dtype of the factor."""
    dtype, columns = posterior._compute_dtype, posterior._input_sizes()[1]
    return [
        differentiated(F, kernel, points, x, columns, twice=twice).cast(F, dtype)
        for kernel in posterior.kernels
    ]


def _of_pairs(F: Namespace, posterior: Any, x: Array) -> List[Differentiated]:
    return _of_kernels(F, posterior, posterior._constant(F, "inputs", x), x)


def _columns(F: Namespace, found: Sequence[Differentiated]) -> List[List[Array]]:
    """By column of x, ∂k_q(X, x)/∂x_j of each kernel."""
    nothing = fn.zeros_like(F, found[0].value)
    return [
        [nothing if slope is None else slope for slope in slopes]
        for slopes in zip(*(each.slopes for each in found))
    ]


def _of_outputs(
    F: Namespace, posterior: Any, values: Sequence[Optional[Array]], like: Array
) -> Optional[Array]:
    """Σ_q B_q,aa v_q, (B, m, k); None where each is None, which is 0."""
    if all(value is None for value in values):
        return None
    nothing = fn.zeros_like(F, like)
    every = [nothing if v is None else F.broadcast_add(v, nothing) for v in values]
    return posterior._of_outputs(F, every)  # type: ignore[no-any-return]


def _mean_slopes(F: Namespace, posterior: Any, x: Array, found: Sequence[Differentiated]) -> Array:
    parts = [posterior._explained(F, columns) for columns in _columns(F, found)]
    means = F.stack(*parts, axis=3)
    shift = mean_slope(F, posterior.mean_function, x, posterior.name)
    if shift is None:
        return means
    shift = F.cast(F.expand_dims(shift, axis=1), dtype=posterior._compute_dtype)
    return F.broadcast_add(means, shift)
