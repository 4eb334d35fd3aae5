"""The networks of `GaussianProcessEstimator`: covariance, loss and forecast."""

from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from .. import functional as fn
from ..blocks.base import LinearAlgebraBlock
from ..blocks.kernels import Emitted
from ..grammar.kernel_building import (
    Hyperparameter,
    build_kernel,
    read_kernel,
    spread_out,
)
from ..typing import Array, Namespace
from .graph_parts import AXES, PAST_AXES, centred_time, joint_paths
from .series_inputs import TIME, SeriesInputs
from .series_parameters import SeriesParameters

# The noise variance is at least so many ε tr K. No eigenvalue of K is larger than its trace, and
# rounding moves none by more than this.
ROUNDING = 4.0
# Hyperparameters are above this.
LEAST = 1e-12


class SeriesCovariance(LinearAlgebraBlock):
    """The covariance of the observations of each series, (features, *static) -> (B, N, N).

    A = K + (noise_variance + 4 ε tr K) I,

    K the matrix of the kernel for the inputs [time, features], time counting the steps from the
    middle of the window. Hyperparameters are `SeriesParameters`, whose static arrays `fields`
    names after the features (B, N, k).

    description: a kernel as in `grammar.kernel`; inputs: its `SeriesInputs`; noise_variance: an
    initial value; cardinality, static_reals: what embeds the hyperparameters, None and False if
    all series share them. Raises ValueError.
    """

    def __init__(
        self,
        description: Dict[str, Any],
        inputs: SeriesInputs,
        noise_variance: float = 0.1,
        cardinality: Optional[List[int]] = None,
        static_reals: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            kernel, found = build_kernel(read_kernel(description, inputs), inputs)
            self.kernel = Emitted(kernel)
        spread_out(found, [TIME])
        names = {id(parameter): name for name, parameter in kernel.hyperparameters().items()}
        self._names = [names[id(hyperparameter.parameter)] for hyperparameter in found]
        initial, fixed = {}, set()
        for name, hyperparameter in zip(_numbered(found), found):
            initial[name] = _initial(hyperparameter)
            if hyperparameter.is_fixed:
                fixed.add(name)
        initial["noise_variance"] = (noise_variance,)
        with self.name_scope():
            self.hyperparameters = SeriesParameters(
                initial, fixed, {"noise_variance": 1e-10}, cardinality, static_reals, prefix=""
            )
        self.fields = ["features", *self.hyperparameters.fields]
        self.arguments = tuple((name, AXES[name]) for name in self.fields)

    def hybrid_forward(self, F: Namespace, features: Array, *static: Array) -> Array:
        x = F.concat(centred_time(F, features), features, dim=2)
        *values, noise_variance = self.hyperparameters(features, *static)
        covariance = self.kernel.evaluate(F, x, None, dict(zip(self._names, values)))
        diagonal = fn.diagonal(F, covariance)
        trace = F.sum(diagonal, axis=1, keepdims=True)
        least = ROUNDING * fn.unit_roundoff(F, trace) * trace
        noise = F.broadcast_add(least, noise_variance)
        return fn.add_diagonal(F, covariance, F.broadcast_add(fn.zeros_like(F, diagonal), noise))


class GPWindowLayer(LinearAlgebraBlock):
    """Negative log marginal likelihood of the observed values of each window, (B,).

    (features, *static, target, observed), as `fields` names them: -log N(y_o | 0, A_oo) with A
    from the `SeriesCovariance` and o where observed (B, N) is 1; 0 for a window without any.
    """

    def __init__(self, covariance: SeriesCovariance, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.covariance = covariance
        self.fields = [*covariance.fields, "target", "observed"]
        self.arguments = tuple((name, AXES[name]) for name in self.fields)

    def hybrid_forward(self, F: Namespace, *arrays: Array) -> Array:
        *given, target, observed = arrays
        covariance, residual = fn.hide_missing(F, self.covariance(*given), target, observed)
        return fn.gaussian_nll(F, covariance, residual, name=self.name)


class GPForecast(LinearAlgebraBlock):
    """Sample paths (B, S, h), means (B, h) and standard deviations (B, h) of the next h values.

    (features, *static, target, observed, noise), as `fields` names the arrays before the noise:
    features reach h steps further than target and observed, noise holds standard normal numbers
    (B, S, h). Joint paths of new observations given the observed ones: mean + N ε with the lower
    factor N of their covariance (`functional.gaussian_conditional`).
    """

    def __init__(self, covariance: SeriesCovariance, prediction_length: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._steps = prediction_length
        with self.name_scope():
            self.covariance = covariance
        self.fields = [*covariance.fields, "target", "observed"]
        self.arguments = tuple((name, PAST_AXES[name]) for name in self.fields)
        self.arguments += (("noise", "B S h"),)

    def hybrid_forward(self, F: Namespace, *arrays: Array) -> Tuple[Array, Array, Array]:
        *given, target, observed, noise = arrays
        ahead = fn.ones_like(F, F.sum(noise, axis=1))
        covariance, residual = fn.hide_missing(
            F,
            self.covariance(*given),
            F.concat(target, fn.zeros_like(F, ahead), dim=1),
            F.concat(observed, ahead, dim=1),
        )
        past = F.slice_axis(residual, axis=1, begin=0, end=-self._steps)
        mean, factor = fn.gaussian_conditional(F, covariance, past, self._steps, self.name)
        return joint_paths(F, mean, factor, noise)


def _numbered(found: List[Hyperparameter]) -> List[str]:
    """Names such as rbf0_lengthscale, with the number of the kernel in the description."""
    paths = [hyperparameter.path.split(".") for hyperparameter in found]
    kernels = list(dict.fromkeys(tuple(path[:-1]) for path in paths))
    return [f"{path[-2]}{kernels.index(tuple(path[:-1]))}_{path[-1]}" for path in paths]


def _initial(hyperparameter: Hyperparameter) -> tuple:
    """The value of the description, or the typical one."""
    given = hyperparameter.given
    values = np.ravel(hyperparameter.typical if given is None else given).tolist()
    if min(values) <= LEAST:
        raise ValueError(f"{hyperparameter.path}: {min(values)}: expected a number above {LEAST:g}")
    return tuple(values)
