"""The layer of a state space job, its loss, and the blocks that smooth and forecast."""

import numpy as np

from ...blocks.structural import StructuralModel
from .. import memory
from ..errors import JobError
from ..task import Task, number_or_list, to_model_array
from ..units import finite
from .component_sections import SMALLEST_VARIANCE
from .components import build_components
from .dataset import read_dataset
from .results import write_results

# The initial value of variances that the job leaves open, as a share of the mean squared change
# of the target from one observation to the next.
SHARE = 0.1
# What a likelihood with its gradient takes for each series, step and square of the number of
# states, in numbers: measured with 25 and 53 states, for the loop and for the scans.
NUMBERS = {"sequential": 25, "parallel": 58}


class StateSpace(Task):
    """A `StructuralModel` with its data: one series, or many that share all parameters."""

    singular = (
        "an observation has no variance at the initial values; raise model.noise_variance or the "
        "variances in model.components, or compute in float64 (model.dtype)"
    )
    read_dataset = staticmethod(read_dataset)

    def __init__(self, job, dataset, context):
        super().__init__(job, dataset, context)
        self.layer = self._build_layer(job.model.method, self.parameters)
        self._refuse_too_large(memory.available() if context.device_type == "cpu" else np.inf)
        self.batch_axis_size = len(dataset.members)
        # What the initial states of a series take before anything is learned from it.
        self.least_observations = sum(self.layer.components.diffuse)
        for member in dataset.members:
            if member.count < self.least_observations:
                raise self._too_few(member.series.path, member.count, 1)
        if dataset.count <= self.least_observations * len(dataset.members):
            raise self._too_few(dataset.path, dataset.count, len(dataset.members))
        self._arguments = self.padded_arguments(dataset.members)

    def arguments(self):
        return self._arguments

    def graph_arguments(self, member, steps):
        """What the forecaster takes for one member, on to the last of so many steps."""
        # Covariates that nobody knows are not asked for: the example ends before.
        end = len(member.y) - (steps - self.dataset.steps)
        y, mask = (array[:, :end] for array in self._targets([member], len(member.y)))
        if not self.layer.components.features:
            return [y, mask]
        return [y, self.array(member.covariates[None]), mask]

    def padded_arguments(self, members, steps=0):
        """Those of the layer: the shorter series with missing steps after, and all with `steps`.

        A missing step adds exactly nothing to the likelihood. Only the scale of the diffuse
        coefficients could feel it, the mean square of the covariates: it is what it was.
        """
        length = max(len(member.y) for member in members) + steps
        y, mask = self._targets(members, length)
        if not self.layer.components.features:
            return [y, mask]
        covariates = [member.covariates[: len(member.y) + steps] for member in members]
        fill = [np.sqrt(np.mean(own**2, axis=0)) for own in covariates]
        return [y, self.array(_padded(covariates, length, fill)), mask]

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
        columns = dataset.regressors
        variance = _typical_variance(dataset)
        layer = StructuralModel(
            build_components(
                model.components, variance, _mean_squares(dataset, columns), parameters
            ),
            variance if model.noise_variance is None else model.noise_variance,
            method=method,
            length=dataset.length if method == "parallel" else None,
        )
        if layer.noise_variance is not None:
            parameters["noise_variance"] = layer.noise_variance
            if "noise_variance" in model.fixed:
                layer.noise_variance.grad_req = "null"
        layer.initialize(ctx=self.context)
        layer.cast(model.dtype)
        return layer

    def out_of_memory(self):
        """What to tell where there is not enough memory."""
        dataset, states, needed = self.dataset, self._states(), self._needed()
        series = len(dataset.members)
        many = f"{series} series of " if series > 1 else ""
        return (
            f"{dataset.path}: a likelihood of {many}{dataset.length} steps with {states} states "
            f"takes about {memory.gigabytes(needed)} of memory, more than there is; for fewer "
            "states give a seasonal form: trigonometric with a few harmonics, else shorten the "
            "series, or set model.dtype: float32, which takes half"
        )

    def _refuse_too_large(self, available):
        if self._needed() > available:
            raise JobError(self.out_of_memory())

    def _needed(self):
        """The bytes of a likelihood of all series with its gradient."""
        model, dataset = self.job.model, self.dataset
        numbers = NUMBERS[model.method] * len(dataset.members) * dataset.length
        return numbers * self._states() ** 2 * np.dtype(model.dtype).itemsize

    def _states(self):
        return sum(part.state_size for part in self.layer.components.components)

    def _targets(self, members, length):
        y = _padded([member.model_target() for member in members], length)
        mask = _padded([member.is_observed.astype(float) for member in members], length)
        return self.array(y), self.array(mask)

    def _too_few(self, where, count, series):
        return JobError(
            f"{where}: {count} observations to train on; the initial values of these components "
            f"alone take {self.least_observations * series}"
        )

    def array(self, values):
        return to_model_array(values, self.job.model.dtype, self.context, self.dataset.path)


def _padded(arrays, length, fill=None):
    """Arrays (T_i, ...) as one (B, length, ...); fill: a row for each, else 0."""
    padded = np.zeros((len(arrays), length, *arrays[0].shape[1:]))
    for index, array in enumerate(arrays):
        padded[index] = 0.0 if fill is None else fill[index]
        padded[index, : len(array)] = array
    return padded


def _typical_variance(dataset):
    with np.errstate(over="ignore"):
        change = np.concatenate([
            np.diff(member.model_target()[member.is_observed]) for member in dataset.members
        ])  # fmt: skip
        variance = SHARE * float(np.mean(change**2))
    finite(dataset.path, variance)
    return max(variance, 2.0 * SMALLEST_VARIANCE) if variance else 1.0


def _mean_squares(dataset, columns):
    """Of each column of each regression, over the training; 1 for a column of zeros."""
    covariates = np.concatenate([member.training_covariates() for member in dataset.members])
    with np.errstate(over="ignore"):
        squares = np.mean(covariates**2, axis=0)
    finite(dataset.path, squares)
    found = iter(np.where(squares > 0, squares, 1.0).tolist())
    return [[next(found) for _ in names] for names in columns]
