# %% [markdown]
# # Deep canonical correlation analysis
# Two cameras look at one lamp that moves, and each distorts what it sees in its own way. Linear
# CCA asks for directions that are correlated. `CCABlock` behind a network for each view is deep
# CCA (Andrew et al. 2013): the networks learn to undo the distortions, from nothing but the fact
# that both saw the same. It can also find what is not there, so what counts are data that were
# held back.

# %%
import gluon_linalg as gl
import matplotlib.pyplot as plt
import mxnet as mx
import numpy as np

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
random = np.random.RandomState(0)
lamp = random.uniform(-1, 1, (1200, 1))


def seen(frequency):
    noise = 0.1 * random.randn(len(lamp), 2)
    return np.concatenate([np.cos(frequency * lamp), np.sin(frequency * lamp)], axis=1) + noise


views = [seen(3.0), seen(2.0) ** 2]
rows = {"training": slice(0, 800), "held out": slice(800, None)}


def correlation(a, b):
    return np.linalg.svd(
        np.linalg.qr(a - a.mean(axis=0))[0].T @ np.linalg.qr(b - b.mean(axis=0))[0]
    )[1][0]


# %%
nets = []
mx.random.seed(0)
for _ in views:
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Dense(24, activation="tanh"), mx.gluon.nn.Dense(1))
    net.initialize(mx.init.Xavier())
    net.hybridize()
    nets.append(net)
cca = gl.CCABlock(1, ridge=1e-3)
parameters = {}
for net in nets:
    parameters.update(net.collect_params())
trainer = mx.gluon.Trainer(list(parameters.values()), "adam", {"learning_rate": 0.01})
arrays = [mx.nd.array(view[rows["training"]]) for view in views]
for _ in range(400):
    with mx.autograd.record():
        features = [net(array).expand_dims(0) for net, array in zip(nets, arrays)]
        loss = cca(*features)
    loss.backward()
    trainer.step(1)

deep = [net(mx.nd.array(view)).asnumpy() for net, view in zip(nets, views)]
table = {}
for part, where in rows.items():
    table[part] = [correlation(*(v[where] for v in pair)) for pair in (views, deep)]
    print(f"{part}: linear CCA {table[part][0]:.3f}, deep CCA {table[part][1]:.3f}")

# %% [markdown]
# What the networks have found, without having been told of it, is the lamp; or rather all of it
# that both views show. The second view cannot tell left from right, and so neither can they.

# %%
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4))
held = rows["held out"]
for axis, view, title in zip(axes, views, ("first view", "second view")):
    axis.scatter(*view[held].T, c=lamp[held, 0], s=6, cmap="coolwarm")
    axis.set_title(title, loc="left", fontsize=10)
for feature, name in zip(deep, ("first network", "second network")):
    standard = (feature - feature.mean()) / feature.std()
    axes[2].plot(lamp[held], standard[held], ".", ms=3, label=name)
axes[2].set(xlabel="where the lamp was")
axes[2].set_title(f"features, correlation {table['held out'][1]:.2f}", loc="left", fontsize=10)
axes[2].legend(frameon=False, markerscale=3, loc="upper center")
figure.tight_layout()
plt.show()
