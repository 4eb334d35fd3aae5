"""The SageMaker layout, in a temporary folder instead of /opt/ml."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading

import pytest
import yaml
from docker_files import ROOT
from sagemaker_files import HYPERPARAMETERS, PANEL, PANEL_TABLE, TABLE, write_job

from gluon_linalg.jobs import container, sagemaker, sagemaker_cluster
from gluon_linalg.jobs.errors import JobError
from gluon_linalg.jobs.launch import free_port
from gluon_linalg.jobs.reading import validate
from gluon_linalg.jobs.sagemaker import Folders
from gluon_linalg.jobs.sagemaker_job import job_document

JOB_FILE = """\
task: gp
data: {path: table.csv, inputs: [x], target: y}
model: {kernel: {rbf: {variance: 1, lengthscale: 1}}, noise_variance: 0.1}
"""


@pytest.fixture
def base(tmp_path):
    return tmp_path / "ml"


def document_of(base, *arguments, **options):
    return job_document(Folders(str(write_job(base, *arguments, **options))))


def refusal_of(base, *arguments, **options):
    with pytest.raises(JobError) as refused:
        document_of(base, *arguments, **options)
    return str(refused.value)


def failure_of(base):
    return (base / "output" / "failure").read_text().splitlines()


# The job


def test_dotted_hyperparameters_become_sections(base):
    assert document_of(base) == {
        "task": "gp",
        "data": {
            "inputs": ["x"],
            "target": "y",
            "path": str(base / "input" / "data" / "train" / "table.csv"),
        },
        # Text: each key of a job reads its own value.
        "model": {
            "kernel": {"rbf": {"variance": "1", "lengthscale": "1"}},
            "noise_variance": "0.1",
        },
        "training": {"iterations": "20"},
    }


def test_values_that_are_not_text_and_quoted_ones_are_taken(base):
    more = {"model.noise_variance": 0.5, "data.target": '"y"', "model.mean": None}
    document = document_of(base, more)
    assert document["model"]["noise_variance"] == 0.5
    assert document["data"]["target"] == "y"


@pytest.mark.parametrize("name", ["job.yaml", "config/job.yaml", '"job.yaml"'])
def test_a_job_file_in_a_channel(base, name):
    job = {**dict.fromkeys(HYPERPARAMETERS), "job": name, "model.noise_variance": "0.3"}
    tables = {"config/job.yaml": JOB_FILE, "train/table.csv": TABLE}
    document = document_of(base, job, tables)
    assert document["data"]["path"] == str(base / "input" / "data" / "train" / "table.csv")
    assert document["model"]["noise_variance"] == "0.3"


def test_a_table_beside_the_job_file_comes_first(base):
    job = {**dict.fromkeys(HYPERPARAMETERS), "job": "job.yaml"}
    tables = {"a/job.yaml": JOB_FILE, "a/table.csv": TABLE, "b/table.csv": TABLE}
    path = document_of(base, job, tables)["data"]["path"]
    assert path == str(base / "input" / "data" / "a" / "table.csv")


@pytest.mark.parametrize("text", [JOB_FILE, '{"task": "pca", "data": {"columns": ["x"]}}'])
def test_the_text_of_a_job_file(base, text):
    document = document_of(base, {**dict.fromkeys(HYPERPARAMETERS), "job": text})
    assert document["task"] == yaml.safe_load(text)["task"]
    assert document["data"]["path"].endswith("train/table.csv")


@pytest.mark.parametrize(
    "hyperparameters, tables, words",
    [
        ({"data.path": "b/table.csv"}, None, "no channel has the file 'b/table.csv'; did you mean"),
        ({"data.path": "table.csv"}, {"a/table.csv": "", "b/table.csv": ""}, "in several channels"),
        ({}, {"a/x.csv": "", "a/y.csv": ""}, "data.path: expected one of a/x.csv, a/y.csv"),
        ({}, {}, "no channel has one"),
        ({"model": "x", "model.mean": "zero"}, None, "model.mean: model is no section"),
        ({"model.mean": "[zero"}, None, "model.mean: not YAML"),
        ({"job": "nojob.yaml"}, None, "hyperparameter job: no channel has the file 'nojob.yaml'"),
        ({"job": "a: ["}, None, "job: not YAML"),
        (
            {"data.path": "a"},
            {"a/x.csv": "", "a/y.csv": ""},
            "data.path: the folder 'a' has 2 files, expected one; name one of them: a/x.csv, a/y",
        ),
        (
            {"data.path": "a"},
            {"a/.hidden": "", "b/y.csv": ""},
            "data.path: the folder 'a' has 0 files, expected one; put a table there",
        ),
    ],
)
def test_what_does_not_fit_is_refused(base, hyperparameters, tables, words):
    assert words in refusal_of(base, hyperparameters, tables)


@pytest.mark.parametrize("name", ["train", "train/", "/train"])
def test_a_channel_by_its_name(base, name):
    """Its only table, or for a forecast job the folder."""
    root = base / "input" / "data"
    name = f"{root}/train" if name == "/train" else name
    tables = {"train/x.csv": TABLE, "validation/x.csv": TABLE, "train/.hidden": ""}
    document = document_of(base, {"data.path": name}, tables)
    assert document["data"]["path"] == str(root / "train" / "x.csv")
    shutil.rmtree(base)
    several = {"data.path": name, "task": "forecast"}
    document = document_of(base, several, {**tables, "train/y.csv": TABLE})
    assert document["data"]["path"] == str(root / "train")
    del several["data.path"], tables["validation/x.csv"]
    shutil.rmtree(base)
    document = document_of(base, several, {**tables, "train/y.csv": TABLE})
    assert document["data"]["path"] == str(root / "train")


def test_channels_are_those_of_the_configuration(base):
    config = {"train": {"TrainingInputMode": "File"}}
    tables = {"train/table.csv": TABLE, "other/x.csv": ""}
    path = document_of(base, tables=tables, inputdataconfig=config)["data"]["path"]
    assert path.endswith("train/table.csv")
    config = {"train": {"TrainingInputMode": "Pipe"}}
    assert "channel train: its input mode is Pipe" in refusal_of(base, inputdataconfig=config)
    assert "there is no folder" in refusal_of(base, inputdataconfig={"validation": {}})


@pytest.mark.parametrize("text", ["", "[]", "{", "1"])
def test_hyperparameters_that_are_none(base, text):
    write_job(base)
    (base / "input" / "config" / "hyperparameters.json").write_text(text)
    with pytest.raises(JobError, match="hyperparameters.json"):
        job_document(Folders(str(base)))
    (base / "input" / "config" / "hyperparameters.json").unlink()
    with pytest.raises(JobError, match="hyperparameters.json: there is no such file"):
        job_document(Folders(str(base)))


def test_the_example_of_the_documentation(base):
    text = (ROOT / "docs" / "containers.md").read_text()
    (example,) = re.findall(r"<<'EOF'\n(.*?)\nEOF", text, re.DOTALL)
    table = (ROOT / "examples" / "data" / "co2_monthly.csv").read_text()
    tables = {"train/co2_monthly.csv": table}
    hyperparameters = {**dict.fromkeys(HYPERPARAMETERS), **json.loads(example)}
    document = document_of(base, hyperparameters, tables)
    job = validate("job", {**document, "output": "out"})
    assert job.data.holdout.last == 60 and job.training.iterations == 50


# The training


def nothing():
    """A check that finds nothing to refuse."""


def test_checkpoints_stay_apart_and_the_finished_model_is_copied(base, monkeypatch):
    write_job(base)
    (base / "checkpoints").mkdir()
    folders = Folders(str(base))
    assert sagemaker.train(folders, nothing) == 0
    names = set(os.listdir(base / "model"))
    assert names == set(os.listdir(base / "checkpoints"))
    assert {"metrics.json", "model-symbol.json", "checkpoint.params"} < names
    assert not (base / "output" / "failure").exists()


def test_a_training_that_was_stopped_leaves_no_model(base, monkeypatch):
    write_job(base)
    (base / "checkpoints").mkdir()
    (base / "checkpoints" / "checkpoint.params").write_text("half")
    monkeypatch.setattr(sagemaker, "_run", lambda *_: (0, None))
    assert sagemaker.train(Folders(str(base)), nothing) == 0
    assert os.listdir(base / "model") == []


def test_the_reason_of_a_failure_is_its_first_line(base, capsys):
    write_job(base, {"model.noise_variance": "much"})
    assert sagemaker.train(Folders(str(base)), nothing) == 2
    first = failure_of(base)[0]
    assert "model.noise_variance: 'much': expected a number" in first
    assert first in capsys.readouterr().err
    assert os.listdir(base / "model") == []


def test_a_gpu_that_cannot_be_used_fails_the_training(base):
    def check():
        raise JobError("gpu(0): no machine code")

    write_job(base)
    assert sagemaker.train(Folders(str(base)), check) == 2
    assert failure_of(base) == ["gpu(0): no machine code"]


def test_a_bug_is_reported_with_its_traceback(base, monkeypatch):
    def broken(_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(sagemaker, "job_document", broken)
    assert sagemaker.train(Folders(str(write_job(base))), nothing) == 1
    lines = failure_of(base)
    assert lines[0] == "RuntimeError: a bug"
    assert "Traceback (most recent call last):" in lines


def run_code(code):
    return sagemaker._run([sys.executable, "-c", code], {})


def test_a_killed_process_is_said_to_be(capsys):
    code = "import os, sys; print('so far', file=sys.stderr, flush=True); os.kill(os.getpid(), 9)"
    status, failure = run_code(code)
    assert status == 137
    assert failure == "the training was killed by SIGKILL (was there enough memory?)\n\nso far"
    assert capsys.readouterr().err == "so far\n"


def test_the_message_of_a_json_line_is_the_reason():
    line = '{"event": "failed", "message": "no such column"}'
    status, failure = run_code(f"import sys; print('{line}', file=sys.stderr); sys.exit(2)")
    assert status == 2
    assert failure.splitlines()[0] == "no such column"
    assert run_code("import sys; sys.exit(3)") == (3, "the training ended with status 3")


def test_sigterm_reaches_the_process_that_works():
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit('saved'))\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "time.sleep(30)"
    )
    status, failure = run_code(code)
    assert (status, failure.splitlines()[0]) == (1, "saved")


def test_a_training_that_was_stopped_is_no_failure():
    """A spot instance is taken away: a status other than 0 would be a failed training."""
    assert run_code("import sys; sys.exit(143)") == (0, None)


def test_signals_are_not_touched_outside_of_the_main_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(run_code("pass")))
    thread.start()
    thread.join()
    assert found[0][0] == 0


def test_a_full_disk_is_reported(tmp_path, monkeypatch):
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "metrics.json").write_text("{}")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sagemaker.shutil, "copyfile", full)
    with pytest.raises(JobError, match="cannot be copied: No space left on device"):
        sagemaker.publish(str(tmp_path / "done"), str(tmp_path / "model"))


def test_metrics_are_copied_last_and_scratch_files_never(tmp_path, monkeypatch):
    done = tmp_path / "done"
    (done / "tensorboard").mkdir(parents=True)
    (done / ".writing-x").mkdir()
    for name in ("metrics.json", "model-symbol.json", "a.csv", "z.csv", "tensorboard/events"):
        (done / name).write_text(name)
    copied, copy = [], shutil.copyfile

    def record(source, target, **options):
        copied.append(os.path.basename(source))
        return copy(source, target, **options)

    monkeypatch.setattr(sagemaker.shutil, "copyfile", record)
    sagemaker.publish(str(done), str(tmp_path / "model"))
    assert copied[-1] == "metrics.json"
    assert (tmp_path / "model" / "tensorboard" / "events").read_text() == "tensorboard/events"
    assert not (tmp_path / "model" / ".writing-x").exists()


def test_serve_alone_serves_the_model(monkeypatch):
    folders = Folders()
    command = ["serve", "/opt/ml/model", "--host", "0.0.0.0", "--port"]
    assert sagemaker.serve_arguments(folders) == [*command, "8080"]
    monkeypatch.setenv("SAGEMAKER_BIND_TO_PORT", "9000")
    assert sagemaker.serve_arguments(folders) == [*command, "9000"]


def test_the_container_refuses_before_the_command_runs(monkeypatch, capsys):
    def refuse():
        raise JobError("gpu(0): no machine code")

    monkeypatch.setattr(container, "introduce", refuse)
    monkeypatch.setattr(container, "run_command", lambda _: pytest.fail("must not run"))
    with pytest.raises(SystemExit) as ended:
        container.main(["train", "job.yaml"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "gpu(0): no machine code\n"


# Several machines


def machines(base, current="algo-2", hosts=("algo-2", "algo-1"), **more):
    config = {"current_host": current, "hosts": list(hosts), **more}
    return sagemaker_cluster.read(Folders(str(write_job(base, resourceconfig=config))))


def test_one_machine_needs_no_variables(base):
    for one in (machines(base, "algo-1", ["algo-1"]), machines(base / "none", "a", ["a"])):
        assert one.count == 1
        assert one.environment("worker") == {}
    with sagemaker_cluster.servers(one, ["no such command"]):
        pass


def test_all_machines_agree_on_the_first(base, monkeypatch):
    monkeypatch.delenv("DMLC_PS_ROOT_PORT", raising=False)
    expected = {
        "DMLC_ROLE": "worker",
        "DMLC_PS_ROOT_URI": "algo-1",
        "DMLC_PS_ROOT_PORT": "9091",
        "DMLC_NUM_SERVER": "1",
        "DMLC_NUM_WORKER": "2",
        "DMLC_INTERFACE": "eth0",
    }
    second = machines(base, network_interface_name="eth0")
    assert second.environment("worker") == expected
    # Only the first starts a scheduler and a server.
    with sagemaker_cluster.servers(second, ["no such command"]):
        pass
    first = machines(base, "algo-1")
    with pytest.raises(FileNotFoundError), sagemaker_cluster.servers(first, ["no such command"]):
        pass


def test_a_machine_that_is_not_in_the_list(base):
    with pytest.raises(JobError, match="algo-3 is not among the hosts algo-1, algo-2"):
        machines(base, "algo-3")


def test_the_job_of_several_machines_is_a_distributed_one():
    document = {"task": "gp"}
    sagemaker_cluster.distribute(document)
    assert document["training"] == {"kvstore": "dist_sync"}
    sagemaker_cluster.distribute(document)
    with pytest.raises(JobError, match="task: pca is computed by one machine"):
        sagemaker_cluster.distribute({"task": "pca"})


@pytest.mark.slow
def test_two_machines_train_together(tmp_path):
    # Two names of this machine; each has a /opt/ml of its own.
    hosts = ["127.0.0.1", "localhost"]
    port = str(free_port())
    processes = []
    for host in hosts:
        config = {"current_host": host, "hosts": hosts, "network_interface_name": "lo"}
        base = write_job(tmp_path / host, PANEL, {"train/panel.csv": PANEL_TABLE},
                         resourceconfig=config)  # fmt: skip
        (base / "checkpoints").mkdir()
        variables = {"SAGEMAKER_BASE_DIR": str(base), "DMLC_PS_ROOT_PORT": port}
        command = [sys.executable, "-m", "gluon_linalg.jobs.container", "train"]
        processes.append(
            subprocess.Popen(
                command, env={**os.environ, **variables}, stderr=subprocess.PIPE, text=True
            )
        )
    errors = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    # The worker of rank 0 writes, whichever that is.
    models = [host for host in hosts if (tmp_path / host / "model" / "metrics.json").exists()]
    assert len(models) == 1, errors
