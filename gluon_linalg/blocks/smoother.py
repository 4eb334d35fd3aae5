"""What a state space model says of its states: smoother, forecaster and sampler."""

from typing import Any, Mapping, Optional, Tuple

from .. import functional as fn
from ..errors import ShapeError
from ..typing import Array, Namespace
from .kalman import OPTIONS, SYSTEM, KalmanLayer, vectors


class KalmanSmootherLayer(KalmanLayer):
    """E[x_t | y_1..y_T], (B, T, d), and Var(x_t | y_1..y_T), (B, T, d, d).

    With `diffuse` the variance of a state that the data leave open is inf. With `lag_one` also
    Cov(x_{t+1}, x_t | y_1..y_T), (B, T - 1, d, d). Square-root form, without the inverse of any
    covariance (`functional.kalman_moments`). Arguments and errors as in `KalmanLayer` and
    `KalmanFilterLayer`.

    >>> arrays = gl.kalman_arrays([2.0], 1.0, 1.0, 1.0, 1.0, 0.0, 1.0)
    >>> mean, covariance = gl.KalmanSmootherLayer(1)(**arrays)
    >>> print(mean.asnumpy().round(4), covariance.asnumpy().round(4))
    [[[1.]]] [[[[0.5]]]]
    """

    def __init__(
        self,
        state_size: int,
        observation_size: int = 1,
        method: str = "sequential",
        length: Optional[int] = None,
        lag_one: bool = False,
        precision: Optional[str] = None,
        diffuse: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(state_size, observation_size, method, length, precision, diffuse, **kwargs)
        self._lag_one = bool(lag_one)

    def compute(
        self,
        F: Namespace,
        y: Array,
        *arrays: Optional[Array],
        directions: Optional[Array] = None,
    ) -> Tuple[Array, ...]:
        if directions is None:
            wanted = ("smoothed", "lag_one") if self._lag_one else ("smoothed",)
            found = self._moments_of(F, wanted, y, *arrays)
            if found is not None:
                results = found.smoothed_mean, found.smoothed_covariance
                return (*results, found.lag_one) if self._lag_one else results
        system = self._system(F, y, *arrays, directions=directions)
        filtered, _ = self._filter(F, system)
        smoothed = self._backward(F, system, filtered)
        covariance, lag_one = fn.smoothed_covariances(F, filtered, self._states, self._observations)
        tangents = self._tangents(F, system, filtered)
        columns, moved = smoothed.mean, tangents.smoothed_mean(smoothed)
        mean = tangents.settled_mean(columns, moved)
        changes = tangents.smoothed_covariances(smoothed)
        covariance = F.broadcast_add(changes[0], covariance)
        covariance = tangents.settled_covariance(covariance, columns, moved)
        covariance = fn.with_infinite(F, covariance, filtered.mean, filtered.settlement)
        results = vectors(F, mean), fn.batch_first(F, covariance)
        if not self._lag_one:
            return results
        now, later = (
            [F.slice_axis(x, axis=1, begin=begin, end=end) for x in (columns, moved)]
            for begin, end in ((0, -1), (1, None))
        )
        lag_one = F.slice_axis(F.broadcast_add(changes[1], lag_one), axis=1, begin=0, end=-1)
        lag_one = tangents.settled_covariance(lag_one, *now, *later)
        return (*results, fn.batch_first(F, lag_one))

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        super().check_shapes(sizes)
        if self._lag_one and sizes["N"] < 2:
            raise ShapeError(f"{self.name}: lag_one needs two observations or more, got 1.")


class KalmanForecastLayer(KalmanLayer):
    """Moments of the next h = `steps` states and observations, given y_1, ..., y_T.

    State mean (B, h, d) and covariance (B, h, d, d), observation mean (B, h, p) and covariance
    (B, h, p, p) at T + 1, ..., T + h; those of the observation include its noise. With `diffuse` a
    variance is inf where the data leave the state, or the observation, open. Arguments as in
    `KalmanLayer`, but arrays that vary in time have T + h entries (y and mask have T).

    Errors as in `KalmanFilterLayer`. Durbin & Koopman 2012, section 4.11.

    >>> arrays = gl.kalman_arrays([2.0], 1.0, 1.0, 1.0, 1.0, 0.0, 1.0)
    >>> *_, mean, variance = gl.KalmanForecastLayer(1, steps=2)(**arrays)
    >>> print(mean.asnumpy().round(4).ravel(), variance.asnumpy().round(4).ravel())
    [1. 1.] [2.5 3.5]
    """

    def __init__(
        self,
        state_size: int,
        observation_size: int = 1,
        steps: int = 1,
        method: str = "sequential",
        length: Optional[int] = None,
        precision: Optional[str] = None,
        diffuse: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(state_size, observation_size, method, length, precision, diffuse, **kwargs)
        self._further = self._size("steps", steps)

    def compute(
        self,
        F: Namespace,
        y: Array,
        transition: Array,
        emission: Array,
        process_factor: Array,
        observation_factor: Array,
        prior_mean: Array,
        prior_factor: Array,
        mask: Optional[Array] = None,
        transition_offset: Optional[Array] = None,
        emission_offset: Optional[Array] = None,
        directions: Optional[Array] = None,
    ) -> Tuple[Array, ...]:
        future = F.tile(
            fn.zeros_like(F, F.slice_axis(y, axis=1, begin=0, end=1)), reps=(1, self._further, 1)
        )
        seen = fn.ones_like(F, y) if mask is None else mask
        arrays = (
            F.concat(y, future, dim=1),
            transition,
            emission,
            process_factor,
            observation_factor,
            prior_mean,
            prior_factor,
            F.concat(seen, future, dim=1),
            transition_offset,
            emission_offset,
        )
        if directions is None:
            found = self._moments_of(F, ("predicted",), *arrays, last=self._further)
            if found is not None:
                rows = emission, observation_factor, emission_offset
                return self._results(F, found, arrays[0], *rows)
        system = self._system(F, *arrays, directions=directions)
        filtered, _ = self._filter(F, system)
        tangents = self._tangents(F, system, filtered)
        columns, steps = tangents.filtered.mean, self._further
        covariance = F.broadcast_add(tangents.covariance, filtered.covariance)
        observed, spread = fn.observation_moments(
            F, tangents, covariance, emission, observation_factor, emission_offset, steps, self.name
        )
        mean = tangents.settled_mean(columns, tangents.mean)
        covariance = tangents.settled_covariance(covariance, columns, tangents.mean)
        mean, covariance = (fn.last_steps(F, x, steps) for x in (mean, covariance))
        if directions is not None:
            columns = fn.last_steps(F, filtered.mean, steps)
            covariance = fn.with_infinite(F, covariance, columns, filtered.settlement)
            columns = fn.emitted(F, emission, filtered.mean, steps)
            spread = fn.with_infinite(F, spread, columns, filtered.settlement)
        covariance, spread = (fn.batch_first(F, x) for x in (covariance, spread))
        return vectors(F, mean), covariance, vectors(F, observed), spread

    def _results(self, F, moments, observed, emission, factor, offset):
        """The results from moments of T + 1, ..., T + h."""
        mean, covariance = moments.predicted_mean, moments.predicted_covariance
        seen, spread = fn.emitted_moments(
            F, observed, mean, covariance, emission, factor, offset, self._further, self.name
        )
        return mean, covariance, vectors(F, seen), fn.batch_first(F, spread)


class KalmanSamplerLayer(KalmanLayer):
    """A draw of the states x_1..x_T given y_1..y_T, (B, T, d), from standard normal numbers.

    x⁺ + E[x | y] - E[x | y⁺] with (x⁺, y⁺) drawn from the model (Durbin & Koopman 2002).
    Arguments as in `KalmanLayer`, and after prior_factor prior_noise (B, s), process_noise
    (B, T, r) and observation_noise (B, T, q): the same numbers give the same draw.

    Errors as in `KalmanFilterLayer`.

    >>> arrays = gl.kalman_arrays([2.0, 1.0], 1.0, 1.0, 1.0, 1.0, 0.0, 1.0)
    >>> shapes = {"prior": (1, 1), "process": (1, 2, 1), "observation": (1, 2, 1)}
    >>> noise = {f"{k}_noise": mx.nd.zeros(s, dtype="float64") for k, s in shapes.items()}
    >>> draw = gl.KalmanSamplerLayer(1)(**arrays, **noise)
    >>> mean, _ = gl.KalmanSmootherLayer(1)(**arrays)
    >>> np.allclose(draw.asnumpy(), mean.asnumpy(), atol=1e-6)  # without noise it is the mean
    True
    """

    NOISE = (("prior_noise", "B s"), ("process_noise", "B N r"), ("observation_noise", "B N q"))
    arguments = (("y", "B N p"),) + SYSTEM + NOISE + OPTIONS
    required = 10

    def compute(
        self,
        F: Namespace,
        y: Array,
        transition: Array,
        emission: Array,
        process_factor: Array,
        observation_factor: Array,
        prior_mean: Array,
        prior_factor: Array,
        prior_noise: Array,
        process_noise: Array,
        observation_noise: Array,
        mask: Optional[Array] = None,
        transition_offset: Optional[Array] = None,
        emission_offset: Optional[Array] = None,
        directions: Optional[Array] = None,
    ) -> Array:
        arrays = (transition, emission, process_factor, observation_factor, prior_mean)
        system = fn.state_space_system(
            F, y, *arrays, prior_factor, mask, transition_offset, emission_offset, name=self.name
        )
        states, observed = fn.simulated_states(
            F, system, prior_noise, process_noise, observation_noise, self._scan_length(F, system)
        )
        difference = fn.without_means(F, system, system.observed - observed)
        if directions is None:
            left = vectors(F, difference.observed)
            found = self._moments_of(
                F, ("smoothed",), left, *arrays[:4], 0.0 * prior_mean, prior_factor, mask
            )
            if found is not None:
                return vectors(F, states) + found.smoothed_mean
        if directions is not None:
            # x⁺ with any δ will do: what is added estimates the difference.
            difference = fn.with_directions(F, difference, directions)
        filtered, _ = self._filter(F, difference)
        smoothed = self._backward(F, difference, filtered)
        tangents = self._tangents(F, difference, filtered)
        mean = tangents.settled_mean(smoothed.mean, tangents.smoothed_mean(smoothed))
        return vectors(F, states + mean)
