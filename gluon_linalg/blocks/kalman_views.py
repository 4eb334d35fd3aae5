"""One filter, many views: each part of what a state space model says is asked for by its name."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .. import functional as fn
from ..errors import ShapeError, suggestion
from ..typing import Array, Namespace
from .kalman import OPTIONS, SYSTEM, KalmanLayer, Outputs


class View(NamedTuple):
    """A view: the names of its arrays, and how they are made of `functional.KalmanViews`."""

    names: Tuple[str, ...]
    arrays: Callable[[fn.KalmanViews, "KalmanViewsLayer"], Sequence[Array]]


def _moments(name: str, of: Callable[[fn.KalmanViews, "KalmanViewsLayer"], fn.Moments]) -> View:
    def arrays(views: fn.KalmanViews, layer: "KalmanViewsLayer") -> Sequence[Array]:
        found = of(views, layer)
        return found.mean, found.covariance

    return View((f"{name}_mean", f"{name}_covariance"), arrays)


VIEWS: Dict[str, View] = {
    "log_likelihood": View(("log_likelihood",), lambda v, _: [v.log_likelihood]),
    "predicted": _moments("predicted", lambda v, _: v.predicted),
    "filtered": _moments("filtered", lambda v, _: v.filtered),
    "smoothed": _moments("smoothed", lambda v, _: v.smoothed),
    "fixed_lag": _moments("fixed_lag", lambda v, layer: v.fixed_lag(layer.lag)),
    "lag_covariance": View(("lag_covariance",), lambda v, layer: [v.lag_covariance(layer.lag)]),
    "predicted_observation": _moments(
        "predicted_observation", lambda v, _: v.predicted_observations()
    ),
    "filtered_signal": _moments("filtered_signal", lambda v, _: v.signal(v.filtered)),
    "smoothed_signal": _moments("smoothed_signal", lambda v, _: v.signal(v.smoothed)),
    "innovations": View(("innovations",), lambda v, _: [v.innovations()]),
    "observation_disturbance": View(
        ("observation_disturbance_mean", "observation_disturbance_covariance"),
        lambda v, _: v.observation_disturbances(),
    ),
    "process_disturbance": View(
        ("process_disturbance_mean", "process_disturbance_covariance"),
        lambda v, _: v.process_disturbances(),
    ),
    "auxiliary_residuals": View(
        ("observation_residuals", "state_residuals"), lambda v, _: v.auxiliary_residuals()
    ),
    "weights": View(("weights",), lambda v, layer: [v.weights(layer.at)]),
    "news": View(("news", "impact"), lambda v, layer: ()),
}
# Views that are columns, and not matrices, at each time.
COLUMNS = (
    "innovations",
    "observation_residuals",
    "state_residuals",
    "news",
)
# What one native operator gives, by its names there.
NATIVE = {
    "log_likelihood": ("steps", ("step_likelihood",)),
    "predicted": ("predicted", ("predicted_mean", "predicted_covariance")),
    "filtered": ("filtered", ("filtered_mean", "filtered_covariance")),
    "smoothed": ("smoothed", ("smoothed_mean", "smoothed_covariance")),
}


class KalmanViewsLayer(KalmanLayer):
    """What a state space model says of its states and observations, by name.

    outputs: names of views, each of which gives one array or two; what is not asked for is not
    computed. A call returns the arrays in the order of the names, `names` says what they are, and
    `named` returns them in a dict. n is T, or T + h with `steps`:

    ===========================  ==================================================================
    log_likelihood               log p(y_t | y_1..y_{t-1}), (B, n)
    predicted                    E[x_t | y_1..y_{t-1}], (B, n, d), and its covariance (B, n, d, d)
    filtered, smoothed           the same given y_1..y_t, and given all y
    fixed_lag                    the same given y_1..y_{t+k}
    lag_covariance               Cov(x_{t+k}, x_t | y), (B, n - k, d, d)
    predicted_observation        E[y_t | y_1..y_{t-1}], (B, n, p), and its covariance (B, n, p, p)
    filtered_signal, ...         mean and covariance of H x_t + d given y_1..y_t; smoothed_signal
    innovations                  F⁻½ (y_t - E[y_t | y_1..y_{t-1}]), (B, n, p): independent and
                                 standard normal if the model is right; F½ is lower triangular
    observation_disturbance      E[ε_t | y], (B, n, q), and its covariance (B, n, q, q)
    process_disturbance          E[η_t | y], (B, n, r), and its covariance (B, n, r, r)
    auxiliary_residuals          (B, n, p) and (B, n, d): the t statistics of an outlier in each
                                 element of y_t, and of a shift of each element of x_{t+1}
    weights                      ∂E[x_t | y]/∂y of the step `at`, (B, d, n, p), constants
    news                         (B, n, p), and the impact of each on E[y_{T+h}], (B, p, n, p),
                                 constants
    ===========================  ==================================================================

    lag: the k of fixed_lag and lag_covariance. at: the step of weights, from the end if below 0.
    steps: h, for which the arrays of the system, and the views, go on after y.

    News are the new elements of y less what was expected of them: the argument `fresh`, (B, T, p),
    which then stands before the mask, is 1 for those. Their impacts add up to what they change in
    the forecast of y at the last step (Bańbura & Modugno 2014).

    Innovations are 0 where y is missing, or left open by what was seen before. With diffuse
    directions the likelihood of a step is what its observation adds to that of all before it, and
    variances that the data leave open are inf. Auxiliary residuals are u_t and r_t of the smoother
    over their standard deviations (de Jong & Penzer 1998; Durbin & Koopman 2012, section 7.5).

    All but weights and news are differentiable in all arrays. Arguments and errors as in
    `KalmanLayer` and `KalmanFilterLayer`.

    >>> arrays = gl.kalman_arrays([2.0], 1.0, 1.0, 1.0, 1.0, 0.0, 1.0)
    >>> layer = gl.KalmanViewsLayer(1, outputs=["innovations", "log_likelihood"])
    >>> {name: round(a.asnumpy().item(), 4) for name, a in layer.named(**arrays).items()}
    {'innovations': 1.4142, 'log_likelihood': -2.2655}
    """

    lag: int
    at: int

    def __init__(
        self,
        state_size: int,
        observation_size: int = 1,
        outputs: Sequence[str] = ("log_likelihood", "smoothed"),
        lag: int = 1,
        at: int = -1,
        steps: int = 0,
        method: str = "sequential",
        length: Optional[int] = None,
        precision: Optional[str] = None,
        diffuse: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(state_size, observation_size, method, length, precision, diffuse, **kwargs)
        self.outputs = (outputs,) if isinstance(outputs, str) else tuple(outputs)
        for name in self.outputs:
            if name not in VIEWS:
                raise ValueError(f"{self.name}: there is no view '{name}'; {_known(name)}")
        if not self.outputs:
            raise ValueError(f"{self.name}: outputs is empty; expected some of {', '.join(VIEWS)}.")
        self.names = tuple(name for view in self.outputs for name in VIEWS[view].names)
        self.lag, self.at = self._size("lag", lag), int(at)
        self._further = self._size("steps", steps) if steps else 0
        if "news" in self.outputs:
            if not self._further:
                raise ValueError(f"{self.name}: news are told for a forecast; give steps.")
            place = 1 + len(SYSTEM) + bool(diffuse)
            rules = tuple(self.arguments)
            self.arguments = (*rules[:place], ("fresh", "B N p"), *rules[place:])
            self.required = self.required + 1

    def named(self, *args: Optional[Array], **keywords: Optional[Array]) -> Dict[str, Array]:
        """The arrays of a call by their `names`."""
        results = self(*args, **keywords)
        return dict(zip(self.names, results if isinstance(results, (list, tuple)) else [results]))

    def compute(
        self,
        F: Namespace,
        y: Array,
        *arrays: Optional[Array],
        directions: Optional[Array] = None,
    ) -> Outputs:
        system, rest = list(arrays[: len(SYSTEM)]), list(arrays[len(SYSTEM) :])
        fresh = rest.pop(0) if "news" in self.outputs else None
        rest += [None] * (len(OPTIONS) - len(rest))
        if self._further:
            y, fresh, rest[0] = self._ahead(F, y, fresh, rest[0])
        if directions is None and all(name in NATIVE for name in self.outputs):
            kinds = [NATIVE[name][0] for name in self.outputs]
            found = self._moments_of(F, kinds, y, *system, *rest)
            if found is not None:
                fields = [field for name in self.outputs for field in NATIVE[name][1]]
                return self._listed([getattr(found, field) for field in fields])
        views = self._views(F, y, system, rest, directions)
        results: List[Array] = []
        for output in self.outputs:
            if output == "news":
                results += self._news(F, views, y, system, rest, directions, fresh)
                continue
            made = VIEWS[output].arrays(views, self)
            results += [
                self._of_shape(F, name, array) for name, array in zip(VIEWS[output].names, made)
            ]
        return self._listed(results)

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        super().check_shapes(sizes)
        count = sizes["N"] + self._further
        if "lag_covariance" in self.outputs and count <= self.lag:
            raise ShapeError(
                f"{self.name}: covariances over {self.lag} steps need more steps than {count}."
            )
        if "weights" in self.outputs:
            begin = self.at if self.at >= 0 else self.at + count
            if not 0 <= begin < count:
                raise ShapeError(f"{self.name}: at is {self.at}, but there are {count} steps.")
            if begin == 0 and self.at < 0:
                raise ShapeError(f"{self.name}: at is {self.at}, the first step; give at=0.")

    def _views(self, F, y, system, rest, directions):
        emission, factor, offset = system[1], system[3], rest[2]
        if offset is not None:
            offset = F.expand_dims(offset, axis=3)
        shown = tuple(
            None if x is None else fn.time_first(F, x) for x in (emission, factor, offset)
        )
        made = self._system(F, y, *system, *rest, directions=directions)
        sizes = self._states, self._observations
        return fn.KalmanViews(F, made, shown, sizes, self._scan_length(F, made), self.name)

    def _ahead(self, F, y, fresh, mask):
        """y, `fresh` and the mask with the steps after y, of which nothing is seen."""
        future = fn.zeros_like(F, F.slice_axis(y, axis=1, begin=0, end=1))
        future = F.tile(future, reps=(1, self._further, 1))
        seen = fn.ones_like(F, y) if mask is None else mask
        if fresh is not None:
            fresh = F.concat(fresh, future, dim=1)
        return F.concat(y, future, dim=1), fresh, F.concat(seen, future, dim=1)

    def _news(self, F, views, y, system, rest, directions, fresh):
        """What is new in y, and what that changes in the forecast of the last step."""
        fresh, mask = fn.stop(F, fresh), fn.stop(F, rest[0])
        is_new = fresh * mask
        old = self._views(F, y, system, [mask - is_new, *rest[1:]], directions)
        news = fn.stop(F, F.where(is_new, y, fn.zeros_like(F, y)))
        expected = F.squeeze(fn.batch_first(F, old.expected()), axis=3)
        news = news - is_new * expected
        emission = F.slice_axis(views.shown[0], axis=1, begin=-1, end=None)
        weights = views.weights(-1)
        weights = fn.product(F, weights, fn.over_time(F, emission, weights), transpose_b=True)
        weights = F.squeeze(F.transpose(weights, axes=(0, 2, 4, 1, 3)), axis=0)
        impact = F.broadcast_mul(fn.stop(F, weights), F.expand_dims(news, axis=1))
        return [news, impact]

    def _of_shape(self, F, name, array):
        if name == "log_likelihood":
            return array
        if name == "weights":
            return F.squeeze(F.transpose(array, axes=(0, 2, 4, 1, 3)), axis=0)
        array = fn.batch_first(F, array)
        is_column = name in COLUMNS or name.endswith("_mean")
        return F.squeeze(array, axis=3) if is_column else array

    def _listed(self, results):
        return results[0] if len(results) == 1 else tuple(results)


def _known(name: str) -> str:
    return suggestion(name, list(VIEWS))
