"""A job that trains in a moment."""

import copy
import math
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# Of programs that run in another folder than this one.
PYTHONPATH = os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])

TABLE = "x,z,y\n" + "".join(
    f"{0.25 * i},{(i * 7) % 5},{math.sin(1.3 * i / 4) + 0.05 * ((i * 13) % 7 - 3):.4f}\n"
    for i in range(16)
)
JOB = {
    "task": "gp",
    "data": {"path": "table.csv", "inputs": ["x"], "target": "y"},
    "model": {"kernel": {"rbf": {"variance": 1, "lengthscale": 1}}, "noise_variance": 0.1},
    "training": {"optimizer": "lbfgs", "iterations": 60},
    "output": "out",
}


def changed(job, changes):
    """A copy of `job` with the values at dotted keys replaced, or removed where they are `...`."""
    job = copy.deepcopy(job)
    for path, value in changes.items():
        *parents, last = path.split(".")
        part = job
        for key in parents:
            part = part.setdefault(key, {})
        if value is ...:
            del part[last]
        else:
            part[last] = value
    return job


def sketch_pictures(patch):
    """Pictures are put together but not drawn, which takes longer than a small job."""
    patch.setattr("matplotlib.figure.Figure.savefig", _sketch)


def _sketch(figure, path, **options):
    Path(path).write_text("a picture that was not drawn\n")
