"""Blocks from inputs to features, and from inputs to predictions."""

from typing import Any, List, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from ...blocks import BLRLikelihoodLayer, RandomFourierFeatures
from ...blocks.base import LinearAlgebraBlock
from ...typing import Array, Namespace


class FeatureRegression(LinearAlgebraBlock):
    """Negative log marginal likelihood of a Bayesian linear regression on features of x.

    x: (B, n, d); y: (B, n); features: a block x -> phi (B, n, k). Returns (B,).
    """

    arguments = (("x", "B n d"), ("y", "B n"))

    def __init__(
        self,
        features: mx.gluon.HybridBlock,
        prior_variance: Union[float, Sequence[float], np.ndarray],
        noise_variance: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.features = features
        self.likelihood = BLRLikelihoodLayer(prior_variance, noise_variance)

    def hybrid_forward(self, F: Namespace, x: Array, y: Array) -> Array:
        return self.likelihood(self.features(x), y)

    def condition(self, x: mx.nd.NDArray, y: mx.nd.NDArray) -> "FeaturePredictor":
        """The posterior given data, a `FeaturePredictor`."""
        return FeaturePredictor(self.features, self.likelihood.condition(self.features(x), y))


class FeaturePredictor(mx.gluon.HybridBlock):
    """x -> (mean, variance) of the regression without noise, (B, m, d) -> (B, m), (B, m)."""

    def __init__(
        self, features: mx.gluon.HybridBlock, predictor: mx.gluon.HybridBlock, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.features, self.predictor = features, predictor

    def hybrid_forward(self, F: Namespace, x: Array) -> Tuple[Array, Array]:
        return self.predictor(self.features(x))


class PolynomialFeatures(mx.gluon.HybridBlock):
    """1, then all columns, their squares, up to their powers of `degree`."""

    def __init__(self, degree: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._degree = degree

    def hybrid_forward(self, F: Namespace, x: Array) -> Array:
        powers = [x]
        for _ in range(self._degree - 1):
            powers.append(powers[-1] * x)
        return _with_one(F, powers, x)


class NetworkFeatures(mx.gluon.HybridBlock):
    """1 and the last of a chain of dense layers."""

    def __init__(self, inputs: int, hidden: Sequence[int], activation: str, **kwargs: Any) -> None:
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

    def hybrid_forward(self, F: Namespace, x: Array) -> Array:
        return _with_one(F, [self.layers(x)], x)


class FourierFeatures(mx.gluon.HybridBlock):
    """1 and `RandomFourierFeatures`, with a lengthscale for each column."""

    def __init__(
        self, inputs: int, count: int, kernel: str, lengthscale: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.waves = RandomFourierFeatures(
                inputs, count, kernel, np.full(inputs, lengthscale), prefix="waves_"
            )

    def hybrid_forward(self, F: Namespace, x: Array) -> Array:
        return _with_one(F, [self.waves(x)], x)


def _with_one(F: Namespace, features: List[Array], x: Array) -> Array:
    one = F.ones_like(F.slice_axis(x, axis=2, begin=0, end=1))
    return F.concat(one, *features, dim=2)
