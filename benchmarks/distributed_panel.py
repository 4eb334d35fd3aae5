"""Loss and wall time of one training job on several workers and devices of this machine.

    pip install ".[cpu,jobs]"
    python benchmarks/distributed_panel.py

64 monthly series of 10 to 20 years with missing months; a trend and a season, whose variances all
series share, by L-BFGS. The processes compute in one thread each, as they would on machines of
their own. `wall` includes start and export, `training` is what metrics.json has.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def write_job(folder, iterations):
    random = np.random.RandomState(0)
    rows = ["name,month,y"]
    for series in range(64):
        count = random.randint(120, 241)
        level = np.cumsum(random.randn(count))
        y = level + 3 * np.sin(2 * np.pi * np.arange(count) / 12) + random.randn(count)
        rows += [
            f"s{series},{2000 + t // 12}-{1 + t % 12:02d},{y[t]:.4f}"
            for t in range(count)
            if random.rand() > 0.05
        ]
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    job = {
        "task": "statespace",
        "data": {
            "path": "table.csv",
            "series": "name",
            "time": "month",
            "step": "month",
            "target": "y",
        },
        "model": {"components": [{"trend": {}}, {"seasonal": {"period": 12}}]},
        "forecast": {"steps": 12},
        "training": {"iterations": iterations, "checkpoint_every": 1000},
        "output": "out",
    }
    (folder / "job.json").write_text(json.dumps(job))


def run(folder, name, before=(), after=()):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "gluon_linalg.jobs", *before, "train", "job.json", *after]
    started = time.monotonic()
    subprocess.run(
        [*command, "--output", name],
        cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wall = time.monotonic() - started
    metrics = json.loads((folder / name / "metrics.json").read_text())
    loss, seconds = metrics["nlml"]["trained"], metrics["training"]["seconds"]
    iterations = metrics["training"]["iterations"]
    return f"| {name} | {loss:.10f} | {iterations} | {seconds:.1f} | {wall:.1f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=30)
    arguments = parser.parse_args()
    print("| | loss | iterations | training, s | wall, s |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_job(folder, arguments.iterations)
        print(run(folder, "1 process"), flush=True)
        print(run(folder, "1 process, 2 devices", after=["--devices", "cpu(0),cpu(1)"]), flush=True)
        for count in (1, 2, 4):
            launch = ["launch", "--workers", str(count), "--"]
            print(run(folder, f"{count} workers", launch, ["--kvstore", "dist_sync"]), flush=True)


if __name__ == "__main__":
    main()
