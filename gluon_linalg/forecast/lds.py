"""GluonTS's linear dynamical system on the Kalman filter of this package."""

from typing import List, Optional, Tuple

from gluonts.core.component import validated
from gluonts.mx import Tensor
from gluonts.mx.distribution import lds as gluonts_lds

from .. import functional as fn
from ..functional.matrix import with_axis


class LDS(gluonts_lds.LDS):
    """The joint distribution of observations of a state space model, in place of GluonTS's `LDS`.

    z_t = A_t l_t + b_t + σ_t ε_t,   l_{t+1} = C_t l_t + g_t ν_t,   l_1 ~ N(m, P),

    with independent standard normal ε_t (p numbers) and ν_t (one). Everything works on arrays and,
    inside a HybridBlock, on symbols.

    emission_coeff A: (B, T, p, d); transition_coeff C: (B, T, d, d); innovation_coeff g: (B, T, d);
    noise_std σ: (B, T, p) or (B, T, 1); residuals b: (B, T, p); prior_mean m: (B, d); prior_cov P:
    (B, d, d), positive semidefinite; latent_dim d, output_dim p, seq_length T.

    Where it differs from GluonTS's: steps without any observation have the log-probability 0, and
    what stands there, NaN included, changes nothing; single elements of an observation may be
    missing; samples of several outputs and `scale` with `sample_marginals` work; P may be singular,
    and no jitter is added to it. Nothing is unrolled: the graph has one size for all T.

    Raises SingularMatrixError, NotPositiveDefiniteError for P, NonFiniteError; inside a compiled
    network the results of a series that fails are NaN.
    """

    @validated()
    def __init__(
        self,
        emission_coeff: Tensor,
        transition_coeff: Tensor,
        innovation_coeff: Tensor,
        noise_std: Tensor,
        residuals: Tensor,
        prior_mean: Tensor,
        prior_cov: Tensor,
        latent_dim: int,
        output_dim: int,
        seq_length: int,
    ) -> None:
        arrays = (
            emission_coeff, transition_coeff, innovation_coeff, noise_std, residuals, prior_mean,
            prior_cov,
        )  # fmt: skip
        super().__init__(*arrays, latent_dim, output_dim, seq_length)
        self._arrays = arrays

    @property
    def args(self) -> List[Tensor]:
        """The seven arrays, in the order of the constructor."""
        return list(self._arrays)

    def log_prob(
        self, x: Tensor, scale: Optional[Tensor] = None, observed: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """log p(x_t | x_1, ..., x_{t-1}) of each step, and the moments of the state after the last.

        x: (B, T, p); scale: of each series, (B, p), x / scale being what the system describes;
        observed: (B, T) or (B, T, p) of 0/1. Returns (B, T), E[l_{T+1} | x] (B, d) and
        Var(l_{T+1} | x) (B, d, d), differentiable in all arrays with any weights of the steps.
        """
        if scale is None:
            return self.kalman_filter(x, observed)
        F = self.F
        steps = F.expand_dims(scale, axis=1)
        logs = F.log(F.abs(steps))
        mask = None if observed is None else self._mask(observed, x)
        if mask is not None:
            x = F.where(mask, x, fn.zeros_like(F, x))
            logs = F.broadcast_mul(mask, logs)
        value, mean, covariance = self.kalman_filter(F.broadcast_div(x, steps), mask)
        return F.broadcast_sub(value, F.sum(logs, axis=2)), mean, covariance

    def kalman_filter(
        self, targets: Tensor, observed: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """As `log_prob` without scale; targets: (B, T, p)."""
        F = self.F
        mask = None if observed is None else self._mask(observed, targets)
        arrays = self._system_arrays(targets)
        found = fn.native_moments(
            F, ("predicted", "steps"), *arrays, mask, emission_offset=self._arrays[4],
            prior_covariance=self._arrays[6], last=1, following=True,
        )  # fmt: skip
        if found is not None:
            following = found.predicted_mean, found.predicted_covariance
            return (found.step_likelihood, *(F.squeeze(x, axis=1) for x in following))
        system = self._system(targets, mask)
        filtered, _ = fn.kalman_filter(
            F, system, self.latent_dim, self.output_dim, name=type(self).__name__
        )
        tangents = fn.MomentTangents(
            F, fn.with_prior_covariance(F, system, self._arrays[6]), filtered
        )
        value = fn.step_log_likelihood(F, system, filtered, tangents)
        return (value, *fn.following_moments(F, filtered, tangents))

    def sample(self, num_samples: Optional[int] = None, scale: Optional[Tensor] = None) -> Tensor:
        """Joint draws of z_1, ..., z_T, (num_samples, B, T, p); None: one, (B, T, p).

        scale: (B, p), multiplies. MXNet's generator draws.
        """
        zeros = fn.zeros_like(self.F, self._arrays[4])
        samples = fn.drawn_observations(self.F, self._system(zeros), num_samples or 1)
        return self._scaled(samples, num_samples, scale)

    def sample_marginals(
        self, num_samples: Optional[int] = None, scale: Optional[Tensor] = None
    ) -> Tensor:
        """Draws of each z_t by itself, independent over time; as `sample`."""
        F, count = self.F, num_samples or 1
        system = self._system(fn.zeros_like(F, self._arrays[4]))
        mean, covariance = fn.observation_marginals(F, system)
        factor = fn.cholesky(F, F.reshape(covariance, shape=(-3, 0, 0)), name=type(self).__name__)
        zeros = F.expand_dims(F.reshape(fn.zeros_like(F, mean), shape=(-3, 0)), axis=2)
        normals = F.random.normal_like(F.broadcast_axis(zeros, axis=2, size=count))
        spread = F.transpose(fn.product(F, factor, normals), axes=(2, 0, 1))
        spread = F.reshape(spread, shape=(0, -4, -1, self.seq_length, 0))
        samples = F.broadcast_add(spread, F.expand_dims(mean, axis=0))
        return self._scaled(samples, num_samples, scale)

    def _system_arrays(self, y):
        """y and the first six arrays of a `state_space_system`."""
        F = self.F
        emission, transition, innovation, noise_std, residuals, mean, covariance = self._arrays
        noise_std = F.broadcast_add(noise_std, fn.zeros_like(F, residuals))
        return (
            y, transition, emission, with_axis(F, innovation, 3), fn.diagonal_matrix(F, noise_std),
            mean, fn.covariance_factor(F, covariance, f"{type(self).__name__}: prior_cov"),
        )  # fmt: skip

    def _system(self, y, mask=None):
        name = type(self).__name__
        return fn.state_space_system(
            self.F, *self._system_arrays(y), mask, emission_offset=self._arrays[4], name=name
        )

    def _mask(self, observed, x):
        """(B, T) or (B, T, p) as (B, T, p), a constant."""
        F = self.F
        observed = F.reshape(fn.stop(F, observed), shape=(0, 0, -1))
        return F.broadcast_add(observed, fn.zeros_like(F, x))

    def _scaled(self, samples, num_samples, scale):
        F = self.F
        if scale is not None:
            scale = F.expand_dims(F.expand_dims(scale, axis=1), axis=0)
            samples = F.broadcast_mul(samples, scale)
        return samples if num_samples is not None else F.squeeze(samples, axis=0)
