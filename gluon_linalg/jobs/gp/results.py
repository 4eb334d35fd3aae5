"""Writes what a trained Gaussian process leaves in the folder of results."""

from .. import output as names
from ..files import write_json
from ..metrics import holdout_metrics
from ..task import export_model
from .plot import plot_model
from .predict import predict

# The exported graph is compared with the live model on this many rows.
EXAMPLE_ROWS = 100


def write_results(folder, task, metrics):
    """The model and the plot; the hold-out goes into `metrics`."""
    dataset = task.dataset
    predictor = task.predictor()
    export_model(predictor, folder.file(names.MODEL), task.x[:, :EXAMPLE_ROWS])
    write_json(folder.file(names.MODEL_IO), describe_model(task))

    def predict_new(x):
        return predict(predictor, dataset.units, task.noise_variance(), x, task.context)

    metrics["holdout"] = None
    if len(dataset.holdout_y):
        metrics["holdout"] = holdout_metrics(dataset.holdout_y, *predict_new(dataset.holdout_x))
    plot_model(folder.file(names.PLOT), dataset, predict_new, _leave_one_out(task, predictor))


def describe_model(task):
    """What `predict` needs beside the graph: columns, units and noise."""
    dataset = task.dataset
    return {
        "task": task.job.task,
        "inputs": dataset.inputs,
        "date_inputs": dataset.dates,
        "target": dataset.target,
        **dataset.units.as_dict(),
        "noise_variance": task.noise_variance(),
        "dtype": task.job.model.dtype,
        "graph_inputs": {"data": "(1, m, d): the inputs minus input_offset"},
        "graph_outputs": [
            "(1, m): the mean; times target_scale, plus target_offset, in original units",
            "(1, m): the variance of the latent function; plus noise_variance for an observation",
        ],
    }


def _leave_one_out(task, predictor):
    """For a plot of several inputs: each training row predicted from all others."""
    mean, variance = (array.asnumpy()[0] for array in predictor.leave_one_out())
    units = task.dataset.units
    return units.mean_from_model(mean), units.variance_from_model(variance)
