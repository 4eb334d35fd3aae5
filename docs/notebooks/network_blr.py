# %% [markdown]
# # A network that knows where it has not been
# The last layer of a network as Bayesian linear regression: its weights are integrated out, so
# that each prediction has a variance. Whether that variance grows outside the data depends on the
# features: those of `tanh` units saturate. Random Fourier features of the inputs beside them mend
# it, if their lengthscale is not learned and each feature has a prior variance of its own: what is
# left of the prior far away is then that of a Gaussian process.

# %%
import gluon_linalg as gl
import matplotlib.pyplot as plt
import mxnet as mx
import numpy as np

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
random = np.random.RandomState(1)
x = np.concatenate([random.uniform(-4, -1, 60), random.uniform(1, 3, 60)])[:, None]


def truth(x):
    return np.sin(2 * x) + 0.3 * x


y = truth(x[:, 0]) + 0.15 * random.randn(120)


class Network(mx.gluon.HybridBlock):
    """Features of x by a network, with `fourier` beside them those of a Gaussian process."""

    def __init__(self, fourier):
        super().__init__()
        with self.name_scope():
            self.body = mx.gluon.nn.HybridSequential()
            for units in (32, 16):
                self.body.add(mx.gluon.nn.Dense(units, activation="tanh", flatten=False))
            self.fourier = None
            if fourier:
                self.fourier = gl.RandomFourierFeatures(1, 50, lengthscale=0.7, seed=0)
                self.fourier.lengthscale.grad_req = "null"
            self.blr = gl.BLRLikelihoodLayer([1.0] * (16 + 100 * fourier), noise_variance=0.05)

    def features(self, F, x):
        parts = [self.body(x)] + ([self.fourier(x)] if self.fourier is not None else [])
        return F.concat(*parts, dim=2) if len(parts) > 1 else parts[0]

    def hybrid_forward(self, F, x, y):
        return self.blr(self.features(F, x), y)


data = [mx.nd.array(a[None], dtype="float64") for a in (x, y)]
grid = np.linspace(-7, 7, 400)
new = mx.nd.array(grid[None, :, None], dtype="float64")


def trained(fourier):
    mx.random.seed(0)
    net = Network(fourier)
    net.initialize(mx.init.Xavier())
    net.cast("float64")
    net.hybridize()
    trainer = mx.gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 5e-3, "wd": 1e-3})
    for _ in range(600):
        with mx.autograd.record():
            loss = net(*data)
        loss.backward()
        trainer.step(1)
    posterior = net.blr.condition(net.features(mx.nd, data[0]), data[1], include_noise=True)
    mean, variance = (a.asnumpy()[0] for a in posterior(net.features(mx.nd, new)))
    return mean, np.sqrt(variance)


# %%
def coverage(mean, deviation, where):
    noise = random.randn(len(grid)) * 0.15
    return np.mean(np.abs(truth(grid) + noise - mean)[where] < 1.96 * deviation[where])


within = ((grid > -4) & (grid < -1)) | ((grid > 1) & (grid < 3))
models = {"tanh features": trained(False), "tanh and Fourier features": trained(True)}
for name, (mean, deviation) in models.items():
    print(
        f"{name}: 95 % band covers {coverage(mean, deviation, within):.0%} where there are data, "
        f"{coverage(mean, deviation, ~within):.0%} elsewhere"
    )

# %%
figure, axes = plt.subplots(1, 2, sharey=True, figsize=(9, 3.6))
for axis, (name, (mean, deviation)) in zip(axes, models.items()):
    axis.fill_between(grid, mean - 1.96 * deviation, mean + 1.96 * deviation, alpha=0.3, lw=0)
    axis.plot(grid, mean)
    axis.plot(grid, truth(grid), "k--", lw=0.8)
    axis.plot(x[:, 0], y, ".", color="0.4", ms=3)
    axis.set_title(name, loc="left", fontsize=10)
    axis.set(ylim=(-5, 5), xlim=(-7, 7))
figure.tight_layout()
plt.show()
