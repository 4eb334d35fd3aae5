"""What the estimators share: from a dataset to a trained network, and on to a predictor."""

from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Type

import mxnet as mx
import numpy as np
from gluonts.core.component import validated
from gluonts.mx.model.estimator import GluonEstimator, TrainOutput
from gluonts.mx.trainer import Trainer
from gluonts.time_feature import TimeFeature

from ..typing import Device, Dtype
from . import frequency
from .entry import Entry, feature_count, label_of
from .features import SeriesTransform, feature_units
from .predictor import FORECASTS, GraphPredictor
from .windows import TrainingWindows


class WindowEstimator(GluonEstimator):
    """A GluonTS estimator whose network is trained on `TrainingWindows`.

    A subclass names the `fields` of a window in the order of its networks' arguments, and
    implements `create_training_network`, of which the output is a loss (B,), and
    `create_prediction_network` and `noise_size` as `GraphPredictor` expects them. It gives its
    networks a prefix of their own, so that parameters have the same names in every process.

    freq: a pandas frequency; prediction_length h and context_length L in steps. Features:
    use_feat_static_cat (with the cardinality of each; default: whether cardinality is given),
    use_feat_static_real, use_feat_dynamic_real; time_features, default GluonTS's for the frequency.
    scaling: centre and scale the target of each window, and static and dynamic real features by
    their mean and standard deviation in the training data. num_parallel_samples: sample paths of a
    forecast; forecast: 'samples' or 'distribution'. trainer, batch_size: as for all of GluonTS's
    Gluon estimators. dtype: of the network and the sample paths; None for a network in float32 and
    paths in float64, which a series far from 0 needs.
    """

    fields: Sequence[str] = ("static_categories", "static_reals", "features", "target", "observed")

    @validated()
    def __init__(
        self,
        freq: str,
        prediction_length: int,
        context_length: Optional[int] = None,
        trainer: Trainer = Trainer(),  # noqa: B008
        cardinality: Optional[List[int]] = None,
        use_feat_static_cat: Optional[bool] = None,
        use_feat_static_real: bool = False,
        use_feat_dynamic_real: bool = False,
        time_features: Optional[List[TimeFeature]] = None,
        seasonal_periods: Optional[List[float]] = None,
        scaling: bool = True,
        num_parallel_samples: int = 100,
        forecast: str = "samples",
        batch_size: int = 32,
        dtype: Optional[Type] = None,
    ) -> None:
        computed = np.float32 if dtype is None else dtype
        super().__init__(trainer=trainer, batch_size=batch_size, dtype=computed)
        self.sample_dtype = np.float64 if dtype is None else dtype
        context_length = (
            4 * frequency.cycle_length(freq) if context_length is None else context_length
        )
        for name, value in (
            ("prediction_length", prediction_length),
            ("context_length", context_length),
            ("num_parallel_samples", num_parallel_samples),
        ):
            if value < 1:
                raise ValueError(f"{name} is {value}, expected an integer from 1 on.")
        if forecast not in FORECASTS:
            raise ValueError(f"forecast is {forecast!r}, expected one of {FORECASTS}.")
        if use_feat_static_cat is None:
            use_feat_static_cat = bool(cardinality)
        if use_feat_static_cat and not (cardinality and min(cardinality) >= 1):
            raise ValueError(
                f"cardinality is {cardinality}; use_feat_static_cat=True needs the number of "
                "values of each static category, such as cardinality=[10]."
            )
        self.freq = freq
        self.prediction_length = prediction_length
        self.context_length = context_length
        self.cardinality = cardinality if use_feat_static_cat else None
        self.use_feat_static_real = use_feat_static_real
        self.use_feat_dynamic_real = use_feat_dynamic_real
        self.time_features = (
            frequency.time_features(freq) if time_features is None else time_features
        )
        self.seasonal_periods = (
            frequency.seasonal_periods(freq, context_length)
            if seasonal_periods is None
            else seasonal_periods
        )
        self.scaling = scaling
        self.num_parallel_samples = num_parallel_samples
        self.forecast = forecast

    @property
    def window_length(self) -> int:
        """N, the steps of a training window: those of the context, unless a subclass differs."""
        return self.context_length

    @property
    def noise_size(self) -> int:
        """How many standard normal numbers a sample path takes."""
        raise NotImplementedError(f"{type(self).__name__} does not implement noise_size")

    def create_prediction_network(
        self, trained_network: mx.gluon.HybridBlock
    ) -> mx.gluon.HybridBlock:
        """The network of `GraphPredictor`, which shares the blocks of the trained one."""
        raise NotImplementedError(
            f"{type(self).__name__} does not implement create_prediction_network"
        )

    def create_transformation(self, dataset: Optional[Iterable[Entry]] = None) -> SeriesTransform:
        """The `SeriesTransform` for a dataset, whose first entry says how many features it has.

        With `scaling` it has the units of these features in the dataset, too.
        """
        dataset = list(dataset or ())
        entry = dataset[0] if dataset else {}
        label = label_of(entry, 0)
        used = {
            "feat_static_real": self.use_feat_static_real,
            "feat_dynamic_real": self.use_feat_dynamic_real,
        }
        counts = {name: feature_count(entry, name, label) for name, use in used.items() if use}
        units: Dict[str, List[List[float]]] = {}
        if self.scaling:
            units = {name: feature_units(dataset, name, count) for name, count in counts.items()}
        return SeriesTransform(
            freq=self.freq,
            time_features=self.time_features,
            seasonal_periods=self.seasonal_periods,
            cardinality=self.cardinality,
            static_reals=counts.get("feat_static_real", 0),
            dynamic_reals=counts.get("feat_dynamic_real", 0),
            scaling=self.scaling,
            static_real_units=units.get("feat_static_real"),
            dynamic_real_units=units.get("feat_dynamic_real"),
        )

    def create_windows(
        self,
        dataset: Iterable[Entry],
        seed: int = 0,
        transform: Optional[SeriesTransform] = None,
    ) -> TrainingWindows:
        """The `TrainingWindows` of a dataset; their `transform` goes on to `create_predictor`.

        transform: default `create_transformation` for this dataset.
        """
        dataset = list(dataset)
        transform = self.create_transformation(dataset) if transform is None else transform
        return TrainingWindows(
            dataset, transform, self.fields, self.window_length, self.batch_size, seed
        )

    def create_predictor(
        self, transformation: SeriesTransform, trained_network: mx.gluon.HybridBlock
    ) -> GraphPredictor:
        """A `GraphPredictor` with a copy of the trained parameters."""
        return GraphPredictor.from_network(
            self.create_prediction_network(trained_network),
            transform=transformation,
            fields=self.fields,
            noise_size=self.noise_size,
            context_length=self.context_length,
            prediction_length=self.prediction_length,
            batch_size=self.batch_size,
            num_samples=self.num_parallel_samples,
            forecast=self.forecast,
            dtype=self.dtype,
            sample_dtype=self.sample_dtype,
            ctx=self.trainer.ctx,
        )

    def train_model(
        self,
        training_data: Iterable[Entry],
        validation_data: Optional[Iterable[Entry]] = None,
        from_predictor: Optional[GraphPredictor] = None,
        shuffle_buffer_length: Optional[int] = None,
        cache_data: bool = False,
        seed: Optional[int] = None,
    ) -> TrainOutput:
        """GluonTS's TrainOutput: transformation, trained network and predictor.

        seed: of the training windows, default a number drawn by `numpy.random`.
        shuffle_buffer_length and cache_data change nothing: windows are always random, and series
        always kept.
        """
        seed = np.random.randint(2**31) if seed is None else seed
        # What was trained before goes on to see features in the units it was trained with.
        transform = getattr(from_predictor, "transform", None)
        windows = self.create_windows(training_data, seed, transform)
        validation = None
        if validation_data is not None:
            held = TrainingWindows(
                validation_data, windows.transform, self.fields, self.window_length, self.batch_size
            )
            validation = ValidationBatches(held, self.trainer.ctx, self.dtype)
        network = self.create_training_network()
        network.cast(np.dtype(self.dtype).name)
        network.initialize(ctx=self.trainer.ctx, init=self.trainer.init)
        batches = TrainingBatches(windows, self.trainer.ctx, self.dtype)
        if from_predictor is not None:
            with mx.autograd.pause():
                network(*batches.arrays(windows.batch(0)))
            _copy_values(from_predictor.network, network)
        self.trainer(net=network, train_iter=batches, validation_iter=validation)
        predictor = self.create_predictor(windows.transform, network)
        return TrainOutput(windows.transform, network, predictor)

    def train(
        self,
        training_data: Iterable[Entry],
        validation_data: Optional[Iterable[Entry]] = None,
        shuffle_buffer_length: Optional[int] = None,
        cache_data: bool = False,
        seed: Optional[int] = None,
        **kwargs: Any,
    ) -> GraphPredictor:
        """The trained predictor; arguments as in `train_model`."""
        return self.train_model(training_data, validation_data, seed=seed).predictor


class TrainingBatches:
    """Batches as GluonTS's Trainer takes them, without end: each epoch goes on from the last."""

    def __init__(self, windows: TrainingWindows, ctx: Device, dtype: Dtype) -> None:
        self._windows, self._ctx, self._dtype = windows, ctx, np.dtype(dtype).name
        self._iteration = 0

    def __iter__(self) -> Iterator[Dict[str, mx.nd.NDArray]]:
        while True:
            batch = self._windows.batch(self._iteration)
            self._iteration += 1
            yield dict(zip(self._windows.fields, self.arrays(batch)))

    def arrays(self, batch: Sequence[np.ndarray]) -> List[mx.nd.NDArray]:
        """NumPy arrays as those of MXNet."""
        return [mx.nd.array(array, dtype=self._dtype, ctx=self._ctx) for array in batch]


class ValidationBatches(TrainingBatches):
    """The last window of each series, once."""

    def __iter__(self) -> Iterator[Dict[str, mx.nd.NDArray]]:
        for batch in self._windows.last_batches():
            yield dict(zip(self._windows.fields, self.arrays(batch)))


def _copy_values(source, network):
    """The values of the parameters of a graph, into a network with the same names."""
    values = source.collect_params()
    for name, parameter in network.collect_params().items():
        parameter.set_data(values[name].data().astype(parameter.dtype))
