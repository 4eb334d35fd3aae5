"""What the processes of test_distributed.py run: each prints what it has got from the others."""

import json
import sys

import numpy as np

from gluon_linalg.jobs.workers import Workers

ROUNDS = 60
WORKERS = 3


def vector(rank, turn):
    """Numbers of all sizes; float32 holds none of them."""
    generator = np.random.RandomState(1000 * rank + turn)
    values = generator.randn(50) * 10.0 ** generator.randint(-300, 300, size=50)
    values[:4] = [np.inf, np.nan, -0.0, 5e-324] if rank == turn % WORKERS else 0.0
    return values


def main():
    workers = Workers()
    wrong = 0
    for turn in range(ROUNDS):
        expected = np.sum([vector(rank, turn) for rank in range(workers.count)], axis=0)
        found = workers.sum(vector(workers.rank, turn))
        wrong += found.tobytes() != expected.tobytes()
    content = workers.broadcast(bytes(range(256)) * 3 if workers.rank == 0 else None)
    right = content == bytes(range(256)) * 3 and workers.broadcast(b"") == b""
    with open(f"{sys.argv[1]}/{workers.rank}.json", "w") as file:
        json.dump({"wrong": wrong, "right": right, "count": workers.count}, file)
    workers.close()


main()
