"""Partial autocorrelations, coefficients, and what they say of a stationary autoregression.

The Durbin-Levinson recursion: with φ_{k,k} = r_k, φ_{k,j} = φ_{k-1,j} - r_k φ_{k-1,k-j} are the
coefficients of the best prediction of z from its k predecessors, and its error has the variance
v_k = v_{k-1} (1 - r_k²). Every sequence of r in (-1, 1) is that of one stationary autoregression
(Monahan 1984, Biometrika 71), and with the opposite sign of one invertible moving average.
"""

from typing import Any, List, Sequence, Tuple

import numpy as np

from ... import functional as fn
from ...typing import Array, Namespace
from ..bounded import MARGIN, BoundedParameter
from .arrays import beside, element, matrix


def predictors(F: Namespace, partial: Array, order: int) -> List[Array]:
    """The coefficients of the best predictions from 1, ..., p predecessors, (1, k) each.

    partial: r, (1, p) with p = order.
    """
    found: List[Array] = []
    for k in range(order):
        r = element(F, partial, k)
        if not found:
            found.append(r)
            continue
        last = found[-1]
        changed = last - F.broadcast_mul(F.reverse(last, axis=1), r)
        found.append(beside(F, [changed, r], axis=1))
    return found


def step_down(F: Namespace, coefficients: Array, order: int) -> Tuple[List[Array], Array]:
    """The predictors of `predictors`, and 1 - r² (1, p), from the last of them, (1, p)."""
    found: List[Array] = [coefficients]
    complements: List[Array] = []
    for k in reversed(range(order)):
        r = element(F, found[0], k)
        complements.insert(0, (1.0 - r) * (1.0 + r))
        if k:
            head = F.slice_axis(found[0], axis=1, begin=0, end=k)
            changed = head + F.broadcast_mul(F.reverse(head, axis=1), r)
            found.insert(0, F.broadcast_div(changed, complements[0]))
    return found, beside(F, complements, axis=1)


def lagged_factor(
    F: Namespace,
    one: Array,
    variance: Array,
    predictors: Sequence[Array],
    complements: Array,
    size: int,
) -> Array:
    """A factor of the covariance of z_t, z_{t-1}, ..., z_{t-size+1}, (1, size, size), lower.

    variance: of the innovations, (1, 1); predictors, complements: those of the p partial
    autocorrelations, p = 0 for white noise. Each z is its prediction from those before plus an
    error of its own, whose variance is that of the innovations over Π_{i>k} (1 - r_i²) for k < p.
    """
    order = len(predictors)
    deviations = [F.sqrt(variance)] * max(size - order, 0)
    for k in reversed(range(order)):
        variance = variance / element(F, complements, k)
        deviations.insert(0, F.sqrt(variance))
    rows = matrix(F, one, [deviations[:1] + [0.0] * (size - 1)])
    for k in range(1, size):
        own = matrix(F, one, [[0.0] * k + [deviations[k]] + [0.0] * (size - k - 1)])
        if order:
            predictor = predictors[min(k, order) - 1]
            last = F.slice_axis(rows, axis=1, begin=max(k - order, 0), end=k)
            weights = F.expand_dims(F.reverse(predictor, axis=1), axis=1)
            own = fn.product(F, weights, last) + own
        rows = F.concat(rows, own, dim=1)
    return rows


def coefficients_of(partial: Any) -> np.ndarray:
    """φ of partial autocorrelations (p,), by NumPy."""
    found = np.zeros(0)
    for r in np.asarray(partial, dtype="float64"):
        found = np.append(found - r * found[::-1], r)
    return found


def partials_of(name: str, coefficients: Any, order: int, what: str, advice: str) -> np.ndarray:
    """The partial autocorrelations (p,) of φ; ValueError where some |r| >= 1.

    what: 'coefficients' and the like, advice: a last sentence, for messages.
    """
    given = np.atleast_1d(np.asarray(coefficients, dtype="float64"))
    if given.shape != (order,):
        raise ValueError(
            f"{name}: {what} has shape {given.shape}, expected {order} numbers, one for each lag."
        )
    current, partial = given, np.zeros(order)
    for k in reversed(range(order)):
        r = current[k]
        if not abs(r) < 1.0 - MARGIN:
            raise ValueError(
                f"{name}: the {what} {given.tolist()} are not those of {advice} (partial "
                f"autocorrelation {r:.9g} at lag {k + 1})."
            )
        partial[k] = r
        current = (current[:k] + r * current[:k][::-1]) / ((1.0 - r) * (1.0 + r))
    return partial


class LagPolynomial(BoundedParameter):
    """Coefficients c of 1 - Σ c_j L^j, or with sign = -1 of 1 + Σ c_j L^j.

    All roots are outside the unit circle: it is a stationary autoregression, or an invertible
    moving average. What is stored are the partial autocorrelations as numbers without bounds;
    `value` and `set_value` speak of coefficients.
    """

    mixes = True

    def __init__(self, name: str, value: Any, order: int, sign: float = 1.0, **kwargs: Any) -> None:
        self.order, self.sign = order, sign
        super().__init__(name, value, MARGIN - 1.0, 1.0 - MARGIN, **kwargs)

    def natural_of(self, stored: np.ndarray) -> np.ndarray:
        """The coefficients (p,) of stored numbers."""
        return self.sign * coefficients_of(super().natural_of(stored))

    def natural(self, F: Namespace, stored: Array) -> Array:
        """The coefficients in a graph, (1, p), or of stored numbers (B, p)."""
        return self.sign * predictors(F, self.partial(F, stored), self.order)[-1]

    def partial(self, F: Namespace, stored: Array) -> Array:
        """The partial autocorrelations in a graph, (1, p), or of stored numbers (B, p)."""
        return super().natural(F, F.reshape(stored, shape=(-1, self.order)))

    def _stored(self, value, name):
        kind = "an invertible moving average" if self.sign < 0 else "a stationary process"
        what = name.rsplit("_", 1)[-1]
        return super()._stored(partials_of(name, self.sign * value, self.order, what, kind), name)


def lag_polynomial(
    block: Any, name: str, value: Any, order: int, sign: float = 1.0
) -> LagPolynomial:
    """The parameter `name` of `block`, created once or found in the parameters it shares."""
    full_name = block.params.prefix + name
    found = block.params._get_impl(full_name)
    if found is None:
        found = LagPolynomial(full_name, np.zeros(order) if value is None else value, order, sign)
        block.params._params[full_name] = found
    return found
