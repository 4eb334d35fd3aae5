"""The scores of new rows."""

from typing import Any, Dict

import mxnet as mx
import numpy as np

from ...typing import Device
from ..categories import encoded
from ..data import Column, Table
from ..predictions import Columns, score_columns
from ..predictor import RowsPredictor, answers

# How many rows are projected at once.
CHUNK = 16384


class PrincipalComponentsPredictor(RowsPredictor):
    """The scores of the rows of a file with an exported projection."""

    not_finite = "the numbers are too large for the scores"

    def __init__(self, description: Dict[str, Any]) -> None:
        super().__init__(description)
        self.names, self.dtype = description["columns"], description["dtype"]
        self.input_offset = np.asarray(description["input_offset"])
        self.columns = [
            Column(name, "text" if name in self.levels else "number") for name in self.names
        ]
        self.what = f"rows of scores on {description['components']} components"

    def predict(self, table: Table, model: mx.gluon.Block, device: Device) -> Columns:
        """The columns of scores."""
        x = encoded(table, self.names, self.levels) - self.input_offset
        (scores,) = answers(model, x, self.dtype, device, table.path, CHUNK)
        return score_columns(scores)
