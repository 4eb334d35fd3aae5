"""The layer of a job of several series, and its loss."""

from typing import Any, Dict, List, Union

import mxnet as mx
import numpy as np

from ...blocks.multivariate import LinearGaussianModel, MultivariateModel
from ...errors import LinearAlgebraError, UnidentifiedError
from ...fitting.expectation_maximization import expectation_maximization
from ...typing import Device
from .. import memory
from ..errors import JobError, one_line
from ..metrics import Band, holdout_bands
from ..output import OutputFolder
from ..task import TrainedTask, to_model_array
from .config import MultivariateJob
from .dataset import Dataset, read_dataset
from .given import Given
from .processes import trained_parameters
from .results import write_results

# The number type of what a job computes, whatever that of the exported model is.
COMPUTED = "float64"
# What a likelihood with its gradient takes for each step and square of the number of states, in
# numbers.
NUMBERS = {"sequential": 47, "parallel": 70}


class Multivariate(TrainedTask):
    """A `MultivariateModel` with its data."""

    job: MultivariateJob
    dataset: Dataset
    layer: MultivariateModel
    singular = (
        "an observation has no variance at the initial values; one target may be a combination of "
        "the others"
    )
    read_dataset = staticmethod(read_dataset)

    def __init__(self, job: MultivariateJob, dataset: Dataset, device: Device) -> None:
        super().__init__(job, dataset, device)
        self.layer, self.parameters = self._build_layer(job.model.method)
        if self._needed() > (memory.available() if device.device_type == "cpu" else np.inf):
            raise JobError(self.out_of_memory())
        count = sum(int(np.prod(p.shape)) for p in self.parameters.values() if p.grad_req != "null")
        if dataset.count <= count:
            raise JobError(
                f"{dataset.path}: {dataset.count} observations to train on for {count} parameters; "
                "give the model fewer lags, factors or states"
            )
        self._arguments = self.graph_arguments(0)
        self._refuse_open()

    def arguments(self) -> List[mx.nd.NDArray]:
        return self._arguments

    def graph_arguments(self, steps: int) -> List[mx.nd.NDArray]:
        """What the layer takes, and with `steps` the forecaster, after the training."""
        dataset = self.dataset
        # Covariates that nobody knows are not asked for: the example ends before.
        end = len(dataset.y) - max(steps - dataset.steps, 0)
        y = dataset.y[:end]
        arrays = [dataset.model_targets(y), np.isfinite(y).astype(float)]
        if self.layer.covariates:
            arrays.insert(1, dataset.model_covariates()[: end + steps])
        return [self.array(np.nan_to_num(array)[None]) for array in arrays]

    def padded_arguments(self, steps: int) -> List[mx.nd.NDArray]:
        """What the layer takes, with so many steps after the training of which nothing was seen."""
        y, *covariates, mask = self.graph_arguments(0)
        if not steps:
            return [y, *covariates, mask]
        zeros = mx.nd.zeros((1, steps, y.shape[2]), dtype=COMPUTED, ctx=self.device)
        y, mask = (mx.nd.concat(array, zeros, dim=1) for array in (y, mask))
        if covariates:
            covariates = [self.array(self.dataset.model_covariates()[None])]
        return [y, *covariates, mask]

    def em_step(self) -> None:
        """The parameters after an iteration of expectation maximization."""
        assert isinstance(self.layer, LinearGaussianModel)
        y, mask = self._arguments[0], self._arguments[-1]
        mean = 0.0 if self.layer.mean is None else self.layer.mean.value()
        seen = np.where(mask.asnumpy() == 1, y.asnumpy() - mean, np.nan)
        fixed = {
            "observation_covariance" if name == "observation_variance" else name
            for name in self.job.model.process.chosen()[1].fixed
        }
        fixed.add("prior_covariance")
        structure = {"observation_covariance": "diagonal"}
        matrices: Dict[str, Any] = dict(self.layer.matrices())
        found = expectation_maximization(
            seen,
            **matrices,
            fixed=sorted(fixed),
            structure={k: v for k, v in structure.items() if k not in fixed},
            iterations=1,
        )
        try:
            self.layer.set_matrices(
                {name: value for name, value in found.parameters.items() if name not in fixed}
            )
        except (LinearAlgebraError, ValueError) as error:
            raise JobError(
                f"{self.dataset.path}: em has come to a covariance that is singular "
                f"({one_line(error)}); give the model fewer states"
            ) from None

    def write_results(self, folder: OutputFolder) -> Dict[str, Any]:
        return write_results(folder, self)

    def bands(self, metrics: Dict[str, Any]) -> List[Band]:
        return holdout_bands(metrics)

    def trained_model(self) -> MultivariateModel:
        """A copy of the layer that works for series of any length, also forecasts."""
        model, parameters = self._build_layer("sequential")
        for path, parameter in parameters.items():
            parameter.set_data(self.parameters[path].data(self.device))
        return model

    def value(self, path: str) -> Union[float, List[Any]]:
        found = np.asarray(self.parameters[path].value(), dtype="float64")
        return found.tolist() if found.size > 1 else float(found.reshape(-1)[0])

    def array(self, values: np.ndarray) -> mx.nd.NDArray:
        # What the exported model could not take is refused before anything is trained.
        to_model_array(values, self.job.model.dtype, self.device, self.dataset.path)
        return to_model_array(values, COMPUTED, self.device, self.dataset.path)

    def _build_layer(self, method):
        job, dataset = self.job, self.dataset
        given = Given(
            dataset.names,
            dataset.model_targets(dataset.y),
            job.every,
            len(job.data.covariates),
            method,
            len(dataset.y) if method == "parallel" else None,
        )
        layer = job.model.process.chosen()[1].build(given)
        layer.initialize(ctx=self.device)
        layer.cast(COMPUTED)
        return layer, trained_parameters(job.model.process, layer)

    def out_of_memory(self) -> str:
        """What to tell where there is not enough memory."""
        return (
            f"{self.dataset.path}: a likelihood of {len(self.dataset.y)} steps with "
            f"{self.layer.state_size} states takes about {memory.gigabytes(self._needed())} of "
            "memory, more than there is; give the model fewer lags, or the series fewer steps"
        )

    def _needed(self) -> int:
        numbers = NUMBERS[self.job.model.method] * len(self.dataset.y)
        return numbers * self.layer.state_size**2 * np.dtype(COMPUTED).itemsize

    def _refuse_open(self):
        """Refuses a model of which the observations do not determine all initial values."""
        if not self.layer.options["diffuse"]:
            return
        try:
            self.layer.smooth(*self._arguments)
        except UnidentifiedError as error:
            names = str(error).split("leave open ", 1)[-1].split(". ")[0]
            for number, name in reversed([*enumerate(self.dataset.names, start=1)]):
                names = names.replace(f"of series {number}", f"of {name}")
            raise JobError(
                f"{self.dataset.path}: the observations to train on leave open {names}; each "
                "series must be seen at more steps, a season in all its parts"
            ) from None
