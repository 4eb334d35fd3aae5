"""Programs that are started anew for each run."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from ..backend import use

# What is timed is said by the program itself: an interpreter takes time to start.
IMPORT = """
import time
for name in {before}:
    __import__(name)
begin = time.perf_counter()
import {what}
print(time.perf_counter() - begin)
"""


class Import:
    """Seconds that an import takes; that of the package when MXNet is there already."""

    def __init__(self, arrays, what):
        before = [] if what == "mxnet" else ["mxnet"]
        self._code = IMPORT.format(what=what, before=before)

    def run(self):
        said = subprocess.run(
            [sys.executable, "-c", self._code], check=True, stdout=subprocess.PIPE, text=True
        )
        return float(said.stdout.split()[-1])

    def results(self):
        return {"imported": np.ones(1)}


class Job:
    """Seconds that a job trains, as its metrics say; those of all of it are among the figures."""

    def __init__(self, arrays, path, backend):
        use(backend)
        self._path = path
        self._environment = {**os.environ, "GLUON_LINALG_BACKEND": backend}

    def run(self):
        with tempfile.TemporaryDirectory() as folder:
            program = [sys.executable, "-m", "gluon_linalg.jobs", "train", self._path]
            subprocess.run(
                [*program, "--output", folder],
                check=True,
                env=self._environment,
                stdout=subprocess.DEVNULL,
            )
            self._metrics = json.loads((Path(folder) / "metrics.json").read_text())
        return float(self._metrics["training"]["seconds"])

    def results(self):
        return {"nlml": np.array([self._metrics["nlml"]["trained"]])}

    def figures(self):
        return {"iterations": self._metrics["training"]["iterations"]}
