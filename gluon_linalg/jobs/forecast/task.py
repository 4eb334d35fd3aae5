"""The network of an estimator, its windows, and the predictor that comes of it."""

from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Tuple

import mxnet as mx
import numpy as np

from ...typing import Device
from ..errors import JobError, reason
from ..metrics import Band
from ..output import OutputFolder
from ..task import TrainedTask, to_model_array
from .config import ForecastJob
from .estimators import build_estimator, explained, require_gluonts

if TYPE_CHECKING:
    from .dataset import ForecastData

# How many series the loss before and after training is of.
MOST_EVALUATED = 256


class Forecasting(TrainedTask):
    """An estimator with its series; each iteration sees windows of its own.

    The loss is the mean over the windows of a batch; that before and after training is of the last
    window of each series.
    """

    job: ForecastJob
    dataset: "ForecastData"
    singular = (
        "the covariance of a window is singular at the initial values; compute in float64 "
        "(model.dtype), or change the noise in model.options"
    )

    @staticmethod
    def read_dataset(job: ForecastJob) -> "ForecastData":
        """The `ForecastData` of a job."""
        # What needs pandas is imported when there is such a job: other jobs do without.
        require_gluonts()
        from .dataset import read_dataset

        return read_dataset(job)

    def __init__(self, job: ForecastJob, dataset: "ForecastData", device: Device) -> None:
        super().__init__(job, dataset, device)
        self.estimator = build_estimator(job, device)
        with explained(dataset.path):
            self._refuse_unknown_future()
            if job.has_steps():
                self._prepare()

    @property
    def batch_size(self) -> int:
        """How many windows an iteration sees."""
        return self.job.training.batch_size

    @property
    def has_batches(self) -> bool:
        """Always: windows are drawn."""
        return True

    def batch(self, iteration: int) -> Tuple[Tuple[mx.nd.NDArray, ...], float]:
        """The windows of an iteration, and what the loss of one counts."""
        return self._arrays(self.windows.batch(iteration)), 1.0 / self.batch_size

    def arguments(self) -> Tuple[mx.nd.NDArray, ...]:
        """The last window of each series, in turn, of some of them if there are many.

        At least a batch, so that there is something for each device that shares one.
        """
        return self._last

    def loss_metrics(self, initial: float, trained: float) -> Dict[str, Any]:
        return {"loss": {"initial": initial, "trained": trained}}

    def values(self) -> Dict[str, Any]:
        """None: the weights of a network tell nothing by themselves."""
        return {}

    def predictor(self) -> Any:
        """The trained predictor, as GluonTS has it."""
        if not self.job.has_steps():
            return self.estimator
        try:
            predictor = self.estimator.create_predictor(self.windows.transform, self.layer)
        except (OSError, mx.base.MXNetError) as error:
            why = reason(error) if isinstance(error, OSError) else "the disk may be full"
            raise JobError(f"the predictor cannot be made: {why}") from None
        predictor.seed = self.job.seed
        return predictor

    def write_results(self, folder: OutputFolder) -> Dict[str, Any]:
        from .results import write_results

        return write_results(folder, self)

    def bands(self, metrics: Dict[str, Any]) -> List[Band]:
        found = metrics["backtest"]
        if found is None or found["coverage_80"] is None:
            return []
        return [Band("backtest", found["observations"], found["coverage_80"], 0.8)]

    def _prepare(self) -> None:
        """The windows, and the network with all of its parameters."""
        self.windows = self.estimator.create_windows(self.dataset.training(), self.job.seed)
        self.layer = self.estimator.create_training_network()
        self.layer.cast(self.job.model.dtype)
        self.layer.initialize(ctx=self.device, init=self.estimator.trainer.init)
        with mx.autograd.pause():
            # Some parameters get their shapes only now.
            self.layer(*self.batch(0)[0]).wait_to_read()
        self.parameters = dict(self.layer.collect_params().items())
        self._last = self._last_windows()
        self.weight = 1.0 / len(self._last[0])

    def _last_windows(self) -> Tuple[mx.nd.NDArray, ...]:
        batches, count = [], 0
        for batch in self.windows.last_batches():
            batches.append(batch)
            count += len(batch[0])
            if count >= MOST_EVALUATED:
                break
        fields = [np.concatenate(parts)[:MOST_EVALUATED] for parts in zip(*batches)]
        repeats = -(-self.batch_size // len(fields[0]))
        return self._arrays([np.concatenate([field] * repeats) for field in fields])

    def _arrays(self, fields: Iterable[np.ndarray]) -> Tuple[mx.nd.NDArray, ...]:
        dtype, path = self.job.model.dtype, self.dataset.path
        return tuple(to_model_array(field, dtype, self.device, path) for field in fields)

    def _refuse_unknown_future(self):
        """GluonTSDataError where a feature is not known for the steps of the forecast."""
        if not self.job.has_steps():
            from ...forecast.structural_series import read_series
            from .times import period_frequency

            freq, steps = period_frequency(self.job.data.freq), self.dataset.prediction_length
            for index, entry in enumerate(self.dataset.entries):
                read_series(entry, index, freq, steps, self.estimator.use_feat_dynamic_real)
            return
        transform = self.estimator.create_transformation(self.dataset.entries)
        for index, entry in enumerate(self.dataset.entries):
            transform(entry, index, self.estimator.context_length, self.dataset.prediction_length)
