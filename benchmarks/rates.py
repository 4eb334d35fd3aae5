"""What this machine can do at most: rates of products and of copies."""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Dict, NamedTuple

import numpy as np

from . import environments
from .case import HERE, Work
from .process import Process

ORDER, WORDS = 1000, 2**24
# The best of so many seconds of each, since others can only slow them down.
SECONDS = 1.0


class Rates(NamedTuple):
    """Floating point operations and bytes, each read and written, in a second."""

    operations: Dict[str, float]
    bytes: float

    def seconds(self, work: Work, dtype: str) -> float:
        """The least that it can take."""
        return max(work.operations / self.operations[dtype], work.bytes / self.bytes)


class Product:
    """C = A B by the BLAS of NumPy, which need not know this processor."""

    def __init__(self, arrays, dtype):
        self._a = np.random.RandomState(0).randn(ORDER, ORDER).astype(dtype)
        self._c = np.empty_like(self._a)

    def run(self):
        np.dot(self._a, self._a, out=self._c)


class Copy:
    """A long array to another one, in parts, a thread each."""

    def __init__(self, arrays):
        threads = int(os.environ["OMP_NUM_THREADS"])
        parts = zip(*(np.array_split(np.ones(WORDS), threads) for _ in range(2)))
        self._copies = [partial(np.copyto, to, source) for to, source in parts]
        self._pool = ThreadPoolExecutor(threads)

    def run(self):
        for done in [self._pool.submit(copy) for copy in self._copies]:
            done.result()


# Whoever multiplies fastest here has the rate of products.
PRODUCTS = {HERE: f"{__name__}:Product", "torch": "benchmarks.with_torch:Product"}


def measure(threads: int, folder: Path) -> Rates:
    """The rates of so many threads."""
    empty = folder / "empty.npz"
    np.savez(empty)

    def fastest(target, environment=HERE, **options):
        process = Process(environments.python_of(environment, folder), threads)
        try:
            asked = dict(target=target, options=options, inputs=empty, small=None, memory=False)
            process.ask("make", 60, **asked)
            return min(process.ask("time", 60, kind="run", seconds=SECONDS)["seconds"])
        finally:
            process.close()

    def product(dtype):
        seconds = []
        for environment, target in PRODUCTS.items():
            with contextlib.suppress(LookupError):
                seconds.append(fastest(target, environment, dtype=dtype))
        return 2.0 * ORDER**3 / min(seconds)

    return Rates(
        {dtype: product(dtype) for dtype in ("float64", "float32")},
        16.0 * WORDS / fastest(f"{__name__}:Copy"),
    )
