"""A job with its data, ready to be computed or trained: what `train` needs of any kind."""

from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np
from typing_extensions import Protocol

from ..blocks.parameters import PositiveParameter
from ..errors import LinearAlgebraError
from ..export import export
from ..typing import Device
from .config import Job
from .errors import JobError, reason
from .metrics import Band, nlml_metrics
from .output import OutputFolder


class Dataset(Protocol):
    """The data of a job."""

    @property
    def path(self) -> str:
        """What messages call it."""

    @property
    def count(self) -> int:
        """The number of observations."""

    @property
    def sample(self) -> Any:
        """A `Sample`, or a series with features as JSON has it."""

    def content(self) -> bytes:
        """All numbers, for a fingerprint."""


class Task:
    """A job with its data, on a device.

    `parameters`, by the paths in the job file, are those that are trained: none, where all is
    computed at once.
    """

    # Of a kind of their own in each subclass.
    job: Any
    dataset: Any

    def __init__(self, job: Job, dataset: Dataset, device: Device) -> None:
        self.job, self.dataset, self.device = job, dataset, device
        self.parameters: Dict[str, mx.gluon.Parameter] = {}
        # What `write_results` adds to summary.txt.
        self.report: List[str] = []

    @staticmethod
    def read_dataset(job: Any) -> Dataset:
        """The data of a job of this kind."""
        raise NotImplementedError

    def write_results(self, folder: OutputFolder) -> Dict[str, Any]:
        """Writes the exported model and all results; returns what metrics tell of them."""
        raise NotImplementedError

    def warnings(self) -> Iterable[str]:
        """Sentences against the trained model, beside those that `find_warnings` has for all."""
        return ()

    def bands(self, metrics: Dict[str, Any]) -> Iterable[Band]:
        """The bands that observations kept from training were compared with."""
        return ()


class TrainedTask(Task):
    """A layer whose outputs are losses, with its data.

    A subclass sets `layer` and fills `parameters`.
    """

    layer: mx.gluon.HybridBlock
    # What the user can do when a matrix is singular at the initial values; follows the path.
    singular: Optional[str] = None
    # The length of the first axis of `arguments()`: of how many series the losses are.
    batch_axis_size = 1
    # What each loss counts in the sum, when all of `arguments()` is evaluated.
    weight = 1.0
    # What is trained to make a bound tight, and is no part of the model, by path.
    auxiliary: Tuple[str, ...] = ()
    # What the loss in units of the job has beside that of the layer, which may see others.
    loss_offset = 0.0

    @property
    def has_likelihood(self) -> bool:
        """Whether the loss is that of a likelihood, and not of a bound on one or with priors."""
        return True

    @property
    def is_bound(self) -> bool:
        """Whether the loss is that of a bound on the likelihood, without priors."""
        return False

    def arguments(self) -> Sequence[mx.nd.NDArray]:
        """What the layer is called with."""
        raise NotImplementedError

    def all_arguments(self) -> Sequence[mx.nd.NDArray]:
        """What batches are taken of."""
        return self.arguments()

    @property
    def batch_size(self) -> int:
        """How many series an iteration sees."""
        return self.job.training.batch_size or self.batch_axis_size

    @property
    def has_batches(self) -> bool:
        """Whether an iteration sees less than everything."""
        return self.batch_size < self.batch_axis_size

    def out_of_memory(self) -> str:
        """What to tell where there is not enough memory."""
        return f"{self.dataset.path}: there is not enough memory; give the model fewer rows"

    def batch(self, iteration: int) -> Tuple[Sequence[mx.nd.NDArray], float]:
        """The arguments of an iteration, and what each of its losses counts.

        Every series comes once in an epoch, in an order that the seed and the epoch determine;
        a rest smaller than a batch waits for the next. The weighted sum of the losses is an
        unbiased estimate of that of all series.
        """
        per_epoch = self.batch_axis_size // self.batch_size
        epoch, position = divmod(iteration, per_epoch)
        generator = np.random.RandomState([self.job.seed, epoch])
        order = generator.permutation(self.batch_axis_size)
        rows = order[position * self.batch_size :][: self.batch_size]
        chosen = mx.nd.array(rows, dtype="int32", ctx=self.device)
        arguments = tuple(a if len(a) == 1 else a.take(chosen) for a in self.all_arguments())
        return arguments, self.batch_axis_size / self.batch_size

    def starts(self) -> Iterable[Sequence[Mapping[str, Any]]]:
        """Choices of initial values, one after the other: each a list of what `start_at` takes."""
        return ()

    def families(self) -> Optional[Sequence[Any]]:
        """A label for each of the `starts`, of one of several minima; None where there is one."""
        return None

    def revivals(self) -> Mapping[str, Sequence[Any]]:
        """Natural values by path that are tried where a parameter was left far below them."""
        return {}

    def start_at(self, start: Mapping[str, Any]) -> None:
        """Sets some of the parameters, a dict by path, in units of the layer."""
        raise NotImplementedError

    def em_step(self) -> None:
        """The parameters after an iteration of expectation maximization, where there is such."""
        raise NotImplementedError

    def settle(self) -> None:
        """Sets what a start leaves to follow from the parameters that the optimizer trains."""

    def own_step(self, iteration: int) -> Callable[[], None]:
        """A step of parameters that the optimizer does not train, and what takes it back.

        It comes before the gradient of an iteration.
        """
        return lambda: None

    def loss_metrics(self, initial: float, trained: float) -> Dict[str, Any]:
        """What the metrics tell of the first and the last loss, under the name of the loss."""
        found = nlml_metrics(initial, trained, self.dataset.count)
        return {"nlml": {**found, "is_bound": True} if self.is_bound else found}

    def typical_size(self, path: str) -> Union[float, np.ndarray]:
        """Of one of the `values`, which is NaN where none is known."""
        return np.nan

    def values(self) -> Dict[str, Union[float, List[float]]]:
        """All parameters in natural units of the model, by their path in the job file."""
        return {path: self.value(path) for path in self.parameters}

    def value(self, path: str) -> Union[float, List[float]]:
        """One of the `values`: a number, or a list."""
        parameter = self.parameters[path]
        if isinstance(parameter, PositiveParameter):
            return number_or_list(parameter.value())
        return number_or_list(parameter.data(self.device).asnumpy())


def export_model(block: mx.gluon.HybridBlock, path: str, *examples: mx.nd.NDArray) -> None:
    """`gluon_linalg.export`, with JobError for what the disk refuses."""
    try:
        export(block, path, *examples)
    except LinearAlgebraError:
        raise
    except (OSError, mx.base.MXNetError) as error:
        # MXNet does not report a full disk; what it wrote cannot be read back then.
        why = reason(error) if isinstance(error, OSError) else "the disk may be full"
        raise JobError(f"{path}: the model cannot be written: {why}") from None


def to_model_array(values: np.ndarray, dtype: str, device: Device, source: object) -> mx.nd.NDArray:
    """An NDArray of a NumPy array; JobError when a number is too large for the dtype."""
    with np.errstate(over="ignore"):
        values = np.asarray(values, dtype=dtype)
    if not np.isfinite(values).all():
        raise JobError(f"{source}: a number is too large for {dtype}; rescale the column")
    return mx.nd.array(values, dtype=dtype, ctx=device)


def number_or_list(array: Any) -> Union[float, List[float]]:
    values = np.asarray(array, dtype="float64").reshape(-1).tolist()
    return values[0] if len(values) == 1 else values
