# %% [markdown]
# # Bayesian linear regression in float32
# The second example of *Auto-Differentiating Linear Algebra* (Seeger et al. 2017, section 2.2).
# The report says that a likelihood by LQ holds in single precision where one by Cholesky does not.
# Here is how far: the same 27 marathons, powers 0 to 20 of the year, and less and less noise.

# %%
import gluon_linalg as gl
import matplotlib.pyplot as plt
import mxnet as mx
import numpy as np
import pandas as pd

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
data = pd.read_csv("../../examples/data/olympic_marathon.csv")
year, pace = data.year.to_numpy(float), data.pace_min_per_km.to_numpy()
x = (year - 1956) / 60
y = (pace - pace.mean()) / pace.std()


def powers(x):
    return np.stack([x**p for p in range(21)], axis=1)


# %% [markdown]
# The Cholesky form is that of the textbooks, in MXNet's own operators:
#
#     A = V⁻¹ + Φᵀ Φ / s = L Lᵀ,   φ = ½ (n log 2πs + log |V A| + |y - Φ μ|²/s + μᵀ V⁻¹ μ)


# %%
def by_cholesky(phi, y, noise, dtype):
    phi, y = mx.nd.array(phi, dtype=dtype), mx.nd.array(y[:, None], dtype=dtype)
    n, d = phi.shape
    a = mx.nd.eye(d, dtype=dtype) + mx.nd.dot(phi, phi, transpose_a=True) / noise
    factor = mx.nd.linalg.potrf(a)
    half = mx.nd.linalg.trsm(factor, mx.nd.dot(phi, y, transpose_a=True) / noise)
    weights = mx.nd.linalg.trsm(factor, half, transpose=True)
    residual = y - mx.nd.dot(phi, weights)
    quadratic = (residual**2).sum() / noise + (weights**2).sum()
    logarithm = n * np.log(2 * np.pi * noise) + 2 * mx.nd.linalg.sumlogdiag(factor)
    return float((0.5 * (quadratic + logarithm)).asscalar())


def by_lq(phi, y, noise, dtype):
    layer = gl.BLRLikelihoodLayer(prior_variance=1.0, noise_variance=noise)
    layer.initialize()
    layer.cast(dtype)
    return float(layer(*[mx.nd.array(a[None], dtype=dtype) for a in (phi, y)]).asscalar())


noises = np.logspace(-1, -8, 15)
errors = {"LQ": [], "Cholesky": []}
for noise in noises:
    exact = by_lq(powers(x), y, noise, "float64")
    for name, function in (("LQ", by_lq), ("Cholesky", by_cholesky)):
        try:
            error = abs(function(powers(x), y, noise, "float32") / exact - 1)
        except mx.base.MXNetError:
            error = np.nan  # potrf: not positive definite
        errors[name].append(error)
table = pd.DataFrame(errors, index=pd.Index(noises, name="noise"))
print(table.iloc[::3].to_string(float_format="%.0e"))

# %% [markdown]
# The posterior of the model whose variances are fitted, beside the errors. Outside the data its
# deviation grows with the 20th power of the distance: the model knows that it does not know.

# %%
layer = gl.BLRLikelihoodLayer(prior_variance=1.0, noise_variance=0.1)
layer.initialize()
layer.cast("float64")
gl.fit(layer, powers(x), y)
grid = np.linspace(1888, 2020, 300)
phi = mx.nd.array(powers((grid - 1956) / 60)[None], dtype="float64")
mean, variance = (a.asnumpy()[0] for a in layer.condition(powers(x), y)(phi))
mean, deviation = pace.mean() + pace.std() * mean, pace.std() * np.sqrt(variance)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8))
for name, style in (("Cholesky", "s--"), ("LQ", "o-")):
    axes[0].loglog(noises, errors[name], style, ms=4, label=name)
axes[0].invert_xaxis()
axes[0].set(xlabel="noise variance", title="relative error of φ in float32")
axes[0].axvspan(1e-8, noises[np.argmax(np.isnan(errors["Cholesky"]))], color="C0", alpha=0.1, lw=0)
axes[0].text(2.5e-7, 2e-9, "Cholesky fails", color="C0")
axes[0].legend(frameon=False, loc="upper left")
axes[1].fill_between(grid, mean - 2 * deviation, mean + 2 * deviation, color="C1", alpha=0.25, lw=0)
axes[1].plot(grid, mean, "C1")
axes[1].plot(year, pace, "k.", ms=5)
axes[1].set(ylim=(2.6, 5.4), xlim=(1888, 2020), title="pace, min/km: mean and two deviations")
figure.tight_layout()
plt.show()
