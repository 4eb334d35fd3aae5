"""A training job from the job file to the folder of results."""

from collections import namedtuple

import numpy as np

from .._runtime import import_mxnet
from ..errors import LinearAlgebraError, NotPositiveDefiniteError, SingularMatrixError
from . import output as names
from .blr.task import LinearRegression
from .config import LBFGS, TrainedJob
from .context import find_context
from .errors import JobError
from .files import read_json, write_csv, write_json
from .gluon import make_optimizer, train_gluon
from .gp.task import GaussianProcess
from .lbfgs import train_lbfgs
from .metrics import nlml_metrics, versions
from .objective import Objective
from .output import OutputFolder
from .pca.task import PrincipalComponents
from .progress import Progress
from .state import TrainingState
from .statespace.task import StateSpace

mx = import_mxnet()

# The kinds of models, by the key `task`.
TASKS = {
    "gp": GaussianProcess,
    "blr": LinearRegression,
    "statespace": StateSpace,
    "pca": PrincipalComponents,
}

Result = namedtuple("Result", "folder metrics was_finished")


def train(job, overwrite=False, show_bar=None):
    """Trains, evaluates and exports the model of a `Job`; returns a `Result`."""
    context = find_context(job.context)
    dataset = TASKS[job.task].read_dataset(job)
    folder = OutputFolder(job, dataset, overwrite)
    if folder.status == "finished":
        return Result(folder, read_json(folder.file(names.METRICS)), True)
    find_model = _train if isinstance(job, TrainedJob) else _compute
    metrics = {
        "task": job.task,
        "rows": dataset.count,
        **find_model(job, dataset, context, folder, show_bar),
        "context": str(context),
        "versions": versions(),
    }
    # With this, the last of the files, the job is finished.
    write_json(folder.file(names.METRICS), metrics)
    return Result(folder, metrics, False)


def _compute(job, dataset, context, folder, _):
    """A model that needs no steps; returns its metrics."""
    task = TASKS[job.task](job, dataset, context)
    folder.open()
    metrics = {}
    task.write_results(folder, metrics)
    return metrics


def _train(job, dataset, context, folder, show_bar):
    """A model whose parameters are found step by step; returns its metrics."""
    mx.random.seed(job.seed)
    task = TASKS[job.task](job, dataset, context)
    initial_values = task.values()
    objective = Objective(task.layer, task.arguments(), task.parameters, context)
    loss = _initial_loss(objective, task)
    if job.training.optimizer != LBFGS:
        make_optimizer(job.training)
    # Whatever is wrong with the input has been reported by now, and nothing was written.
    folder.open()
    state = TrainingState(folder.path, task, job.training.checkpoint_every)
    if folder.status == "started":
        state.restore()
        loss = objective.evaluate()
    state.start(loss)
    state.save()
    ending = _optimize(job.training, objective, state, show_bar)
    metrics = {
        "nlml": nlml_metrics(state.curve[0][2], objective.evaluate(), dataset.count),
        "training": {
            "optimizer": job.training.optimizer,
            "iterations": state.iteration,
            "evaluations": objective.evaluations,
            "seconds": round(state.seconds, 3),
            **ending,
        },
        "parameters": {"initial": initial_values, "trained": task.values()},
    }
    state.save()
    write_csv(folder.file(names.CURVE), ["iteration", "seconds", "nlml"], state.curve)
    task.write_results(folder, metrics)
    return metrics


def _initial_loss(objective, task):
    loss = objective.evaluate()
    if np.isfinite(loss):
        return loss
    path = task.dataset.path
    try:
        objective.explain()
    except (NotPositiveDefiniteError, SingularMatrixError):
        raise JobError(f"{path}: {task.singular}") from None
    except LinearAlgebraError:
        pass
    raise JobError(
        f"{path}: the likelihood of its rows is not a finite number at the initial values; "
        "bring the values in model, and the numbers in the file, nearer to 1"
    )


def _optimize(config, objective, state, show_bar):
    if not objective.parameters:
        return {"converged": True, "message": "no parameter is trained"}
    optimize = train_lbfgs if config.optimizer == LBFGS else train_gluon
    state.progress = Progress(config.iterations, state.iteration, show_bar)
    try:
        converged, message = optimize(objective, config, state)
    finally:
        state.progress.close()
    return {"converged": converged, "message": message}
