"""What a nonlinear state space model says of its states: smoother and forecaster."""

from typing import Any, Dict, Optional, Tuple, Union

from .. import functional as fn
from ..functional import linearization
from ..typing import Array, Namespace
from ..typing import given as own
from .nonlinear import NonlinearLayer
from .nonlinear_calls import Arguments, Calls, over_batches, squared
from .smoother import KalmanSmootherLayer


class NonlinearSmootherLayer(NonlinearLayer):
    """E[x_t | y_1..y_T], (B, T, d), and Var(x_t | y_1..y_T), (B, T, d, d), approximately.

    After the filter the model is affine about what was known at each time: f about the filtered
    state, h about the predicted one. The Kalman smoother of that affine model is the sigma-point
    or extended Rauch-Tung-Striebel smoother (Särkkä 2008). Each of `iterations` brings f and h of
    all times at once to affine functions about the smoothed states, and smooths again (iterated
    posterior linearization, García-Fernández, Svensson & Särkkä 2017; with 'extended' Gauss-Newton
    steps to the mode, Bell 1994); `step` is how far the means of these go towards the new ones.

    With `lag_one` also Cov(x_{t+1}, x_t | y_1..y_T), (B, T - 1, d, d). Arguments, model, options
    and errors as in `NonlinearFilterLayer`.

    >>> same = mx.gluon.nn.HybridLambda(lambda F, x: 1.0 * x)
    >>> one = mx.nd.ones((1, 1, 1, 1))
    >>> arrays = 2.0 * one[0], one, one, mx.nd.zeros((1, 1)), one[0]
    >>> mean, covariance = gl.NonlinearSmootherLayer(same, same, 1)(*arrays)
    >>> print(mean.asnumpy().round(4), covariance.asnumpy().round(4))
    [[[1.]]] [[[[0.5]]]]
    """

    def __init__(
        self, *model: Any, iterations: int = 0, lag_one: bool = False, **options: Any
    ) -> None:
        super().__init__(*model, **options)
        self._iterations = self._count("iterations", iterations)
        self._smoother = KalmanSmootherLayer(
            self._states, self._observations, lag_one=lag_one, prefix=self.prefix
        )

    def _results(self, F: Namespace, given: Dict[str, Any]) -> Tuple[Array, ...]:
        found = self._pass(F, given, "about", "filtered")
        before, after = (over_batches(F, x) for x in found)
        found = self._smoothed(F, given, after, before)
        mean = after[0]
        for k in range(self._iterations):
            mean = found[0] if k == 0 else mean + self._step * (found[0] - mean)
            rows = F.reshape(found[1], shape=(-3, 0, 0))
            factor = linearization.semidefinite_factor(F, rows, self._states)
            about = mean, F.reshape_like(factor, found[1])
            found = self._smoothed(F, given, about, about)
        return found

    def _smoothed(self, F, given, of_transition, of_emission):
        """The smoother of the model that is affine about these means and factors."""
        calls = Calls(self, F, self._points(F, _rows(F, of_transition[1])))

        def about(moments, inputs):
            mean, factor = moments
            known = None if inputs is None else _over(F, inputs, mean)
            return F.reshape(mean, shape=(-3, -1, 1)), _rows(F, factor), known

        mean, factor, known = about(of_transition, given["transition_input"])
        state = calls.transition(mean, factor, known)
        matrix, offset = _affine(F, state, mean, factor)
        transition, offset = (_like(F, x, of_transition[0]) for x in (matrix, offset))
        process = self._joined(F, state, of_transition[0], given["process_factor"])
        mean, factor, known = about(of_emission, given["emission_input"])
        seen, variance = calls.emission(mean, factor, known)
        matrix, level = _affine(F, seen, mean, factor)
        emission, level = (_like(F, x, of_emission[0]) for x in (matrix, level))
        noise = given.get("observation_factor")
        if variance is not None:
            noise = _like(F, variance, of_emission[0])
        noise = self._joined(F, seen, of_emission[0], noise)
        return self._smoother.results(
            F,
            given["y"],
            transition,
            emission,
            process,
            noise,
            given["prior_mean"],
            given["prior_factor"],
            given["mask"],
            F.squeeze(offset, axis=3),
            F.squeeze(level, axis=3),
        )

    def _joined(self, F, linearized, mean, noise):
        """[E  N], (B, T, n, .)."""
        if linearized.rest is None:
            return noise
        rest = _like(F, linearized.rest, mean)
        corner = fn.zeros_like(F, F.slice_axis(rest, axis=3, begin=0, end=1))
        return F.concat(rest, F.broadcast_add(noise, corner), dim=3)


class NonlinearForecastLayer(NonlinearLayer):
    """Moments of the next h = `steps` states and observations, given y_1, ..., y_T.

    State mean (B, h, d) and covariance (B, h, d, d), observation mean (B, h, p) and covariance
    (B, h, p, p) at T + 1, ..., T + h; those of the observation include its noise. With
    moments='factor' lower factors stand in place of the covariances. Arguments, model and options
    as in `NonlinearFilterLayer`, but arrays that vary in time have T + h entries (y and mask have
    T).

    Errors as in `NonlinearFilterLayer`.

    >>> same = mx.gluon.nn.HybridLambda(lambda F, x: 1.0 * x)
    >>> one = mx.nd.ones((1, 1, 1, 1))
    >>> arrays = 2.0 * one[0], one, one, mx.nd.zeros((1, 1)), one[0]
    >>> *_, mean, variance = gl.NonlinearForecastLayer(same, same, 1, steps=2)(*arrays)
    >>> print(mean.asnumpy().round(4).ravel(), variance.asnumpy().round(4).ravel())
    [1. 1.] [2.5 3.5]
    """

    def __init__(
        self, *model: Any, steps: int = 1, moments: Union[bool, str] = True, **options: Any
    ) -> None:
        super().__init__(*model, **options)
        self._further = self._size("steps", steps)
        if moments not in (True, "factor"):
            raise ValueError(f"{self.name}: moments is {moments!r}, expected True or 'factor'.")
        self._moments = moments

    def _results(self, F: Namespace, given: Dict[str, Any]) -> Tuple[Array, ...]:
        (found,) = self._pass(F, given, "predicted")
        h = self._further
        mean, factor = over_batches(F, F.slice_axis(found, axis=1, begin=-h, end=None))
        observed, spread = self._emitted(F, given, mean, factor)
        if self._moments is True:
            factor, spread = squared(F, factor), squared(F, spread)
        return mean, factor, observed, spread

    def _emitted(
        self, F: Namespace, given: Arguments, mean: Array, factor: Array
    ) -> Tuple[Array, Array]:
        """Mean (B, h, p) and lower factor (B, h, p, p) of the observations ahead."""
        rows = _rows(F, factor)
        calls = Calls(self, F, self._points(F, rows))
        known = self._ahead(F, given, "emission_input")
        if known is not None:
            known = F.reshape(known, shape=(-3, 0))
        seen, noise = calls.emission(F.reshape(mean, shape=(-3, -1, 1)), rows, known)
        if noise is None:
            # That of the model is 0 where nothing was observed.
            noise = _rows(F, own(self._ahead(F, given, "observation_factor")))
        # Wide enough for its LQ.
        padding = fn.zeros_like(F, fn.product(F, seen.slope, seen.slope, transpose_b=True))
        wide = seen._replace(slope=F.concat(seen.slope, padding, dim=2))
        expected, spread = linearization.predicted(F, wide, noise, self.name)
        return F.squeeze(_like(F, expected, mean), axis=3), _like(F, spread, mean)

    def _ahead(self, F: Namespace, given: Arguments, name: str) -> Optional[Array]:
        """An argument (B or 1, T or 1, ...) at the times ahead, (B, h, ...)."""
        x = given[name]
        if x is None:
            return None
        row = F.slice_axis(given["y"], axis=2, begin=0, end=1)
        corner = fn.zeros_like(F, row if name == "emission_input" else F.expand_dims(row, axis=3))
        return F.slice_axis(F.broadcast_add(x, corner), axis=1, begin=-self._further, end=None)


def _rows(F: Namespace, factor: Array) -> Array:
    """(B, T, d, d) as (B T, d, d)."""
    return F.reshape(factor, shape=(-3, 0, 0))


def _like(F: Namespace, x: Array, mean: Array) -> Array:
    """(B T, m, n) as (B, T, m, n), by a mean (B, T, d)."""
    return F.reshape_like(x, fn.stop(F, mean), lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=2)


def _over(F: Namespace, inputs: Array, mean: Array) -> Array:
    """Inputs (B or 1, T or 1, k) for each row of means (B, T, d), (B T, k)."""
    corner = fn.zeros_like(F, F.slice_axis(mean, axis=2, begin=0, end=1))
    return F.reshape(F.broadcast_add(inputs, corner), shape=(-3, 0))


def _affine(F: Namespace, found: linearization.Linearized, mean: Array, factor: Array):
    """A and b of A x + b."""
    matrix = linearization.per_unit(F, found.slope, factor)
    return matrix, found.mean - fn.product(F, matrix, mean)
