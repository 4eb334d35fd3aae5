"""What a sparse posterior says of its data, which are given to it again."""

from typing import Any, Dict, List, Optional, Sequence, Tuple, cast

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..functional.normal_update import Evidence, added_nll, updated, without_each, without_folds
from ..typing import Array, ArrayLike, Namespace, hook
from .held_out import Folds, fold_numbers, held_out
from .inducing import WIDE, Projection, seen_inputs
from .mean import mean_values
from .parameters import parameter_array
from .posterior import HeldOut, Posterior

DATA = (("x", "B n d"), ("y", "B n"), ("noise", "B n"), ("mask", "B n"))


class SparseObservations(Posterior):
    """Held-out observations, and posteriors given more and fewer, of a sparse process.

    v ~ N(w, R Rᵀ) of `SparseGPPredictor`, which has the rest, is updated: the data are not kept.
    """

    views = {**Posterior.views, "cross_validation": (DATA, 2)}
    # w (B, m, p), and R (B, m, m) of each latent value.
    weights: mx.gluon.Parameter
    roots: List[Any]
    # Whether what φ does not explain is noise of the observations (FITC).
    _rest_is_noise: bool

    @hook
    def _projection(self, F: Namespace, i: int, x: Array) -> Projection:
        """`Projection` of a latent process at x."""
        raise NotImplementedError

    @hook
    def _remade(
        self, root: mx.nd.NDArray, weights: mx.nd.NDArray, value: Optional[mx.nd.NDArray]
    ) -> "SparseObservations":
        """The posterior with other v, and all else as it is."""
        raise NotImplementedError

    def negative_log_likelihood(self) -> mx.nd.NDArray:
        """What the layer gave for the data, the bound or FITC's likelihood, (B,).

        After updates that of all data so far. Of SVGP it is the value of the layer.
        """
        if not self._is_aside("value"):
            raise TypeError(
                f"{self.name}: the bound of SVGP belongs to the layer: call it with the data."
            )
        return self._from_aside("value").astype(self.dtype)

    def leave_one_out(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
    ) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """Mean and variance of each y_i given all others, (B, n) each; the data as conditioned on.

        x, y, noise, mask: as in `condition`.
        """
        mean, variance, _ = self.cross_validation(x, y, None, noise, mask)
        return mean, variance

    def cross_validation(
        self,
        x: ArrayLike,
        y: ArrayLike,
        folds: Folds = None,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
    ) -> HeldOut:
        """Each y_i given all folds but its own: mean, variance and log density, (B, n) each.

        x, y, noise, mask: the data that the predictor was conditioned on; folds: as in
        `GPPredictor.cross_validation`. With q = Rᵀφ, e = y - m - φᵀw and G = q_I S_I^-½ of a fold

            w_-I = w - R (I - G Gᵀ)⁻¹ G S_I^-½ e_I,   Cov v_-I = R (I - G Gᵀ)⁻¹ Rᵀ,

        a factorization of (m, m) for each fold; of single rows 1 - |G|² is a number. Kernel and
        inducing points stay. Needs normal noise. All three are 0 where the mask hides a row.
        """
        data = self._observations(x, y, noise, mask)
        size = data[1].shape[1]
        options = self._call_options("cross_validation", data[0], folds=folds, size=size)
        return HeldOut(*self._cross_validation_view(mx.nd, *data, **options))

    # More and fewer observations.

    def with_observations(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
    ) -> "SparseObservations":
        """The posterior given k observations more, in m² (m + k) operations.

        x, y, noise, mask: (B, k, d), (B, k), (B, k), (B, k) as in `condition`. From the LQ of
        [R⁻ᵀ, φ S^-½], of which the first part is a root of Cov(v)⁻¹. Needs normal noise.
        """
        return self._updated(self._observations(x, y, noise, mask), 1.0)

    def without_observations(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
    ) -> "SparseObservations":
        """The posterior without k of its observations, which are given again.

        Raises NotPositiveDefiniteError where they cannot have been among the data.
        """
        return self._updated(self._observations(x, y, noise, mask), -1.0)

    # Inside graphs.

    def _options(
        self, name: str, folds: Folds = None, size: Optional[int] = None
    ) -> Dict[str, Any]:
        if name != "cross_validation" or folds is None:
            return {}
        if size is None:
            if isinstance(folds, (int, np.integer)):
                raise TypeError(
                    f"{self.name}: a view needs the fold of each row, (n,): the data are not known."
                )
            size = len(folds)
        numbers = fold_numbers(self.name, folds, size)
        return {"folds": numbers, "count": int(numbers.max()) + 1}

    def _cross_validation_view(
        self,
        F: Namespace,
        x: Array,
        y: Array,
        noise: Optional[Array] = None,
        mask: Optional[Array] = None,
        folds: Optional[Array] = None,
        count: int = 0,
    ) -> Tuple[Array, Array, Array]:
        seen = self._evidence(F, x, y, noise, mask)
        root = parameter_array(F, self.roots[0], x)
        if folds is None:
            step, learned = without_each(F, root, seen)
        else:
            step, learned = without_folds(F, root, seen, folds, count, self.name)
        variance = learned + seen.rest + seen.noise
        error = seen.residual + step
        rows = None if mask is None else F.cast(mask, dtype=WIDE)
        found = held_out(F, F.cast(y, dtype=WIDE), error, variance, rows)
        mean, variance, density = (F.cast(a, dtype=self.dtype) for a in found)
        return mean, variance, density

    def _evidence(
        self,
        F: Namespace,
        x: Array,
        y: Array,
        noise: Optional[Array],
        mask: Optional[Array],
    ) -> Evidence:
        """Observations as the posterior sees them; a hidden row has the weight 0."""
        self._one_process("this")
        if mask is not None:
            mask = fn.checked_mask(F, mask, self.name)
            x = seen_inputs(F, x, mask)
            y = F.where(mask, y, fn.zeros_like(F, y))
        noise = None if noise is None else fn.checked_noise(F, noise, mask, self.name)
        wide = self._wide(F, x)
        features, _, rest = self._projection(F, 0, wide)[1:]
        shift = mean_values(F, self.means[0], wide, WIDE, cast(str, self.dtype))
        residual = F.cast(y, dtype=WIDE) - shift
        residual = fn.finite_targets(F, residual, self.name)
        variances = F.broadcast_mul(fn.ones_like(F, residual), self._noise_variance(F, wide))
        if noise is not None:
            variances = variances + F.cast(noise, dtype=WIDE)
        total = variances + rest if self._rest_is_noise else variances
        scale = F.rsqrt(total)
        if mask is not None:
            scale = scale * F.cast(mask, dtype=WIDE)
        weights = F.slice_axis(parameter_array(F, self.weights, x), axis=2, begin=0, end=1)
        known = fn.product(F, features, weights, transpose_a=True)
        error = residual - F.reshape(known, shape=(0, -1))
        return Evidence(features, error, variances, F.relu(rest), scale)

    def _updated(self, data: Sequence[Any], sign: float) -> "SparseObservations":
        """The posterior with observations more (1), or less (-1)."""
        seen = self._evidence(mx.nd, *data)
        context = data[0].context
        old = self.roots[0].data(context)
        root, step = updated(old, seen, sign, self.name)
        value = None
        if self._is_aside("value"):
            added = added_nll(old, root, step, seen, sign)
            if not self._rest_is_noise:
                added = added + 0.5 * mx.nd.sum(seen.rest * mx.nd.square(seen.scale), axis=1)
            value = self._from_aside("value", like=data[0]) + sign * added
        return self._remade(root, self.weights.data(context) + step, value)

    def _observations(self, *values: Optional[ArrayLike]) -> List[Any]:
        return self._from_people(DATA, *values)
