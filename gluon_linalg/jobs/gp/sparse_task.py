"""Gaussian processes that see their rows through inducing points."""

import copy
from typing import Any, List, Optional, Tuple

import numpy as np

from ...blocks import SGPRLikelihoodLayer
from ...blocks.kernels import Kernel
from ...blocks.parameters import PositiveParameter
from ...fitting.inducing_points import inducing_points
from ..errors import JobError
from .inputs import Inputs
from .mean import build_mean
from .task import GaussianProcess

# What a bound of sparse processes adds to the diagonal of K(Z, Z), relative to its mean.
JITTER = 1e-8
# How many rows are predicted at once.
CHUNK = 8192


class SparseProcess(GaussianProcess):
    """An `SGPRLikelihoodLayer` with its data."""

    auxiliary = ("inducing.points", "variational.mean", "variational.factor")
    singular = (
        "the covariance matrix of the inducing points is not positive definite at the initial "
        "values; lower model.inducing.count, or set model.jitter: auto"
    )

    @property
    def has_likelihood(self) -> bool:
        return False

    @property
    def is_bound(self) -> bool:
        return not self.job.model.priors

    def leave_one_out(self, predictor: Any) -> List[np.ndarray]:
        return [a.asnumpy()[0] for a in predictor.leave_one_out(self.x, self.y)]

    def _layer(self, kernel: Kernel, inputs: Inputs) -> Tuple[Any, Optional[PositiveParameter]]:
        model = self.job.model
        if model.noise_variance == 0:
            raise JobError("model.noise_variance: sgpr is a bound for data with noise; raise it")
        self.mean = build_mean(model.mean, inputs, model.dtype)
        points, jitter = self._points(kernel, inputs), model.jitter or JITTER
        layer = SGPRLikelihoodLayer(kernel, points, self.mean, 1.0, jitter)
        self._name_points(layer)
        return layer, layer.noise_variance

    def _points(self, kernel: Kernel, inputs: Inputs) -> np.ndarray:
        """Where the inducing points begin, (m, d)."""
        rule = self.job.model.inducing
        # With the initial values, and no network initialized that is to be later.
        twin = copy.deepcopy(kernel)
        twin.initialize()
        twin.cast("float64")
        return inducing_points(inputs.x, rule.count, rule.start, twin, self.job.seed)

    def _name_points(self, layer: Any) -> None:
        if self.job.model.inducing.trained:
            self.parameters["inducing.points"] = layer.inducing_points
        else:
            layer.inducing_points.grad_req = "null"
