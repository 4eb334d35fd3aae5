"""Predictions of an exported model for the rows of a CSV file."""

import os
import sys
from typing import Any, Iterator, Optional, Tuple, Union

import numpy as np

from . import output as names
from .data import JsonSeries, TableRows
from .devices import find_device
from .errors import JobError
from .files import read_json
from .kinds import kind_of
from .predictions import Columns, print_columns, write_columns
from .predictor import damaged
from .sample import read_sample

# What a command line calls the output that another program reads.
STDOUT = "-"


def predict_file(
    folder: str, data_path: str, output_path: Optional[str] = None, device: str = "auto"
) -> Tuple[str, int, str]:
    """Writes what the model says of new rows; returns path, row count and what the rows are.

    output_path: `STDOUT` for no file.
    """
    model = TrainedModel(folder, device)
    columns = model.predict(model.read(data_path))
    output_path = output_path or os.path.join(folder, names.PREDICTIONS)
    if output_path == STDOUT:
        print_columns(sys.stdout, columns)
    else:
        write_columns(output_path, columns)
    return output_path, len(columns[-1][1]), model.predictor.what


class TrainedModel:
    """The exported model of a finished job, and what reads its rows and knows its units.

    folder: the output of the job; device: cpu, gpu or auto. JobError where the job is not finished
    or a file is damaged.
    """

    def __init__(self, folder: str, device: str = "auto") -> None:
        self.device = find_device(device)
        if not os.path.exists(os.path.join(folder, names.METRICS)):
            raise JobError(
                f"{folder}: there is no finished job here; name the output folder of one"
            )
        path = os.path.join(folder, names.MODEL_IO)
        self.folder = folder
        try:
            self.description = read_json(path)
            kind = kind_of(self.description["task"])
            self.predictor = kind.predictor(self.description)
        except (KeyError, TypeError, JobError) as error:
            raise damaged(path, error) from None
        self.block = kind.load(folder, self.description, self.device)

    def read(self, source: Union[str, TableRows, JsonSeries]) -> Any:
        """The rows of a CSV file, by its path, or of `TableRows`; JobError for what is wrong."""
        return self.predictor.read(source)

    def predict(self, rows: Any) -> Columns:
        """The columns of predictions for what `read` returned: pairs of a name and its values."""
        columns = self.predictor.predict(rows, self.block, self.device)
        numbers = [values for _, values in columns if isinstance(values, np.ndarray)]
        if not all(np.isfinite(values).all() for values in numbers):
            raise JobError(f"{rows.path}: {self.predictor.not_finite}")
        return columns

    def samples(self) -> Iterator[Any]:
        """What to try the model with, of the data it was trained on, the smallest first."""
        return self.predictor.samples(read_sample(self.folder))

    def sample_rows(self, count: int) -> Any:
        """Rows for which it computes `count`, or as few as it can."""
        return self.predictor.sample_rows(read_sample(self.folder), count)
