"""Probabilistic principal component analysis."""

from typing import Any, Mapping, Tuple, Union

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import ShapeError, SingularMatrixError
from ..functional.covariance import centred_samples, scaled_samples
from ..functional.eigen import TIE
from ..functional.probabilistic_pca import ppca_nll
from ..functional.svd import svd
from ..typing import Array, ArrayLike, Namespace
from .base import LinearAlgebraBlock
from .parameters import ONE, parameter_array, positive_parameter
from .projection import check_count, samples


class PPCALikelihoodLayer(LinearAlgebraBlock):
    """Negative log likelihood of probabilistic PCA, x (B, n, d) -> (B,), summed over n.

    φ = -Σ_i log N(x_i | μ, W Wᵀ + σ² I):  x_i = W z_i + μ + σ ε_i,  z_i ~ N(0, I_k).

    x: n samples of d features. Learnable: `mean` μ (d,), `loading` W (d, k) and the positive
    `noise_variance` σ². W begins random: W = 0 is a saddle point. `fit` sets all three to the
    maximum of the likelihood. details: returns (φ, E[z_i | x_i] (B, n, k)) instead.
    in_features: d, found in the first call if left out. Computed by an LQ factorization of
    [I, Wᵀ/σ]: the k × k matrix of the posterior is never formed.

    Raises NonFiniteError, ShapeError. Tipping & Bishop 1999.

    >>> x = np.random.RandomState(0).randn(50, 3)
    >>> layer = gl.PPCALikelihoodLayer(1)
    >>> _ = layer.fit(x)
    >>> layer.noise_variance.value().shape, layer.loading.shape
    ((1,), (3, 1))
    """

    arguments = (("x", "B n d"),)

    def __init__(
        self,
        k: int,
        noise_variance: float = ONE,
        details: bool = False,
        in_features: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count(self.name, "k", k)
        self._k, self._details = k, bool(details)
        with self.name_scope():
            self.mean = self.params.get(
                "mean", shape=(in_features,), init="zeros", allow_deferred_init=True
            )
            self.loading = self.params.get(
                "loading", shape=(in_features, k), allow_deferred_init=True
            )
            self.noise_variance = positive_parameter(
                self, "noise_variance", noise_variance, lower=1e-10
            )

    def hybrid_forward(
        self, F: Namespace, x: Array, mean: Array, loading: Array, **stored: Any
    ) -> Union[Array, Tuple[Array, Array]]:
        mean, loading = self._shaped(F, x, mean, loading)
        noise_variance = self.noise_variance.natural(F, parameter_array(F, self.noise_variance, x))
        value, latent = ppca_nll(F, x, mean, loading, noise_variance, self._k, self.name)
        return (value, latent) if self._details else value

    def fit(self, x: ArrayLike) -> "PPCALikelihoodLayer":
        """Sets the parameters to the maximum of the likelihood of fixed data; returns the layer.

        σ² = mean of the d - k smallest eigenvalues of S, W = U_kᵀ (Λ_k - σ² I)^{1/2}, with S of
        divisor N. x: (n, d) or (B, n, d), all N samples together; NumPy array or NDArray. When the
        data lie in k dimensions or fewer (k >= d or k >= N - 1 among others) σ² would be 0 and the
        likelihood unbounded: SingularMatrixError.
        """
        (data,), _ = samples(self, x)
        rows, features = data.shape[1:]
        self._require_features(features)
        centred, mean = centred_samples(mx.nd, data)
        scaled = scaled_samples(mx.nd, centred, ddof=0)
        _, deviations, components = svd(mx.nd, scaled, tall=rows >= features, name=self.name)
        deviations, components = deviations[0].asnumpy(), components[0].asnumpy()
        largest = deviations[0] or 1.0
        rank = int((deviations > TIE * float(np.finfo("float64").eps) / 2 * largest).sum())
        if rank <= self._k:
            raise SingularMatrixError(
                f"{self.name}: the data have {features} features and rank {rank} about their "
                f"mean, k is {self._k}: the noise variance of largest likelihood is 0. Choose "
                f"k below {rank}, or give more data."
            )
        noise_variance = (deviations[self._k :] ** 2).sum() / (features - self._k)
        # Of equal eigenvalues rounding may make one smaller than the mean of the rest.
        excess = np.maximum(deviations[: self._k] ** 2 - noise_variance, 0.0)
        self._set(mean[0, 0].asnumpy(), components[: self._k].T * np.sqrt(excess), noise_variance)
        return self

    def check_shapes(self, sizes: Mapping[str, int]) -> None:
        self._require_features(sizes["d"])

    def _shaped(self, F: Namespace, x: Array, mean: Array, loading: Array) -> Tuple[Array, Array]:
        """The parameters beside arrays of their shapes, from which MXNet infers d."""
        like = fn.zeros_like(F, F.sum(x, axis=(0, 1)))
        columns = F.tile(F.expand_dims(like, axis=1), reps=(1, self._k))
        return mean + like, loading + columns

    def _require_features(self, features: int) -> None:
        known = self.loading.shape[0]
        if known not in (0, features):
            raise ShapeError(f"{self.name}: 'x' has {features} features, expected {known}.")

    def _set(self, mean: np.ndarray, loading: np.ndarray, noise_variance: float) -> None:
        self.mean.shape, self.loading.shape = mean.shape, loading.shape
        for parameter, value in ((self.mean, mean), (self.loading, loading)):
            if parameter._data is None and not parameter._deferred_init:
                parameter.initialize()
            parameter.set_data(mx.nd.array(value, dtype=parameter.dtype))
        if self.noise_variance._data is None:
            self.noise_variance.initialize()
        self.noise_variance.set_value([noise_variance])
