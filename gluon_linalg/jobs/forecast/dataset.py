"""The series of a forecast job: read, checked, and cut where a backtest begins."""

import hashlib
import os
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from ..data import JsonSeries, TableRows
from ..errors import JobError, reason
from ..sample import Sample
from ..table_format import AUTO, Format
from .config import ForecastJob
from .estimators import build_estimator, features_of
from .json_lines import FEATURES, read_json_lines, read_objects
from .table import Entry, read_table
from .times import Times

JSON = (".json", ".jsonl")
ENDINGS = (*JSON, ".csv")
# GluonTS's own description of a folder of series.
NOT_SERIES = ("metadata.json",)


@dataclass
class ForecastData:
    """Entries as GluonTS has them: item_id, start, target and, in JSON lines, features.

    features: those that the estimator uses; columns: of names (or None), times and targets;
    table_format: with what the files told of themselves.
    """

    path: str
    entries: List[Entry]
    prediction_length: int
    windows: int
    features: List[str]
    columns: Tuple[Optional[str], str, str]
    table_format: Format

    @property
    def count(self) -> int:
        """The number of observations that are trained on."""
        return int(sum(np.isfinite(entry["target"]).sum() for entry in self.training()))

    def times(self) -> Dict[str, Times]:
        """The `Times` of the series by their names."""
        return {entry["item_id"]: entry.times for entry in self.entries}

    def training(self) -> List[Dict[str, Any]]:
        """What is before the first window of the backtest."""
        return self.before(0)

    def before(self, window: int) -> List[Dict[str, Any]]:
        """The entries up to window number `window` of the backtest; all at number `windows`."""
        return [self._cut(entry, window) for entry in self.entries]

    @property
    def sample(self) -> Union[Sample, Dict[str, Any]]:
        """The shortest series, as rows or, if there are features, as a line of JSON has it."""
        entry = min(self.entries, key=lambda entry: len(entry["target"]))
        target = [None if np.isnan(value) else value for value in entry["target"].tolist()]
        if self.features:
            features = {name: entry[name] for name in self.features}
            if "feat_dynamic_real" in features:
                steps = len(target) + self.prediction_length
                features["feat_dynamic_real"] = features["feat_dynamic_real"][:, :steps]
            features = {name: values.tolist() for name, values in features.items()}
            start = entry.times.text(entry["start"])
            return {"item_id": entry["item_id"], "start": start, "target": target, **features}
        times = [entry.times.text(entry["start"] + step) for step in range(len(target))]
        cells = ["" if value is None else repr(value) for value in target]
        item, *rest = self.columns
        if item is None:
            return Sample(rest, list(map(list, zip(times, cells))))
        rows = [[entry["item_id"], time, cell] for time, cell in zip(times, cells)]
        return Sample([item, *rest], rows)

    def content(self) -> bytes:
        """All series, for a fingerprint."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(f"{entry['item_id']!r} {entry['start']} ".encode())
            for name in ("target", *FEATURES):
                array = entry.get(name, np.zeros(0))
                digest.update(f"{name} {array.shape} ".encode() + array.tobytes())
        return digest.digest()

    def _cut(self, entry: Entry, window: int) -> Dict[str, Any]:
        length = len(entry["target"]) - (self.windows - window) * self.prediction_length
        cut = {**entry, "target": entry["target"][:length]}
        if "feat_dynamic_real" in entry:
            steps = length + self.prediction_length
            cut["feat_dynamic_real"] = entry["feat_dynamic_real"][:, :steps]
        return cut


def read_dataset(job: ForecastJob) -> ForecastData:
    """The `ForecastData` of a job; JobError for what is wrong with its options or series."""
    # Options come first: who has misspelt one need not wait for the data.
    features = features_of(build_estimator(job, mx.cpu()))
    data, model = job.data, job.model
    entries = read_entries(data.path, data.item, data.time, data.target, data.freq, data.format())
    windows = 0 if data.backtest is None else data.backtest.windows
    columns = data.item, data.time, data.target
    length = model.prediction_length
    table_format = _told(data.format(), entries)
    dataset = ForecastData(data.path, entries, length, windows, features, columns, table_format)
    for entry, before in zip(entries, dataset.training()):
        _refuse_too_short(dataset, entry, before)
    return dataset


def _told(table_format: Format, entries: Sequence[Entry]) -> Format:
    """With the order of day and month in the files, if it is the same in all that tell."""
    found = {entry.times.day_first for entry in entries} - {None}
    return table_format._replace(day_first=found.pop()) if len(found) == 1 else table_format


def read_entries(
    path: Union[str, TableRows, JsonSeries],
    item: Optional[str],
    time: str,
    target: str,
    freq: str,
    table_format: Format = AUTO,
    every_row: bool = False,
) -> List[Entry]:
    """The entries of a file or a folder of files, each with a name of its own.

    every_row: see `data.read_table`.
    """
    entries = []
    for file in _files(path):
        if isinstance(file, JsonSeries):
            entries += read_objects(file, freq, table_format)
        elif str(file).endswith(JSON):
            entries += read_json_lines(str(file), freq, table_format)
        else:
            entries += read_table(file, item, time, target, freq, table_format, every_row)
    if not entries:
        raise JobError(f"{path}: there are no series; add some")
    seen = set()
    for number, entry in enumerate(entries):
        if entry["item_id"] is None:
            entry["item_id"] = str(number)
        name = entry["item_id"]
        if name in seen:
            raise JobError(f"{path}: two series are called '{name}'; give each its own name")
        seen.add(name)
        if not np.isfinite(entry["target"]).any():
            raise JobError(f"{path}: series '{name}': no value is observed; leave the series out")
    return entries


def _files(path: Union[str, TableRows, JsonSeries]) -> Sequence[Union[str, TableRows, JsonSeries]]:
    if not isinstance(path, str) or not os.path.isdir(path):
        return [path]
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        raise JobError(f"{path}: cannot be read: {reason(error)}") from None
    files = [name for name in names if name.endswith(ENDINGS) and name not in NOT_SERIES]
    if not files:
        raise JobError(
            f"{path}: the folder has no .json, .jsonl or .csv file; name one with series"
        )
    return [os.path.join(path, name) for name in files]


def _refuse_too_short(dataset, entry, before):
    where = f"{dataset.path}: series '{entry['item_id']}'"
    backtest = dataset.windows * dataset.prediction_length
    if len(entry["target"]) <= backtest:
        raise JobError(
            f"{where}: {len(entry['target'])} steps, of which data.backtest takes {backtest}; "
            "lower its windows, or leave the series out"
        )
    if not np.isfinite(before["target"]).any():
        raise JobError(
            f"{where}: no value is observed before data.backtest; lower its windows, or leave the "
            "series out"
        )
