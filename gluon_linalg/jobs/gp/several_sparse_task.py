"""Gaussian processes of several targets that see their rows through inducing points."""

import copy
from typing import Any, Dict, Iterator, List, Optional, Tuple

import mxnet as mx
import numpy as np

from ...blocks import MultiOutputSGPRLikelihoodLayer, MultiOutputSVGPLikelihoodLayer, output_rows
from ...blocks.coregionalization import Coregionalization
from ...blocks.kernels import Kernel
from ...blocks.multi_output_parts import ConstantMeans
from ...blocks.multi_output_rows import kernel_of_rows
from ...fitting.inducing_points import inducing_points
from ..metrics import Band
from .inputs import Inputs
from .several_task import SeveralProcesses
from .sparse_task import CHUNK, JITTER, SparseProcess
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

    @property
    def _has_counts(self) -> bool:
        return self.job.model.has_counts

    def size_of_target(self, y: np.ndarray) -> Any:
        return np.ones(y.shape[1]) if self._has_counts else super().size_of_target(y)

    def predictor(self) -> Any:
        """The moments of new counts, or of latent values: the noise is that of each target."""
        return self.process.predictor(include_noise=self._has_counts)

    def noise_variance(self) -> Any:
        """Of counts none beside that in the predictor."""
        return [0.0] * len(self.dataset.target) if self._has_counts else super().noise_variance()

    def bands(self, metrics: Dict[str, Any]) -> List[Band]:
        return [] if self._has_counts else super().bands(metrics)

    def warnings(self) -> Iterator[str]:
        if not self._has_counts:
            yield from super().warnings()
            return
        yield from self.constant_inputs()
        for name, column in zip(self.dataset.target, self.dataset.y.T):
            if not np.ptp(column[~np.isnan(column)]):
                yield f"column '{name}' is constant in the rows to train on"

    def log_densities(self) -> Optional[np.ndarray]:
        if not self._has_counts:
            return None
        dataset, predictor, found = self.dataset, self.process.predictor(), []
        x = dataset.units.inputs_to_model(dataset.holdout_x)
        y = np.nan_to_num(dataset.holdout_y, nan=0.0)
        for start in range(0, len(y), CHUNK):
            rows = [a[None, start : start + CHUNK] for a in (x, y)]
            given = (mx.nd.array(a, dtype=self.job.model.dtype, ctx=self.device) for a in rows)
            found.append(predictor.log_density(*given).asnumpy()[0])
        return np.concatenate(found)

    def _means(self, inputs: Inputs) -> Optional[mx.gluon.HybridBlock]:
        found = super()._means(inputs)
        if self._has_counts and isinstance(found, ConstantMeans):
            found.constant.set_value(np.log(np.nanmean(self.dataset.y, axis=0) + 0.1))
        return found

    def _layer(self, kernel: Any, inputs: Inputs) -> Tuple[Any, Any]:
        model, kernels = self.job.model, self._kernels(kernel)
        matrices, count = self._matrices(kernels), len(self.dataset.target)
        self.mask = self._mask()
        self.process = MultiOutputSVGPLikelihoodLayer(
            kernels,
            self._points_of_outputs(kernels, matrices, inputs),
            count,
            self._likelihood() if self._has_counts else None,
            count=int(np.sum(~np.isnan(self.dataset.y))),
            coregionalization=matrices,
            mean=self._means(inputs),
            noise_variance=[1.0] * count,
            jitter=model.jitter or JITTER,
        )
        self._name_points(self.process)
        self._name_variational()
        noise = None if self._has_counts else self.process.likelihood.noise_variance
        return RowsBound(self.process, self.dataset.count), noise
