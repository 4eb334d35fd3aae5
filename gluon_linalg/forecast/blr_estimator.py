"""Bayesian linear regression on learned features as a GluonTS estimator."""

from typing import List, Optional, Type

import mxnet as mx
from gluonts.core.component import validated
from gluonts.mx.trainer import Trainer
from gluonts.time_feature import TimeFeature

from .blr_network import BLRForecast, BLRWindowLayer, RegressionModel
from .joint_estimator import JointGaussianEstimator


class BLRForecastEstimator(JointGaussianEstimator):
    """Bayesian linear regression of each series on features that a network learns for all.

    The features of a step are a constant, time, changes of slope, age, waves of the seasons, the
    dynamic features, and the outputs of a network that sees the waves, the time features, the
    dynamic and the static features (`RegressionModel`). Each series has weights of its own, which
    are integrated out by LQ (`BLRWindowLayer`). Trained by the marginal likelihood of windows of
    context_length + prediction_length steps; forecasts condition on the context and are joint
    paths of new observations. Missing values are left out exactly.

    num_features: outputs of the network; hidden_layers: sizes of its layers before them;
    harmonics: waves of each of the seasonal_periods, at most half of its length in steps;
    change_points: how often the slope may change within a window. Prior and noise variances are
    learned, and follow the static features. All others as in `WindowEstimator`.
    """

    @validated()
    def __init__(
        self,
        freq: str,
        prediction_length: int,
        context_length: Optional[int] = None,
        num_features: int = 10,
        hidden_layers: List[int] = [40, 40],  # noqa: B006
        harmonics: int = 6,
        change_points: int = 10,
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
        for name, value, least in (
            ("num_features", num_features, 1),
            ("hidden_layers", min(hidden_layers, default=0), 1),
            ("harmonics", harmonics, 1),
            ("change_points", change_points, 0),
        ):
            if value < least:
                raise ValueError(f"{name} is {value}, expected integers from {least} on.")
        self.num_features = num_features
        self.hidden_layers = hidden_layers
        self.harmonics = harmonics
        self.change_points = change_points

    def create_training_network(self) -> mx.gluon.HybridBlock:
        """The loss, `BLRWindowLayer`."""
        model = RegressionModel(
            self.window_length,
            [min(self.harmonics, max(1, int(p // 2))) for p in self.seasonal_periods],
            len(self.time_features),
            self.use_feat_dynamic_real,
            self.change_points,
            self.hidden_layers,
            self.num_features,
            self.cardinality,
            self.use_feat_static_real,
            prefix="blr_",
        )
        return BLRWindowLayer(model, prefix="blr_loss_")

    def create_prediction_network(
        self, trained_network: mx.gluon.HybridBlock
    ) -> mx.gluon.HybridBlock:
        """The forecast, `BLRForecast`, with the parameters of the trained loss."""
        return BLRForecast(trained_network.model, self.prediction_length, prefix="blr_forecast_")
