"""GluonTS's Gaussian process object on the operators of this package."""

from typing import Tuple

from gluonts.mx import kernels as gluonts_kernels
from gluonts.mx.model.gp_forecaster import gaussian_process as gluonts_gp

from .. import functional as fn
from ..typing import Array


class GaussianProcess(gluonts_gp.GaussianProcess):
    """A Gaussian process of mean 0 seen through noise, in place of GluonTS's `GaussianProcess`.

    y_i = f(x_i) + ε_i,  f ~ GP(0, k),  ε_i ~ N(0, σ²).

    Works on arrays and, inside a HybridBlock, on symbols, in float32 and float64, whatever
    `float_type` says. kernel: of GluonTS, or a kernel block of this package (in a network: one of
    its children), or a function of x and z such as ``functools.partial(emitted, variance=v,
    lengthscale=l)`` of an `Emitted` kernel and arrays (B, 1), for series that each have their own.
    The other arguments are those of GluonTS; `sample_noise` adds σ² to what is predicted and drawn.

    Jitter: nothing is added to K + σ² I, and a matrix that is not positive definite in its dtype is
    an error, in a compiled network NaN. With jitter_method='eig' what this package calls
    jitter='auto' is added: 0 where the matrix is safely positive definite. `max_iter_jitter`,
    `neg_tol`, `diag_weight` and `increase_jitter` have no effect. Draws need no jitter.

    Raises NotPositiveDefiniteError, NonFiniteError.
    """

    def log_prob(self, x_train: Array, y_train: Array) -> Array:
        """The NEGATIVE log marginal likelihood, (B,); GluonTS gives it this name.

        ½ yᵀ(K + σ² I)⁻¹y + ½ log|K + σ² I| + ½ n log 2π, x_train: (B, n, d), y_train: (B, n).
        """
        covariance = self._with_noise(self._kernel_matrix(x_train))
        return fn.gaussian_nll(self.F, covariance, y_train, self._jitter(), type(self).__name__)

    def exact_inference(
        self, x_train: Array, y_train: Array, x_test: Array
    ) -> Tuple[Array, Array, Array]:
        """Draws (B, m, num_samples), mean (B, m) and standard deviation (B, m) at x_test.

        x_train: (B, n, d), y_train: (B, n), x_test: (B, m, d).
        """
        F, name = self.F, type(self).__name__
        covariance = self._with_noise(self._kernel_matrix(x_train))
        factor = fn.cholesky(F, covariance, self._jitter(), name)
        crossed = fn.triangular_solve(F, factor, self._kernel_matrix(x_train, x_test))
        whitened = fn.triangular_solve(F, factor, F.expand_dims(y_train, axis=2))
        mean = F.squeeze(fn.product(F, crossed, whitened, transpose_a=True), axis=2)
        prior = self._kernel_matrix(x_test)
        posterior = prior - fn.product(F, crossed, crossed, transpose_a=True)
        if self.sample_noise:
            posterior = self._with_noise(posterior)
        variance = F.relu(fn.diagonal(F, posterior))
        return self._drawn(mean, posterior, prior), mean, F.sqrt(variance)

    def sample(self, mean: Array, covariance: Array) -> Array:
        """Draws (B, m, num_samples) from N(mean, covariance), with σ² I added if `sample_noise`.

        mean: (B, m); covariance: (B, m, m), positive semidefinite, of which no gradient is taken.
        """
        if self.sample_noise:
            covariance = self._with_noise(covariance)
        return self._drawn(mean, covariance, covariance)

    def _drawn(self, mean, covariance, scale):
        """Draws; rounding in the covariance is relative to the largest variance of `scale`."""
        F = self.F
        if self.num_samples is None:
            raise ValueError(f"{type(self).__name__}: draws need num_samples, an integer from 1.")
        scale = F.max(fn.stop(F, fn.diagonal(F, scale)), axis=1, keepdims=True)
        factor = fn.covariance_factor(F, covariance, type(self).__name__, scale)
        mean = F.expand_dims(mean, axis=2)
        shape_of = F.broadcast_axis(fn.zeros_like(F, mean), axis=2, size=self.num_samples)
        return F.broadcast_add(fn.product(F, factor, F.random.normal_like(shape_of)), mean)

    def _kernel_matrix(self, x, z=None):
        if isinstance(self.kernel, gluonts_kernels.Kernel):
            return self.kernel.kernel_matrix(x, x if z is None else z)
        return self.kernel(x) if z is None else self.kernel(x, z=z)

    def _with_noise(self, covariance):
        F = self.F
        variance = F.reshape(F.square(self.sigma), shape=(0, -1))
        along = F.broadcast_add(variance, fn.zeros_like(F, fn.diagonal(F, covariance)))
        return fn.add_diagonal(F, covariance, along)

    def _jitter(self):
        return "auto" if self.jitter_method == "eig" else 0.0
