"""Deep canonical correlation analysis of the left and right halves of scikit-learn's digits.

Two networks, one for each half, are trained so that their outputs correlate as much as possible
(CCABlock as the loss); linear CCA of the pixels is the baseline. Both are then fitted on the
training digits and measured on digits that neither has seen. Leaves a picture of both.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import gluon_linalg as gl

# After gluon_linalg, which lets MXNet 1.9.1 be imported with a newer numpy.
import mxnet as mx  # isort: skip

CORRELATIONS = 10
# Chosen on a part of the training digits of seed 0. Some pixels never vary: without a ridge, their
# covariance is singular.
LINEAR_RIDGE, DEEP_RIDGE, WEIGHT_DECAY = 1e-3, 1e-2, 1e-2


def halves(seed):
    """((left, right), labels) of 1347 digits to train on and of 450 held out."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16.0).reshape(-1, 8, 8)
    order = np.random.RandomState(seed).permutation(len(labels))
    parts = []
    for rows in (order[:1347], order[1347:]):
        views = [images[rows][:, :, columns] for columns in (slice(0, 4), slice(4, 8))]
        parts.append(([mx.nd.array(view.reshape(1, -1, 32)) for view in views], labels[rows]))
    return parts


def network():
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Dense(64, activation="relu", flatten=False))
    net.add(mx.gluon.nn.Dense(CORRELATIONS, flatten=False))
    net.initialize(mx.init.Xavier())
    net.hybridize()
    return net


def train(views, epochs):
    """The two networks, trained with Adam on all digits at once."""
    nets, loss = [network(), network()], gl.CCABlock(CORRELATIONS, ridge=DEEP_RIDGE)
    loss.hybridize()
    parameters = nets[0].collect_params()
    parameters.update(nets[1].collect_params())
    options = {"learning_rate": 3e-3, "wd": WEIGHT_DECAY}
    trainer = mx.gluon.Trainer(parameters, "adam", options)
    for _ in range(epochs):
        with mx.autograd.record():
            value = loss(*[net(view) for net, view in zip(nets, views)])
        value.backward()
        trainer.step(1)
    return nets


def canonical(train_views, held_out_views, ridge):
    """Correlations and canonical variables of held-out data, in the directions of training."""
    projections = gl.CCABlock(CORRELATIONS, ridge=ridge).fit(*train_views)
    left, right = (p(view)[0].asnumpy() for p, view in zip(projections, held_out_views))
    pairs = zip(left.T, right.T)
    return np.array([np.corrcoef(*pair)[0, 1] for pair in pairs]), left


def draw(path, results, labels):
    """The correlations, and the first two canonical variables of the left halves by digit."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    for name, (correlations, _) in results.items():
        axes[0].plot(range(1, CORRELATIONS + 1), correlations, "o-", label=name)
    axes[0].set(xlabel="canonical variable", ylabel="correlation, held out", ylim=(0, 1))
    axes[0].legend(loc="lower left")
    for axis, (name, (_, left)) in zip(axes[1:], results.items()):
        points = axis.scatter(
            left[:, 0], left[:, 1], c=labels, cmap="tab10", s=10, vmax=9.5, vmin=-0.5
        )
        axis.set(title=f"{name}, left halves", xlabel="first variable", ylabel="second variable")
    figure.colorbar(points, ax=axes[2], ticks=range(10), label="digit")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, default=Path("out/deep_cca/canonical.png"))
    options = parser.parse_args(arguments)
    mx.random.seed(options.seed)
    (train_views, _), (held_out_views, labels) = halves(options.seed)
    nets = train(train_views, options.epochs)
    deep = [
        [net(view) for net, view in zip(nets, views)] for views in (train_views, held_out_views)
    ]
    results = {
        "linear CCA": canonical(train_views, held_out_views, LINEAR_RIDGE),
        "deep CCA": canonical(*deep, DEEP_RIDGE),
    }
    print(f"sum of {CORRELATIONS} held-out correlations, {options.epochs} epochs")
    for name, (correlations, _) in results.items():
        print(f"{name:10s} {correlations.sum():.2f}   each: {np.round(correlations, 2)}")
    draw(options.picture, results, labels)
    print(f"picture: {options.picture}")
    return {name: correlations.sum() for name, (correlations, _) in results.items()}


if __name__ == "__main__":
    main()
