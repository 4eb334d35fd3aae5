"""A network whose last layer is Bayesian linear regression, on scikit-learn's diabetes data.

    features = MLP(x),  y = [features, 1] w + noise,  w ~ N(0, v I)

One network is trained by the marginal likelihood, with w integrated out, and predicts a variance
for each point. The same network with a Dense output is trained by the squared error; its variance
is that of the residuals. Only w is kept from overfitting, not the network: try --weight-decay 0 0.
"""

import argparse

import numpy as np
from sklearn.datasets import load_diabetes

import gluon_linalg as gl

# After gluon_linalg, which lets MXNet 1.9.1 be imported with a newer numpy.
import mxnet as mx  # isort: skip

SPLITS = 5
# Chosen on a fifth of the training parts of the first three splits.
WEIGHT_DECAY = (0.1, 0.03)


class WithIntercept(mx.gluon.HybridBlock):
    """phi (n, d) -> (1, n, d + 1): the batch axis, and a feature of ones."""

    def hybrid_forward(self, F, phi):
        ones = gl.functional.ones_like(F, F.slice_axis(phi, axis=1, begin=0, end=1))
        return F.expand_dims(F.concat(phi, ones, dim=1), axis=0)


def split(seed):
    """Standardized (x, y) to train on and (x, y) held out, and the standard deviation of y."""
    x, y = load_diabetes(return_X_y=True)
    train, held_out = np.split(np.random.RandomState(seed).permutation(len(y)), [len(y) * 4 // 5])
    x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
    scale = y[train].std()
    y = (y - y[train].mean()) / scale
    return *[[mx.nd.array(a[rows]) for a in (x, y)] for rows in (train, held_out)], scale


def network():
    net = mx.gluon.nn.HybridSequential()
    net.add(*[mx.gluon.nn.Dense(units, activation="tanh") for units in (32, 16)])
    return net


def train(blocks, loss_of, epochs, decay):
    """Adam on all data at once."""
    parameters = mx.gluon.ParameterDict()
    for block in blocks:
        block.initialize(mx.init.Xavier())
        block.hybridize()
        parameters.update(block.collect_params())
    trainer = mx.gluon.Trainer(parameters, "adam", {"learning_rate": 3e-3, "wd": decay})
    for _ in range(epochs):
        with mx.autograd.record():
            loss = loss_of()
        loss.backward()
        trainer.step(1)


def bayesian(features, data, held_out, epochs, decay):
    """Mean and variance of the held-out targets, by marginal likelihood."""
    features.add(WithIntercept())
    likelihood = gl.BLRLikelihoodLayer(prior_variance=1.0, noise_variance=0.5)
    # Its two variances are no weights: nothing pulls them to 1.
    likelihood.collect_params().setattr("wd_mult", 0.0)
    x, y = data[0], data[1].expand_dims(0)
    train([features, likelihood], lambda: likelihood(features(x), y) / len(x), epochs, decay)
    predictor = likelihood.condition(features(x), y, include_noise=True)
    return [each[0].asnumpy() for each in predictor(features(held_out[0]))]


def squared_error(model, data, held_out, epochs, decay):
    """Means of the held-out targets and their one variance, that of the training residuals."""
    model.add(mx.gluon.nn.Dense(1))
    (x, y), loss = data, mx.gluon.loss.L2Loss()
    train([model], lambda: loss(model(x), y).mean(), epochs, decay)
    variance = ((model(x)[:, 0] - y) ** 2).mean().asscalar()
    return model(held_out[0])[:, 0].asnumpy(), variance


def figures(mean, variance, held_out, scale):
    """Log-likelihood per point and RMSE, in the units of the data."""
    error = held_out[1].asnumpy() - mean
    density = -0.5 * (np.log(2 * np.pi * variance) + error**2 / variance) - np.log(scale)
    return density.mean(), scale * np.sqrt((error**2).mean())


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the first of five splits")
    parser.add_argument("--weight-decay", type=float, nargs=2, default=WEIGHT_DECAY)
    options = parser.parse_args(arguments)
    bayes, squares = options.weight_decay
    methods = {
        "MLP + BLR": lambda *data: bayesian(network(), *data, bayes),
        "MLP, squared error": lambda *data: squared_error(network(), *data, squares),
        "BLR, no network": lambda *data: bayesian(mx.gluon.nn.HybridSequential(), *data, 0.0),
    }
    results = {}
    print("log-likelihood per point and RMSE, held out: mean (standard deviation)")
    for name, method in methods.items():
        rows = []
        for seed in range(options.seed, options.seed + SPLITS):
            mx.random.seed(seed)
            data, held_out, scale = split(seed)
            rows.append(figures(*method(data, held_out, options.epochs), held_out, scale))
        (density, error), deviations = np.mean(rows, 0), np.std(rows, 0, ddof=1)
        print(f"{name:20s} {density:8.3f} ({deviations[0]:.3f}) {error:7.2f} ({deviations[1]:.2f})")
        results[name] = {"log_likelihood": density, "rmse": error}
    return results


if __name__ == "__main__":
    main()
