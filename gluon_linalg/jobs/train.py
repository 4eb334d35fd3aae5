"""A training job from the job file to the folder of results."""

import contextlib
import hashlib
import json
import os
from collections import defaultdict
from typing import Any, Dict, Iterator, NamedTuple, Optional, cast

import mxnet as mx
import numpy as np

from ..errors import LinearAlgebraError, NotPositiveDefiniteError, SingularMatrixError
from ..server import ROLE
from . import interruption, log
from . import output as names
from .config import EM, LBFGS, Job, TrainedJob
from .devices import find_device, find_devices
from .earlier_run import FINISHED, NEW, STARTED, find_status
from .em import train_em
from .errors import JobError
from .files import read_bytes, read_json, write_arrays, write_csv, write_json, write_text
from .gluon import make_optimizer, train_gluon
from .kinds import all_kinds, kind_of
from .lbfgs import train_lbfgs
from .memory import is_shortage
from .metrics import versions
from .objective import Objective
from .output import OutputFolder
from .progress import Progress, find_scalars
from .sample import write_sample
from .starts import choose_start
from .state import TrainingState, data_fingerprint, digest
from .task import TrainedTask
from .uncertainty import find_result, standard_errors
from .warning import find_warnings
from .workers import OneProcess, Processes, connect

# The optimizers that are none of MXNet.
OWN = {LBFGS: train_lbfgs, EM: train_em}


class Result(NamedTuple):
    """What a run leaves: the folder and the content of metrics.json, None in workers but one.

    was_finished: whether an earlier run had done all.
    """

    folder: Optional[OutputFolder]
    metrics: Optional[Dict[str, Any]]
    was_finished: bool


def train(job: Job, overwrite: bool = False, show_bar: Optional[bool] = None) -> Result:
    """Trains, evaluates and exports the model of a `Job`; returns a `Result`.

    Of several processes that train together, only the one of rank 0 has a folder and metrics.
    """
    kind, is_trained = kind_of(job.task), job.has_steps()
    devices = [find_device(job.context)]
    workers: Processes = OneProcess()
    if is_trained:
        trained = cast(TrainedJob, job)
        devices = find_devices(trained.devices or []) or devices
        workers = connect(trained.training.kvstore)
    elif ROLE in os.environ:
        raise JobError(
            f"the environment has {ROLE}={os.environ[ROLE]}, but this job of task: {job.task} is "
            f"computed by one process; unset {ROLE}"
        )
    dataset = kind.task.read_dataset(job)
    folder = OutputFolder(job.output) if workers.rank == 0 else None
    status = None if folder is None else find_status(folder, job, dataset, overwrite)
    status = _agree(workers, job, dataset, status)
    if status == FINISHED:
        metrics = None if folder is None else read_json(folder.file(names.METRICS))
        workers.close()
        return Result(folder, metrics, True)
    log.event(
        "start",
        task=job.task,
        rows=dataset.count,
        devices=[str(device) for device in devices],
        workers=workers.count,
        rank=workers.rank,
        continues=status == STARTED,
        versions=versions(),
    )
    try:
        with _counted_anew():
            if is_trained:
                found = _train(job, dataset, devices, workers, folder, status, show_bar)
            else:
                found = _compute(job, dataset, devices[0], folder, status)
    except interruption.Interrupted as stopped:
        if stopped.iteration is not None:
            # All workers stop at the same iteration, so they can part in order.
            workers.close()
        raise
    metrics = None
    if folder is not None:
        write_sample(folder, dataset.sample)
        metrics = {
            "task": job.task,
            "rows": dataset.count,
            **found,
            "context": ", ".join(str(device) for device in devices),
            "workers": workers.count,
            "versions": versions(),
        }
        # With this, the last of the files, the job is finished.
        write_json(folder.file(names.METRICS), metrics)
        log.event("finished", output=folder.path, **_numbers(found))
    workers.close()
    return Result(folder, metrics, False)


@contextlib.contextmanager
def _counted_anew() -> Iterator[None]:
    """Within the block MXNet numbers blocks, operators and loops from 0 on.

    Exported files have these names. MXNet counts in the whole process, also what a job file was
    checked with; and a training that is continued has made other things before than one that ran
    through.
    """
    loops = mx.AttrScope._subgraph_names
    mx.AttrScope._subgraph_names = defaultdict(int)
    try:
        with mx.name.NameManager():
            yield
    finally:
        mx.AttrScope._subgraph_names = loops


def _compute(job, dataset, device, folder, status):
    """A model that needs no steps; returns its metrics."""
    task = kind_of(job.task).task(job, dataset, device)
    _open(folder, job, status)
    # So that a later run knows which rows these results are of.
    write_arrays(folder.file(names.CHECKPOINT), data_fingerprint(dataset))
    return _ended(folder, task, task.write_results(folder))


def _ended(folder, task, metrics):
    """The metrics with warnings; writes what the task has to report."""
    metrics = {**metrics, "warnings": find_warnings(task, metrics)}
    told = kind_of(task.job.task).summary({"rows": task.dataset.count, **metrics})
    lines = [*told, "", *task.report, *(f"warning: {text}" for text in metrics["warnings"])]
    write_text(folder.file(names.SUMMARY), "\n".join(lines).strip() + "\n")
    return metrics


def _train(job, dataset, devices, workers, folder, status, show_bar):
    """A model whose parameters are found step by step; returns its metrics."""
    mx.random.seed(job.seed)
    task = cast(TrainedTask, kind_of(job.task).task(job, dataset, devices[0]))
    objective = Objective(task, devices, workers)
    try:
        loss = choose_start(objective, task)
    except (mx.base.MXNetError, MemoryError) as error:
        if not is_shortage(error):
            raise
        raise JobError(task.out_of_memory()) from None
    if not np.isfinite(loss):
        raise _no_initial_loss(objective, task)
    initial_values = task.values()
    if job.training.optimizer not in OWN:
        make_optimizer(job.training)
    # Whatever is wrong with the input has been reported by now, and nothing was written.
    if folder is not None:
        _open(folder, job, status)
    state = TrainingState(folder and folder.path, task, job.training.checkpoint_every)
    if status == STARTED:
        checkpoint = workers.broadcast(folder and read_bytes(folder.file(names.CHECKPOINT)))
        state.restore(mx.nd.load_frombuffer(checkpoint))
    state.start(loss)
    state.save()
    ending = _optimize(job.training, objective, state, folder, show_bar)
    loss, evaluations = objective.evaluate() + task.loss_offset, objective.evaluations
    result = find_result(task, objective, state, loss, ending)
    errors = None if result is None else standard_errors(result)
    text = "" if result is None else result.summary()
    objective.close()
    if folder is None:
        return None
    told = task.loss_metrics(state.curve[0][2], loss)
    metrics = {
        **told,
        "training": {
            "optimizer": job.training.optimizer,
            "iterations": state.iteration,
            "evaluations": evaluations,
            "seconds": round(state.seconds, 3),
            **ending,
        },
        "parameters": {"initial": initial_values, "trained": task.values()},
    }
    if errors is not None:
        metrics["parameters"]["standard_errors"] = errors
    state.save()
    write_csv(folder.file(names.CURVE), ["iteration", "seconds", *told], state.curve)
    metrics = {**metrics, **task.write_results(folder)}
    task.report = [*text.splitlines(), "", *task.report]
    return _ended(folder, task, metrics)


def _open(folder, job, status):
    """Any kind of job may have left its results in a folder that is used anew."""
    folder.open(job, all_kinds() if status == NEW else None)


def _agree(workers, job, dataset, status):
    """The status that rank 0 knows; JobError where another worker has another job or data."""
    described = job.model_dump(mode="json", exclude={"output", "devices", "context"})
    described["data"].pop("path", None)
    own = json.dumps(described, sort_keys=True) + str(digest(dataset))
    own = hashlib.sha256(own.encode()).hexdigest()
    message = workers.broadcast(json.dumps([own, status]).encode())
    theirs, status = json.loads(message)
    if theirs != own:
        raise JobError(
            f"{dataset.path}: worker {workers.rank} has another job or other rows than worker 0; "
            "give all workers the same job file and data"
        )
    return status


def _no_initial_loss(objective, task):
    """The JobError for initial values at which there is no likelihood."""
    path = task.dataset.path
    try:
        objective.explain()
    except (NotPositiveDefiniteError, SingularMatrixError):
        return JobError(f"{path}: {task.singular}")
    except LinearAlgebraError:
        pass
    return JobError(
        f"{path}: the likelihood of its rows is not a finite number at the initial values; "
        "bring the values in model, and the numbers in the file, nearer to 1"
    )


def _optimize(config, objective, state, folder, show_bar):
    if not objective.parameters:
        return {"converged": True, "message": "no parameter is trained"}
    optimize = OWN.get(config.optimizer, train_gluon)
    if folder is not None:
        scalars = find_scalars(folder.file(names.TENSORBOARD))
        state.observers = [Progress(config.iterations, state.iteration, show_bar)]
        state.observers += [] if scalars is None else [scalars]
    try:
        with interruption.deferred():
            converged, message = optimize(objective, config, state)
    finally:
        for observer in state.observers:
            observer.close()
    return {"converged": converged, "message": message}


def _numbers(metrics):
    """The figures that say how it went, for the log."""
    names = ("nlml", "holdout", "training", "warnings")
    return {name: metrics[name] for name in names if metrics.get(name) is not None}
