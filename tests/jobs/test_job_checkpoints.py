"""A run that is stopped, killed, or out of disk ends as if nothing had happened."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time

import mxnet as mx
import pytest
import yaml
from small_disk import limit_files
from small_job import JOB, PYTHONPATH, TABLE, changed
from small_serving import small, write_tables

from gluon_linalg.jobs import commands, interruption
from gluon_linalg.jobs.kinds import NAMES, kind_of
from gluon_linalg.jobs.reading import read_job
from gluon_linalg.jobs.state import TrainingState
from gluon_linalg.jobs.train import train

COMMAND = "from gluon_linalg.jobs.cli import main; main()"
KILLED = (
    """
import os, signal
from gluon_linalg.jobs.state import TrainingState
advance = TrainingState.advance
def advance_and_die(self, loss):
    advance(self, loss)
    if self.iteration == {end}:
        os.kill(os.getpid(), signal.SIGKILL)
TrainingState.advance = advance_and_die
"""
    + COMMAND
)
ADAM = {"training.optimizer": "adam", "training.learning_rate": 0.05}
# What continues: a search without end, and an optimizer with a state and random numbers.
LBFGS = {"training.tolerance": 0, "training.gradient_tolerance": 0}
SGLD = {"training.optimizer": "sgld", "training.learning_rate": 1e-4, "model.mean": "linear"}
JOBS = {"lbfgs": LBFGS, "adam": ADAM, "sgld": SGLD}
# Of a finished job; what else there is has times in it.
MODEL_FILES = ("model-0000.params", "model-symbol.json", "model-io.json")


def start(workspace, command=COMMAND, output="out", **options):
    command = [sys.executable, "-c", command, "train", "job.yaml", "--output", output]
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=workspace, env=environment, text=True, stderr=subprocess.PIPE,
        stdout=subprocess.PIPE, **options,
    )  # fmt: skip


def finish(workspace, **options):
    process = start(workspace, **options)
    _, err = process.communicate()
    assert process.returncode == 0, err
    return process


def model(folder):
    return {name: (folder / name).read_bytes() for name in MODEL_FILES}


def curve(folder):
    """Iterations and losses, without the times."""
    rows = (folder / "training_curve.csv").read_text().splitlines()
    return [row.split(",")[::2] for row in rows]


def iterations(folder):
    return int(mx.nd.load(str(folder / "checkpoint.params"))["progress:iteration"].asscalar())


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("name", JOBS)
def test_a_signal_saves_and_ends(run, write_job, workspace, monkeypatch, name, number, status):
    changes = {**JOBS[name], "training.iterations": 20, "training.checkpoint_every": 1000}
    run("train", write_job({**changes, "output": "whole"}))
    advance = TrainingState.advance

    def advance_and_signal(self, loss):
        advance(self, loss)
        if self.iteration == 5:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(TrainingState, "advance", advance_and_signal)
    ended, out, err = run("train", write_job(changes))
    assert (ended, out) == (status, "")
    # The evaluation that comes next, of which a step of lbfgs may need several, is the last.
    assert iterations(workspace / "out") == (5 if name == "lbfgs" else 6)
    what = "interrupted" if status == 130 else "stopped by SIGTERM"
    assert err.startswith(f"{what} after iteration") and err.count("\n") == 1
    assert not (workspace / "out" / "metrics.json").exists()
    monkeypatch.setattr(TrainingState, "advance", advance)
    assert run("train", write_job(changes))[0] == 0
    assert model(workspace / "out") == model(workspace / "whole")
    assert curve(workspace / "out") == curve(workspace / "whole")


@pytest.mark.parametrize("task", [*NAMES, "standardized"])
def test_names_are_those_of_the_job(tmp_path, monkeypatch, task):
    """Not of what the process made before; nor, where there are steps, of where it was stopped."""
    write_tables(tmp_path)
    train(small(task, tmp_path, 3, "whole"), show_bar=False)
    if task == "standardized" or kind_of(task).has_training:
        advance = TrainingState.advance

        def advance_and_signal(self, loss):
            advance(self, loss)
            if self.iteration == 1:
                os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(TrainingState, "advance", advance_and_signal)
        with interruption.listen(), pytest.raises(interruption.Interrupted):
            train(small(task, tmp_path, 3), show_bar=False)
        monkeypatch.setattr(TrainingState, "advance", advance)
        assert (tmp_path / task / "checkpoint.params").exists()
    train(small(task, tmp_path, 3), show_bar=False)
    whole = exported(tmp_path / "whole")
    assert len(whole) >= 3 and exported(tmp_path / task) == whole


def exported(folder):
    """The files of the model, or of the predictor of GluonTS, by their names."""
    paths = [folder / name for name in MODEL_FILES]
    paths += [path for path in (folder / "predictor").glob("*")]
    return {path.name: path.read_bytes() for path in paths if path.exists()}


def kill_at_random(workspace, name, seed, kills):
    """Trains with as many kills as come before the end; returns how many came."""
    generator = random.Random(seed)
    # Less than a start takes, or a job that is killed each time would never get on.
    longest = 2.0
    for count in range(kills):
        process = start(workspace, output=name)
        time.sleep(generator.uniform(0.2, 1.0) * longest)
        if process.poll() is not None:
            assert process.returncode == 0, process.stderr.read()
            return count
        process.kill()
        process.communicate()
        longest *= 1.1
    finish(workspace, output=name)
    return kills


def prepare(workspace, name, iterations):
    """The files of a job, and in the folder whole what it comes to."""
    changes = {**JOBS[name], "training.iterations": iterations, "training.checkpoint_every": 3}
    (workspace / "table.csv").write_text(TABLE)
    (workspace / "job.yaml").write_text(yaml.safe_dump(changed(JOB, changes)))
    job = read_job(str(workspace / "job.yaml"), {"output": str(workspace / "whole")})
    train(job, show_bar=False)


@pytest.mark.parametrize("name, ends", [("lbfgs", [10]), ("sgld", [23])])
def test_a_killed_job_ends_with_the_same_model(tmp_path, name, ends):
    prepare(tmp_path, name, iterations=40)
    for end in ends:
        process = start(tmp_path, KILLED.format(end=end))
        _, err = process.communicate()
        assert process.returncode == -signal.SIGKILL, err
        assert end - 3 <= iterations(tmp_path / "out") <= end
    finish(tmp_path)
    assert model(tmp_path / "out") == model(tmp_path / "whole")
    assert curve(tmp_path / "out") == curve(tmp_path / "whole")
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_twenty_kills(tmp_path, name):
    """Each at a moment of its own, of a run that begins anew."""
    prepare(tmp_path, name, iterations=400)
    whole = model(tmp_path / "whole")
    came = [kill_at_random(tmp_path, f"out{seed}", seed, kills=1) for seed in range(20)]
    assert all(model(tmp_path / f"out{seed}") == whole for seed in range(20))
    assert sum(came) >= 15


@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_the_last_checkpoint(tmp_path):
    prepare(tmp_path, "lbfgs", iterations=40)
    last = iterations(tmp_path / "whole")
    # A checkpoint grows with each iteration.
    room = (tmp_path / "whole" / "checkpoint.params").stat().st_size * 3 // 4
    process = start(tmp_path, preexec_fn=limit_files(room))
    _, err = process.communicate()
    assert process.returncode == 2
    assert err.count("\n") == 1 and "checkpoint.params: cannot be written" in err
    assert 0 < iterations(tmp_path / "out") < last
    finish(tmp_path)
    assert model(tmp_path / "out") == model(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("options, what", [("size=40k", "the disk is full"), ("ro", "read-only")])
def test_a_real_disk(tmp_path, options, what):
    """As root, in a mount namespace of its own."""
    prepare(tmp_path, "adam", iterations=40)
    (tmp_path / "out").mkdir()
    command = f"mount -t tmpfs -o {options} tmpfs out && exec {sys.executable} -c '{COMMAND}' "
    process = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command + "train job.yaml --output out"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": PYTHONPATH}, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 2, process.stderr
    assert process.stderr.count("\n") == 1, process.stderr
    print(process.stderr)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_after_the_results_is_too_late(run, write_job, monkeypatch, number):
    """As when all containers of a training are stopped because the first of them has ended."""
    handler = signal.getsignal(number)

    def signal_and_sum_up(metrics):
        os.kill(os.getpid(), number)
        return ["summary"]

    kind = dataclasses.replace(kind_of("gp"), summary=signal_and_sum_up)
    monkeypatch.setattr(commands, "kind_of", lambda task: kind)
    status, out, err = run("train", write_job({"training.iterations": 2}))
    assert (status, err) == (0, "")
    assert out.startswith("summary\nresults in")
    assert signal.getsignal(number) == handler
