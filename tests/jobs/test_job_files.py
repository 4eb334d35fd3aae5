"""Files are written whole or not at all, and hold no pickle."""

import json
import os
import pickletools
import subprocess
import sys
import time
from pathlib import Path

import mxnet as mx
import pytest
from small_disk import ignore_limit, limit_files
from small_job import PYTHONPATH

from gluon_linalg.jobs import files
from gluon_linalg.jobs.errors import JobError

# Writes the same names over and over, each time one letter or number throughout.
WRITER = """
import sys
from gluon_linalg.jobs import files
import mxnet as mx
print("ready", flush=True)
turn = 0
while True:
    turn += 1
    files.write_json(sys.argv[1] + "/value.json", [turn] * 200000)
    files.write_arrays(sys.argv[1] + "/value.params", {"a": mx.nd.full((300000,), turn)})
"""


def start(code, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        **options,
    )


@pytest.mark.parametrize(
    "delay", [0.13, *(pytest.param(delay, marks=pytest.mark.slow) for delay in (0.05, 0.21, 0.34))]
)
def test_a_killed_writer_leaves_whole_files(tmp_path, delay):
    process = start(WRITER, tmp_path)
    assert process.stdout.readline() == "ready\n"
    while not (tmp_path / "value.params").exists():
        time.sleep(0.01)
    time.sleep(delay)
    process.kill()
    process.communicate()
    values = json.loads((tmp_path / "value.json").read_text())
    assert len(values) == 200000 and len(set(values)) == 1
    array = mx.nd.load(str(tmp_path / "value.params"))["a"].asnumpy()
    assert array.shape == (300000,) and (array == array[0]).all()
    files.remove_unfinished(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"value.json", "value.params"}


def test_a_failing_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "value.json"
    files.write_json(path, [1])
    with pytest.raises(TypeError):
        files.write_json(path, [2, object()])
    assert json.loads(path.read_text()) == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_gone_is_reported(tmp_path):
    with pytest.raises(JobError, match="cannot be written: No such file or directory"):
        files.write_json(tmp_path / "no" / "value.json", [1])


def test_arrays_on_a_full_disk(tmp_path):
    """MXNet writes small files when it closes them, and looks at no error then."""
    code = (
        "import sys; from gluon_linalg.jobs import files; mx = files.mx\n"
        "from gluon_linalg.jobs.errors import JobError\n"
        "for count in (100, 300, 100000):\n"
        "    try: files.write_arrays(sys.argv[1], {'a': mx.nd.zeros((count,))})\n"
        "    except JobError as error: print(error)"
    )
    process = start(code, tmp_path / "a.params", preexec_fn=limit_files(300))
    out, err = process.communicate()
    assert out.count("a.params: cannot be written") == 3, err
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(write_job, workspace):
    code = (
        "import resource, sys; from gluon_linalg.jobs.cli import main\n"
        "for limit in sys.argv[1:]:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))\n"
        "    try: main(['train', 'job.yaml', '--output', f'out{limit}'])\n"
        "    except SystemExit as ended: print(ended.code)"
    )
    write_job()
    limits = [20000, 4000, 2000, 100]
    process = start(code, *limits, preexec_fn=ignore_limit, cwd=str(workspace))
    out, err = process.communicate()
    assert out.split() == ["2"] * len(limits), err
    assert err.count("\n") == err.count("cannot be written") == len(limits), err
    for limit in limits:
        assert not list(workspace.glob(f"out{limit}/.*"))
        assert not (workspace / f"out{limit}" / "metrics.json").exists()


def test_no_file_is_a_pickle(run, write_job, workspace):
    run("train", write_job({"training.optimizer": "adam", "training.iterations": 3}))
    for path in filter(Path.is_file, (workspace / "out").rglob("*")):
        with pytest.raises(ValueError):
            list(pickletools.genops(path.read_bytes()))
