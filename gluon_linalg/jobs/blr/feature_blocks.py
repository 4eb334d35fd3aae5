"""Blocks from inputs to features, and from inputs to predictions."""

import mxnet as mx

from ...blocks import BLRLikelihoodLayer
from ...blocks.base import LinearAlgebraBlock


class FeatureRegression(LinearAlgebraBlock):
    """Negative log marginal likelihood of a Bayesian linear regression on features of x.

    x: (B, n, d); y: (B, n); features: a block x -> phi (B, n, k). Returns (B,).
    """

    arguments = (("x", "B n d"), ("y", "B n"))

    def __init__(self, features, prior_variance, noise_variance, **kwargs):
        super().__init__(**kwargs)
        self.features = features
        self.likelihood = BLRLikelihoodLayer(prior_variance, noise_variance)

    def hybrid_forward(self, F, x, y):
        return self.likelihood(self.features(x), y)

    def condition(self, x, y):
        """The posterior given data, a `FeaturePredictor`."""
        return FeaturePredictor(self.features, self.likelihood.condition(self.features(x), y))


class FeaturePredictor(mx.gluon.HybridBlock):
    """x -> (mean, variance) of the regression without noise, (B, m, d) -> (B, m), (B, m)."""

    def __init__(self, features, predictor, **kwargs):
        super().__init__(**kwargs)
        self.features, self.predictor = features, predictor

    def hybrid_forward(self, F, x):
        return self.predictor(self.features(x))


class PolynomialFeatures(mx.gluon.HybridBlock):
    """1, then all columns, their squares, up to their powers of `degree`."""

    def __init__(self, degree, **kwargs):
        super().__init__(**kwargs)
        self._degree = degree

    def hybrid_forward(self, F, x):
        powers = [x]
        for _ in range(self._degree - 1):
            powers.append(powers[-1] * x)
        return _with_one(F, powers, x)


class NetworkFeatures(mx.gluon.HybridBlock):
    """1 and the last of a chain of dense layers."""

    def __init__(self, inputs, hidden, activation, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.layers = mx.gluon.nn.HybridSequential()
            for before, size in zip([inputs, *hidden], hidden):
                self.layers.add(
                    mx.gluon.nn.Dense(
                        size,
                        in_units=before,
                        activation=activation,
                        flatten=False,
                        weight_initializer=mx.init.Xavier(),
                    )
                )

    def hybrid_forward(self, F, x):
        return _with_one(F, [self.layers(x)], x)


def _with_one(F, features, x):
    one = F.ones_like(F.slice_axis(x, axis=2, begin=0, end=1))
    return F.concat(one, *features, dim=2)
