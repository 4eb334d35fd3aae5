"""A linear discriminant analysis and what it leaves in the folder of results."""

from typing import Any, Dict, Iterator, List

import numpy as np

from ...analysis.classes import judged_classes
from ...analysis.tables import text_table
from ...blocks import LDABlock
from ...blocks.projection import ProjectionBlock
from ...errors import SingularMatrixError
from ...plots.components import draw_groups
from ...typing import Device
from .. import output as names
from ..errors import JobError
from ..files import write_json
from ..output import OutputFolder
from ..picture import save_picture
from ..predictions import Columns, class_columns, in_all_rows, write_columns
from ..predictor import answers
from ..task import Task, export_model, to_model_array
from .classifier import Classifier
from .config import DiscriminantJob
from .dataset import Dataset, read_dataset
from .predict import CHUNK

# The exported graph is compared with the live model on this many rows.
EXAMPLE_ROWS = 100

CLASSES, DIRECTIONS = "classes.csv", "directions.csv"


class Discriminants(Task):
    """The directions in which the classes of a table differ most, computed at once."""

    job: DiscriminantJob
    dataset: Dataset
    read_dataset = staticmethod(read_dataset)

    def __init__(self, job: DiscriminantJob, dataset: Dataset, device: Device) -> None:
        super().__init__(job, dataset, device)
        x, labels = dataset.training()
        fitted = self._fit(x, labels)
        count = job.model.components or len(fitted.values)
        self.values = fitted.values[:count]
        self.shares = self.values / (fitted.values.sum() or 1.0)
        # In the standardized columns.
        self.matrix = fitted.matrix.data().asnumpy()[:, :count]
        self.classifier = self._classifier(x, labels)

    def write_results(self, folder: OutputFolder) -> Dict[str, Any]:
        """Writes the classifier, its tables and the plot; returns how often it is right."""
        dataset = self.dataset
        x = dataset.x - dataset.mean
        dtype = self.job.model.dtype
        example = to_model_array(x[None, :EXAMPLE_ROWS], dtype, self.device, dataset.path)
        export_model(self.classifier, folder.file(names.MODEL), example)
        write_json(folder.file(names.MODEL_IO), self._description())
        scores, probabilities = self._answers(x)
        columns = class_columns(dataset.target, dataset.classes, scores, probabilities)
        columns = in_all_rows(columns, dataset.places, dataset.rows)
        write_columns(folder.file(CLASSES), columns)
        write_columns(folder.file(DIRECTIONS), self._directions())
        named = [dataset.classes[number] for number in dataset.labels]
        title = f"What tells the classes of {dataset.target} apart"
        save_picture(folder.file(names.PLOT), draw_groups, scores, self.shares, named, title)
        loaded = [[f"{value:+.4g}" for value in own] for own in self.matrix]
        heads = ["direction", *(str(k + 1) for k in range(self.matrix.shape[1]))]
        rows = [[name, *own] for name, own in zip(dataset.columns, loaded)]
        self.report += text_table(heads, rows)
        kept, held = ~dataset.held, dataset.held
        return {
            "directions": {
                "eigenvalues": self.values.tolist(),
                "shares": self.shares.tolist(),
            },
            "classes": dict(zip(dataset.classes, dataset.shares().tolist())),
            "rows_left_out": dataset.left_out,
            "training": judged_classes(probabilities[kept], dataset.labels[kept]),
            "holdout": judged_classes(probabilities[held], dataset.labels[held])
            if held.any()
            else None,
        }

    def warnings(self) -> Iterator[str]:
        """Of a model that is right no more often than who always names the largest class."""
        dataset, (x, labels) = self.dataset, self.dataset.training()
        _, found = self._answers(x * dataset.scale)
        shares = dataset.shares()
        if np.mean(found.argmax(axis=1) == labels) <= shares.max():
            largest = dataset.classes[int(shares.argmax())]
            yield (
                f"the columns do not tell the classes apart: always '{largest}' is right as often"
            )

    def _answers(self, x: np.ndarray) -> List[np.ndarray]:
        """Scores and probabilities of rows, minus input_offset."""
        dtype, path = self.job.model.dtype, self.dataset.path
        return answers(self.classifier, x, dtype, self.device, path, CHUNK)

    def _fit(self, x: np.ndarray, labels: np.ndarray) -> ProjectionBlock:
        classes, columns = len(self.dataset.classes), x.shape[1]
        block = LDABlock(
            classes,
            min(classes - 1, columns),
            ridge=self.job.model.ridge,
            relative_ridge=True,
        )
        try:
            return block.fit(x, labels)
        except SingularMatrixError:
            raise JobError(
                f"{self.dataset.path}: within the classes the columns depend on each other, or do "
                f"not vary, in {len(x)} rows to train on; set model.ridge to 0.001, or leave out "
                "columns"
            ) from None

    def _classifier(self, x: np.ndarray, labels: np.ndarray) -> Classifier:
        """x minus input_offset -> scores, probabilities."""
        dataset, model = self.dataset, self.job.model
        numbers = range(len(dataset.classes))
        centres = np.stack([(x[labels == number] @ self.matrix).mean(axis=0) for number in numbers])
        priors = dataset.shares()
        if model.priors == "equal":
            priors = np.full(len(priors), 1.0 / len(priors))
        matrix = self.matrix / dataset.scale[:, None]
        classifier = Classifier(matrix, self.values, centres, priors, model.dtype)
        classifier.collect_params().reset_ctx(self.device)
        return classifier

    def _directions(self) -> Columns:
        return [
            ("direction", list(range(1, len(self.values) + 1))),
            ("eigenvalue", self.values),
            ("share", self.shares),
            ("cumulative_share", np.cumsum(self.shares)),
            *zip(self.dataset.columns, self.matrix),
        ]

    def _description(self) -> Dict[str, Any]:
        """What `predict` needs beside the graph."""
        dataset = self.dataset
        return {
            "task": self.job.task,
            "columns": dataset.table_columns,
            "levels": dataset.levels,
            "graph_columns": dataset.columns,
            "format": dataset.table_format._asdict(),
            "target": dataset.target,
            "classes": dataset.classes,
            "input_offset": dataset.mean.tolist(),
            "dtype": self.job.model.dtype,
            "graph_inputs": {"data": "(1, m, d): the columns minus input_offset"},
            "graph_outputs": [
                "(1, m, k): the scores",
                "(1, m, C): the probabilities of the classes",
            ],
        }
