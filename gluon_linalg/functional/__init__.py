"""Pure functions ``f(F, arrays...)`` over NDArray or Symbol; they own every MXNet pitfall.

A function that has the name of its module, such as `functional.lq`, is the function.
"""

from .augmented_lq import augmented_lq
from .between_times import (
    halvings,
    moments_between,
    require_ordered,
    require_times,
    stretch_of,
    table_of_stretches,
)
from .canonical import canonical_correlations, canonical_view
from .certain import uncertain_mask
from .checks import finite, require, require_columns, require_dtype
from .cholesky import (
    add_jitter,
    checked_triangular_solve,
    cholesky,
    cholesky_solve,
    factor_inverse,
    factor_log_determinant,
    finite_right_side,
    inverse_spd,
    jitter_shift,
    log_determinant,
    potrf,
    shift_diagonal,
    solve_spd,
    triangular_solve,
)
from .covariance import covariance
from .diffuse import left_open, with_directions, with_infinite
from .discriminant import discriminant_loss, discriminants
from .distance import centred, exp_below_zero, in_range, negative_half_squared_distance
from .eigen import covariance_factor, eigh
from .gaussian import (
    gaussian_adjoint,
    gaussian_conditional,
    gaussian_nll,
    gaussian_weights,
    hide_missing,
)
from .general import determinant, inverse, invertible, sign_log_determinant
from .kalman import kalman_filter
from .kalman_moments import (
    emitted,
    emitted_moments,
    filtered_covariance,
    filtered_factor,
    filtered_mean,
    last_steps,
    native_moments,
    observation_moments,
    smoothed_covariances,
)
from .kalman_online import OnlineState, OnlineStep, first_state, online_system
from .kalman_score import backward_pass, native_likelihood, scored_likelihood
from .kalman_steps import following_moments, step_log_likelihood, with_prior_covariance
from .kalman_tangent import MomentTangents
from .kalman_views import KalmanViews, Moments
from .least_squares import least_squares, minimum_norm
from .linear_sde import (
    Features,
    LinearSDE,
    Matern,
    Orders,
    ProductSDE,
    ScaledSDE,
    SumSDE,
    WhiteNoise,
    constant,
    cosine_features,
    gaps_between,
    periodic_error,
    periodic_features,
    polynomial_features,
    rbf_chain,
)
from .lq import lq, qr
from .lyapunov import stationary_factor
from .matrix import (
    add_diagonal,
    diagonal,
    diagonal_matrix,
    identity_like,
    inner,
    kronecker,
    mirror_lower,
    product,
    symmetrize,
    transpose,
)
from .matrix_exponential import discretized, matrix_exponential
from .probabilistic_pca import ppca_nll
from .rbf_chains import RBF_CHAINS
from .regression import observed_data, regression_nll, regression_posterior
from .simulation import (
    drawn_observations,
    observation_marginals,
    simulated_states,
    without_means,
)
from .special import root
from .spectral import (
    matrix_exp,
    matrix_inverse_sqrt,
    matrix_log,
    matrix_power,
    matrix_sqrt,
    symmetric_function,
)
from .state_space import (
    batch_first,
    over_time,
    state_space_system,
    time_first,
)
from .svd import svd
from .tangent import (
    guarded,
    ones_like,
    stop,
    unit_roundoff,
    with_gradient,
    zeros_like,
)

__all__ = [
    "RBF_CHAINS",
    "Features",
    "KalmanViews",
    "LinearSDE",
    "Matern",
    "MomentTangents",
    "Moments",
    "OnlineState",
    "OnlineStep",
    "Orders",
    "ProductSDE",
    "ScaledSDE",
    "SumSDE",
    "WhiteNoise",
    "add_diagonal",
    "add_jitter",
    "augmented_lq",
    "backward_pass",
    "batch_first",
    "canonical_correlations",
    "canonical_view",
    "centred",
    "checked_triangular_solve",
    "cholesky",
    "cholesky_solve",
    "constant",
    "cosine_features",
    "covariance",
    "covariance_factor",
    "determinant",
    "diagonal",
    "diagonal_matrix",
    "discretized",
    "discriminant_loss",
    "discriminants",
    "drawn_observations",
    "eigh",
    "emitted",
    "emitted_moments",
    "exp_below_zero",
    "factor_inverse",
    "factor_log_determinant",
    "filtered_covariance",
    "filtered_factor",
    "filtered_mean",
    "finite",
    "first_state",
    "finite_right_side",
    "following_moments",
    "gaps_between",
    "gaussian_adjoint",
    "gaussian_conditional",
    "gaussian_nll",
    "gaussian_weights",
    "guarded",
    "halvings",
    "hide_missing",
    "identity_like",
    "in_range",
    "inner",
    "inverse",
    "inverse_spd",
    "invertible",
    "jitter_shift",
    "kalman_filter",
    "kronecker",
    "last_steps",
    "least_squares",
    "left_open",
    "log_determinant",
    "lq",
    "matrix_exp",
    "matrix_exponential",
    "matrix_inverse_sqrt",
    "matrix_log",
    "matrix_power",
    "matrix_sqrt",
    "minimum_norm",
    "mirror_lower",
    "moments_between",
    "native_likelihood",
    "native_moments",
    "negative_half_squared_distance",
    "observation_marginals",
    "observation_moments",
    "observed_data",
    "ones_like",
    "online_system",
    "over_time",
    "periodic_error",
    "periodic_features",
    "polynomial_features",
    "potrf",
    "ppca_nll",
    "product",
    "qr",
    "rbf_chain",
    "regression_nll",
    "regression_posterior",
    "require",
    "require_columns",
    "require_dtype",
    "require_ordered",
    "require_times",
    "root",
    "scored_likelihood",
    "shift_diagonal",
    "sign_log_determinant",
    "simulated_states",
    "smoothed_covariances",
    "solve_spd",
    "state_space_system",
    "stationary_factor",
    "step_log_likelihood",
    "stop",
    "stretch_of",
    "svd",
    "symmetric_function",
    "symmetrize",
    "table_of_stretches",
    "time_first",
    "transpose",
    "triangular_solve",
    "uncertain_mask",
    "unit_roundoff",
    "with_directions",
    "with_gradient",
    "with_infinite",
    "with_prior_covariance",
    "without_means",
    "zeros_like",
]
