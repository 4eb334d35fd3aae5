"""The scores of new rows."""

import numpy as np

from ..categories import encoded
from ..data import Column
from ..predictor import RowsPredictor
from ..task import to_model_array

# How many rows are projected at once.
CHUNK = 16384


class Predictor(RowsPredictor):
    """The scores of the rows of a file with an exported projection."""

    not_finite = "the numbers are too large for the scores"

    def __init__(self, description):
        super().__init__(description)
        self.names, self.dtype = description["columns"], description["dtype"]
        self.input_offset = np.asarray(description["input_offset"])
        self.columns = [
            Column(name, "text" if name in self.levels else "number") for name in self.names
        ]
        self.what = f"rows of scores on {description['components']} components"

    def predict(self, table, model, context):
        """The columns of scores."""
        x = encoded(table, self.names, self.levels) - self.input_offset
        parts = []
        for start in range(0, len(x), CHUNK):
            rows = x[None, start : start + CHUNK]
            array = to_model_array(rows, self.dtype, context, table.path)
            parts.append(model(array).asnumpy()[0].astype("float64"))
        return score_columns(np.concatenate(parts))


def score_columns(scores):
    """The columns of a table of scores (n, k)."""
    return [(f"score_{number}", column) for number, column in enumerate(scores.T, start=1)]
