# %% [markdown]
# # Gaussian process: the marathon at the Olympics
# The first of the three examples of *Auto-Differentiating Linear Algebra* (Seeger et al. 2017,
# section 2.1): hyperparameters of a Gaussian process by the gradient of
#
#     φ = -log N(y | 0, K + noise_variance I) = ½ (|z|² + n log 2π) + log |L|,   z = L⁻¹ y
#
# on the winning pace of 27 marathons.

# %%
import gluon_linalg as gl
import matplotlib.pyplot as plt
import mxnet as mx
import numpy as np
import pandas as pd
from gluon_linalg import kernels, likelihoods

plt.rcParams.update(
    {"figure.figsize": (8, 4), "axes.spines.top": False, "axes.spines.right": False}
)
data = pd.read_csv("../../examples/data/olympic_marathon.csv")
year, pace = data.year.to_numpy(float), data.pace_min_per_km.to_numpy()
x = (year[:, None] - 1956) / 20
y = (pace - pace.mean()) / pace.std()

# %% [markdown]
# In the package's terms the two lines of the equation are one layer. Its value is that of the
# equation in NumPy:

# %%
layer = gl.GPLikelihoodLayer(kernels.RBF(), noise_variance=0.1)
layer.initialize()
layer.cast("float64")

covariance = np.exp(-0.5 * (x - x.T) ** 2) + 0.1 * np.eye(len(y))
factor = np.linalg.cholesky(covariance)
z = np.linalg.solve(factor, y)
by_hand = 0.5 * (z @ z + len(y) * np.log(2 * np.pi)) + np.log(np.diag(factor)).sum()
arrays = [mx.nd.array(a[None], dtype="float64") for a in (x, y)]
by_layer = layer(*arrays).asscalar()
print(f"{by_hand:.6f} by hand, {by_layer:.6f} by the layer")

# %%
result = gl.fit(layer, x, y)
print(result.summary())

# %% [markdown]
# In St. Louis in 1904, in the heat and on dusty roads, the winner took 3 h 28 min. Normal noise
# has to explain that one race by a larger variance for all of them. Student's t does not; it needs
# no more than another likelihood, and the bound of a variational posterior in place of φ.

# %%
robust = gl.SVGPLikelihoodLayer(
    kernels.RBF(), x, likelihoods.StudentT(scale=0.2, degrees_of_freedom=4.0)
)
robust.initialize()
robust.cast("float64")
gl.fit(robust, x, y, iterations=300)

grid = np.linspace(1890, 2028, 200)
new = mx.nd.array((grid[None, :, None] - 1956) / 20, dtype="float64")
figure, axes = plt.subplots(1, 2, sharey=True, figsize=(9, 3.8))
for axis, title, predictor in (
    (axes[0], "normal noise", layer.condition(x, y)),
    (axes[1], "Student's t", robust.predictor()),
):
    mean, variance = (a.asnumpy()[0].reshape(-1) for a in predictor(new))
    mean, deviation = pace.mean() + pace.std() * mean, pace.std() * np.sqrt(variance)
    axis.fill_between(grid, mean - 2 * deviation, mean + 2 * deviation, alpha=0.25, lw=0)
    axis.plot(grid, mean)
    axis.plot(year, pace, "k.", ms=5)
    axis.set_title(title, loc="left")
    print(f"{title}: deviation of f in 1950 is {deviation[np.argmin(abs(grid - 1950))]:.3f} min/km")
axes[0].annotate("St. Louis 1904", (1904, pace.max()), (1920, pace.max() - 0.05), color="0.4")
axes[0].set_ylabel("pace, minutes per km")
figure.tight_layout()
plt.show()
