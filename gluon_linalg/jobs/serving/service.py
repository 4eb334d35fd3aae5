"""What a server does with the body of a request, without HTTP."""

import contextlib
import os
from typing import Any, Tuple

import mxnet as mx

from ...errors import LinearAlgebraError
from .. import output as names
from ..data import JsonSeries
from ..errors import JobError, one_line
from ..predict import TrainedModel
from ..predictions import Columns
from ..predictor import damaged
from .formats import READERS, WRITERS, check_rows
from .refused import Refused


class Service:
    """A trained model that answers bodies with bodies.

    folder, device: see `TrainedModel`; most_rows: of one request. JobError for a folder whose
    model does not answer its own example.
    """

    def __init__(self, folder: str, device: str = "auto", most_rows: int = 10_000) -> None:
        self.model, self.most_rows = TrainedModel(folder, device), most_rows
        self.columns = self.model.predictor.columns
        # Whether an instance may be a whole series, as in JSON lines.
        self.takes_series = self.model.predictor.takes_series
        try:
            self.example, self.example_answer = self._first_answered()
        except (JobError, LinearAlgebraError, mx.base.MXNetError) as error:
            why = one_line(error)
            raise JobError(
                f"{folder}: the model does not answer its sample ({why}); train again with "
                "--overwrite"
            ) from None
        except _DAMAGE as error:
            raise damaged(os.path.join(folder, names.MODEL_IO), error) from None

    def check(self) -> Columns:
        """The predictions for the example, by which the model shows that it answers."""
        return self.model.predict(self.model.read(self.example))

    def _first_answered(self) -> Tuple[Any, Columns]:
        """The shortest of the samples that the model answers, and its answer."""
        *shorter, whole = self.model.samples()
        for self.example in shorter:
            with contextlib.suppress(JobError, LinearAlgebraError, mx.base.MXNetError):
                return self.example, self.check()
        self.example = whole
        return whole, self.check()

    def answer(self, body: bytes, content_type: str, wanted_type: str) -> Tuple[bytes, int]:
        """The body of the answer and how many rows were computed; `Refused` if there is none."""
        table_format = self.model.predictor.format
        source = READERS[content_type](body, self.columns, self.most_rows, table_format)
        if isinstance(source, JsonSeries) and not self.takes_series:
            raise Refused(422, "row 1, column 'target': expected a number, not a list")
        try:
            rows = self.model.read(source)
            count = self.model.predictor.count(rows)
            # Absent steps of a series count, too.
            check_rows(count, self.most_rows)
            table = self.model.predict(rows)
        except JobError as error:
            raise Refused(422, error) from None
        return WRITERS[wanted_type](table, self.columns), count


# What Python raises where the description of a model is not what it was.
_DAMAGE = (AttributeError, IndexError, KeyError, TypeError, ValueError)
