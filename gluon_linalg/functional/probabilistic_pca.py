"""The likelihood of probabilistic principal component analysis (Tipping & Bishop 1999)."""

from typing import Tuple

from ..errors import NonFiniteError
from ..typing import Array, Namespace
from .augmented_lq import augmented_lq, on_diagonal
from .checks import likelihood_in_range
from .cholesky import triangular_solve
from .covariance import as_batch, as_rows, require_finite
from .gaussian import HALF_LOG_2PI
from .lq import lq
from .matrix import diagonal, product, transpose
from .tangent import ones_like


def ppca_nll(
    F: Namespace,
    x: Array,
    mean: Array,
    loading: Array,
    noise_variance: Array,
    k: int,
    name: str = "PPCA",
) -> Tuple[Array, Array]:
    """(φ, z): φ = -Σ_i log N(x_i | μ, W Wᵀ + σ² I), (B,), and E[z_i | x_i], (B, n, k).

    x: (B, n, d); mean: (d,); loading: (d, k); noise_variance: (1,). With r = (x - μ)/σ,
    A = W/σ and [I, Aᵀ] = L [·, Q] the latent mean is z = L⁻ᵀ Q r and

        φ_i = ½ |r - A z|² + ½ |z|² + log|L| + ½ d log 2πσ²:

    nothing is subtracted and W Wᵀ never formed. Costs k² d + n k d.
    """
    x = require_finite(F, x, "'x'", NonFiniteError, name)
    precision = F.reshape(F.rsqrt(noise_variance), shape=(1, 1, 1))
    centred = F.broadcast_sub(as_rows(F, x), F.reshape(mean, shape=(1, 1, -1)))
    residual = transpose(F, F.broadcast_mul(centred, precision))
    loading = F.broadcast_mul(F.expand_dims(loading, axis=0), precision)
    wide = transpose(F, loading)
    factor, _, q = augmented_lq(F, on_diagonal(F, wide, 1.0), wide, lq)
    projected = product(F, q, residual)
    latent = triangular_solve(F, factor, projected, transpose=True)
    unexplained = residual - product(F, loading, latent)
    squares = F.sum(F.square(unexplained), axis=1) + F.sum(F.square(latent), axis=1)
    log_determinant = F.reshape(F.sum(F.log(diagonal(F, factor))), shape=(1,))
    constant = 0.5 * F.log(noise_variance) + HALF_LOG_2PI
    per_sample = log_determinant + constant * F.sum(ones_like(F, mean))
    each = F.broadcast_add(0.5 * squares, F.reshape(per_sample, shape=(1, 1)))
    each = as_batch(F, F.reshape(each, shape=(1, -1, 1)), x)
    total = likelihood_in_range(F, F.sum(each, axis=(1, 2)), name)
    return total, as_batch(F, transpose(F, latent), x)
