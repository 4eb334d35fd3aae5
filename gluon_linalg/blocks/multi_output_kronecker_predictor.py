"""The exact posterior of the intrinsic model by the spectra of k(X) and of B."""

from typing import Any, Sequence

import mxnet as mx

from .. import functional as fn
from ..functional.coregionalization import KroneckerSpectrum
from ..typing import Array, Namespace
from .multi_output_dense_predictor import DenseMultiOutputPredictor, dense_posterior
from .multi_output_exact_predictor import ExactMultiOutputPredictor
from .views import View


class KroneckerPredictor(ExactMultiOutputPredictor):
    """By the spectra of k(X) and D^-½ B D^-½ of the intrinsic model.

    With p(x) = Vᵀk(X, x) and G = Uᵀ D^-½ B, Cov(f_a(x), f_b(x')) = B_ab k(x, x') -
    Σ_i p_i(x) p_i(x') Σ_c S_ic G_ca G_cb. spectrum: `KroneckerSpectrum`; weights: α of R D^-½
    (B, n, k); scale: the diagonal of D^-½, (1, k).
    """

    def __init__(
        self,
        spectrum: KroneckerSpectrum,
        weights: mx.nd.NDArray,
        scale: mx.nd.NDArray,
        **given: Any,
    ) -> None:
        F, scaled = mx.nd, given["matrices"][0] * scale.expand_dims(axis=2)
        batch = spectrum.outputs.shape[0]
        scaled = F.broadcast_to(scaled, (batch, *scaled.shape[1:]))
        turned = fn.product(F, spectrum.outputs, scaled, transpose_a=True)
        constants = {
            "vectors": spectrum.inputs,
            "shrinkage": spectrum.shrinkage,
            "turned": turned,
            "weights": fn.product(F, weights, scaled),
        }
        super().__init__(constants=constants, **given)

    def _dense(self) -> DenseMultiOutputPredictor:
        inputs = self.inputs.data(self.inputs.list_ctx()[0])
        factor = fn.cholesky(mx.nd, self._noisy(mx.nd, inputs, None), name=self.name)
        return dense_posterior(self, inputs, self._from_aside("targets"), factor, None)

    def view(self, name: str, **options: Any) -> View:
        # Held-out values are blocks of A⁻¹, which the spectra do not give.
        if name in ("cross_validation", "negative_log_likelihood"):
            return self._dense().view(name, **options)
        return super().view(name, **options)

    def _projected(self, F: Namespace, crosses: Sequence[Array]) -> Array:
        """p(x), (B, n, m)."""
        return fn.product(F, self._constant(F, "vectors", crosses[0]), crosses[0])

    def _explained(self, F: Namespace, crosses: Sequence[Array]) -> Array:
        weights = self._constant(F, "weights", crosses[0])
        return fn.product(F, crosses[0], weights, transpose_a=True)

    def _taken(self, F: Namespace, a: Array, b: Array) -> Array:
        turned = F.square(self._constant(F, "turned", a))
        shares = fn.product(F, self._constant(F, "shrinkage", a), turned)
        return fn.product(F, a * b, shares, transpose_a=True)

    def _share(self, F: Namespace, a: int, b: int, like: Array) -> Array:
        """Σ_c S_ic G_ca G_cb, (B, n, 1)."""
        turned = self._constant(F, "turned", like)
        left, right = (F.slice_axis(turned, axis=2, begin=i, end=i + 1) for i in (a, b))
        return fn.product(F, self._constant(F, "shrinkage", like), left * right)

    def _pairs(self, F: Namespace, one: Any) -> Any:
        """A k x k list of `one(a, b)`, which is symmetric in both."""
        count = self.outputs
        found = {(a, b): one(a, b) for b in range(count) for a in range(b + 1)}
        return [[found[min(a, b), max(a, b)] for b in range(count)] for a in range(count)]

    def _between(self, F: Namespace, x: Array) -> Array:
        squares = F.square(self._projected(F, self._crosses(F, x)))

        def one(a: int, b: int) -> Array:
            return fn.product(F, squares, self._share(F, a, b, x), transpose_a=True)

        rows = [F.concat(*row, dim=2) for row in self._pairs(F, one)]
        return self._prior_between(F, x) - F.stack(*rows, axis=2)

    def _joint(self, F: Namespace, x: Array) -> Array:
        projected = self._projected(F, self._crosses(F, x))

        def one(a: int, b: int) -> Array:
            moved = F.broadcast_mul(projected, self._share(F, a, b, x))
            return fn.product(F, projected, moved, transpose_a=True)

        rows = [F.concat(*row, dim=2) for row in self._pairs(F, one)]
        return fn.symmetrize(F, self._prior_joint(F, x) - F.concat(*rows, dim=1))
