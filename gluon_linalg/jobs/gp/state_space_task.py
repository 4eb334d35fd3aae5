"""Gaussian processes over time that are filtered, in time in proportion to the rows."""

from typing import Any, List, Optional, Tuple

import mxnet as mx
import numpy as np

from ...blocks import StateSpaceGPLayer
from ...blocks.kernels import Kernel
from ...blocks.parameters import PositiveParameter
from ...typing import Device
from ..errors import JobError
from ..regression.dataset import Dataset
from .config import GaussianProcessJob
from .inputs import Inputs
from .mean import build_mean
from .task import GaussianProcess


class StateSpaceProcess(GaussianProcess):
    """A `StateSpaceGPLayer` with its data, which it sees in the order of time."""

    singular = (
        "its rows leave no distribution at the initial values: rows of one time need noise; raise "
        "model.noise_variance"
    )

    def __init__(self, job: GaussianProcessJob, dataset: Dataset, device: Device) -> None:
        if dataset.x.shape[1] != 1:
            raise JobError(
                f"{dataset.path}: {dataset.x.shape[1]} input columns; method: statespace has one, "
                "the time"
            )
        super().__init__(job, dataset, device)
        self._order = np.argsort(dataset.x[:, 0], kind="stable")
        index = mx.nd.array(self._order, dtype="int32", ctx=device)
        self.x, self.y = (array.take(index, axis=1) for array in (self.x, self.y))

    def leave_one_out(self, predictor: Any) -> List[np.ndarray]:
        found = super().leave_one_out(predictor)
        places = np.argsort(self._order, kind="stable")
        return [values[places] for values in found]

    def _layer(self, kernel: Kernel, inputs: Inputs) -> Tuple[Any, Optional[PositiveParameter]]:
        model = self.job.model
        if model.jitter:
            raise JobError("model.jitter: method: statespace has none; remove it")
        self.mean = build_mean(model.mean, inputs, model.dtype)
        noise_variance = None if model.noise_variance == 0 else 1.0
        try:
            layer = StateSpaceGPLayer(kernel, self.mean, noise_variance)
        except TypeError as error:
            why = str(error).split(": ", 1)[1].replace(" GPLikelihoodLayer takes any kernel.", "")
            raise JobError(f"model.kernel: {why} method: exact takes any kernel") from None
        return layer, layer.noise_variance
