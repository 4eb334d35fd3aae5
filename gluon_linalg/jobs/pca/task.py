"""A principal component analysis and what it leaves in the folder of results."""

from typing import Any, Dict, Iterator, Optional

import mxnet as mx
import numpy as np

from ...analysis.components import components_text
from ...blocks import PCABlock, PPCALikelihoodLayer
from ...blocks.projection import ProjectionBlock
from ...errors import SingularMatrixError
from ...fitting.units import mean_and_deviation
from ...plots.components import draw_components
from ...typing import Device
from .. import output as names
from ..files import write_json
from ..output import OutputFolder
from ..picture import save_picture
from ..predictions import Columns, in_all_rows, score_columns, write_columns
from ..task import Task, export_model, to_model_array
from .config import PrincipalComponentsJob
from .dataset import Dataset, read_dataset

# The exported graph is compared with the live model on this many rows.
EXAMPLE_ROWS = 100

SCORES, COMPONENTS = "scores.csv", "components.csv"


class PrincipalComponents(Task):
    """Components of the columns of a table, computed at once."""

    job: PrincipalComponentsJob
    dataset: Dataset
    read_dataset = staticmethod(read_dataset)

    def __init__(self, job: PrincipalComponentsJob, dataset: Dataset, device: Device) -> None:
        super().__init__(job, dataset, device)
        x = dataset.x - dataset.input_offset
        self.x = to_model_array(x[None], job.model.dtype, device, dataset.path)
        scaled = dataset.scaled()
        fitted = PCABlock(dataset.components).fit(scaled)
        self.variances = fitted.values
        self.ratios = fitted.values / dataset.total_variance
        self.loadings = fitted.matrix.data().asnumpy()
        self.projection = self._projection(scaled)

    def write_results(self, folder: OutputFolder) -> Dict[str, Any]:
        """Writes the projection, its tables and the plot; returns metrics: the components."""
        dataset = self.dataset
        export_model(self.projection, folder.file(names.MODEL), self.x[:, :EXAMPLE_ROWS])
        write_json(folder.file(names.MODEL_IO), self._description())
        scores = self.projection(self.x).asnumpy()[0].astype("float64")
        columns = in_all_rows(score_columns(scores), dataset.places, dataset.rows)
        write_columns(folder.file(SCORES), columns)
        write_columns(folder.file(COMPONENTS), self._components())
        shown = self.ratios, scores, self.loadings, dataset.columns
        color = dataset.color, self.job.data.color or ""
        save_picture(folder.file(names.PLOT), draw_components, *shown, *color)
        self.report += components_text(
            dataset.columns, self.variances, dataset.total_variance, self.loadings
        )
        return {
            "components": {
                "explained_variance": self.variances.tolist(),
                "explained_ratio": self.ratios.tolist(),
            },
            "rows_left_out": dataset.left_out,
            "probabilistic": self._likelihood(),
        }

    def warnings(self) -> Iterator[str]:
        """Of columns that do not vary."""
        for name, deviation in zip(self.dataset.columns, mean_and_deviation(self.dataset.x)[1]):
            if deviation == 0:
                yield f"column '{name}' is constant: no component depends on it"

    def _projection(self, scaled: np.ndarray) -> ProjectionBlock:
        """x minus input_offset -> scores."""
        model, dataset = self.job.model, self.dataset
        matrix = self.loadings
        if model.whiten:
            matrix = PCABlock(dataset.components, whiten=True).fit(scaled).matrix.data().asnumpy()
        projection = ProjectionBlock(
            dataset.mean - dataset.input_offset,
            matrix / dataset.scale[:, None],
            self.variances,
            model.dtype,
        )
        projection.collect_params().reset_ctx(self.device)
        return projection

    def _components(self) -> Columns:
        numbers = list(range(1, len(self.variances) + 1))
        return [
            ("component", numbers),
            ("explained_variance", self.variances),
            ("explained_ratio", self.ratios),
            ("cumulative_ratio", np.cumsum(self.ratios)),
            *zip(self.dataset.columns, self.loadings),
        ]

    def _likelihood(self) -> Optional[Dict[str, float]]:
        """Of probabilistic PCA at its maximum; None where it is unbounded."""
        dataset = self.dataset
        # In units in which the columns have a variance of 1 on average.
        unit = np.sqrt(dataset.total_variance / len(dataset.columns))
        layer, scaled = PPCALikelihoodLayer(dataset.components), dataset.scaled() / unit
        layer.cast("float64")
        try:
            layer.fit(scaled)
            value = float(layer(mx.nd.array(scaled[None], dtype="float64")).asscalar())
        except SingularMatrixError:
            return None
        value += scaled.size * np.log(unit)
        noise_variance = float(layer.noise_variance.value()[0] * unit**2)
        return {
            "nll": value,
            "nll_per_row": value / dataset.count,
            "noise_variance": noise_variance,
        }

    def _description(self) -> Dict[str, Any]:
        """What `predict` needs beside the graph."""
        return {
            "task": self.job.task,
            "columns": self.dataset.table_columns,
            "levels": self.dataset.levels,
            "graph_columns": self.dataset.columns,
            "format": self.dataset.table_format._asdict(),
            "components": self.dataset.components,
            "input_offset": self.dataset.input_offset.tolist(),
            "dtype": self.job.model.dtype,
            "graph_inputs": {"data": "(1, m, d): the columns minus input_offset"},
            "graph_outputs": ["(1, m, k): the scores"],
        }
