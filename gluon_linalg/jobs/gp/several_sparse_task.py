"""Gaussian processes of several targets that see their rows through inducing points."""

import copy
from typing import Any, List, Tuple

import numpy as np

from ...blocks import MultiOutputSGPRLikelihoodLayer, MultiOutputSVGPLikelihoodLayer, output_rows
from ...blocks.coregionalization import Coregionalization
from ...blocks.kernels import Kernel
from ...blocks.multi_output_rows import kernel_of_rows
from ...fitting.inducing_points import inducing_points
from .inputs import Inputs
from .several_task import SeveralProcesses
from .sparse_task import JITTER, SparseProcess
from .variational_task import RowsBound, VariationalProcess


class SeveralSparse(SeveralProcesses, SparseProcess):
    """A `MultiOutputSGPRLikelihoodLayer` with its data."""

    singular = SparseProcess.singular

    def _layer(self, kernel: Any, inputs: Inputs) -> Tuple[Any, Any]:
        kernels, count = self._kernels(kernel), len(self.dataset.target)
        matrices = self._matrices(kernels)
        self.process = MultiOutputSGPRLikelihoodLayer(
            kernels,
            self._points_of_outputs(kernels, matrices, inputs),
            count,
            coregionalization=matrices,
            mean=self._means(inputs),
            noise_variance=[1.0] * count,
            jitter=self.job.model.jitter or JITTER,
        )
        self._name_points(self.process)
        return self._masked(self.process)

    def _points_of_outputs(
        self, kernels: List[Kernel], matrices: List[Coregionalization], inputs: Inputs
    ) -> np.ndarray:
        """Where the inducing points begin, and of which targets they are, (m, d + 1)."""
        rule, outputs = self.job.model.inducing, len(self.dataset.target)
        if rule.start == "kmeans":
            count = max(1, rule.count // outputs)
            return output_rows(inducing_points(inputs.x, count, "kmeans"), outputs)
        seen = ~np.isnan(self.dataset.y)
        rows = output_rows(inputs.x, outputs)[seen.T.reshape(-1)]
        # With the initial values, and no network initialized that is to be later.
        twins = copy.deepcopy(kernel_of_rows(kernels, matrices, inputs.x.shape[1]))
        twins.initialize()
        twins.cast("float64")
        return inducing_points(rows, rule.count, rule.start, twins, self.job.seed)


class SeveralVariational(SeveralSparse, VariationalProcess):
    """A `MultiOutputSVGPLikelihoodLayer` with its data, whose losses are those of rows."""

    def predictor(self) -> Any:
        """The moments of the latent values: the noise is that of each target."""
        return self.process.predictor()

    def _layer(self, kernel: Any, inputs: Inputs) -> Tuple[Any, Any]:
        model, kernels = self.job.model, self._kernels(kernel)
        matrices, count = self._matrices(kernels), len(self.dataset.target)
        self.mask = self._mask()
        self.process = MultiOutputSVGPLikelihoodLayer(
            kernels,
            self._points_of_outputs(kernels, matrices, inputs),
            count,
            count=int(np.sum(~np.isnan(self.dataset.y))),
            coregionalization=matrices,
            mean=self._means(inputs),
            noise_variance=[1.0] * count,
            jitter=model.jitter or JITTER,
        )
        self._name_points(self.process)
        self._name_variational()
        return RowsBound(self.process, self.dataset.count), self.process.likelihood.noise_variance
