"""What a server does with the body of a request, without HTTP."""

from ..._runtime import import_mxnet
from ...errors import LinearAlgebraError
from ..errors import JobError
from ..predict import TrainedModel
from .formats import READERS, WRITERS, check_rows
from .refused import Refused
from .sample import sample_rows

mx = import_mxnet()

# How many rows the example of the documentation has, which is also the check of the model.
EXAMPLE_ROWS = 3


class Service:
    """A trained model that answers bodies with bodies.

    folder, context: see `TrainedModel`; most_rows: of one request. JobError for a folder whose
    model does not answer its own example.
    """

    def __init__(self, folder, context="auto", most_rows=10_000):
        self.model, self.most_rows = TrainedModel(folder, context), most_rows
        self.columns = self.model.predictor.columns
        try:
            self.example = sample_rows(self.model, EXAMPLE_ROWS)
            self.example_answer = self.check()
        except (JobError, LinearAlgebraError, mx.base.MXNetError, *_DAMAGE) as error:
            lines = str(error).strip().splitlines()
            why = lines[0] if lines else type(error).__name__
            raise JobError(
                f"{folder}: the model does not answer ({why}); train again with --overwrite"
            ) from None

    def check(self):
        """The predictions for the example."""
        predictor = self.model.predictor
        return predictor.predict(
            self.model.read(self.example), self.model.block, self.model.context
        )

    def answer(self, body, content_type, wanted_type):
        """The body of the answer and how many rows were computed; `Refused` if there is none."""
        table_format = self.model.predictor.format
        source = READERS[content_type](body, self.columns, self.most_rows, table_format)
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
