"""The networks of `GaussianProcessEstimator`: covariance, loss and forecast."""

from .. import functional as fn
from ..blocks.base import LinearAlgebraBlock
from .graph_parts import AXES, PAST_AXES, centred_time, joint_paths
from .kernel_description import build_kernels, combined
from .series_parameters import SeriesParameters

# The noise variance is at least so many ε tr K. No eigenvalue of K is larger than its trace, and
# rounding moves none by more than this.
ROUNDING = 4.0


class SeriesCovariance(LinearAlgebraBlock):
    """The covariance of the observations of each series, (features, *static) -> (B, N, N).

    A = K + (noise_variance + 4 ε tr K) I,

    K the matrix of the kernel for the inputs [time, features], time counting the steps from the
    middle of the window. Hyperparameters are `SeriesParameters`, whose static arrays `fields`
    names after the features (B, N, k).

    description: a kernel as in `kernel_description`; inputs: its `Inputs`; noise_variance: an
    initial value; cardinality, static_reals: what embeds the hyperparameters, None and False if
    all series share them.
    """

    def __init__(
        self,
        description,
        inputs,
        noise_variance=0.1,
        cardinality=None,
        static_reals=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._description, self._kernels = description, build_kernels(description, inputs)
        initial, fixed = {}, set()
        for index, kernel in enumerate(self._kernels):
            prefix = f"{kernel.name}{index}_"
            initial.update({prefix + name: value for name, value in kernel.initial.items()})
            fixed.update(prefix + name for name in kernel.fixed)
        initial["noise_variance"] = (noise_variance,)
        with self.name_scope():
            self.hyperparameters = SeriesParameters(
                initial, fixed, {"noise_variance": 1e-10}, cardinality, static_reals, prefix=""
            )
        self.fields = ["features", *self.hyperparameters.fields]
        self.arguments = tuple((name, AXES[name]) for name in self.fields)

    def hybrid_forward(self, F, features, *static):
        x = F.concat(centred_time(F, features), features, dim=2)
        *values, noise_variance = self.hyperparameters(features, *static)
        values, matrices = iter(values), []
        for kernel in self._kernels:
            own = {name: next(values) for name in kernel.initial}
            matrices.append(kernel.covariance(F, x, self.dtype, **own))
        covariance = combined(self._description, iter(matrices))
        diagonal = fn.diagonal(F, covariance)
        trace = F.sum(diagonal, axis=1, keepdims=True)
        least = ROUNDING * fn.unit_roundoff(F, trace) * trace
        noise = F.broadcast_add(least, noise_variance)
        return fn.add_diagonal(F, covariance, F.broadcast_add(fn.zeros_like(F, diagonal), noise))


class GPLoss(LinearAlgebraBlock):
    """Negative log marginal likelihood of the observed values of each window, (B,).

    (features, *static, target, observed), as `fields` names them: -log N(y_o | 0, A_oo) with A
    from the `SeriesCovariance` and o where observed (B, N) is 1; 0 for a window without any.
    """

    def __init__(self, covariance, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.covariance = covariance
        self.fields = [*covariance.fields, "target", "observed"]
        self.arguments = tuple((name, AXES[name]) for name in self.fields)

    def hybrid_forward(self, F, *arrays):
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

    def __init__(self, covariance, prediction_length, **kwargs):
        super().__init__(**kwargs)
        self._steps = prediction_length
        with self.name_scope():
            self.covariance = covariance
        self.fields = [*covariance.fields, "target", "observed"]
        self.arguments = tuple((name, PAST_AXES[name]) for name in self.fields)
        self.arguments += (("noise", "B S h"),)

    def hybrid_forward(self, F, *arrays):
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
