"""The model of `PPCAForecastEstimator`: what all windows have in common."""

from typing import Any, Tuple

import mxnet as mx

from .. import functional as fn
from ..typing import Array, Namespace
from .blr_network import LEAST_NOISE, NOISE_VARIANCE, PRIOR_VARIANCE
from .graph_parts import centred_time
from .series_parameters import SeriesParameters


class WindowShapes(mx.gluon.HybridBlock):
    """Features Φ (B, N, 2 + r), prior variances (1, 2 + r) and noise variance (1, 1) of windows.

    Φ = [1, t, W] with t from -1 to 1 over the window, and r shapes W (N, r) that are learned and
    that all windows share. With weights of variance 1 for W a window of N numbers is normal with
    the covariance W Wᵀ + noise: probabilistic principal components (Tipping & Bishop 1999), here
    with a level and a trend besides, whose variances are learned.

    length: N, of context and prediction together; shapes: r. Arguments: features (B, N, k), of
    which only the number of windows matters.
    """

    fields = ["features"]

    def __init__(self, length: int, shapes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._half = max(1.0, (length - 1) / 2.0)
        initial = {name: (PRIOR_VARIANCE[name],) for name in ("level", "trend")}
        initial["noise_variance"] = (NOISE_VARIANCE,)
        with self.name_scope():
            self.variances = SeriesParameters(
                initial, (), {"noise_variance": LEAST_NOISE}, prefix=""
            )
            self.shapes = self.params.get(
                "shapes", shape=(length, shapes), init=mx.init.Normal(shapes**-0.5)
            )

    def hybrid_forward(
        self, F: Namespace, features: Array, shapes: Array
    ) -> Tuple[Array, Array, Array]:
        time = centred_time(F, features) / self._half
        ones = fn.ones_like(F, time)
        shared = F.broadcast_mul(ones, F.expand_dims(shapes, axis=0))
        level, trend, noise_variance = self.variances(features)
        unit = fn.ones_like(F, F.slice_axis(shapes, axis=0, begin=0, end=1))
        prior_variance = F.concat(level, trend, unit, dim=1)
        return F.concat(ones, time, shared, dim=2), prior_variance, noise_variance
