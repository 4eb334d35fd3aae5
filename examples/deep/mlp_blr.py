"""A network whose last layer is Bayesian linear regression, on scikit-learn's diabetes data.

    features = MLP(x),  y = [features, 1] w + noise,  w ~ N(0, v I)

One network is trained, with v and the noise variance, by the marginal likelihood, in which w is
integrated out (BLRLikelihoodLayer); its predictions have a variance of their own at each point.
The same network with a Dense output is trained by the squared error; its predictions have the
variance of the training residuals. Bayesian linear regression without a network comes third.
"""

import argparse

import numpy as np
from sklearn.datasets import load_diabetes

import gluon_linalg as gl

# After gluon_linalg, which lets MXNet 1.9.1 be imported with a newer numpy.
import mxnet as mx  # isort: skip

SPLITS = 5


class WithIntercept(mx.gluon.HybridBlock):
    """phi (n, d) -> (1, n, d + 1): the batch axis, and a feature of ones."""

    def hybrid_forward(self, F, phi):
        ones = gl.functional.ones_like(F, F.slice_axis(phi, axis=1, begin=0, end=1))
        return F.expand_dims(F.concat(phi, ones, dim=1), axis=0)


def split(seed):
    """Standardized (x, y) to train on and (x, y) held out, and the standard deviation of y."""
    x, y = load_diabetes(return_X_y=True)
    order = np.random.RandomState(seed).permutation(len(y))
    train, held_out = order[: len(y) * 4 // 5], order[len(y) * 4 // 5 :]
    x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
    scale = y[train].std()
    y = (y - y[train].mean()) / scale
    pairs = [[mx.nd.array(a[rows]) for a in (x, y)] for rows in (train, held_out)]
    return pairs[0], pairs[1], scale


def network():
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Dense(32, activation="tanh"), mx.gluon.nn.Dense(16, activation="tanh"))
    return net


def train(net, loss_of, epochs):
    """Adam on all data at once."""
    trainer = mx.gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.01})
    for _ in range(epochs):
        with mx.autograd.record():
            loss = loss_of().mean()
        loss.backward()
        trainer.step(1)


def bayesian(features, data, held_out, epochs):
    """Mean and variance of the held-out targets, by marginal likelihood."""
    features.add(WithIntercept())
    model = mx.gluon.nn.HybridSequential()
    likelihood = gl.BLRLikelihoodLayer(prior_variance=1.0, noise_variance=0.5)
    model.add(features, likelihood)
    model.initialize(mx.init.Xavier())
    features.hybridize()
    likelihood.hybridize()
    x, y = data[0], data[1].expand_dims(0)
    train(model, lambda: likelihood(features(x), y), epochs)
    predictor = likelihood.condition(features(x), y, include_noise=True)
    return [each[0].asnumpy() for each in predictor(features(held_out[0]))]


def squared_error(data, held_out, epochs):
    """Mean and variance of the held-out targets, by least squares and training residuals."""
    model = network()
    model.add(mx.gluon.nn.Dense(1))
    model.initialize(mx.init.Xavier())
    model.hybridize()
    (x, y), loss = data, mx.gluon.loss.L2Loss()
    train(model, lambda: loss(model(x), y), epochs)
    variance = ((model(x)[:, 0] - y) ** 2).mean().asscalar()
    mean = model(held_out[0])[:, 0].asnumpy()
    return mean, np.full(mean.shape, variance)


def figures(prediction, held_out, scale):
    """Log-likelihood per point and RMSE, in the units of the data."""
    mean, variance = prediction
    error = held_out[1].asnumpy() - mean
    density = -0.5 * (np.log(2 * np.pi * variance) + error**2 / variance) - np.log(scale)
    return density.mean(), scale * np.sqrt((error**2).mean())


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the first of five splits")
    options = parser.parse_args(arguments)
    methods = {
        "MLP + BLR": lambda *data: bayesian(network(), *data),
        "MLP, squared error": squared_error,
        "BLR, no network": lambda *data: bayesian(mx.gluon.nn.HybridSequential(), *data),
    }
    results = {}
    print(f"{SPLITS} splits, {options.epochs} epochs: mean (standard deviation)")
    for name, method in methods.items():
        rows = []
        for seed in range(options.seed, options.seed + SPLITS):
            mx.random.seed(seed)
            data, held_out, scale = split(seed)
            rows.append(figures(method(data, held_out, options.epochs), held_out, scale))
        (density, error), (density_sd, error_sd) = np.mean(rows, 0), np.std(rows, 0, ddof=1)
        print(
            f"{name:20s} log-likelihood per point {density:7.3f} ({density_sd:.3f})   "
            f"RMSE {error:6.2f} ({error_sd:.2f})"
        )
        results[name] = {"log_likelihood": density, "rmse": error}
    return results


if __name__ == "__main__":
    main()
