# %% [markdown]
# # A Kalman layer behind an LSTM
# A target is tracked by a sensor that is sometimes jammed. How noisy it is at a moment is not
# known, but there is a gauge that reacts to jamming, late and noisily. An LSTM reads the gauge and
# emits the deviation of each measurement; the Kalman layer behind it makes of that a likelihood,
# by which the LSTM is trained. Nobody ever tells it what the noise was. It reads the gauge both
# ways, so this is for recordings: as it goes, a jam would be known when a fifth of it has passed.

# %%
import gluon_linalg as gl
import matplotlib.pyplot as plt
import mxnet as mx
import numpy as np

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
random = np.random.RandomState(0)
steps, transition = 80, np.array([[1.0, 1.0], [0.0, 1.0]])


def sequences(count):
    """Positions, measurements, the gauge, and the deviations, (count, steps) each."""
    jammed = np.zeros((count, steps))
    for row in jammed:
        for start in random.randint(0, steps - 15, 2):
            row[start : start + 15] = 1
    deviation = np.where(jammed == 1, 8.0, 0.5)
    velocity = np.cumsum(0.1 * random.randn(count, steps), axis=1) + random.randn(count, 1)
    position = np.cumsum(velocity, axis=1)
    late = np.concatenate([np.zeros((count, 3)), jammed[:, :-3]], axis=1)
    gauge = late + 0.4 * random.randn(count, steps)
    return position, position + deviation * random.randn(count, steps), gauge, deviation


class Tracker(mx.gluon.HybridBlock):
    """(y, gauge, the matrices of the motion) -> negative log likelihood (B,)."""

    def __init__(self, recurrent):
        super().__init__()
        with self.name_scope():
            # Both ways: the gauge is late.
            self.lstm = None
            if recurrent:
                self.lstm = mx.gluon.rnn.LSTM(8, layout="NTC", bidirectional=True)
            self.emit = mx.gluon.nn.Dense(1, flatten=False)
            self.filter = gl.KalmanFilterLayer(2)

    def deviation(self, F, gauge):
        features = self.lstm(gauge) if self.lstm is not None else F.zeros_like(gauge)
        return F.exp(self.emit(features)).expand_dims(3)  # (B, T, 1, 1)

    def hybrid_forward(self, F, y, gauge, a, h, g, m, s):
        return self.filter(y, a, h, g, self.deviation(F, gauge), m, s)


def nd(array):
    return mx.nd.array(array, dtype="float32")


motion = gl.kalman_arrays(
    np.zeros((1, steps, 1)),
    transition,
    [[1.0, 0.0]],
    process_factor=[[0.0], [0.1]],
    observation_covariance=1.0,
    prior_covariance=100.0 * np.eye(2),
    dtype="float32",
)
names = ["transition", "emission", "process_factor", "prior_mean", "prior_factor"]
motion = [motion[name] for name in names]
train, test = sequences(64), sequences(64)


# %%
def trained(recurrent):
    mx.random.seed(0)
    tracker = Tracker(recurrent)
    tracker.initialize(mx.init.Xavier())
    tracker.hybridize()
    trainer = mx.gluon.Trainer(tracker.collect_params(), "adam", {"learning_rate": 0.02})
    y, gauge = nd(train[1][..., None]), nd(train[2][..., None])
    for _ in range(150):
        with mx.autograd.record():
            loss = tracker(y, gauge, *motion).mean()
        loss.backward()
        trainer.step(1)
    return tracker


def tracked(deviation):
    """Filtered positions of the test sequences, and the deviations that they were given."""
    y = nd(test[1][..., None])
    _, mean, _ = gl.KalmanFilterLayer(2, moments=True)(y, *motion[:3], deviation, *motion[3:])
    return mean.asnumpy()[..., 0], deviation.asnumpy()[..., 0, 0]


gauge = nd(test[2][..., None])
deviations = {
    "one noise for all": trained(False).deviation(mx.nd, gauge),
    "noise by the LSTM": trained(True).deviation(mx.nd, gauge),
    "the true noise": nd(test[3][..., None, None]),
}
results = {name: tracked(deviation) for name, deviation in deviations.items()}
errors = {name: np.sqrt(np.mean((r[0] - test[0]) ** 2)) for name, r in results.items()}
for name, error in errors.items():
    print(f"{name}: RMSE of the position {error:.2f}")

# %% [markdown]
# The true deviations, which only the simulation knows, are the best that any network could find.

# %%
figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 4.8), sharex=True, height_ratios=[2, 1])
time = np.arange(steps)
top.plot(time, test[0][0], "k", lw=1, label="truth")
top.plot(time, test[1][0], ".", color="0.6", ms=4, label="measured")
for name, (mean, deviation) in list(results.items())[:2]:
    top.plot(time, mean[0], lw=1.2, label=f"{name}, RMSE {errors[name]:.2f}")
    bottom.semilogy(time, deviation[0], lw=1.2)
top.legend(frameon=False, ncol=2, fontsize=9)
bottom.semilogy(time, test[3][0], "k--", lw=0.8)
bottom.set(ylabel="deviation", xlabel="step; dashed: the true one, which is not in the data")
figure.tight_layout()
plt.show()
