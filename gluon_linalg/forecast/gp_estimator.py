"""Gaussian processes as a GluonTS estimator."""

from typing import Any, Dict, Iterable, List, Optional, Type

import mxnet as mx
from gluonts.core.component import validated
from gluonts.mx.trainer import Trainer
from gluonts.time_feature import TimeFeature

from ..grammar.kernel_building import read_kernel
from . import frequency
from .entry import Entry
from .features import SeriesTransform
from .gp_network import GPForecast, GPWindowLayer, SeriesCovariance
from .joint_estimator import JointGaussianEstimator
from .series_inputs import DYNAMIC, SeriesInputs, default_kernel

HYPERPARAMETERS = ("shared", "embedded")
# Time and memory of a window grow with the cube and the square of its length.
LONGEST_DEFAULT_CONTEXT = 336


class GaussianProcessEstimator(JointGaussianEstimator):
    """One Gaussian process for each series, over time and features, of a composite kernel.

    Trained by the marginal likelihood of windows of context_length + prediction_length steps;
    forecasts condition on the context and are joint paths of new observations. Missing values are
    left out exactly.

    kernel: a description with the keys of a job file, such as
    ``{"sum": [{"rbf": {"lengthscale": 24}}, {"periodic": {"period": 12}}]}``
    (`grammar.kernel`; lengthscales and periods of time in steps, variances in units of the
    scaled target); default: a trend, the seasons of the frequency, and a rough part. Its inputs:
    time, the time features by name, age, and feat_dynamic_real. hyperparameters: 'shared' by all
    series, or 'embedded': each is shifted, as a logarithm, by an embedding of the static
    categories and a linear function of the static reals, so that an item's own number as a
    category gives it its own. noise_variance: the initial value. context_length: default 4 cycles
    of the frequency, 336 steps at most. All others as in `WindowEstimator`.
    """

    @validated()
    def __init__(
        self,
        freq: str,
        prediction_length: int,
        context_length: Optional[int] = None,
        kernel: Optional[Dict[str, Any]] = None,
        hyperparameters: str = "shared",
        noise_variance: float = 0.1,
        trainer: Trainer = Trainer(),  # noqa: B008
        cardinality: Optional[List[int]] = None,
        use_feat_static_cat: Optional[bool] = None,
        use_feat_static_real: bool = False,
        use_feat_dynamic_real: bool = False,
        time_features: Optional[List[TimeFeature]] = None,
        seasonal_periods: Optional[List[float]] = None,
        scaling: bool = True,
        num_parallel_samples: int = 100,
        forecast: str = "samples",
        batch_size: int = 32,
        dtype: Optional[Type] = None,
    ) -> None:
        if context_length is None:
            context_length = min(4 * frequency.cycle_length(freq), LONGEST_DEFAULT_CONTEXT)
        super().__init__(
            freq=freq,
            prediction_length=prediction_length,
            context_length=context_length,
            trainer=trainer,
            cardinality=cardinality,
            use_feat_static_cat=use_feat_static_cat,
            use_feat_static_real=use_feat_static_real,
            use_feat_dynamic_real=use_feat_dynamic_real,
            time_features=time_features,
            seasonal_periods=seasonal_periods,
            scaling=scaling,
            num_parallel_samples=num_parallel_samples,
            forecast=forecast,
            batch_size=batch_size,
            dtype=dtype,
        )
        if hyperparameters not in HYPERPARAMETERS:
            raise ValueError(
                f"hyperparameters is {hyperparameters!r}, expected one of {HYPERPARAMETERS}."
            )
        self.embedded = hyperparameters == "embedded"
        if self.embedded and not (self.cardinality or use_feat_static_real):
            raise ValueError(
                "hyperparameters='embedded' needs static features to embed: "
                "cardinality=[...], or use_feat_static_real=True."
            )
        if not noise_variance > 1e-10:
            raise ValueError(
                f"noise_variance is {noise_variance}, expected a positive number, 1e-10 or more."
            )
        names = [getattr(f, "__name__", type(f).__name__) for f in self.time_features]
        self.inputs = SeriesInputs(
            [*names, "age"], use_feat_dynamic_real, self.window_length, self.seasonal_periods
        )
        self.kernel = default_kernel(self.inputs) if kernel is None else kernel
        self.noise_variance = noise_variance
        # Refuses a wrong kernel here, not where it is trained.
        self._covariance()

    def create_transformation(self, dataset: Optional[Iterable[Entry]] = None) -> SeriesTransform:
        """As in `WindowEstimator`; ValueError if the kernel has more inputs than the data."""
        transform = super().create_transformation(dataset)
        # Time, the time features and age come before the dynamic ones.
        before = 1 + len(self.time_features) + 1
        last = self.inputs.least_columns(read_kernel(self.kernel, self.inputs))
        if last > before + transform.dynamic_reals:
            raise ValueError(
                f"the kernel has the input {DYNAMIC}_{last - before - 1}, but the data have "
                f"{transform.dynamic_reals} dynamic features, which count from 0."
            )
        return transform

    def create_training_network(self) -> mx.gluon.HybridBlock:
        """The loss, `GPWindowLayer`."""
        return GPWindowLayer(self._covariance(), prefix="gp_loss_")

    def create_prediction_network(
        self, trained_network: mx.gluon.HybridBlock
    ) -> mx.gluon.HybridBlock:
        """The forecast, `GPForecast`, with the parameters of the trained loss."""
        return GPForecast(trained_network.covariance, self.prediction_length, prefix="gp_forecast_")

    def _covariance(self):
        return SeriesCovariance(
            self.kernel,
            self.inputs,
            self.noise_variance,
            self.cardinality if self.embedded else None,
            self.use_feat_static_real and self.embedded,
            prefix="gp_",
        )
