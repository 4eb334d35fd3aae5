# %% [markdown]
# # The Nile with missing years
# The annual flow at Aswan, a random walk seen through noise, and what becomes of it if forty of
# the hundred years are missing (Durbin & Koopman 2012, section 2.7). A mask is all it takes.

# %%
import gluon_linalg as gl
import matplotlib.pyplot as plt
import mxnet as mx
import numpy as np
import pandas as pd
from gluon_linalg import structural

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
data = pd.read_csv("../../examples/data/nile.csv")
year, flow = data.year.to_numpy(), data.volume.to_numpy(float)
mask = np.ones(100)
mask[20:40] = mask[60:80] = 0  # 1891 to 1910, 1931 to 1950


def fitted(mask):
    model = gl.StructuralModel(structural.LocalLevel(1000.0), noise_variance=10000.0)
    model.initialize()
    model.cast("float64")
    return model, gl.fit(model, np.where(mask == 1, flow, np.nan), mask=mask)


(full, all_years), (model, result) = fitted(np.ones(100)), fitted(mask)
print(all_years.summary())

# %% [markdown]
# With all years the maximum is that of the book, 15098.5 and 1469.2. With 60 of them the estimates
# move, and their standard errors say that they may.

# %%
table = {"all years": all_years, "60 years": result}
for name, one in table.items():
    print(
        name,
        *(f"{e.name} {e.value:.0f} ± {e.standard_error:.0f}" for e in one.estimates()),
        sep="; ",
    )

# %%
arrays = [mx.nd.array(a[None], dtype="float64") for a in (np.where(mask == 1, flow, 0), mask)]
mean, covariance = model.smooth(*arrays)
level, deviation = mean.asnumpy()[0, :, 0], np.sqrt(covariance.asnumpy()[0, :, 0, 0])
noise = result.parameters["noise_variance"].item()
forecast, variance = (a.asnumpy()[0] for a in model.forecaster(20)(*arrays))
later = np.arange(1971, 1991)

figure, axis = plt.subplots(figsize=(9, 3.8))
seen = mask == 1
axis.plot(year[seen], flow[seen], "k.", ms=4, label="observed")
axis.plot(year[~seen], flow[~seen], "x", color="0.6", ms=4, label="hidden from the model")
axis.fill_between(year, level - 1.96 * deviation, level + 1.96 * deviation, alpha=0.3, lw=0)
axis.plot(year, level, label="level, 95 % band")
joined = np.concatenate([[level[-1]], forecast])
spread = 1.96 * np.sqrt(np.concatenate([[deviation[-1] ** 2 + noise], variance]))
times = np.concatenate([[1970], later])
axis.fill_between(times, joined - spread, joined + spread, color="C1", alpha=0.25, lw=0)
axis.plot(times, joined, "C1", label="forecast, 95 % band of a year's flow")
for begin, end in ((1890.5, 1910.5), (1930.5, 1950.5)):
    axis.axvspan(begin, end, color="0.95", zorder=0)
axis.axvline(1970, color="0.7", lw=1)
axis.set(xlim=(1868, 1990), ylabel="flow, 10⁸ m³")
axis.legend(frameon=False, ncol=4, loc="upper center", bbox_to_anchor=(0.5, -0.1), fontsize=9)
figure.tight_layout()
plt.show()
