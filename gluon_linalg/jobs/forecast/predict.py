"""Forecasts of a trained predictor after the series of a new file."""

import os
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Union

from ...typing import Device
from ..data import Column, JsonSeries, TableRows
from ..errors import JobError, one_line
from ..predictions import Columns
from ..series_predictor import SeriesPredictor
from .estimators import require_gluonts
from .files import PREDICTOR

if TYPE_CHECKING:
    from .table import Entry
    from .times import Times


class Entries(NamedTuple):
    """The series of a file, by its path, as entries of a GluonTS dataset."""

    path: Union[str, TableRows, JsonSeries]
    entries: List["Entry"]


class ForecastPredictor(SeriesPredictor):
    """Forecasts what follows the series of a file; made of `results.describe`."""

    not_finite = "the forecast is not finite; bring the numbers nearer to those of the training"
    takes_series = True
    time: str

    def __init__(self, description: Dict[str, Any]) -> None:
        super().__init__(description)
        self.item, self.time = description["item"], description["time"]
        self.target, self.freq = description["target"], description["freq"]
        self.targets = [self.target]
        self.steps, self.seed = description["prediction_length"], description["seed"]
        self.features = description["features"]
        # Of a model that has none there were only quantiles.
        self.bands = description.get("bands", [])
        self.what = "forecast steps"
        self.columns = [] if self.item is None else [Column(self.item, "text")]
        self.columns += [Column(self.time, "text"), Column(self.target, may_be_empty=True)]

    def read(self, path: Union[str, TableRows, JsonSeries]) -> Entries:
        """The series of a file, of a folder of files, of `TableRows` or `JsonSeries`."""
        # pandas and GluonTS are imported when there is such a model: others do without.
        require_gluonts()
        from .dataset import read_entries

        if self.features and isinstance(path, TableRows):
            raise JobError(
                f"{path}: the model uses {', '.join(self.features)}, which rows do not have; give "
                'series such as {"start": "2020-01", "target": [...], '
                f'"{self.features[0]}": [...]}}'
            )
        columns = self.item, self.time, self.target
        return Entries(path, read_entries(path, *columns, self.freq, self.format, True))

    def count(self, rows: Entries) -> int:
        """How many steps are read, absent ones included."""
        return sum(len(entry["target"]) for entry in rows.entries)

    def predict(self, rows: Entries, predictor: Any, device: Device) -> Columns:
        """item, time, mean, the quantiles 0.1, 0.5 and 0.9, and the bands of the next steps."""
        from .forecasting import forecast_columns, forecasts

        names = [entry["item_id"] for entry in rows.entries]
        found = forecasts(predictor, rows.entries, self.seed, rows.path)
        times = {entry["item_id"]: entry.times for entry in rows.entries}
        return forecast_columns(names, found, times, self.bands)

    def counted_times(self, texts: List[str]) -> Callable[[int], str]:
        times = self._times(texts)
        return lambda index: times.text(times.start + index)

    def sample_rows(self, sample: Any, count: int) -> Any:
        if not isinstance(sample, JsonSeries):
            return super().sample_rows(sample, count)
        series = sample.objects[0]
        repeated = {**series, "target": list(islice(cycle(series["target"]), count))}
        if "feat_dynamic_real" in series:
            repeated["feat_dynamic_real"] = [
                list(islice(cycle(row), count + self.steps)) for row in series["feat_dynamic_real"]
            ]
        return sample._replace(objects=[repeated])

    def _length(self, sample):
        if isinstance(sample, JsonSeries):
            return len(sample.objects[0]["target"])
        return super()._length(sample)

    def _last(self, sample, count, length):
        if not isinstance(sample, JsonSeries):
            return super()._last(sample, count, length)
        series, begin = dict(sample.objects[0]), length - count
        times = self._times([series["start"]])
        series["start"] = times.text(times.start + begin)
        series["target"] = series["target"][begin:]
        if "feat_dynamic_real" in series:
            series["feat_dynamic_real"] = [row[begin:] for row in series["feat_dynamic_real"]]
        return sample._replace(objects=[series])

    def _times(self, texts: List[str]) -> "Times":
        from .times import Times, order_of

        return Times(texts, self.freq, self.format, order_of(texts, self.format))


def load_predictor(folder: str, description: Dict[str, Any], device: Device) -> Any:
    """The predictor of a finished job, read by GluonTS."""
    require_gluonts()
    from gluonts.model.predictor import Predictor as Deserialized

    path = os.path.join(folder, PREDICTOR)
    # A predictor without a network has no device.
    options = {} if description["estimator"] == "structural" else {"ctx": device}
    try:
        return Deserialized.deserialize(Path(path), **options)
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes of its readers
        raise JobError(
            f"{path}: the predictor is damaged ({one_line(error)}); train again with --overwrite"
        ) from None
