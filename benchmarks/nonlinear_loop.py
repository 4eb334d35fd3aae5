"""Times and memory of the loop of nonlinear state space layers: the table of docs/state_space.md.

    OMP_NUM_THREADS=1 python -m benchmarks.nonlinear_loop

A likelihood with all gradients in float64, two states, two observations, networks of three and two
hidden units, the unscented rule. Each row is measured in a process of its own: seconds of processor
time of the first call and of later ones, of the value alone, and memory beyond that before it.
"""

import resource
import subprocess
import sys
import time

# (T, B, whether the loop is unrolled).
CASES = [
    (100, 1, False), (100, 16, False), (1000, 1, False), (1000, 16, False),
    (100, 1, True), (100, 16, True), (200, 1, True),
]  # fmt: skip
CALLS = 5


def measure(steps: int, batch: int, is_unrolled: bool) -> None:
    """Prints a row of the table."""
    import numpy as np

    import gluon_linalg as gl

    import mxnet as mx  # isort: skip

    def network(hidden: int) -> mx.gluon.HybridBlock:
        block = mx.gluon.nn.HybridSequential()
        block.add(mx.gluon.nn.Dense(hidden, activation="tanh"), mx.gluon.nn.Dense(2))
        return block

    length = steps if is_unrolled else None
    layer = gl.NonlinearFilterLayer(
        network(3), network(2), 2, 2, rule="unscented", length=length
    )  # fmt: skip
    layer.initialize(mx.init.Normal(0.3))
    layer.cast("float64")
    values = [
        np.random.RandomState(0).randn(batch, steps, 2),
        0.3 * np.eye(2)[None, None],
        0.5 * np.eye(2)[None, None],
        np.zeros((1, 2)),
        np.eye(2)[None],
    ]
    arrays = [mx.nd.array(value, dtype="float64") for value in values]
    layer(*(a[:, :2] if k == 0 and not is_unrolled else a for k, a in enumerate(arrays)))
    layer.hybridize(static_alloc=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def call(has_gradient: bool) -> float:
        begin = time.process_time()
        if has_gradient:
            with mx.autograd.record():
                loss = layer(*arrays)
            loss.backward()
            mx.nd.waitall()
        else:
            layer(*arrays).wait_to_read()
        return time.process_time() - begin

    first = call(True)
    later, alone = (min(call(is_wanted) for _ in range(CALLS)) for is_wanted in (True, False))
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    kind = "unrolled" if is_unrolled else "loop"
    print(
        f"| {kind}, T = {steps}, B = {batch} | {first:.1f} | {later:.2g} | {alone:.2g} "
        f"| {memory:.0f} MB |",
        flush=True,
    )


def main() -> None:
    if len(sys.argv) > 1:
        steps, batch, is_unrolled = map(int, sys.argv[1:])
        measure(steps, batch, bool(is_unrolled))
        return
    print(
        "| | first call | later calls | value alone | memory |\n|---|---|---|---|---|", flush=True
    )
    for case in CASES:
        arguments = [str(int(value)) for value in case]
        subprocess.run([sys.executable, "-m", "benchmarks.nonlinear_loop", *arguments], check=True)


if __name__ == "__main__":
    main()
