# %% [markdown]
# # Carbon dioxide on Mauna Loa
# Monthly means from 1958 on. The kernel is a sentence: a smooth rise, plus a yearly wave whose
# shape changes slowly, plus weather. The last five years are kept back.

# %%
import gluon_linalg as gl
import matplotlib.pyplot as plt
import mxnet as mx
import numpy as np
import pandas as pd
from gluon_linalg import kernels

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
data = pd.read_csv("../../examples/data/co2_monthly.csv")
year, month = data.date.str.split("-", expand=True).astype(float).to_numpy().T
x, ppm = year + month / 12, data.co2_ppm.to_numpy()
seen = np.arange(len(x)) < len(x) - 60
mean_ppm = ppm[seen].mean()

season = kernels.RBF(variance=4.0, lengthscale=100.0) * kernels.Periodic(lengthscale=1.0)
season.kernels[1].variance.grad_req = "null"  # a product needs one variance
season.kernels[1].period.grad_req = "null"  # a year is a year
kernel = kernels.Matern32(variance=2500.0, lengthscale=50.0) + season
kernel = kernel + kernels.Matern12(variance=0.25, lengthscale=1.0)
layer = gl.GPLikelihoodLayer(kernel, noise_variance=0.01)
layer.initialize()
layer.cast("float64")

# %%
result = gl.fit(layer, x[seen, None], ppm[seen] - mean_ppm, iterations=40)
for name, value in result.parameters.items():
    print(f"{name:32}{value.item():10.3f}")

# %% [markdown]
# The forecast of the months that the process has not seen, with the noise of an observation. A
# mean-squared error alone would not tell whether its band is honest; the share of months inside
# does.

# %%
predictor = layer.condition(x[seen, None], ppm[seen] - mean_ppm, include_noise=True)
grid = np.linspace(1990, 2008, 600)
inputs = [mx.nd.array(a[None, :, None], dtype="float64") for a in (grid, x[~seen])]
(mean, variance), (held, held_variance) = (
    [a.asnumpy()[0] for a in predictor(values)] for values in inputs
)
inside = np.abs(ppm[~seen] - mean_ppm - held) < 1.96 * np.sqrt(held_variance)
print(f"{inside.sum()} of 60 months inside the 95 % band")

figure, (axis, zoom) = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=[1, 1.6])
axis.plot(x[seen], ppm[seen], "k", lw=0.6)
axis.plot(x[~seen], ppm[~seen], "C1", lw=0.6)
axis.set(ylabel="CO₂, parts per million", title="1958 to 2001")
band = mean + mean_ppm
deviation = 1.96 * np.sqrt(variance)
zoom.fill_between(grid, band - deviation, band + deviation, alpha=0.3, lw=0, label="95 % band")
zoom.plot(grid, band, lw=1)
zoom.plot(x[seen], ppm[seen], "k.", ms=3, label="seen")
zoom.plot(x[~seen], ppm[~seen], ".", color="C1", ms=4, label="held back")
zoom.axvline(x[~seen][0], color="0.7", lw=1)
zoom.set(xlim=(1990, 2008), ylim=(348, 392), title=f"forecast: {inside.sum()} of 60 months inside")
zoom.legend(frameon=False, loc="upper left")
figure.tight_layout()
plt.show()
