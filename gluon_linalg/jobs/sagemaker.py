"""The folders and files with which SageMaker starts a container and ends a training in it.

``input/config`` says what to do, ``input/data/CHANNEL`` holds the data, ``checkpoints`` survives
when a spot instance is taken away, ``model`` is kept after the end, and the first line of
``output/failure`` is shown as the reason of a failure.
"""

import collections
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from typing import Any, Callable, Deque, Dict, List, Optional

from . import interruption, log
from . import sagemaker_cluster as cluster
from .errors import JobError, reason
from .files import UNFINISHED, UNFINISHED_EXPORT, read_json, write_yaml
from .output import METRICS
from .sagemaker_job import job_document

# How many lines of the end of stderr are kept with the reason of a failure.
TAIL = 100


class Folders:
    """The paths below /opt/ml, or below SAGEMAKER_BASE_DIR."""

    def __init__(self, base: Optional[str] = None) -> None:
        self.base = base or os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")

    def __call__(self, *names: str) -> str:
        return os.path.join(self.base, *names)

    def config(self, name: str) -> Optional[Dict[str, Any]]:
        """The content of a JSON file of input/config, None where it is missing."""
        path = self("input", "config", name)
        if not os.path.exists(path):
            return None
        content = read_json(path)
        if not isinstance(content, dict):
            raise JobError(f"{path}: expected an object with keys and values")
        return content


def serve_arguments(folders: Folders) -> List[str]:
    """The command that serves what `train` has left in ``model``."""
    port = os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")
    return ["serve", folders("model"), "--host", "0.0.0.0", "--port", port]


def train(folders: Folders, check: Callable[[], None]) -> int:
    """Trains the job of the hyperparameters; returns the exit status.

    `check` is called first, and its JobError fails the training like any other error: a line in
    ``output/failure`` and a status that is not 0. Stopped by SIGTERM, the training leaves its
    checkpoint and nothing in ``model``, with status 0.
    """
    try:
        check()
        status, failure = _train(folders)
    except JobError as error:
        log.failure(error)
        status, failure = 2, str(error)
    except Exception as error:
        if log.is_json():
            log.bug()
        else:
            traceback.print_exc()
        line = " ".join(f"{type(error).__name__}: {error}".split())
        status, failure = 1, f"{line}\n\n{traceback.format_exc()}"
    if status != 0:
        _write_failure(folders("output", "failure"), failure)
    return status


def _train(folders):
    machines = cluster.read(folders)
    document = job_document(folders)
    if machines.count > 1:
        cluster.distribute(document)
    job_file = folders("output", "data", "job.yaml")
    # A folder of checkpoints is given when the training may move to another machine.
    has_checkpoints = os.path.isdir(folders("checkpoints"))
    output = folders("checkpoints" if has_checkpoints else "model")
    try:
        os.makedirs(os.path.dirname(job_file), exist_ok=True)
    except OSError as error:
        raise JobError(f"{job_file}: cannot be written: {reason(error)}") from None
    write_yaml(job_file, document)
    command = [sys.executable, "-m", "gluon_linalg.jobs", "train", job_file, "--output", output]
    with cluster.servers(machines, command):
        status, failure = _run(command, machines.environment("worker"))
    if status == 0 and has_checkpoints and os.path.exists(os.path.join(output, METRICS)):
        publish(output, folders("model"))
    return status, failure


def _write_failure(path, text):
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        log.failure(f"{path}: cannot be written: {reason(error)}", status=None)


def _run(command, environment):
    """A process that may die in any way; returns its exit status and its last words."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        # Ctrl-C of a terminal would reach it twice.
        start_new_session=True,
    )
    tail: Deque[str] = collections.deque(maxlen=TAIL)
    with _forwarding(process):
        for line in process.stderr or ():
            sys.stderr.write(line)
            sys.stderr.flush()
            tail.append(line.strip())
        status = process.wait()
    lines = [line for line in tail if line]
    if status == interruption.STATUS[signal.SIGTERM]:
        # Here that is how a spot instance is taken away, or StopTrainingJob: no failure.
        return 0, None
    if status < 0:
        killed = f"the training was killed by {signal.Signals(-status).name}"
        hint = " (was there enough memory?)" if -status == signal.SIGKILL else ""
        return 128 - status, "\n\n".join([killed + hint, "\n".join(lines)])
    if not lines:
        return status, f"the training ended with status {status}"
    # A refusal is its last line, and so is what a traceback is about.
    return status, "\n\n".join([_message(lines[-1]), "\n".join(lines)])


def _message(line):
    """What a line of the log says; it is a JSON object where GLUON_LINALG_LOG says so."""
    try:
        return json.loads(line)["message"]
    except (ValueError, KeyError, TypeError):
        return line


@contextlib.contextmanager
def _forwarding(process):
    """Passes the signals that end a container on to the process that does the work."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    earlier = [signal.signal(n, lambda number, _: process.send_signal(number)) for n in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, earlier):
            signal.signal(number, handler)


def publish(finished: str, model: str) -> None:
    """Copies a folder of results; the file that makes it a finished one comes last."""
    names = [n for n in os.listdir(finished) if not n.startswith((UNFINISHED, UNFINISHED_EXPORT))]
    try:
        os.makedirs(model, exist_ok=True)
        for name in sorted(names, key=lambda name: name == METRICS):
            source, target = os.path.join(finished, name), os.path.join(model, name)
            if os.path.isdir(source):
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copyfile(source, target)
    except (OSError, shutil.Error) as error:
        raise JobError(f"{model}: the results cannot be copied: {reason(error)}") from None
