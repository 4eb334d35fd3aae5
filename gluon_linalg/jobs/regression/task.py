"""What the regressions share: the unit of the target, predictions, and what they leave behind."""

from typing import Any, ClassVar, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from ...fitting.units import mean_and_deviation, root_mean_square
from ...typing import Array, Device, Namespace, given
from .. import output as names
from ..files import write_json
from ..metrics import Band, holdout_bands, holdout_metrics
from ..output import OutputFolder
from ..summary import judged
from ..task import TrainedTask, export_model, number_or_list, to_model_array
from .dataset import Dataset
from .learned import Learned
from .plot import plot_model
from .predict import predict

# What the log likelihood of a model that explains something is above that of noise.
LEAST_GAIN = 1.0

# The exported graph is compared with the live model on this many rows.
EXAMPLE_ROWS = 100


class RegressionTask(TrainedTask):
    """A layer called with x (1, n, d) and y (1, n), whose predictor is exported.

    The layer sees the target of the job over `target_size`, its root mean square: what it computes,
    bounds and steps included, does not depend on the unit of the target. learned: the positive
    parameters, by path.
    """

    # The kind of model in the title of the plot, and what its graph takes.
    title: ClassVar[str]
    graph_input: ClassVar[str]
    # What `leave_one_out` gives, in the legend of the plot.
    data_label: ClassVar[str] = "data, each left out once"
    dataset: Dataset
    layer: mx.gluon.HybridBlock

    def __init__(self, job: Any, dataset: Dataset, device: Device) -> None:
        super().__init__(job, dataset, device)
        self.learned: Dict[str, Learned] = {}
        y = dataset.model_target()
        self.target_size = self.size_of_target(y)
        counts = np.sum(~np.isnan(y), axis=0)
        self.loss_offset = float(np.sum(counts * np.log(self.target_size)))
        dtype, path = job.model.dtype, dataset.path
        self.x = to_model_array(dataset.model_inputs()[None], dtype, device, path)
        self.y = to_model_array(self.observed(y)[None] / self.target_size, dtype, device, path)

    def size_of_target(self, y: np.ndarray) -> Any:
        """In units of which the layer sees it: a number, or of k targets (k,)."""
        return root_mean_square(y)

    def observed(self, y: np.ndarray) -> np.ndarray:
        """The target as the layer is given it, before it is divided: numbers."""
        return y

    def observations(self) -> Tuple[mx.nd.NDArray, ...]:
        """The data as arguments of the layer."""
        return self.x, self.y

    def arguments(self) -> Tuple[mx.nd.NDArray, ...]:
        return self.observations()

    def start_at(self, start: Mapping[str, Any]) -> None:
        for path, values in start.items():
            parameter = self.learned[path].parameter
            parameter.set_value(np.broadcast_to(values, parameter.shape))

    def value(self, path: str) -> Union[float, List[float]]:
        if path in self.learned:
            return number_or_list(self.learned[path].value())
        return super().value(path)

    def typical_size(self, path: str) -> Union[float, np.ndarray]:
        if path in self.learned:
            return self.learned[path].unit * self.learned[path].typical
        return super().typical_size(path)

    def warnings(self) -> Iterator[str]:
        """Of what is constant, and of a likelihood that independent noise has too."""
        yield from self.constant_inputs()
        y = self.dataset.model_target() / self.target_size
        variance = float(mean_and_deviation(y)[1]) ** 2
        if variance == 0:
            yield f"column '{self.dataset.target}' is constant in the rows to train on"
            return
        noise = 0.5 * len(y) * (1.0 + np.log(2.0 * np.pi * variance))
        loss = self.weight * self.layer(*self.arguments()).sum().asscalar()
        if loss > noise - LEAST_GAIN:
            yield (
                "the model explains nothing: independent noise has the same likelihood; add what "
                "the target depends on, or give other initial values"
            )

    def constant_inputs(self) -> Iterator[str]:
        """A sentence for each input column without two values."""
        for name, deviation in zip(self.dataset.inputs, mean_and_deviation(self.dataset.x)[1]):
            if deviation == 0:
                yield f"column '{name}' is constant in the rows to train on: it tells nothing"

    def predictor(self) -> mx.gluon.HybridBlock:
        """A block x (1, m, d) -> mean and variance (1, m) of what the layer sees, without noise."""
        raise NotImplementedError

    def noise_variance(self) -> float:
        """In units of the job."""
        raise NotImplementedError

    def leave_one_out(self, predictor: Any) -> Sequence[np.ndarray]:
        """Each training row predicted from all others: mean and variance (n,) of the layer's y."""
        raise NotImplementedError

    def judged(self, holdout: Optional[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
        """The metrics of the hold-out; a likelihood that is not normal has a density of its own."""
        return holdout

    def rescaled(self, predictor: mx.gluon.HybridBlock) -> mx.gluon.HybridBlock:
        """The predictor in units of the job, which is exported."""
        return Rescaled(predictor, self.target_size)

    def bands(self, metrics: Dict[str, Any]) -> List[Band]:
        return holdout_bands(metrics)

    def write_results(self, folder: OutputFolder) -> Dict[str, Any]:
        """Writes the model and the plot; returns metrics: the hold-out."""
        dataset, units = self.dataset, self.dataset.units
        inner = self.predictor()
        predictor = self.rescaled(inner)
        export_model(predictor, folder.file(names.MODEL), self.x[:, :EXAMPLE_ROWS])
        write_json(folder.file(names.MODEL_IO), self._description())

        def predict_new(x: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
            noise_variance, dtype = self.noise_variance(), self.job.model.dtype
            return predict(predictor, units, noise_variance, x, dtype, self.device)

        holdout = None
        if len(dataset.holdout_y):
            moments = predict_new(dataset.holdout_x)
            found = holdout_metrics(dataset.holdout_y, *moments, self.job.levels)
            holdout = self.judged(found)
        mean, variance = self.leave_one_out(inner)
        mean, variance = mean * self.target_size, variance * self.target_size**2
        left_out = units.mean_from_model(mean), units.variance_from_model(variance)
        told = holdout_metrics(dataset.y, *left_out, self.job.levels)
        self.report.append(f"{self.data_label}: {judged(given(told))}")
        plot_model(
            folder.file(names.PLOT),
            dataset,
            self.title,
            predict_new,
            left_out,
            self.data_label,
            self.job.levels,
        )
        return {"rows_left_out": dataset.left_out, "holdout": holdout}

    def _description(self) -> Dict[str, Any]:
        """What `predict` needs beside the graph: columns, units and noise."""
        dataset = self.dataset
        return {
            "task": self.job.task,
            "inputs": dataset.columns,
            "levels": dataset.levels,
            "graph_columns": dataset.inputs,
            "date_inputs": dataset.dates,
            "format": dataset.table_format._asdict(),
            "target": dataset.target,
            **dataset.units.as_dict(),
            "noise_variance": self.noise_variance(),
            "bands": self.job.levels,
            "dtype": self.job.model.dtype,
            "graph_inputs": {"data": self.graph_input},
            "graph_outputs": [
                "(1, m): the mean; times target_scale, plus target_offset, in original units",
                "(1, m): its variance; plus noise_variance for an observation, times target_scale²",
            ],
        }


class Rescaled(mx.gluon.HybridBlock):
    """x -> mean and variance of `predictor` times size and its square."""

    def __init__(self, predictor: mx.gluon.HybridBlock, size: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.predictor, self._size = predictor, float(size)

    def hybrid_forward(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        mean, variance = self.predictor(x)
        return mean * self._size, variance * self._size**2
