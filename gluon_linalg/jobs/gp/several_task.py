"""Gaussian processes of several targets that depend on each other."""

from typing import Any, Dict, Iterator, List, Tuple

import mxnet as mx
import numpy as np

from ...blocks import Coregionalization, MultiOutputGPLikelihoodLayer
from ...fitting.units import mean_and_deviation, root_mean_square
from ...typing import Array, Namespace
from .. import output as names
from ..files import write_json
from ..metrics import Band, holdout_metrics
from ..output import OutputFolder
from ..regression.learned import learn
from ..regression.predict import predict
from ..regression.task import EXAMPLE_ROWS, LEAST_GAIN
from ..task import export_model, number_or_list
from .initial_values import initial_kernel, sized_variances
from .inputs import Inputs
from .mean import build_means
from .plot_several import plot_several
from .task import GaussianProcess


class SeveralProcesses(GaussianProcess):
    """A `MultiOutputGPLikelihoodLayer` with its data, whose y is (1, n, k).

    The layer sees each target over its root mean square. The variance of the kernel, whose size
    the coregionalization matrix has, too, is kept.
    """

    singular = (
        "the covariance matrix of its rows is not positive definite at the initial values; raise "
        "model.noise_variance, or compute in float64 (model.dtype or model.precision)"
    )

    def size_of_target(self, y: np.ndarray) -> Any:
        return np.array([root_mean_square(column) for column in y.T])

    def noise_variance(self) -> Any:
        return self.learned["noise_variance"].value().tolist()

    def value(self, path: str) -> Any:
        if not path.startswith("mean."):
            return super().value(path)
        raw = self.job.data.target_scaling == "raw"
        offset = np.asarray(self.dataset.units.target_offset) if raw else 0.0
        if path == "mean.constant":
            constant = self.mean.constant.data(self.device).asnumpy().astype("float64")
            return number_or_list(self.target_size * constant + offset)
        weight, bias = self.mean.natural_values()
        if path == "mean.weight":
            return number_or_list(self.target_size[:, None] * weight)
        return number_or_list(self.target_size * bias + offset)

    def typical_size(self, path: str) -> Any:
        # Targets that share everything have no part of their own.
        return np.nan if path == "coregionalization.kappa" else super().typical_size(path)

    def rescaled(self, predictor: mx.gluon.HybridBlock) -> mx.gluon.HybridBlock:
        return RescaledOutputs(predictor, self.target_size, self.job.model.dtype)

    def bands(self, metrics: Dict[str, Any]) -> List[Band]:
        return [
            Band(f"hold-out of {name}", found["rows"], found["coverage_95"], 0.95)
            for name, found in (metrics["holdout"] or {}).items()
        ]

    def warnings(self) -> Iterator[str]:
        yield from self.constant_inputs()
        y = self.dataset.model_target() / self.target_size
        variances = mean_and_deviation(y)[1] ** 2
        for name, variance in zip(self.dataset.target, variances):
            if variance == 0:
                yield f"column '{name}' is constant in the rows to train on"
        if not variances.all():
            return
        noise = 0.5 * len(y) * np.sum(1.0 + np.log(2.0 * np.pi * variances))
        if self.layer(*self.arguments()).sum().asscalar() > noise - LEAST_GAIN:
            yield (
                "the model explains nothing: independent noise has the same likelihood; add what "
                "the targets depend on, or give other initial values"
            )

    def write_results(self, folder: OutputFolder) -> Dict[str, Any]:
        """Writes the model and the plot; returns metrics: the hold-out of each target."""
        dataset, predictor = self.dataset, self.rescaled(self.predictor())
        export_model(predictor, folder.file(names.MODEL), self.x[:, :EXAMPLE_ROWS])
        write_json(folder.file(names.MODEL_IO), self._description())

        def predict_new(x: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
            noise, dtype = self.noise_variance(), self.job.model.dtype
            return predict(predictor, dataset.units, noise, x, dtype, self.device)

        plot_several(folder.file(names.PLOT), dataset, self.title, predict_new)
        holdout = None
        if len(dataset.holdout_y):
            columns = zip(dataset.holdout_y.T, *(m.T for m in predict_new(dataset.holdout_x)))
            found = (holdout_metrics(*column) for column in columns)
            holdout = dict(zip(dataset.target, found))
        return {
            "rows_left_out": dataset.left_out,
            "targets": list(dataset.target),
            "holdout": holdout,
        }

    def _description(self) -> Dict[str, Any]:
        outputs = [
            "(1, m, k): the means; times target_scale, plus target_offset, in original units",
            "(1, m, k): their variances; plus noise_variance, times target_scale²",
        ]
        return {**super()._description(), "graph_outputs": outputs}

    def _kernel_of(self, inputs: Inputs) -> Any:
        kernel, learned = initial_kernel(self.job.model.kernel, inputs, 1.0)
        for path in list(sized_variances(self.job.model.kernel))[:1]:
            if path in learned and learned[path].is_open:
                learned[path].parameter.set_value(1.0)
                learned[path].parameter.grad_req = "null"
                learned[path].is_open = False
        return kernel, learned

    def _layer(self, kernel: Any, inputs: Inputs) -> Tuple[Any, Any]:
        model, count = self.job.model, len(self.dataset.target)
        self.mean = build_means(model.mean, inputs, model.dtype, count)
        shared = Coregionalization(count, model.coregionalization.rank)
        size = self.target_size
        if shared.mixing is not None:
            start = shared.mixing.value()
            mixing = learn(shared.mixing, None, start, size[:, None])
            self.learned["coregionalization.mixing"] = mixing
        kappa = learn(shared.kappa, None, shared.kappa.value(), size**2)
        self.learned["coregionalization.kappa"] = kappa
        layer = MultiOutputGPLikelihoodLayer(
            kernel,
            count,
            coregionalization=shared,
            mean=self.mean,
            noise_variance=[1.0] * count,
            precision=model.precision,
        )
        return layer, layer.noise_variance


class RescaledOutputs(mx.gluon.HybridBlock):
    """x -> means and variances (B, m, k) of `predictor` times sizes (k,) and their squares."""

    def __init__(
        self, predictor: mx.gluon.HybridBlock, sizes: np.ndarray, dtype: str, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.predictor = predictor
        with self.name_scope():
            value = mx.nd.array(sizes, dtype=dtype).reshape((1, 1, -1))
            self.sizes = self.params.get_constant("sizes", value)
        self.sizes.initialize(ctx=next(iter(predictor.collect_params().values())).list_ctx())

    def hybrid_forward(self, F: Namespace, x: Array, sizes: Array) -> Tuple[Array, Array]:
        mean, variance = self.predictor(x)
        return F.broadcast_mul(mean, sizes), F.broadcast_mul(variance, F.square(sizes))
