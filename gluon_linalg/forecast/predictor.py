"""Forecasts from an exported graph: no network class is needed to load one."""

import tempfile
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Optional, Sequence, Union

import mxnet as mx
import numpy as np
from gluonts.core.serde import dump_json, load_json
from gluonts.exceptions import GluonTSDataError
from gluonts.model.forecast import Forecast, SampleForecast
from gluonts.model.predictor import Predictor

from ..export import export, load
from ..typing import Array, Device, Dtype
from .entry import Entry
from .features import SeriesTransform
from .windows import random_state, stacked, window

GRAPH, SETTINGS = "prediction_net", "parameters.json"
FORECASTS = ("samples", "distribution")


class GraphPredictor(Predictor):
    """A GluonTS predictor that runs an exported graph.

    The graph maps a batch of windows and standard normal numbers to sample paths (B, S, h), means
    (B, h) and standard deviations (B, h), all in the units of the scaled target. Its inputs are
    the arrays `fields` names (`TrainingWindows`), features and phases reaching h steps further
    than the context, and noise (B, S, noise_size).

    The numbers of an item come from the seed and its place in the dataset, so that the same seed
    gives the same forecasts before and after a reload, whatever the batch size.

    A forecast has the item_id and the info of its entry.

    graph: a block from `gluon_linalg.load`; transform: a `SeriesTransform`; num_samples: S, unless
    a call of `predict` says otherwise; forecast: 'samples' for SampleForecast, 'distribution' for
    DistributionForecast with the Gaussian marginals; dtype: of the graph, and sample_dtype: of the
    paths in original units; names: see `PredictionNetwork`.
    """

    def __init__(
        self,
        graph: mx.gluon.HybridBlock,
        transform: SeriesTransform,
        fields: Sequence[str],
        noise_size: int,
        context_length: int,
        prediction_length: int,
        batch_size: int = 32,
        num_samples: int = 100,
        forecast: str = "samples",
        dtype: Dtype = "float32",
        seed: int = 0,
        ctx: Optional[Device] = None,
        names: Optional[Dict[str, str]] = None,
        sample_dtype: Dtype = "float64",
    ) -> None:
        super().__init__(prediction_length=prediction_length)
        if forecast not in FORECASTS:
            raise ValueError(f"forecast is {forecast!r}, expected one of {FORECASTS}.")
        self.graph = graph
        self.transform = transform
        self.fields = list(fields)
        self.noise_size = noise_size
        self.context_length = context_length
        self.batch_size = batch_size
        self.num_samples = num_samples
        self.forecast = forecast
        self.dtype = np.dtype(dtype).name
        self.seed = seed
        self.ctx = mx.cpu() if ctx is None else ctx
        self.names = names
        self.sample_dtype = np.dtype(sample_dtype).name

    @classmethod
    def from_network(cls, network: mx.gluon.HybridBlock, **settings: Any) -> "GraphPredictor":
        """The predictor of an initialized HybridBlock, of which the graph and values are copied."""
        named = network._collect_params_with_prefix()
        names = {name: parameter.name for name, parameter in named.items()}
        predictor = cls(None, names=names, **settings)
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / GRAPH)
            export(network, path, *predictor._example())
            predictor.graph = load(path, predictor.ctx)
        return predictor

    @property
    def prediction_net(self) -> "PredictionNetwork":
        """The graph as a network from which GluonTS can copy the parameters (`WarmStart`)."""
        return PredictionNetwork(self.graph, self.names)

    @property
    def network(self) -> "PredictionNetwork":
        """`prediction_net`; GluonTS's predictors have both."""
        return self.prediction_net

    def predict(
        self,
        dataset: Iterable[Entry],
        num_samples: Optional[int] = None,
        seed: Optional[int] = None,
        **kwargs: Any,
    ) -> Iterator[Forecast]:
        """Forecasts of the items of a dataset, in its order.

        num_samples and seed: default those of the predictor. Raises GluonTSDataError, which names
        the item.
        """
        num_samples = self.num_samples if num_samples is None else num_samples
        seed = self.seed if seed is None else seed
        batch = []
        for index, entry in enumerate(dataset):
            series = self.transform(
                entry, index, self.context_length, future=self.prediction_length
            )
            noise = random_state(seed, index).standard_normal((num_samples, self.noise_size))
            batch.append((series, noise))
            if len(batch) == self.batch_size:
                yield from self._forecasts(batch)
                batch = []
        if batch:
            yield from self._forecasts(batch)

    def serialize(self, path: Path) -> None:
        """Writes the graph, its values and the settings into a folder that exists."""
        super().serialize(path)
        export(self.graph, str(path / GRAPH), *self._example())
        (path / SETTINGS).write_text(dump_json(self._settings()) + "\n")

    @classmethod
    def deserialize(cls, path: Union[str, Path], ctx: Optional[Device] = None) -> "GraphPredictor":
        """The predictor that `serialize` wrote into a folder; on a GPU if there is one."""
        if ctx is None:
            ctx = mx.gpu() if mx.context.num_gpus() else mx.cpu()
        settings = load_json((Path(path) / SETTINGS).read_text())
        return cls(load(str(Path(path) / GRAPH), ctx), ctx=ctx, **settings)

    def __eq__(self, other: Any) -> bool:
        if type(self) is not type(other):
            return False
        if dump_json(self._settings()) != dump_json(other._settings()):
            return False
        own, others = (predictor._values() for predictor in (self, other))
        return own.keys() == others.keys() and all(
            np.array_equal(value, others[name]) for name, value in own.items()
        )

    def _settings(self):
        return {
            "transform": self.transform,
            "fields": self.fields,
            "noise_size": self.noise_size,
            "context_length": self.context_length,
            "prediction_length": self.prediction_length,
            "batch_size": self.batch_size,
            "num_samples": self.num_samples,
            "forecast": self.forecast,
            "dtype": self.dtype,
            "seed": self.seed,
            "names": self.names,
            "sample_dtype": self.sample_dtype,
        }

    def _values(self):
        return {name: p.data().asnumpy() for name, p in self.graph.collect_params().items()}

    def _forecasts(self, batch):
        windows = []
        for series, _ in batch:
            end = len(series.target)
            begin = end - self.context_length
            windows.append(
                window(series, begin, end, self.prediction_length, self.transform.scaling)
            )
        arrays = stacked([arrays for arrays, _, _ in windows], self.fields)
        noise = np.stack([noise for _, noise in batch])
        samples, means, deviations = (
            output.asnumpy().astype("float64")
            for output in self.graph(*self._device_arrays(*arrays, noise))
        )
        for i, ((series, _), (_, location, scale)) in enumerate(zip(batch, windows)):
            if not np.isfinite(samples[i]).all():
                raise GluonTSDataError(
                    f"{series.label}: its forecast is not finite. Look at its features: their "
                    "values may be far beyond those of the training data."
                )
            yield self._forecast(
                series,
                location + scale * samples[i],
                location + scale * means[i],
                scale * deviations[i],
            )

    def _forecast(self, series, samples, mean, deviation):
        if self.forecast == "samples":
            samples = samples.astype(self.sample_dtype)
            return SampleForecast(samples, series.forecast_start, series.item_id, series.info)
        # Imported where they are used: sample paths need nothing of GluonTS's MXNet part. Its
        # forecasts ask distributions for quantiles in float32.
        from gluonts.mx.distribution import Gaussian
        from gluonts.mx.model.forecast import DistributionForecast

        mean, deviation = (mx.nd.array(x, dtype="float32") for x in (mean, deviation))
        return DistributionForecast(
            Gaussian(mean, deviation), series.forecast_start, series.item_id, series.info
        )

    def _device_arrays(self, *arrays):
        return [mx.nd.array(array, dtype=self.dtype, ctx=self.ctx) for array in arrays]

    def _example(self):
        """Inputs of one empty window and two samples."""
        entry = self.transform.example(1 + self.prediction_length)
        series = self.transform(entry, 0, self.context_length, future=self.prediction_length)
        arrays = window(series, 0, self.context_length, self.prediction_length, False)[0]
        noise = random_state(0).standard_normal((1, 2, self.noise_size))
        return self._device_arrays(*stacked([arrays], self.fields), noise)


class PredictionNetwork(mx.gluon.Block):
    """A graph that saves its parameters as a network with their other names can load them.

    names: from those names to the ones in the graph; None where they are the same.
    """

    def __init__(self, graph: mx.gluon.HybridBlock, names: Optional[Dict[str, str]] = None) -> None:
        super().__init__(prefix="")
        self.graph, self._names = graph, names

    def forward(self, *inputs: Array) -> Any:
        return self.graph(*inputs)

    def save_parameters(self, filename: str, deduplicate: bool = False) -> None:
        """As `Block.save_parameters`, under the other names."""
        parameters = self.graph.collect_params()
        names = self._names or {name: name for name in parameters}
        values = {
            name: parameters[own].data().as_in_context(mx.cpu()) for name, own in names.items()
        }
        mx.nd.save(filename, values)
