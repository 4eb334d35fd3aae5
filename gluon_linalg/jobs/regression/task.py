"""Writes what a trained regression leaves in the folder of results."""

from .. import output as names
from ..files import write_json
from ..metrics import holdout_metrics
from ..task import Task, export_model
from .plot import plot_model
from .predict import predict

# The exported graph is compared with the live model on this many rows.
EXAMPLE_ROWS = 100


class RegressionTask(Task):
    """A layer called with x (1, n, d) and y (1, n), whose predictor is exported."""

    # The kind of model in the title of the plot, and what its graph takes.
    title = None
    graph_input = None

    def arguments(self):
        return self.x, self.y

    def predictor(self):
        """A block x (1, m, d) -> mean and variance (1, m) of the target without noise."""
        raise NotImplementedError

    def noise_variance(self):
        """In units of the model."""
        raise NotImplementedError

    def leave_one_out(self, predictor):
        """Each training row predicted from all others: mean and variance (n,) of the target."""
        raise NotImplementedError

    def write_results(self, folder, metrics):
        """The model and the plot; the hold-out goes into `metrics`."""
        dataset, units = self.dataset, self.dataset.units
        predictor = self.predictor()
        export_model(predictor, folder.file(names.MODEL), self.x[:, :EXAMPLE_ROWS])
        write_json(folder.file(names.MODEL_IO), self._description())

        def predict_new(x):
            noise_variance, dtype = self.noise_variance(), self.job.model.dtype
            return predict(predictor, units, noise_variance, x, dtype, self.context)

        metrics["rows_left_out"] = dataset.left_out
        metrics["holdout"] = None
        if len(dataset.holdout_y):
            metrics["holdout"] = holdout_metrics(dataset.holdout_y, *predict_new(dataset.holdout_x))
        mean, variance = self.leave_one_out(predictor)
        left_out = units.mean_from_model(mean), units.variance_from_model(variance)
        plot_model(folder.file(names.PLOT), dataset, self.title, predict_new, left_out)

    def _description(self):
        """What `predict` needs beside the graph: columns, units and noise."""
        dataset = self.dataset
        return {
            "task": self.job.task,
            "inputs": dataset.columns,
            "levels": dataset.levels,
            "graph_columns": dataset.inputs,
            "date_inputs": dataset.dates,
            "format": dataset.table_format._asdict(),
            "target": dataset.target,
            **dataset.units.as_dict(),
            "noise_variance": self.noise_variance(),
            "dtype": self.job.model.dtype,
            "graph_inputs": {"data": self.graph_input},
            "graph_outputs": [
                "(1, m): the mean; times target_scale, plus target_offset, in original units",
                "(1, m): its variance; plus noise_variance for an observation, times target_scale²",
            ],
        }
