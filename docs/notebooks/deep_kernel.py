# %% [markdown]
# # Deep kernel learning, and when to stop
# A network bends the inputs so that a stationary kernel fits. The marginal likelihood that trains
# both keeps the process from overfitting, but not the network: it goes on rising while the bands
# become too narrow. This notebook measures that.

# %%
import gluon_linalg as gl
import matplotlib.pyplot as plt
import mxnet as mx
import numpy as np
from gluon_linalg import kernels

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
random = np.random.RandomState(0)
x = random.uniform(-3, 3, (80, 1))


def truth(x):
    return np.tanh(3 * x) + 0.3 * x


y = truth(x[:, 0]) + 0.1 * random.randn(80)
grid = np.linspace(-3.5, 3.5, 281)
inside = np.abs(grid) <= 3
new = mx.nd.array(grid[None, :, None], dtype="float64")


def deep():
    mx.random.seed(0)
    features = mx.gluon.nn.HybridSequential()
    features.add(mx.gluon.nn.Dense(16, activation="tanh", flatten=False))
    features.add(mx.gluon.nn.Dense(2, flatten=False))
    return kernels.Deep(features, kernels.RBF())


def fitted(kernel, iterations):
    layer = gl.GPLikelihoodLayer(kernel, mean="constant", noise_variance=0.05)
    layer.initialize(mx.init.Xavier())
    layer.cast("float64")
    result = gl.fit(layer, x, y, iterations=iterations)
    mean, variance = (a.asnumpy()[0] for a in layer.condition(x, y)(new))
    covered = np.mean(np.abs(mean - truth(grid))[inside] < 2 * np.sqrt(variance)[inside])
    return result.loss, covered, mean, np.sqrt(variance)


# %%
counts = (5, 10, 20, 30, 50, 100, 200)
runs = {count: fitted(deep(), count) for count in counts}
stationary = fitted(kernels.RBF(), 200)
print(f"RBF: loss {stationary[0]:.1f}, truth inside two deviations on {stationary[1]:.0%}")
for count, (loss, covered, *_) in runs.items():
    print(f"deep, {count:3} iterations: loss {loss:.1f}, inside on {covered:.0%}")

# %% [markdown]
# What to take from it: the deep kernel's likelihood is the higher one, and where there are no data
# it goes on as the network does, sure of itself; the RBF returns to its mean and says that it does
# not know. Stop a deep kernel early, or have more data than its network has weights. The
# likelihood does not tell.

# %%
figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.4), width_ratios=[1, 1, 0.9])
for axis, title, (_, _, mean, deviation) in (
    (axes[0], "RBF", stationary),
    (axes[1], "deep kernel, 30 iterations", runs[30]),
):
    axis.fill_between(grid, mean - 2 * deviation, mean + 2 * deviation, alpha=0.3, lw=0)
    axis.plot(grid, mean)
    axis.plot(grid, truth(grid), "k--", lw=0.8)
    axis.plot(x[:, 0], y, ".", color="0.5", ms=3)
    axis.set_title(title, loc="left", fontsize=10)
axes[2].semilogx(
    counts, [run[1] for run in runs.values()], "o-", label="share inside ± 2 deviations"
)
axes[2].axhline(0.954, color="0.6", lw=1, ls="--")
axes[2].set(ylim=(0, 1.05), xlabel="iterations")
loss = axes[2].twinx()
loss.semilogx(counts, [run[0] for run in runs.values()], "s-", color="C1", ms=4)
loss.set_ylabel("loss", color="C1")
axes[2].set_title("coverage (blue) and loss", loc="left", fontsize=10)
figure.tight_layout()
plt.show()
