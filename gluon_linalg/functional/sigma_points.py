"""Rules for the mean, slope and rest of a function of a normal variable.

Of f(x) for x = m + L ξ, ξ ~ N(0, I), a rule finds E f, C = E[f ξᵀ] (which is A L for the affine
A x + b nearest to f: statistical linear regression, Särkkä & Svensson 2023, section 9) and E with
E Eᵀ = Var f - C Cᵀ.
"""

import math
from typing import NamedTuple, Optional, Tuple, Union

import numpy as np

from ..typing import Array, Namespace
from .matrix import identity_like
from .tangent import ones_like, zeros_like

# More points than this for each state and time are refused.
MOST = 5000


class Points(NamedTuple):
    """Constants: ξ_i with Σ w_i ξ_i ξ_iᵀ = I; no weight is below 0."""

    nodes: Array  # ξ, (d, S)
    weights: Array  # w of means, (1, 1, S)
    roots: Array  # √w of covariances, (1, 1, S)
    size: int  # S


class Rule:
    """How a function of a normal variable is brought to an affine one and a rest."""

    # Whether the function is called at points, or gives its value at the mean with the Jacobian.
    has_points = True

    def check(self, states: int, name: str) -> None:
        """Raises ValueError where the rule is none for so many states."""

    def points(self, F: Namespace, factor: Array, states: int) -> Points:
        """The `Points` in the dtype of a factor (B, d, d)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement points")


class Cubature(Rule):
    """Spherical cubature of degree 3: 2 d points ±√d along each axis (Arasaratnam & Haykin 2009).

    All weights are 1/2d.
    """

    def points(self, F: Namespace, factor: Array, states: int) -> Points:
        return _along_axes(F, factor, states, float(states), 0.0, None)


class Unscented(Rule):
    """2 d + 1 points: the mean and ±√(d + λ) along each axis, λ = α² (d + κ) - d.

    The weight of the mean is λ/(d + λ) in means, and 1 - α² + β more in covariances; that of the
    others 1/2(d + λ) (Julier & Uhlmann 2004; Wan & van der Merwe 2000). The defaults make every
    weight positive for any d. Others that make one negative are refused: a covariance with a
    negative weight need not be one.
    """

    def __init__(
        self, alpha: float = math.sqrt(3.0), beta: float = 2.0, kappa: float = 1.0
    ) -> None:
        values = {"alpha": alpha, "beta": beta, "kappa": kappa}
        for key, value in values.items():
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
                raise ValueError(f"Unscented: {key} is {value!r}, expected a number.")
            if not math.isfinite(value):
                raise ValueError(f"Unscented: {key} is {value!r}, expected a finite number.")
        if alpha <= 0:
            raise ValueError(f"Unscented: alpha is {alpha!r}, expected a number above 0.")
        self._values = float(alpha), float(beta), float(kappa)

    def check(self, states: int, name: str) -> None:
        spread, centre, extra = self._weights(states)
        if not spread > 0 or centre < 0 or centre + extra < 0:
            alpha, beta, kappa = self._values
            found = (
                f"gives the centre the weights {centre:.6g} and {centre + extra:.6g}"
                if spread > 0
                else "makes d + λ no positive number"
            )
            raise ValueError(
                f"{name}: the unscented rule with alpha={alpha:g}, beta={beta:g}, kappa={kappa:g} "
                f"{found} for {states} states; negative ones can make covariances that are none. "
                "Use alpha=1 with kappa and beta of 0 or more, or rule='cubature'."
            )

    def points(self, F: Namespace, factor: Array, states: int) -> Points:
        spread, centre, extra = self._weights(states)
        return _along_axes(F, factor, states, spread, centre, centre + extra)

    def _weights(self, states: int) -> Tuple[float, float, float]:
        """d + λ, the weight of the mean, and how much more it is in covariances."""
        alpha, beta, kappa = self._values
        spread = alpha**2 * (states + kappa)
        centre = 1.0 - states / spread if spread else float("nan")
        # Rounding makes no weight negative that is 0.
        centre = 0.0 if abs(centre) < 1e-12 else centre
        extra = 1.0 - alpha**2 + beta
        return spread, centre, 0.0 if abs(centre + extra) < 1e-12 and centre == 0.0 else extra


class GaussHermite(Rule):
    """The product rule of `order` Gauss-Hermite nodes along each axis: order^d points.

    Exact for polynomials of degree 2 order - 1 along each axis.
    """

    def __init__(self, order: int = 3) -> None:
        if isinstance(order, bool) or not isinstance(order, (int, np.integer)) or order < 2:
            raise ValueError(f"GaussHermite: order is {order!r}, expected an integer of 2 or more.")
        self._order = int(order)

    def check(self, states: int, name: str) -> None:
        if self._order**states > MOST:
            raise ValueError(
                f"{name}: the Gauss-Hermite rule of order {self._order} has {self._order}^{states} "
                f"= {self._order**states} points for {states} states, more than {MOST}. Use a "
                f"lower order, or rule='cubature' with its {2 * states} points."
            )

    def points(self, F: Namespace, factor: Array, states: int) -> Points:
        order = self._order
        nodes, weights = np.polynomial.hermite_e.hermegauss(order)
        one = _corner(F, factor)
        along, weight = (
            F.concat(*(one * float(number) for number in numbers), dim=1)
            for numbers in (nodes, weights / math.sqrt(2.0 * math.pi))
        )
        rows, total = [], None
        for axis in range(states):
            reps = (1, order**axis)
            inner = order ** (states - 1 - axis)
            row, part = (
                F.tile(F.repeat(x, repeats=inner, axis=1), reps=reps) for x in (along, weight)
            )
            rows.append(row)
            total = part if total is None else total * part
        total = F.expand_dims(total, axis=0)
        return Points(F.concat(*rows, dim=0), total, F.sqrt(total), order**states)


class Extended(Rule):
    """The first-order Taylor expansion at the mean: the extended Kalman filter.

    The blocks return their value and their Jacobian; E is 0.
    """

    has_points = False


RULES = {
    "cubature": Cubature,
    "unscented": Unscented,
    "gauss_hermite": GaussHermite,
    "extended": Extended,
}


def sigma_rule(rule: Union[str, Rule], states: int, name: str) -> Rule:
    """The `Rule` of a name or of itself, checked for so many states. Raises ValueError."""
    found = RULES[rule]() if isinstance(rule, str) and rule in RULES else rule
    if not isinstance(found, Rule):
        raise ValueError(
            f"{name}: rule is {rule!r}, expected one of {tuple(RULES)}, or a Cubature, Unscented, "
            "GaussHermite or Extended."
        )
    found.check(states, name)
    return found


def _along_axes(
    F: Namespace,
    factor: Array,
    states: int,
    spread: float,
    centre: float,
    centre_covariance: Optional[float],
) -> Points:
    """±√spread along each axis, weights 1/2 spread, and the mean where it has weights."""
    axes = F.squeeze(F.slice_axis(identity_like(F, factor), axis=0, begin=0, end=1), axis=0)
    axes = math.sqrt(spread) * axes
    ones = F.expand_dims(F.slice_axis(ones_like(F, axes), axis=0, begin=0, end=1), axis=0)
    weights = F.concat(ones, ones, dim=2) * (0.5 / spread)
    roots, nodes, count = F.sqrt(weights), F.concat(axes, -axes, dim=1), 2 * states
    if centre_covariance is not None:
        one = F.slice_axis(ones, axis=2, begin=0, end=1)
        weights = F.concat(one * centre, weights, dim=2)
        roots = F.concat(one * math.sqrt(centre_covariance), roots, dim=2)
        middle = F.slice_axis(zeros_like(F, axes), axis=1, begin=0, end=1)
        nodes, count = F.concat(middle, nodes, dim=1), count + 1
    return Points(nodes, weights, roots, count)


def _corner(F: Namespace, factor: Array) -> Array:
    """1 as an array (1, 1)."""
    one = ones_like(F, F.slice(factor, begin=(0, 0, 0), end=(1, 1, 1)))
    return F.squeeze(one, axis=0)
