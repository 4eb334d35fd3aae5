"""The classes of new rows."""

from typing import Any, Dict

import mxnet as mx
import numpy as np

from ...typing import Device
from ..categories import add_contrasts
from ..data import Column, Table
from ..predictions import Columns, class_columns
from ..predictor import RowsPredictor, answers

# How many rows are classified at once.
CHUNK = 16384


class DiscriminantPredictor(RowsPredictor):
    """The classes of the rows of a file with an exported classifier."""

    not_finite = "the numbers are too large for the scores"

    def __init__(self, description: Dict[str, Any]) -> None:
        super().__init__(description)
        self.names, self.dtype = description["columns"], description["dtype"]
        self.target, self.classes = description["target"], description["classes"]
        self.input_offset = np.asarray(description["input_offset"])
        self.columns = [
            Column(name, "text" if name in self.levels else "number") for name in self.names
        ]
        self.what = f"predictions of {self.target}"

    def predict(self, table: Table, model: mx.gluon.Block, device: Device) -> Columns:
        """The most probable class, the probabilities of all, and the scores."""
        x = table.array(add_contrasts(table, self.names, self.levels)) - self.input_offset
        found = answers(model, x, self.dtype, device, table.path, CHUNK)
        return class_columns(self.target, self.classes, *found)
