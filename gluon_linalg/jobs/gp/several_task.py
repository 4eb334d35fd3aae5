"""Gaussian processes of several targets that depend on each other."""

from typing import Any, Dict, Iterator, List, Optional, Tuple

import mxnet as mx
import numpy as np

from ...blocks import Coregionalization, MultiOutputGPLikelihoodLayer
from ...blocks.kernels import Kernel
from ...fitting.units import mean_and_deviation, root_mean_square
from ...typing import Array, Namespace
from .. import output as names
from ..files import write_json
from ..metrics import Band, holdout_metrics
from ..output import OutputFolder
from ..regression.learned import learn
from ..regression.predict import predict
from ..regression.task import EXAMPLE_ROWS, LEAST_GAIN
from ..task import export_model, number_or_list, to_model_array
from .initial_values import initial_kernel, sized_variances
from .inputs import Inputs
from .mean import build_means
from .plot_several import plot_several
from .task import GaussianProcess


class SeveralProcesses(GaussianProcess):
    """A `MultiOutputGPLikelihoodLayer` with its data, whose y is (1, n, k).

    The layer sees each target over its root mean square, and a mask where cells are empty. The
    variance of the kernel, whose size the coregionalization matrix has, too, is kept.
    """

    # The layer itself, and (1, n, k) of the cells that are filled in; None where all are.
    process: Any
    mask: Optional[mx.nd.NDArray]

    singular = (
        "the covariance matrix of its rows is not positive definite at the initial values; raise "
        "model.noise_variance, or compute in float64 (model.dtype or model.precision)"
    )

    def size_of_target(self, y: np.ndarray) -> Any:
        return np.array([root_mean_square(column[~np.isnan(column)]) for column in y.T])

    def observed(self, y: np.ndarray) -> np.ndarray:
        return np.nan_to_num(y, nan=0.0)

    def observations(self) -> Tuple[mx.nd.NDArray, ...]:
        return (self.x, self.y) if self.mask is None else (self.x, self.y, self.mask)

    def predictor(self) -> mx.gluon.HybridBlock:
        return self.process.condition(self.x, self.y, mask=self.mask)

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
        is_kappa = path.startswith("coregionalization") and path.endswith("kappa")
        return np.nan if is_kappa else super().typical_size(path)

    def rescaled(self, predictor: mx.gluon.HybridBlock) -> mx.gluon.HybridBlock:
        return RescaledOutputs(predictor, self.target_size, self.job.model.dtype)

    def bands(self, metrics: Dict[str, Any]) -> List[Band]:
        return [
            Band(f"hold-out of {name}", found["rows"], found["coverage_95"], 0.95)
            for name, found in (metrics["holdout"] or {}).items()
            if found is not None
        ]

    def warnings(self) -> Iterator[str]:
        yield from self.constant_inputs()
        y = self.dataset.model_target() / self.target_size
        seen = [column[~np.isnan(column)] for column in y.T]
        variances = np.array([mean_and_deviation(column)[1] for column in seen]) ** 2
        counts = np.array([len(column) for column in seen])
        for name, variance in zip(self.dataset.target, variances):
            if variance == 0:
                yield f"column '{name}' is constant in the rows to train on"
        if not variances.all():
            return
        noise = 0.5 * np.sum(counts * (1.0 + np.log(2.0 * np.pi * variances)))
        loss = self.weight * self.layer(*self.arguments()).sum().asscalar()
        if loss > noise - LEAST_GAIN:
            yield (
                "the model explains nothing: independent noise has the same likelihood; add what "
                "the targets depend on, or give other initial values"
            )

    def log_densities(self) -> Optional[np.ndarray]:
        """Of the values of the hold-out, (n, k), where their noise is not normal."""
        return None

    def write_results(self, folder: OutputFolder) -> Dict[str, Any]:
        """Writes the model and the plot; returns metrics: the hold-out of each target."""
        dataset, predictor = self.dataset, self.rescaled(self.predictor())
        export_model(predictor, folder.file(names.MODEL), self.x[:, :EXAMPLE_ROWS])
        write_json(folder.file(names.MODEL_IO), self._description())

        def predict_new(x: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
            noise, dtype = self.noise_variance(), self.job.model.dtype
            return predict(predictor, dataset.units, noise, x, dtype, self.device)

        plot_several(folder.file(names.PLOT), dataset, self.title, predict_new, self.job.levels)
        holdout = None
        if len(dataset.holdout_y):
            moments, densities = predict_new(dataset.holdout_x), self.log_densities()
            holdout = {}
            for k, name in enumerate(dataset.target):
                seen = ~np.isnan(dataset.holdout_y[:, k])
                held = dataset.holdout_y[seen, k]
                mean, variance = (values[seen, k] for values in moments)
                found = holdout_metrics(held, mean, variance, self.job.levels)
                if found is not None and densities is not None:
                    found["nlpd"] = -float(densities[seen, k].mean())
                holdout[name] = found
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
        sized = list(sized_variances(self.job.model.kernel))
        for path in sized if self._is_linear() else sized[:1]:
            if path in learned and learned[path].is_open:
                learned[path].parameter.set_value(1.0)
                learned[path].parameter.grad_req = "null"
                learned[path].is_open = False
        return kernel, learned

    def _layer(self, kernel: Any, inputs: Inputs) -> Tuple[Any, Any]:
        model, kernels = self.job.model, self._kernels(kernel)
        self.process = MultiOutputGPLikelihoodLayer(
            kernels,
            len(self.dataset.target),
            coregionalization=self._matrices(kernels),
            mean=self._means(inputs),
            noise_variance=[1.0] * len(self.dataset.target),
            precision=model.precision,
        )
        return self._masked(self.process)

    # What the layers of all methods are made of.

    def _is_linear(self) -> bool:
        return self.job.model.coregionalization.model == "linear"

    def _kernels(self, kernel: Any) -> List[Kernel]:
        """Those with a matrix each."""
        return kernel.kernels if self._is_linear() else [kernel]

    def _means(self, inputs: Inputs) -> Optional[mx.gluon.HybridBlock]:
        model = self.job.model
        self.mean = build_means(model.mean, inputs, model.dtype, len(self.dataset.target))
        return self.mean

    def _matrices(self, kernels: List[Kernel]) -> List[Coregionalization]:
        """One for each kernel, which have equal shares of the variances at first."""
        count, size = len(self.dataset.target), self.target_size
        found = []
        for q in range(len(kernels)):
            shared = Coregionalization(count, self.job.model.coregionalization.rank)
            path = f"coregionalization.{q}" if self._is_linear() else "coregionalization"
            if shared.mixing is not None:
                start = shared.mixing.value() / len(kernels) ** 0.5
                self.learned[f"{path}.mixing"] = learn(shared.mixing, None, start, size[:, None])
            start = shared.kappa.value() / len(kernels)
            self.learned[f"{path}.kappa"] = learn(shared.kappa, None, start, size**2)
            found.append(shared)
        return found

    def _masked(self, layer: Any) -> Tuple[Any, Any]:
        """A layer (x, y, noise, mask) that takes the `arguments`, and its noise variances."""
        self.mask = self._mask()
        return layer if self.mask is None else WithMask(layer), layer.noise_variance

    def _mask(self) -> Optional[mx.nd.NDArray]:
        seen = ~np.isnan(self.dataset.y)
        if seen.all():
            return None
        dtype = self.job.model.dtype
        return to_model_array(seen[None], dtype, self.device, self.dataset.path)


class WithMask(mx.gluon.HybridBlock):
    """A layer without noise of single values, (x, y, mask) -> (1,)."""

    def __init__(self, layer: mx.gluon.HybridBlock, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = layer

    def hybrid_forward(self, F: Namespace, x: Array, y: Array, mask: Array) -> Array:
        return self.layer(x, y, None, mask)


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
