"""The layer of a state space job, its loss, and the blocks that smooth and forecast."""

import numpy as np

from ...blocks.structural import StructuralModel
from ..errors import JobError
from ..task import Task, number_or_list, to_model_array
from ..units import finite
from .component_sections import SMALLEST_VARIANCE
from .components import build_components, used_columns
from .dataset import read_dataset
from .results import write_results

# The initial value of variances that the job leaves open, as a share of the mean squared change
# of the target from one observation to the next.
SHARE = 0.1


class StateSpace(Task):
    """A `StructuralModel` with its data."""

    singular = (
        "an observation has no variance at the initial values; raise model.noise_variance or the "
        "variances in model.components, or compute in float64 (model.dtype)"
    )
    read_dataset = staticmethod(read_dataset)

    def __init__(self, job, dataset, context):
        super().__init__(job, dataset, context)
        self.layer = self._build_layer(job.model.method, self.parameters)
        diffuse = sum(self.layer.components.diffuse)
        if dataset.count <= diffuse:
            raise JobError(
                f"{dataset.path}: {dataset.count} observations to train on; the initial values of "
                f"these components alone take {diffuse}"
            )
        self.y = self.array(dataset.model_target()[None])
        self.mask = self.array(dataset.is_observed[None].astype(float))
        self.covariates = []
        if self.layer.components.features:
            self.covariates = [self.array(dataset.covariates[None])]

    def arguments(self):
        return (self.y, *(c[:, : self.y.shape[1]] for c in self.covariates), self.mask)

    def write_results(self, folder, metrics):
        write_results(folder, self, metrics)

    def trained_model(self):
        """A copy of the layer that works for series of any length, also forecasts."""
        parameters = {}
        model = self._build_layer("sequential", parameters)
        for path, parameter in parameters.items():
            parameter.set_data(self.parameters[path].data(self.context))
        return model

    def value(self, path):
        # What is stored are partial autocorrelations.
        if path.endswith(".ar.coefficients"):
            component = self.layer.components.components[int(path.split(".")[1])]
            return number_or_list(component.coefficients())
        return super().value(path)

    def _build_layer(self, method, parameters):
        model, dataset = self.job.model, self.dataset
        columns = used_columns(model.components, self.job.data.covariates)
        variance = _typical_variance(dataset)
        layer = StructuralModel(
            build_components(
                model.components, variance, _mean_squares(dataset, columns), parameters
            ),
            variance if model.noise_variance is None else model.noise_variance,
            method=method,
            length=len(dataset.y) if method == "parallel" else None,
        )
        if layer.noise_variance is not None:
            parameters["noise_variance"] = layer.noise_variance
            if "noise_variance" in model.fixed:
                layer.noise_variance.grad_req = "null"
        layer.initialize(ctx=self.context)
        layer.cast(model.dtype)
        return layer

    def array(self, values):
        return to_model_array(values, self.job.model.dtype, self.context, self.dataset.path)


def _typical_variance(dataset):
    with np.errstate(over="ignore"):
        change = np.diff(dataset.model_target()[dataset.is_observed])
        variance = SHARE * float(np.mean(change**2))
    finite(dataset.path, variance)
    return max(variance, 2.0 * SMALLEST_VARIANCE) if variance else 1.0


def _mean_squares(dataset, columns):
    """Of each column of each regression, over the training; 1 for a column of zeros."""
    with np.errstate(over="ignore"):
        squares = np.mean(dataset.covariates[: len(dataset.y)] ** 2, axis=0)
    finite(dataset.path, squares)
    found = iter(np.where(squares > 0, squares, 1.0).tolist())
    return [[next(found) for _ in names] for names in columns]
