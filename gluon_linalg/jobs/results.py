"""Writes what a trained model leaves in the folder of results."""

from .._runtime import import_mxnet
from ..errors import LinearAlgebraError
from ..export import export
from . import output as names
from .errors import JobError, reason
from .files import write_csv, write_json
from .gaussian_process import predict
from .metrics import holdout_metrics
from .plot import plot_model

mx = import_mxnet()

# The exported graph is compared with the live model on this many rows.
EXAMPLE_ROWS = 100


def write_results(folder, task, state, metrics):
    """The curve, the model, the plot and, as the last, `metrics`: with it the job is finished."""
    dataset = task.dataset
    write_csv(folder.file(names.CURVE), ["iteration", "seconds", "nlml"], state.curve)
    predictor = task.predictor()
    _export(predictor, folder.file(names.MODEL), task.x[:, :EXAMPLE_ROWS])
    write_json(folder.file(names.MODEL_IO), describe_model(task))

    def predict_new(x):
        return predict(predictor, dataset.units, task.noise_variance(), x, task.context)

    metrics["holdout"] = None
    if len(dataset.holdout_y):
        metrics["holdout"] = holdout_metrics(dataset.holdout_y, *predict_new(dataset.holdout_x))
    plot_model(folder.file(names.PLOT), dataset, predict_new, _leave_one_out(task, predictor))
    write_json(folder.file(names.METRICS), metrics)


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


def _export(predictor, path, example):
    try:
        export(predictor, path, example)
    except LinearAlgebraError:
        raise
    except (OSError, mx.base.MXNetError) as error:
        # MXNet does not report a full disk; what it wrote cannot be read back then.
        why = reason(error) if isinstance(error, OSError) else "the disk may be full"
        raise JobError(f"{path}: the model cannot be written: {why}") from None


def _leave_one_out(task, predictor):
    """For a plot of several inputs: each training row predicted from all others."""
    mean, variance = (array.asnumpy()[0] for array in predictor.leave_one_out())
    units = task.dataset.units
    return units.mean_from_model(mean), units.variance_from_model(variance)
