"""The Kalman filter, smoother, forecaster and sampler as layers (paper, section 2.3).

One model for all of them:

    x_1 ~ N(m, S Sᵀ),   y_t = H_t x_t + d_t + D_t ε_t,   x_{t+1} = A_t x_t + b_t + G_t η_t,

the prior being that of the state at the first observation, ε and η standard normal.
"""

from .. import functional as fn
from .._runtime import import_mxnet
from ..errors import ShapeError
from .base import LinearAlgebraBlock

mx = import_mxnet()

METHODS = ("sequential", "parallel")
FORMS = ("square_root", "covariance")

SYSTEM = (
    ("transition", "B? T? d d"),
    ("emission", "B? T? p d"),
    ("process_factor", "B? T? d r"),
    ("observation_factor", "B? T? p q"),
    ("prior_mean", "B? d"),
    ("prior_factor", "B? d s"),
)
OPTIONS = (("mask", "B N p"), ("transition_offset", "B? T? d"), ("emission_offset", "B? T? p"))


class KalmanLayer(LinearAlgebraBlock):
    """What the layers of a linear-Gaussian state space model share.

    y: (B, T, p); transition A: (B, T, d, d); emission H: (B, T, p, d); process_factor G:
    (B, T, d, r); observation_factor D: (B, T, p, q); prior_mean m: (B, d); prior_factor S:
    (B, d, s); mask: (B, T, p), 1 where y is observed and 0 where it is not, whatever stands there;
    transition_offset b: (B, T, d); emission_offset d: (B, T, p). Any array but y and mask may have
    1 in place of B or T. The last three may be left out, or be None.

    state_size d, observation_size p. method: 'sequential', a loop over any T, or 'parallel', scans
    of depth O(log T), which need `length` = T.
    """

    arguments = (("y", "B N p"),) + SYSTEM + OPTIONS
    required = 7
    # How many more steps than y the arrays of the system have.
    _further = 0

    def __init__(self, state_size, observation_size=1, method="sequential", length=None, **kwargs):
        super().__init__(**kwargs)
        self._states, self._observations = int(state_size), int(observation_size)
        if method not in METHODS:
            raise ValueError(f"{self.name}: method is {method!r}, expected one of {METHODS}.")
        if method == "parallel" and length is None:
            raise ValueError(
                f"{self.name}: method='parallel' needs length=T, the number of observations: a "
                "scan is built for one length. method='sequential' takes any."
            )
        self._method, self._length = method, length

    def __call__(self, y, *args, mask=None, transition_offset=None, emission_offset=None):
        args, options = list(args), [mask, transition_offset, emission_offset]
        given = args[self.required - 1 :]
        options[: len(given)] = given
        while options and options[-1] is None:
            options.pop()
        return super().__call__(y, *args[: self.required - 1], *options)

    def check_shapes(self, sizes):
        for letter, expected, name in (
            ("d", self._states, "state_size"),
            ("p", self._observations, "observation_size"),
        ):
            if sizes[letter] != expected:
                raise ShapeError(
                    f"{self.name}: {name} is {expected}, but the arrays have {sizes[letter]}."
                )
        steps = sizes["N"] + self._further
        if sizes.get("T", steps) != steps:
            raise ShapeError(
                f"{self.name}: {sizes['N']} observations need arrays for {steps} steps, or for 1; "
                f"got {sizes['T']}."
            )
        if self._length is not None and sizes["N"] != self._length:
            raise ShapeError(
                f"{self.name}: built for length={self._length}, got {sizes['N']} observations."
            )

    def _scan_length(self):
        """The number of steps for scans, None for loops."""
        return self._length + self._further if self._method == "parallel" else None

    def _filter(self, F, system, form="square_root"):
        return fn.kalman_filter(
            F, system, self._states, self._observations, form, self._scan_length(), self.name
        )

    def _backward(self, F, system, filtered):
        return fn.backward_pass(F, system, filtered, self._states)

    def _tangents(self, F, system, filtered):
        return fn.MomentTangents(F, system, filtered, self._scan_length())


class KalmanFilterLayer(KalmanLayer):
    """Negative log marginal likelihood of a state space model, -log p(y_1, ..., y_T), (B,).

    With `moments` also the filtered mean E[x_t | y_1..y_t], (B, T, d), and covariance (B, T, d, d);
    with moments='factor' a lower factor of the covariance in its place, which keeps in float32 what
    the covariance cannot hold, and is a constant.
    The gradient comes from one backward recursion (`functional.kalman_score`): no loop is
    differentiated, and singular Q = G Gᵀ, R = D Dᵀ and S Sᵀ are as good as any.

    Arguments as in `KalmanLayer`. form: 'square_root', or 'covariance', which is faster for many
    small systems in float64 and loses its precision where variances differ by more than 1/ε.

    Raises SingularMatrixError where an observation has no variance of its own, NonFiniteError,
    ShapeError, DtypeError.
    """

    def __init__(
        self,
        state_size,
        observation_size=1,
        method="sequential",
        length=None,
        form="square_root",
        moments=False,
        **kwargs,
    ):
        super().__init__(state_size, observation_size, method, length, **kwargs)
        if form not in FORMS:
            raise ValueError(f"{self.name}: form is {form!r}, expected one of {FORMS}.")
        if form == "covariance" and method == "parallel":
            raise ValueError(f"{self.name}: form='covariance' has no parallel method.")
        if moments not in (False, True, "factor") or (moments == "factor" and form != FORMS[0]):
            raise ValueError(
                f"{self.name}: moments is {moments!r}, expected True, False or, in the square-root "
                "form, 'factor'."
            )
        self._form, self._moments = form, moments

    def hybrid_forward(self, F, y, *arrays):
        system = fn.state_space_system(F, y, *arrays, name=self.name)
        filtered, value = self._filter(F, system, self._form)
        smoothed = self._backward(F, system, filtered)
        likelihood = fn.scored_likelihood(F, system, value, filtered, smoothed)
        if not self._moments:
            return likelihood
        tangents = self._tangents(F, system, filtered)
        mean = fn.filtered_mean(F, filtered)
        covariance = fn.filtered_covariance(F, filtered, self._observations)
        change = tangents.filtered_moments(covariance)
        spread = F.broadcast_add(change.covariance, covariance)
        if self._moments == "factor":
            factor = fn.filtered_factor(F, filtered.roots, self._observations)
            spread = F.broadcast_add(factor, fn.zeros_like(F, spread))
        return likelihood, _vectors(F, mean + change.mean), fn.batch_first(F, spread)


class KalmanSmootherLayer(KalmanLayer):
    """E[x_t | y_1..y_T], (B, T, d), and Var(x_t | y_1..y_T), (B, T, d, d).

    With `lag_one` also Cov(x_{t+1}, x_t | y_1..y_T), (B, T - 1, d, d). Square-root form, without
    the inverse of any covariance (`functional.kalman_moments`). Arguments and errors as in
    `KalmanLayer` and `KalmanFilterLayer`.
    """

    def __init__(
        self,
        state_size,
        observation_size=1,
        method="sequential",
        length=None,
        lag_one=False,
        **kwargs,
    ):
        super().__init__(state_size, observation_size, method, length, **kwargs)
        self._lag_one = bool(lag_one)

    def hybrid_forward(self, F, y, *arrays):
        system = fn.state_space_system(F, y, *arrays, name=self.name)
        filtered, _ = self._filter(F, system)
        smoothed = self._backward(F, system, filtered)
        covariance, lag_one = fn.smoothed_covariances(F, filtered, self._states, self._observations)
        tangents = self._tangents(F, system, filtered)
        mean = _vectors(F, smoothed.mean + tangents.smoothed_mean(smoothed))
        changes = tangents.smoothed_covariances(smoothed)
        covariance = fn.batch_first(F, F.broadcast_add(changes[0], covariance))
        if not self._lag_one:
            return mean, covariance
        lag_one = F.slice_axis(F.broadcast_add(changes[1], lag_one), axis=1, begin=0, end=-1)
        return mean, covariance, fn.batch_first(F, lag_one)

    def check_shapes(self, sizes):
        super().check_shapes(sizes)
        if self._lag_one and sizes["N"] < 2:
            raise ShapeError(f"{self.name}: lag_one needs two observations or more, got 1.")


class KalmanForecastLayer(KalmanLayer):
    """Moments of the next h = `steps` states and observations, given y_1, ..., y_T.

    State mean (B, h, d) and covariance (B, h, d, d), observation mean (B, h, p) and covariance
    (B, h, p, p) at T + 1, ..., T + h; those of the observation include its noise. Arguments as in
    `KalmanLayer`, but arrays that vary in time have T + h entries (y and mask have T).
    """

    def __init__(
        self,
        state_size,
        observation_size=1,
        steps=1,
        method="sequential",
        length=None,
        **kwargs,
    ):
        super().__init__(state_size, observation_size, method, length, **kwargs)
        if int(steps) < 1:
            raise ValueError(f"{self.name}: steps is {steps}, expected 1 or more.")
        self._further = int(steps)

    def hybrid_forward(
        self, F, y, transition, emission, process_factor, observation_factor, prior_mean,
        prior_factor, mask=None, transition_offset=None, emission_offset=None,
    ):  # fmt: skip
        future = F.tile(
            fn.zeros_like(F, F.slice_axis(y, axis=1, begin=0, end=1)), reps=(1, self._further, 1)
        )
        seen = fn.ones_like(F, y) if mask is None else mask
        system = fn.state_space_system(
            F,
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
            name=self.name,
        )
        filtered, _ = self._filter(F, system)
        tangents = self._tangents(F, system, filtered)
        mean = filtered.mean + tangents.mean
        covariance = F.broadcast_add(tangents.covariance, filtered.covariance)
        observed, spread = fn.observation_moments(
            F, mean, covariance, emission, observation_factor, emission_offset
        )
        mean, covariance, observed, spread = (
            F.slice_axis(x, axis=1, begin=-self._further, end=None)
            for x in (mean, covariance, observed, spread)
        )
        covariance, spread = (fn.batch_first(F, x) for x in (covariance, spread))
        return _vectors(F, mean), covariance, _vectors(F, observed), spread


class KalmanSamplerLayer(KalmanLayer):
    """A draw of the states x_1..x_T given y_1..y_T, (B, T, d), from standard normal numbers.

    x⁺ + E[x | y] - E[x | y⁺] with (x⁺, y⁺) drawn from the model (Durbin & Koopman 2002).
    Arguments as in `KalmanLayer`, and after prior_factor prior_noise (B, s), process_noise
    (B, T, r) and observation_noise (B, T, q): the same numbers give the same draw.
    """

    NOISE = (("prior_noise", "B s"), ("process_noise", "B N r"), ("observation_noise", "B N q"))
    arguments = (("y", "B N p"),) + SYSTEM + NOISE + OPTIONS
    required = 10

    def hybrid_forward(
        self, F, y, transition, emission, process_factor, observation_factor, prior_mean,
        prior_factor, prior_noise, process_noise, observation_noise, mask=None,
        transition_offset=None, emission_offset=None,
    ):  # fmt: skip
        arrays = (transition, emission, process_factor, observation_factor, prior_mean)
        system = fn.state_space_system(
            F, y, *arrays, prior_factor, mask, transition_offset, emission_offset, name=self.name
        )
        states, observed = fn.simulated_states(
            F, system, prior_noise, process_noise, observation_noise, self._scan_length()
        )
        difference = fn.without_means(F, system, system.observed - observed)
        filtered, _ = self._filter(F, difference)
        smoothed = self._backward(F, difference, filtered)
        change = self._tangents(F, difference, filtered).smoothed_mean(smoothed)
        return _vectors(F, states + smoothed.mean + change)


def _vectors(F, x):
    """(1, T, B, d, 1) as (B, T, d)."""
    return F.squeeze(fn.batch_first(F, x), axis=3)
