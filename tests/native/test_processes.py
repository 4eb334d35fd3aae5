"""Native operators in several threads of MXNet's engine, and in processes that were forked."""

import os
import subprocess
import sys

import pytest

from gluon_linalg.native import library

PROGRAM = """
import gluon_linalg as gl
import mxnet as mx
import numpy as np

gl.use_backend("native")
random = np.random.RandomState(0)
# Large enough for threads of their own, each.
half = random.normal(size=(12, 400, 6, 6))
matrices = half @ half.transpose(0, 1, 3, 2) + np.eye(6)


def right(number, factor, gradient):
    lower = np.linalg.cholesky(matrices[number])
    np.testing.assert_allclose(factor, lower, rtol=1e-11, atol=1e-12)
    # Of log|A| = 2 Σ log L_ii.
    np.testing.assert_allclose(gradient, np.linalg.inv(matrices[number]), rtol=1e-9, atol=1e-9)


def computed(number):
    a = mx.nd.array(matrices[number], dtype="float64")
    a.attach_grad()
    with mx.autograd.record():
        factor = gl.CholeskyBlock()(a)
        diagonal = mx.nd.linalg.extractdiag(factor)
        loss = (2.0 * mx.nd.log(diagonal)).sum()
    loss.backward()
    return factor, a.grad


def all_at_once():
    # Nothing is waited for before all are under way.
    under_way = [computed(number) for number in range(12)]
    for number, (factor, gradient) in enumerate(under_way):
        right(number, factor.asnumpy(), gradient.asnumpy())


class Factors(mx.gluon.data.Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, number):
        factor, gradient = computed(number)
        return np.array(number), factor.asnumpy(), gradient.asnumpy()


for _ in range(3):
    all_at_once()
loader = mx.gluon.data.DataLoader(Factors(), batch_size=3, num_workers=2)
seen = []
for batch in loader:
    for number, factor, gradient in zip(*(array.asnumpy() for array in batch)):
        right(int(number), factor, gradient)
        seen.append(int(number))
assert sorted(seen) == list(range(12)), seen
all_at_once()
"""


@pytest.mark.skipif(not library.PATH.exists(), reason="the operators were not compiled")
def test_threads_of_the_engine_and_workers_of_a_data_loader():
    threads = {"MXNET_CPU_WORKER_NTHREADS": "4", "OMP_NUM_THREADS": "2"}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **threads}, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
