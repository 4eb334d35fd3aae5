"""The layer of a state space job, its loss, and the blocks that smooth and forecast."""

from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Union

import mxnet as mx
import numpy as np

from ...blocks.structural import StructuralModel
from ...errors import UnidentifiedError, listing
from ...fitting.structural_starts import (
    has_many_maxima,
    mean_squared_change,
    revivals,
    structural_starts,
)
from ...fitting.units import without_outliers
from ...typing import Device
from .. import memory
from ..errors import JobError, one_line
from ..metrics import Band, holdout_bands
from ..output import OutputFolder
from ..task import TrainedTask, number_or_list, to_model_array
from ..units import finite
from .config import COMPUTED, StateSpaceJob
from .dataset import Dataset, Member, read_dataset
from .results import write_results

# The initial value of variances that the job leaves open, as a share of the mean squared change
# of the target from one observation to the next.
SHARE = 0.1
# What a likelihood with its gradient takes for each series, step and square of the number of
# states, in numbers: measured with 25 and 53 states, for the loop and for the scans.
NUMBERS = {"sequential": 47, "parallel": 70}


class StateSpace(TrainedTask):
    """A `StructuralModel` with its data: one series, or many that share all parameters."""

    job: StateSpaceJob
    dataset: Dataset
    layer: StructuralModel
    singular = (
        "an observation has no variance at the initial values; raise model.noise_variance or the "
        "variances in model.components"
    )
    read_dataset = staticmethod(read_dataset)

    def __init__(self, job: StateSpaceJob, dataset: Dataset, device: Device) -> None:
        super().__init__(job, dataset, device)
        self.layer = self._build_layer(job.model.method, self.parameters)
        self._refuse_too_large(memory.available() if device.device_type == "cpu" else np.inf)
        self.batch_axis_size = len(dataset.members)
        # What the initial states of a series take before anything is learned from it.
        self.least_observations = self.layer.least_observations
        for member in dataset.members:
            if member.count < self.least_observations:
                raise self._too_few(member.series.path, member.count, 1)
        if dataset.count <= self.least_observations * len(dataset.members):
            raise self._too_few(dataset.path, dataset.count, len(dataset.members))
        self._arguments = self.padded_arguments(dataset.members)
        self._refuse_open()
        self._starts = structural_starts(
            self.layer.components.components,
            self._training_targets(),
            [own for own, part in zip(self._squares(), job.model.regressions) if part.drifting],
        )

    @property
    def has_likelihood(self) -> bool:
        """Whether the noise is normal: that of heavy tails has a bound."""
        return self.job.model.noise == "gaussian"

    @property
    def is_bound(self) -> bool:
        return not self.has_likelihood

    def arguments(self) -> List[mx.nd.NDArray]:
        return self._arguments

    def starts(self) -> Iterator[List[Dict[str, Any]]]:
        yield [self._open_values(start.values) for start in self._starts]

    def families(self) -> Optional[List[Any]]:
        if not has_many_maxima(self.layer.components.components):
            return None
        return [start.family for start in self._starts]

    def revivals(self) -> Dict[str, List[float]]:
        values = revivals(self._change())
        # A drifting coefficient has a variance in other units.
        return {
            path: values
            for path in self.parameters
            if path.endswith("variance") and not path.endswith("coefficient_variance")
        }

    def start_at(self, start: Mapping[str, Any]) -> None:
        for path, value in start.items():
            self.parameters[path].set_value(value)

    def _open_values(self, values):
        """Those of natural values by component and name that the job leaves open, by path."""
        components, found = self.layer.components.components, {}
        paths = {id(parameter): path for path, parameter in self.parameters.items()}
        for (index, name), value in values.items():
            owner = self.layer if index is None else components[index]
            path = paths.get(id(owner._reg_params.get(name)))
            if path is not None and _is_open(self.job.model, path):
                found[path] = value
        return found

    def graph_arguments(self, member: Member, steps: int) -> List[mx.nd.NDArray]:
        """What the forecaster takes for one member, on to the last of so many steps."""
        # Covariates that nobody knows are not asked for: the example ends before.
        end = len(member.y) - (steps - self.dataset.steps)
        y, mask = (array[:, :end] for array in self._targets([member], len(member.y)))
        if not self.layer.components.features:
            return [y, mask]
        return [y, self.array(member.covariates[None]), mask]

    def padded_arguments(self, members: Sequence[Member], steps: int = 0) -> List[mx.nd.NDArray]:
        """Those of the layer: the shorter series with missing steps after, and all with `steps`.

        A missing step adds exactly nothing to the likelihood, whatever its covariates are.
        """
        length = max(len(member.y) for member in members) + steps
        y, mask = self._targets(members, length)
        if not self.layer.components.features:
            return [y, mask]
        covariates = [member.covariates[: len(member.y) + steps] for member in members]
        return [y, self.array(_padded(covariates, length)), mask]

    def write_results(self, folder: OutputFolder) -> Dict[str, Any]:
        return write_results(folder, self)

    def bands(self, metrics: Dict[str, Any]) -> List[Band]:
        # A band of counts holds more than it promises.
        return holdout_bands(metrics) if self.job.model.has_noise else []

    def trained_model(self) -> StructuralModel:
        """A copy of the layer that works for series of any length, also forecasts."""
        parameters: Dict[str, mx.gluon.Parameter] = {}
        model = self._build_layer("sequential", parameters)
        for path, parameter in parameters.items():
            parameter.set_data(self.parameters[path].data(self.device))
        return model

    def value(self, path: str) -> Union[float, List[float]]:
        # What is stored are partial autocorrelations.
        if path.endswith(".ar.coefficients"):
            component = self.layer.components.components[int(path.split(".")[1])]
            return number_or_list(component.coefficients())
        return super().value(path)

    def _build_layer(
        self, method: str, parameters: Dict[str, mx.gluon.Parameter]
    ) -> StructuralModel:
        model, dataset = self.job.model, self.dataset
        variance = SHARE * self._change()
        finite(dataset.path, variance)
        components = model.build(variance, self._squares(), parameters, dataset.length)
        regressions = [c for c in components if c.features]
        for component, columns in zip(regressions, dataset.regressors):
            component.state_names = list(columns)
        length = dataset.length if method == "parallel" else None
        layer = model.model(components, variance, method=method, length=length)
        for name in model.fixable():
            owner = getattr(layer, "likelihood", layer) if name == "dispersion" else layer
            parameter = getattr(owner, name, None)
            if parameter is not None:
                parameters[name] = parameter
                parameter.grad_req = "null" if name in model.fixed else "write"
        layer.initialize(ctx=self.device)
        # What it computes is float64, so that a covariate far from 0 keeps its digits.
        layer.cast(COMPUTED)
        return layer

    def _training_targets(self) -> List[np.ndarray]:
        """Those whose size says where the search begins: for counts, of the signal."""
        targets = [member.training_target() for member in self.dataset.members]
        if not self.job.model.has_noise:
            is_event = self.job.model.likelihood == "bernoulli"
            return [2.0 * own - 1.0 if is_event else np.log(own + 0.5) for own in targets]
        is_robust = self.job.model.noise != "gaussian"
        return [without_outliers(own) for own in targets] if is_robust else targets

    def _change(self) -> float:
        return mean_squared_change(self._training_targets())

    def _squares(self):
        """The mean squares of the columns of each regression."""
        return _mean_squares(self.dataset, self.dataset.regressors)

    def out_of_memory(self) -> str:
        """What to tell where there is not enough memory."""
        dataset, states, needed = self.dataset, self._states(), self._needed()
        series = len(dataset.members)
        many = f"{series} series of " if series > 1 else ""
        return (
            f"{dataset.path}: a likelihood of {many}{dataset.length} steps with {states} states "
            f"takes about {memory.gigabytes(needed)} of memory, more than there is; for fewer "
            "states give a seasonal form: trigonometric with a few harmonics, else shorten the "
            "series"
        )

    def _refuse_too_large(self, available):
        if self._needed() > available:
            raise JobError(self.out_of_memory())

    def _needed(self) -> int:
        """The bytes of a likelihood of all series with its gradient."""
        model, dataset = self.job.model, self.dataset
        numbers = NUMBERS[model.method] * len(dataset.members) * dataset.length
        return numbers * self._states() ** 2 * np.dtype(COMPUTED).itemsize

    def _states(self) -> int:
        return sum(part.state_size for part in self.layer.components.components)

    def _refuse_open(self):
        """Refuses a model of which the observations do not determine all initial values."""
        try:
            open_states = self.layer.open_states(*self._arguments)
        except UnidentifiedError as error:
            raise JobError(f"{self.dataset.path}: {one_line(error)}") from None
        for member, names in zip(self.dataset.members, open_states):
            if names:
                raise JobError(
                    f"{member.series.path}: the observations to train on leave open "
                    f"{listing(names)}: a season must be seen in all its parts, a covariate must "
                    "move, apart from the others and from a trend, and no two components may be "
                    "the same; leave out what is open"
                )

    def _targets(self, members, length):
        y = _padded([member.model_target() for member in members], length)
        mask = _padded([member.is_observed.astype(float) for member in members], length)
        return self.array(y), self.array(mask)

    def _too_few(self, where, count, series):
        return JobError(
            f"{where}: {count} observations to train on; the initial values of these components "
            f"alone take {self.least_observations * series}"
        )

    def array(self, values: np.ndarray) -> mx.nd.NDArray:
        # What the exported model could not take is refused before anything is trained.
        to_model_array(values, self.job.model.dtype, self.device, self.dataset.path)
        return to_model_array(values, COMPUTED, self.device, self.dataset.path)


def _is_open(model, path):
    """Whether the job has no initial value of its own; that of a period is but a hint."""
    if path in model.fixable():
        return getattr(model, path) is None
    _, index, _, name = path.split(".")
    return not model.parts[int(index)].is_given(name)


def _padded(arrays, length):
    """Arrays (T_i, ...) as one (B, length, ...), 0 after the end of each."""
    padded = np.zeros((len(arrays), length, *arrays[0].shape[1:]))
    for index, array in enumerate(arrays):
        padded[index, : len(array)] = array
    return padded


def _mean_squares(dataset, columns):
    """Of each column of each regression, over the training; 1 for a column of zeros."""
    covariates = np.concatenate([member.training_covariates() for member in dataset.members])
    with np.errstate(over="ignore"):
        squares = np.mean(covariates**2, axis=0)
    finite(dataset.path, squares)
    found = iter(np.where(squares > 0, squares, 1.0).tolist())
    return [[next(found) for _ in names] for names in columns]
