"""What reads the rows of new data and asks the model of a finished job."""

import os
from itertools import cycle, islice
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from ..export import load
from ..typing import Device
from .data import Column, Format, Table, TableRows, read_table
from .errors import JobError, one_line
from .output import MODEL
from .task import to_model_array


class JobPredictor:
    """Made of the content of model-io.json; a subclass sets the attributes.

    what: what the rows of an answer are; columns: what a row of new data must have; not_finite:
    what to tell where an answer is not finite; takes_series: whether a whole series, as JSON lines
    have it, may stand in place of rows; features: those of such a series; stream: the name of the
    exported graph by which a series grows one observation at a time (`advance`), None for none, and
    stream_columns: what a row of it must have.
    """

    what: str
    columns: List[Column]
    not_finite: str
    takes_series = False
    features: Sequence[str] = ()
    stream: Optional[str] = None
    stream_columns: Sequence[Column] = ()

    def __init__(self, description: Dict[str, Any]) -> None:
        self.levels = description.get("levels", {})
        self.format = Format(**description.get("format", {}))

    def read(self, source: Any) -> Any:
        """The rows of a file, by its path, or of `TableRows`; they have a `path`."""
        raise NotImplementedError

    def count(self, rows: Any) -> int:
        """How many rows the model computes for what `read` returned."""
        raise NotImplementedError

    def predict(self, rows: Any, model: Any, device: Device) -> List[Tuple[str, Any]]:
        """The columns of the answer: pairs of a name and a list of texts or array of numbers."""
        raise NotImplementedError

    def advance(
        self,
        graph: mx.gluon.Block,
        device: Device,
        name: str,
        rows: TableRows,
        earlier: Optional[Dict[str, Any]],
        most_steps: int,
    ) -> Tuple[Dict[str, Any], List[Tuple[str, Any]]]:
        """What is kept of the series `name` after its rows, and what is predicted then.

        graph: that of `stream`; earlier: what was kept before, None for a new series. What is kept
        can be written as JSON, and has `time`, how the last step is called, and the numbers of
        `steps` and `observations`. JobError for rows that are wrong, or too many.
        """
        raise NotImplementedError

    def samples(self, sample: Any) -> Iterator[Any]:
        """What to try the model with, the smallest first, made of the sample of its data."""
        raise NotImplementedError

    def sample_rows(self, sample: Any, count: int) -> Any:
        """Rows for which the model computes `count`, or as few as it can, made of its sample."""
        raise NotImplementedError


class RowsPredictor(JobPredictor):
    """Of rows that are independent of each other. names: their columns; dates: those of dates."""

    names: List[str]
    dates: Sequence[str] = ()

    def read(self, source: Union[str, TableRows]) -> Table:
        """The `Table` of all rows; JobError for one that lacks a value."""
        return read_table(
            source,
            self.names,
            self.dates,
            table_format=self.format,
            categorical=tuple(self.levels),
            every_row=True,
        )

    def count(self, rows: Table) -> int:
        return len(rows.lines)

    def samples(self, sample: TableRows) -> Iterator[TableRows]:
        yield sample

    def sample_rows(self, sample: TableRows, count: int) -> TableRows:
        (_, header), *rows = sample.rows
        values = [[cell for cell in cells if cell] for cells in zip(*(cells for _, cells in rows))]
        repeated = zip(*(islice(cycle(own), count) for own in values))
        return TableRows(sample.name, [(0, header), *enumerate(map(list, repeated), start=1)])


def answers(
    model: mx.gluon.Block,
    x: np.ndarray,
    dtype: str,
    device: Device,
    source: Any,
    chunk: int,
) -> List[np.ndarray]:
    """The outputs of a graph for rows x (m, d), each (m, ...) in float64; so many rows at once."""
    parts = []
    for start in range(0, len(x), chunk):
        rows = to_model_array(x[None, start : start + chunk], dtype, device, source)
        found = model(rows)
        found = found if isinstance(found, (list, tuple)) else [found]
        parts.append([array.asnumpy()[0].astype("float64") for array in found])
    return [np.concatenate(arrays) for arrays in zip(*parts)]


def load_graph(
    folder: str, description: Dict[str, Any], device: Device, name: str = MODEL
) -> mx.gluon.Block:
    """The exported model of a finished job; JobError where its files are damaged."""
    path = os.path.join(folder, name)
    try:
        return load(path, device)
    except (OSError, mx.base.MXNetError, ValueError, AssertionError) as error:
        raise damaged(path, error) from None


def damaged(path: str, error: Exception) -> JobError:
    """The JobError for a file, or files, of a model that are not what they were."""
    why = f"there is no {error}" if isinstance(error, KeyError) else one_line(error)
    why = why.replace(f"{path}: ", "")
    return JobError(f"{path}: the model is damaged ({why}); train again with --overwrite")
