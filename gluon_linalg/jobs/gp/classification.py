"""Gaussian processes of classes: training, the exported graph, figures, and classes of new rows."""

from typing import Any, Dict, Iterator, List

import mxnet as mx
import numpy as np

from ...analysis.classes import calibration, class_probabilities, judged_classes
from ...blocks import SparseGPPredictor
from ...plots.classes import draw_classes
from ...typing import Array, Device, Namespace
from .. import output as names
from ..categories import encoded
from ..data import Column, Table
from ..files import write_json
from ..metrics import Band
from ..output import OutputFolder
from ..picture import save_picture
from ..predictions import Columns, class_columns
from ..predictor import RowsPredictor, answers
from ..regression.task import EXAMPLE_ROWS
from ..task import export_model
from .dataset import Units
from .sparse_task import CHUNK
from .variational_task import VariationalProcess


class ClassProcess(VariationalProcess):
    """A `VariationalProcess` whose target is a column of names."""

    def bands(self, metrics: Dict[str, Any]) -> List[Band]:
        return []

    def predictor(self) -> "Probabilities":
        return Probabilities(self.process.predictor())

    def warnings(self) -> Iterator[str]:
        """Of a model that is right no more often than who always names the largest class."""
        yield from self.constant_inputs()
        labels = self.dataset.y.astype(int)
        classes = self.dataset.classes or []
        shares = np.bincount(labels, minlength=len(classes)) / len(labels)
        found = self._probabilities(self.predictor(), self.dataset.x)
        if np.mean(found.argmax(axis=1) == labels) <= shares.max():
            largest = classes[int(shares.argmax())]
            yield (
                f"the columns do not tell the classes apart: always '{largest}' is right as often"
            )

    def write_results(self, folder: OutputFolder) -> Dict[str, Any]:
        """Writes the model and the plot; returns metrics: of the training rows and the hold-out."""
        dataset, predictor = self.dataset, self.predictor()
        classes = dataset.classes or []
        export_model(predictor, folder.file(names.MODEL), self.x[:, :EXAMPLE_ROWS])
        write_json(folder.file(names.MODEL_IO), self._description())
        groups = [("data", dataset.x, dataset.y)]
        if len(dataset.holdout_y):
            groups.append(("hold-out", dataset.holdout_x, dataset.holdout_y))
        judged = [(name, self._probabilities(predictor, x), y.astype(int)) for name, x, y in groups]
        curves = [calibration(p, labels) for _, p, labels in judged]
        picture = folder.file(names.PLOT)
        save_picture(picture, draw_classes, str(dataset.target), classes, judged, curves)
        found = [judged_classes(p, labels) for _, p, labels in judged]
        return {
            "rows_left_out": dataset.left_out,
            "classes": {name: int(np.sum(dataset.y == k)) for k, name in enumerate(classes)},
            "fit": found[0],
            "holdout": found[1] if len(found) > 1 else None,
        }

    def _probabilities(self, predictor: mx.gluon.HybridBlock, x: np.ndarray) -> np.ndarray:
        """Of rows in units of the file, (m, d) -> (m, C)."""
        x, dtype = self.dataset.units.inputs_to_model(x), self.job.model.dtype
        return answers(predictor, x, dtype, self.device, self.dataset.path, CHUNK)[0]

    def _description(self) -> Dict[str, Any]:
        outputs = ["(1, m, C): the probabilities of the classes, in their order"]
        return {
            **super()._description(),
            "classes": self.dataset.classes,
            "graph_outputs": outputs,
        }


class Probabilities(mx.gluon.HybridBlock):
    """x (1, m, d) -> the probabilities of the classes (1, m, C)."""

    def __init__(self, predictor: SparseGPPredictor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.predictor = predictor

    def hybrid_forward(self, F: Namespace, x: Array) -> Array:
        mean, variance = self.predictor(x)
        return class_probabilities(F, self.predictor.likelihood, mean, variance)


class ClassPredictor(RowsPredictor):
    """The classes of the rows of a file with an exported graph."""

    not_finite = "the inputs are too far away to predict there"

    def __init__(self, description: Dict[str, Any]) -> None:
        super().__init__(description)
        self.names, self.target = description["inputs"], description["target"]
        self.classes, self.dtype = description["classes"], description["dtype"]
        self.units = Units(**{name: description[name] for name in Units.__dataclass_fields__})
        self.dates = description["date_inputs"]
        self.what = f"predictions of {self.target}"
        self.columns = [Column(name, self._kind(name)) for name in self.names]

    def predict(self, table: Table, model: mx.gluon.Block, device: Device) -> Columns:
        """The input columns, the most probable class, and the probabilities of all."""
        x = self.units.inputs_to_model(encoded(table, self.names, self.levels))
        labels = [(name, table.texts[name]) for name in self.names]
        (found,) = answers(model, x, self.dtype, device, "the inputs", CHUNK)
        return [*labels, *class_columns(self.target, self.classes, np.zeros((len(x), 0)), found)]

    def _kind(self, name: str) -> str:
        if name in self.levels:
            return "text"
        return "date" if name in self.dates else "number"


def told(what: str, found: Dict[str, Any]) -> str:
    """How often the classes of rows were found."""
    return (
        f"{what}{found['rows']} rows: {found['accuracy']:.1%} in the right class, log loss "
        f"{found['log_loss']:.4g}, calibration error {found['calibration_error']:.3f}"
    )
