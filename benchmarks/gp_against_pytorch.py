"""Value and all gradients of an ARD-RBF Gaussian process, against a plain PyTorch Cholesky.

    pip install ".[cpu]" torch && OMP_NUM_THREADS=2 python benchmarks/gp_against_pytorch.py

Both compute the negative log marginal likelihood and its gradient with respect to five
lengthscales, the variance and the noise variance (stored as logarithms). Results are compared
first; then the two take turns, and the ratio of the medians is printed.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "2")

import mxnet as mx  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

import gluon_linalg as gl  # noqa: E402

COLUMNS = 5
LENGTHSCALE, VARIANCE, NOISE = 1.35, 1.0, 0.05


def data(n):
    random = np.random.RandomState(0)
    x = 3.0 * random.rand(n, COLUMNS)
    return x, np.sin(x.sum(axis=1)) + 0.1 * random.randn(n)


def ours(x, y, dtype):
    kernel = gl.kernels.RBF(VARIANCE, np.full(COLUMNS, LENGTHSCALE))
    layer = gl.GPLikelihoodLayer(kernel, noise_variance=NOISE)
    layer.initialize()
    layer.cast(dtype)
    layer.hybridize(static_alloc=True, static_shape=True)
    x, y = mx.nd.array(x[None], dtype=dtype), mx.nd.array(y[None], dtype=dtype)
    parameters = [kernel.lengthscale, kernel.variance, layer.noise_variance]

    def run():
        with mx.autograd.record():
            loss = layer(x, y)
        loss.backward()
        return loss.asscalar(), np.concatenate([p.grad().asnumpy() for p in parameters])

    return run


def pytorch(x, y, dtype):
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    dtype = getattr(torch, dtype)
    x, y = torch.tensor(x, dtype=dtype), torch.tensor(y, dtype=dtype)
    log_lengthscale = torch.full((COLUMNS,), np.log(LENGTHSCALE), dtype=dtype, requires_grad=True)
    log_variance = torch.full((1,), np.log(VARIANCE), dtype=dtype, requires_grad=True)
    log_noise = torch.full((1,), np.log(NOISE), dtype=dtype, requires_grad=True)
    parameters = [log_lengthscale, log_variance, log_noise]
    identity = torch.eye(len(x), dtype=dtype)

    def run():
        for parameter in parameters:
            parameter.grad = None
        scaled = x / torch.exp(log_lengthscale)
        norms = (scaled * scaled).sum(-1)
        squared = (norms[:, None] + norms[None, :] - 2 * scaled @ scaled.T).clamp_min(0)
        kernel = torch.exp(log_variance) * torch.exp(-0.5 * squared)
        factor = torch.linalg.cholesky(kernel + torch.exp(log_noise) * identity)
        whitened = torch.linalg.solve_triangular(factor, y[:, None], upper=False)
        loss = (
            0.5 * (whitened**2).sum()
            + torch.log(torch.diagonal(factor)).sum()
            + 0.5 * len(x) * np.log(2 * np.pi)
        )
        loss.backward()
        return loss.item(), torch.cat([p.grad for p in parameters]).numpy()

    return run


def compare(n, dtype, repeats):
    x, y = data(n)
    runs = {"ours": ours(x, y, dtype), "pytorch": pytorch(x, y, dtype)}
    results = {name: run() for name, run in runs.items()}
    tolerance = 1e-8 if dtype == "float64" else 2e-3
    np.testing.assert_allclose(results["ours"][0], results["pytorch"][0], rtol=tolerance)
    scale = np.abs(results["pytorch"][1]).max()
    np.testing.assert_allclose(
        results["ours"][1], results["pytorch"][1], atol=tolerance * scale, rtol=0
    )
    times = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    print("| dtype | n | ours, ms | PyTorch, ms | ratio |")
    print("|---|---|---|---|---|")
    for dtype in ("float64", "float32"):
        for n in (1000, 2000):
            median = compare(n, dtype, arguments.repeats)
            a, b = 1e3 * median["ours"], 1e3 * median["pytorch"]
            print(f"| {dtype} | {n} | {a:.1f} | {b:.1f} | {a / b:.3f} |", flush=True)


if __name__ == "__main__":
    main()
