"""The networks of `BLRForecastEstimator`: features, loss and forecast."""

import math
from typing import Any, Optional, Sequence, Tuple

import mxnet as mx

from .. import functional as fn
from ..blocks.base import LinearAlgebraBlock
from ..functional.regression import (
    observed_data,
    regression_nll,
    regression_posterior,
)
from ..typing import Array, Namespace
from .graph_parts import AXES, PAST_AXES, centred_time, joint_paths
from .series_parameters import SeriesParameters
from .static_effect import StaticEffect

# Initial variances in units of the scaled target, and the least of the noise.
PRIOR_VARIANCE = {
    "level": 0.5,
    "trend": 0.5,
    "changes": 0.1,
    "age": 0.1,
    "season": 0.3,
    "dynamic": 1.0,
    "network": 0.1,
}
NOISE_VARIANCE, LEAST_NOISE = 0.1, 1e-6


class RegressionModel(mx.gluon.HybridBlock):
    """Features Φ (B, N, d), prior variances (1 or B, d) and noise variance (1 or B, 1) of windows.

    Φ = [1, t, max(0, t - c_j), age, cos 2π j φ_i and sin 2π j φ_i, dynamic features, g],

    t from -1 to 1 over the window, c_1, c_2, ... evenly between, where the trend may change, future
    included; φ_i the phases, j = 1..H_i; g the outputs of dense layers that see the waves, the
    time features, the dynamic and the static features. They see neither t nor age, by which they
    could learn single windows by heart; without anything to see there is no g. For each of these
    groups of features, and each phase, one prior variance is learned; they and the noise variance
    are `SeriesParameters` of the static features.

    Arguments: of static_categories (B, c), static_reals (B, s), phases (B, N, q) and features
    (B, N, k) those that `fields` names; features are time_features in number, age, and dynamic
    features, if there are any. length: N in training; harmonics: H_i; changes: the number of
    c_j; layers: sizes of the hidden layers; width: of g; cardinality: of each static category,
    None without; static_reals: whether there are any.
    """

    def __init__(
        self,
        length: int,
        harmonics: Sequence[int],
        time_features: int,
        dynamic: bool = False,
        changes: int = 10,
        layers: Sequence[int] = (40, 40),
        width: int = 10,
        cardinality: Optional[Sequence[int]] = None,
        static_reals: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._half, self._harmonics = max(1.0, (length - 1) / 2.0), tuple(harmonics)
        self._time_features, self._dynamic, self._changes = time_features, dynamic, changes
        self._has_network = bool(time_features or dynamic or self._harmonics)
        initial = {"noise_variance": (NOISE_VARIANCE,)}
        for group in self._groups():
            initial[f"{group}_variance"] = (PRIOR_VARIANCE[group.rstrip("0123456789")],)
        with self.name_scope():
            self.variances = SeriesParameters(
                initial, (), {"noise_variance": LEAST_NOISE}, cardinality, static_reals, prefix=""
            )
            if self._has_network:
                self.network = FeatureNetwork(layers, width, cardinality, static_reals, prefix="")
        self.fields = [*self.variances.fields, *(["phases"] if harmonics else []), "features"]

    def hybrid_forward(self, F: Namespace, *arrays: Array) -> Tuple[Array, Array, Array]:
        given = dict(zip(self.fields, arrays))
        static = [given[name] for name in self.variances.fields]
        groups = self._trend(F, given["features"])
        seen = self._waves(F, given.get("phases"))
        seen_besides, dynamic = self._known_features(F, given["features"])
        groups += seen + dynamic
        if self._has_network:
            visible = _joined(F, [*seen, *seen_besides, *dynamic])
            groups.append(self.network(visible, *static))
        noise_variance, *prior = self.variances(given["features"], *static)
        spread = [F.broadcast_mul(_first_row(F, g), v) for g, v in zip(groups, prior)]
        return F.concat(*groups, dim=2), F.concat(*spread, dim=1), noise_variance

    def _groups(self):
        """The names of the groups of features, in their order."""
        return [
            "level",
            "trend",
            *(["changes"] if self._changes else []),
            "age",
            *(f"season{i}" for i in range(len(self._harmonics))),
            *(["dynamic"] if self._dynamic else []),
            *(["network"] if self._has_network else []),
        ]

    def _trend(self, F, features):
        """What depends on time alone: [1], [t], [max(0, t - c_j)], [age]."""
        time = centred_time(F, features) / self._half
        groups = [fn.ones_like(F, time), time]
        places = [2.0 * (j + 1) / (self._changes + 1) - 1.0 for j in range(self._changes)]
        if places:
            groups.append(_joined(F, [F.relu(time - place) for place in places]))
        age = self._time_features
        return [*groups, F.slice_axis(features, axis=2, begin=age, end=age + 1)]

    def _waves(self, F, phases):
        """[cos 2π j φ_i, sin 2π j φ_i for all j] for each phase."""
        groups = []
        for index, count in enumerate(self._harmonics):
            phase = F.slice_axis(phases, axis=2, begin=index, end=index + 1)
            angles = [2.0 * math.pi * j * phase for j in range(1, count + 1)]
            groups.append(_joined(F, [wave(a) for a in angles for wave in (F.cos, F.sin)]))
        return groups

    def _known_features(self, F, features):
        """The time features and the dynamic features, each a list of one array or none."""
        count, of_time, dynamic = self._time_features, [], []
        if count:
            of_time.append(F.slice_axis(features, axis=2, begin=0, end=count))
        if self._dynamic:
            dynamic.append(F.slice_axis(features, axis=2, begin=count + 1, end=None))
        return of_time, dynamic


class FeatureNetwork(mx.gluon.HybridBlock):
    """Dense layers of tanh, (B, N, k) and the static features -> (B, N, width) from -1 to 1."""

    def __init__(
        self,
        layers: Sequence[int],
        width: int,
        cardinality: Optional[Sequence[int]] = None,
        static_reals: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        first, *others = (*layers, width)
        with self.name_scope():
            self.first = mx.gluon.nn.Dense(first, flatten=False, prefix="dense0_")
            self.of_series = None
            if cardinality or static_reals:
                self.of_series = StaticEffect(first, cardinality, static_reals, prefix="series_")
            self.others = mx.gluon.nn.HybridSequential(prefix="")
            for index, size in enumerate(others, start=1):
                self.others.add(
                    mx.gluon.nn.Dense(
                        size, flatten=False, activation="tanh", prefix=f"dense{index}_"
                    )
                )

    def hybrid_forward(self, F: Namespace, x: Array, *static: Array) -> Array:
        hidden = self.first(x)
        if self.of_series is not None:
            hidden = F.broadcast_add(hidden, F.expand_dims(self.of_series(*static), axis=1))
        return self.others(F.tanh(hidden))


class BLRWindowLayer(LinearAlgebraBlock):
    """Negative log marginal likelihood of the observed values of each window, (B,).

    -log N(y_o | 0, Φ_o V Φ_oᵀ + noise_variance I) with the `RegressionModel` and o where observed
    (B, N) is 1, by LQ (`functional.regression_nll`); 0 for a window without any.

    Arguments: those of the model, target (B, N) and observed (B, N), as `fields` names them.
    """

    def __init__(self, model: mx.gluon.HybridBlock, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.model = model
        self.fields = [*model.fields, "target", "observed"]
        self.arguments = tuple((name, AXES[name]) for name in self.fields)

    def hybrid_forward(self, F: Namespace, *arrays: Array) -> Array:
        *given, target, observed = arrays
        features, prior_variance, noise_variance = self.model(*given)
        data = _observed(F, features, target, noise_variance, observed, self.name)
        return regression_nll(F, data, prior_variance, name=self.name)


class BLRForecast(LinearAlgebraBlock):
    """Sample paths (B, S, h), means (B, h) and standard deviations (B, h) of the next h values.

    Joint paths of new observations: N(Φ μ, Φ Σ Φᵀ + noise_variance I) with the posterior N(μ, Σ)
    of the weights given the observed values, and the features Φ of the next steps.

    Arguments: those of the model, features and phases reaching h steps further than target and
    observed (B, L), and standard normal numbers, noise (B, S, h).
    """

    def __init__(self, model: mx.gluon.HybridBlock, prediction_length: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._steps = prediction_length
        with self.name_scope():
            self.model = model
        self.fields = [*model.fields, "target", "observed"]
        self.arguments = tuple((name, PAST_AXES[name]) for name in self.fields)
        self.arguments += (("noise", "B S h"),)

    def hybrid_forward(self, F: Namespace, *arrays: Array) -> Tuple[Array, Array, Array]:
        *given, target, observed, noise = arrays
        features, prior_variance, noise_variance = self.model(*given)
        past = F.slice_axis(features, axis=1, begin=0, end=-self._steps)
        future = F.slice_axis(features, axis=1, begin=-self._steps, end=None)
        data = _observed(F, past, target, noise_variance, observed, self.name)
        posterior = regression_posterior(F, data, prior_variance, self.name)
        future = F.broadcast_mul(future, F.expand_dims(F.sqrt(prior_variance), axis=1))
        mean = fn.product(F, future, posterior.weights)
        spread = fn.triangular_solve(F, posterior.factor, fn.transpose(F, future))
        # The covariance Φ Σ Φᵀ + σ² I as the product of [.., σ I] with its transpose.
        ones = fn.ones_like(F, F.squeeze(mean, axis=2))
        own = fn.diagonal_matrix(F, F.broadcast_mul(ones, F.sqrt(noise_variance)))
        _, factor = fn.lq(F, F.concat(fn.transpose(F, spread), own, dim=2))
        return joint_paths(F, F.squeeze(mean, axis=2), factor, noise)


def _observed(F, features, target, noise_variance, observed, name):
    """`Observed` for targets (B, n) and one noise variance (1 or B, 1) for all of a series."""
    noise = F.broadcast_add(fn.zeros_like(F, target), noise_variance)
    return observed_data(F, features, F.expand_dims(target, axis=2), noise, observed, name)


def _joined(F, arrays):
    return arrays[0] if len(arrays) == 1 else F.concat(*arrays, dim=2)


def _first_row(F, features):
    """Ones of the shape of one row of each window, (B, N, d) -> (B, d)."""
    row = F.slice_axis(features, axis=1, begin=0, end=1)
    return fn.ones_like(F, F.reshape(row, shape=(0, -1)))
