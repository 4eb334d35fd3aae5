"""Principal components inside a classifier of scikit-learn's digits.

    Dense 64 -> PCABlock, 16 components -> Dense 10

As BatchNorm, PCABlock uses the moments of each batch in training, and running averages in
inference. Three networks are compared: one that goes on with the reconstruction from the
components, one that goes on with the scores, and one without PCABlock. The components of one
batch differ from those of the next in order and sign; the reconstruction does not depend on
that, the scores do, so much that their accuracy changes with the rounding of a machine. Each
network is exported, loaded again and measured once more.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import gluon_linalg as gl

# After gluon_linalg, which lets MXNet 1.9.1 be imported with a newer numpy.
import mxnet as mx  # isort: skip

SPLITS, UNITS, COMPONENTS = 5, 64, 16


class Components(mx.gluon.HybridBlock):
    """(n, d) -> (n, k) scores, or the (n, d) reconstruction from k principal components."""

    def __init__(self, k, reconstruct, **kwargs):
        super().__init__(**kwargs)
        self._reconstruct = reconstruct
        with self.name_scope():
            self.pca = gl.PCABlock(k, details=reconstruct)

    def hybrid_forward(self, F, x):
        found = self.pca(F.expand_dims(x, axis=0))
        return F.squeeze(found[1] if self._reconstruct else found, axis=0)


def digits(seed):
    """Images (n, 64) and labels: 1347 to train on and 450 held out."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(seed).permutation(len(labels))
    return [
        (mx.nd.array(images[rows] / 16.0), mx.nd.array(labels[rows]))
        for rows in (order[:1347], order[1347:])
    ]


def network(middle):
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Dense(UNITS, activation="relu"))
    if middle is not None:
        net.add(middle)
    net.add(mx.gluon.nn.Dense(10))
    net.initialize(mx.init.Xavier())
    net.hybridize()
    return net


def train(net, images, labels, epochs, batch, seed):
    loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    trainer = mx.gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 3e-3})
    random = np.random.RandomState(seed)
    for _ in range(epochs):
        order = random.permutation(len(labels))
        # The rest of each epoch is left out, so that all batches have the same size.
        for start in range(0, len(order) - batch + 1, batch):
            rows = mx.nd.array(order[start : start + batch])
            with mx.autograd.record():
                value = loss(net(images.take(rows)), labels.take(rows)).mean()
            value.backward()
            trainer.step(1)


def accuracy(net, images, labels):
    return float((net(images).argmax(axis=1) == labels).mean().asscalar())


def reloaded(net, images):
    """The network after export to plain MXNet files."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "network")
        gl.export(net, path, images)
        return gl.load(path)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=128, help="images, at most 1347")
    parser.add_argument("--seed", type=int, default=0, help="of the first of five splits")
    options = parser.parse_args(arguments)
    middles = {
        "PCABlock, reconstruction": lambda: Components(COMPONENTS, reconstruct=True),
        "PCABlock, scores": lambda: Components(COMPONENTS, reconstruct=False),
        "without PCABlock": lambda: None,
    }
    results = {}
    print(f"held-out accuracy, {SPLITS} splits, {options.epochs} epochs: mean (std. deviation)")
    for name, middle in middles.items():
        rows = []
        for seed in range(options.seed, options.seed + SPLITS):
            mx.random.seed(seed)
            data, held_out = digits(seed)
            net = network(middle())
            train(net, *data, options.epochs, options.batch, seed)
            again = reloaded(net, held_out[0][:1])
            rows.append([accuracy(net, *held_out), accuracy(again, *held_out)])
        (live, loaded), deviation = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)[0]
        print(f"{name:25s} {live:.3f} ({deviation:.3f})   exported and reloaded {loaded:.3f}")
        results[name] = {"accuracy": live, "reloaded": loaded}
    return results


if __name__ == "__main__":
    main()
