"""The likelihood of probabilistic principal component analysis (Tipping & Bishop 1999)."""

from ..errors import NonFiniteError
from .cholesky import triangular_solve
from .covariance import as_batch, as_rows, require_finite
from .gaussian import HALF_LOG_2PI
from .lq import lq
from .matrix import diagonal, diagonal_matrix, product, transpose
from .tangent import ones_like


def ppca_nll(F, x, mean, loading, noise_variance, k, name="PPCA"):
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
    first_row = F.slice_axis(loading, axis=1, begin=0, end=1)
    identity = diagonal_matrix(F, ones_like(F, F.reshape(first_row, shape=(0, -1))))
    q, factor = lq(F, F.concat(identity, transpose(F, loading), dim=2))
    projected = product(F, F.slice_axis(q, axis=2, begin=k, end=None), residual)
    latent = triangular_solve(F, factor, projected, transpose=True)
    unexplained = residual - product(F, loading, latent)
    squares = F.sum(F.square(unexplained), axis=1) + F.sum(F.square(latent), axis=1)
    log_determinant = F.reshape(F.sum(F.log(diagonal(F, factor))), shape=(1,))
    constant = 0.5 * F.log(noise_variance) + HALF_LOG_2PI
    per_sample = log_determinant + constant * F.sum(ones_like(F, mean))
    each = F.broadcast_add(0.5 * squares, F.reshape(per_sample, shape=(1, 1)))
    each = as_batch(F, F.reshape(each, shape=(1, -1, 1)), x)
    return F.sum(each, axis=(1, 2)), as_batch(F, transpose(F, latent), x)
