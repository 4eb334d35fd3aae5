"""Probabilistic principal components of windows as a GluonTS estimator."""

from typing import Optional, Type

import mxnet as mx
from gluonts.core.component import validated
from gluonts.mx.trainer import Trainer

from .blr_network import BLRForecast, BLRWindowLayer
from .joint_estimator import JointGaussianEstimator
from .ppca_network import WindowShapes


class PPCAForecastEstimator(JointGaussianEstimator):
    """Windows as sums of a level, a trend and a few shapes, which are learned from all series.

    A window of context and prediction is a sample of one normal distribution of low rank plus
    noise (`WindowShapes`); the weights of the shapes in a window are integrated out by LQ
    (`BLRWindowLayer`). Trained by the marginal likelihood of windows of context_length +
    prediction_length steps; forecasts condition on the context and are joint paths of new
    observations. Missing values are left out exactly. It takes no features and knows no calendar:
    seasons are shapes, two for each of their waves. For many series that are alike.

    num_shapes: r. All others as in `WindowEstimator`.
    """

    @validated()
    def __init__(
        self,
        freq: str,
        prediction_length: int,
        context_length: Optional[int] = None,
        num_shapes: int = 10,
        trainer: Trainer = Trainer(),  # noqa: B008
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
            time_features=[],
            seasonal_periods=[],
            scaling=scaling,
            num_parallel_samples=num_parallel_samples,
            forecast=forecast,
            batch_size=batch_size,
            dtype=dtype,
        )
        if num_shapes < 1:
            raise ValueError(f"num_shapes is {num_shapes}, expected an integer from 1 on.")
        self.num_shapes = num_shapes

    def create_training_network(self) -> mx.gluon.HybridBlock:
        """The loss, `BLRWindowLayer`."""
        model = WindowShapes(self.window_length, self.num_shapes, prefix="ppca_")
        return BLRWindowLayer(model, prefix="ppca_loss_")

    def create_prediction_network(
        self, trained_network: mx.gluon.HybridBlock
    ) -> mx.gluon.HybridBlock:
        """The forecast, `BLRForecast`, with the parameters of the trained loss."""
        return BLRForecast(trained_network.model, self.prediction_length, prefix="ppca_forecast_")
