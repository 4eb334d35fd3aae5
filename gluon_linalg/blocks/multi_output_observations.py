"""What an exact posterior of several outputs says of its data."""

from typing import Optional, Sequence, Tuple

import mxnet as mx

from ..typing import ArrayLike, hook
from .held_out import Folds
from .multi_output_predictor import MultiOutputPredictor
from .posterior import HeldOut

TARGETS = (("y", "B n k"),)


class ExactObservations(MultiOutputPredictor):
    """Likelihood, held-out values, and posteriors given more and fewer rows, by the factor of A."""

    views = {
        **MultiOutputPredictor.views,
        "negative_log_likelihood": (TARGETS, 1),
        "cross_validation": (TARGETS, 1),
    }

    @hook
    def _dense(self) -> "ExactObservations":
        """The same posterior by the factor of A, (B, n k, n k)."""
        raise NotImplementedError

    def negative_log_likelihood(self, y: Optional[ArrayLike] = None) -> mx.nd.NDArray:
        """-log N(vec y | vec m(X), A), (B,), of the targets or of others at the same inputs.

        y: (B, n, k). By the factor of A, as `cross_validation`.
        """
        return self._dense().negative_log_likelihood(y)

    def leave_one_out(self) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """Mean and variance of each value given all others, (B, n, k) each, noise included.

        Those of other outputs at the same x are among the others; ``cross_validation(n)`` leaves
        out whole rows.
        """
        mean, variance, _ = self.cross_validation()
        return mean, variance

    def cross_validation(self, folds: Folds = None, y: Optional[ArrayLike] = None) -> HeldOut:
        """Each value given all folds but its own: mean, variance, log density, (B, n, k) each.

        folds: how many, row i with all its outputs being in fold i mod folds; the fold of each row,
        (n,), or of each value, (n, k); None for one for each value. y: other targets at the same
        inputs. From the factor of A (`functional.factor_update.left_out`): n³ k³ operations, also
        of a posterior by spectra. All three are 0 where the mask hides a value.
        """
        return self._dense().cross_validation(folds, y)

    def with_observations(
        self,
        x: ArrayLike,
        y: ArrayLike,
        noise: Optional[ArrayLike] = None,
        mask: Optional[ArrayLike] = None,
    ) -> "ExactObservations":
        """The posterior given r rows more: the factor of A gets r k rows, in n² r k³ operations.

        x: (B, r, d); y, noise, mask: (B, r, k), NDArrays or NumPy arrays, with or without the batch
        axis; noise: variances that are added to the learned ones. Of a posterior by spectra A is
        factored once, here.
        """
        return self._dense().with_observations(x, y, noise, mask)

    def without_observations(self, rows: Sequence[int]) -> "ExactObservations":
        """The posterior without all values of the rows, numbers from 0; nothing is subtracted."""
        return self._dense().without_observations(rows)
