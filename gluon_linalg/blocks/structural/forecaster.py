"""What a structural time series model says of the observations to come."""

from typing import TYPE_CHECKING, Any, Mapping, Optional, Tuple

import mxnet as mx
import numpy as np

from ...errors import ShapeError, UnidentifiedError, listing
from ...typing import Array, Namespace
from ..copying import frozen_copies
from ..kalman import ScanningBlock
from ..smoother import KalmanForecastLayer
from .diffuse import REMEDY

if TYPE_CHECKING:
    from .model import StructuralModel


class StructuralForecaster(ScanningBlock):
    """(y, ...) -> mean and variance of the next h observations, (B, h) each.

    E[y_{T+i} | y] = H E[x_{T+i} | y],  Var[y_{T+i} | y] = H Var[x_{T+i} | y] Hᵀ + noise_variance.

    Made by `StructuralModel.forecaster`. y: (B, T); covariates: (B or 1, T + h, k) if there is a
    `Regression`; mask: optional, (B, T).

    Raises UnidentifiedError where a variance hangs on a state that the data leave open, ShapeError,
    DtypeError. Durbin & Koopman 2012, section 4.11.

    >>> model = gl.StructuralModel(gl.structural.LocalLevel(1.0), noise_variance=0)
    >>> model.initialize()
    >>> mean, variance = model.forecaster(2)(mx.nd.array([[3.0, 5.0]]))
    >>> print(mean.asnumpy().round(4), variance.asnumpy().round(4))
    [[5. 5.]] [[1. 2.]]
    """

    def __init__(self, model: "StructuralModel", steps: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = steps
        with self.name_scope():
            (self.model,) = frozen_copies(self.prefix, model)
            size = model.components.state_size
            self.layer = KalmanForecastLayer(size, steps=steps, **model.options)
        self.required = model.required
        self.arguments = tuple(
            (name, axes.replace("T", "S") if name == "covariates" else axes)
            for name, axes in model.arguments
        )

    def hybrid_forward(self, F: Namespace, y: Array, *rest: Optional[Array]) -> Tuple[Array, ...]:
        inputs, _ = self.model.kalman_inputs(F, y, *rest)
        _, _, mean, covariance = self.layer.results(F, *inputs)
        mean, variance = F.squeeze(mean, axis=2), F.squeeze(covariance, axis=(2, 3))
        return tuple(F.cast(array, self.model._dtype) for array in (mean, variance))

    def __call__(self, *args: Optional[Array], **keywords: Optional[Array]) -> Tuple[Array, ...]:
        args = self._bound(args, keywords)
        outputs = super().__call__(*args)
        if isinstance(args[0], mx.nd.NDArray):
            self._refuse_open(outputs[-1], *args)
        return outputs

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        self.model.check_shapes(sizes)
        if sizes.get("S", sizes["T"] + self.steps) != sizes["T"] + self.steps:
            raise ShapeError(
                f"{self.name}: 'covariates' has {sizes['S']} entries in time, expected "
                f"{sizes['T']} + {self.steps}: those of 'y' and those of the forecast."
            )

    def _open_scans(self):
        return self.layer._open_scans()

    def _refuse_open(self, variance, *given):
        """Names the states behind an infinite variance."""
        is_open = np.isinf(variance.asnumpy())
        if not is_open.any():
            return
        element, step = np.argwhere(is_open)[0]
        y, *rest = given
        if self.model.components.features:
            rest[0] = rest[0][:, : y.shape[1]]
        names = self.model.open_states(y, *rest)[element]
        raise UnidentifiedError(
            f"{self.name}: step {step + 1} of the forecast of batch element {element} hangs on "
            f"what its observations leave open: {listing(names)}. {REMEDY}"
        )
