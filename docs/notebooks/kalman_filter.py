# %% [markdown]
# # Kalman filter: where is the ship?
# The third example of *Auto-Differentiating Linear Algebra* (Seeger et al. 2017, section 2.3): a
# linear dynamical system, its filter, and its noise learned by the gradient of the likelihood. A
# ship moves with a velocity that changes slowly; its position is measured, but for a while in the
# middle.

# %%
import gluon_linalg as gl
import matplotlib.pyplot as plt
import mxnet as mx
import numpy as np
from matplotlib.patches import Ellipse

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
random = np.random.RandomState(3)
steps = 120
transition = np.kron([[1.0, 1.0], [0.0, 1.0]], np.eye(2))  # position, velocity, of two axes
emission = np.kron([1.0, 0.0], np.eye(2))
states = [np.array([0.0, 0.0, 1.0, 0.5])]
for _ in range(steps - 1):
    push = np.concatenate([np.zeros(2), 0.15 * random.randn(2)])
    states.append(transition @ states[-1] + push)
truth = np.array(states)
y = truth[:, :2] + 3.0 * random.randn(steps, 2)
y[60:80] = np.nan  # fog

# %% [markdown]
# Two numbers are not known: the deviations of the pushes and of the measurements. The filter is a
# layer, so their gradient is there; a small block of our own says how they enter.


# %%
class Ship(mx.gluon.HybridBlock):
    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.filter = gl.KalmanFilterLayer(4, 2)
            self.logarithms = self.params.get("logarithms", shape=(2,), init=mx.init.Zero())

    def hybrid_forward(self, F, y, a, h, g, d, m, p, mask, logarithms):
        push, measurement = F.split(F.exp(logarithms), num_outputs=2, axis=0)
        g, d = (
            F.broadcast_mul(g, push.reshape((1, 1, 1, 1))),
            F.broadcast_mul(d, measurement.reshape((1, 1, 1, 1))),
        )
        return self.filter(y, a, h, g, d, m, p, mask)


arrays = gl.kalman_arrays(
    y,
    transition,
    emission,
    process_factor=np.concatenate([np.zeros((2, 2)), np.eye(2)]),
    observation_factor=np.eye(2),
    prior_mean=np.zeros(4),
    prior_covariance=100.0 * np.eye(4),
)
names = ["y", "transition", "emission", "process_factor", "observation_factor"]
names += ["prior_mean", "prior_factor", "mask"]
ship = Ship()
ship.initialize()
ship.cast("float64")
result = gl.fit(ship, *[arrays[name] for name in names])
push, measurement = np.exp(result.parameters["logarithms"])
print(f"push {push:.3f} (true 0.15), measurement {measurement:.2f} (true 3)")

# %% [markdown]
# With these the filter says where the ship was thought to be at each moment, the smoother where it
# was. Both have a covariance, which grows in the fog.

# %%
arrays["process_factor"] = arrays["process_factor"] * push
arrays["observation_factor"] = arrays["observation_factor"] * measurement
_, filtered, filtered_covariance = gl.KalmanFilterLayer(4, 2, moments=True)(**arrays)
smoothed, smoothed_covariance = gl.KalmanSmootherLayer(4, 2)(**arrays)

figure, axes = plt.subplots(1, 2, figsize=(9, 4.4), sharex=True, sharey=True)
for axis, title, mean, covariance in (
    (axes[0], "filter: given what was seen so far", filtered, filtered_covariance),
    (axes[1], "smoother: given everything", smoothed, smoothed_covariance),
):
    mean, covariance = mean.asnumpy()[0, :, :2], covariance.asnumpy()[0, :, :2, :2]
    axis.plot(*truth[:, :2].T, "0.3", lw=1, label="truth")
    axis.plot(*y.T, ".", color="0.6", ms=4, label="measured")
    axis.plot(*mean.T, "C1", lw=1.2, label="mean")
    for t in range(0, steps, 6):
        values, vectors = np.linalg.eigh(covariance[t])
        width, height = 4 * np.sqrt(values)
        angle = np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0]))
        axis.add_patch(Ellipse(mean[t], width, height, angle=angle, color="C1", alpha=0.2, lw=0))
    error = np.sqrt(np.mean((mean[60:80] - truth[60:80, :2]) ** 2))
    axis.set_title(f"{title}\nRMSE in the fog {error:.1f}", loc="left", fontsize=10)
axes[0].legend(frameon=False)
figure.tight_layout()
plt.show()
