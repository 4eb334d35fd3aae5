"""The Kalman filter as constants: the gains from one LQ per step, then the means.

In the square-root form one LQ takes the factor S of the predicted covariance P = S Sᵀ a step on
(Kailath, Sayed & Hassibi 2000, section 12.3):

    [H S  D  0]       [ F½  0  ]
    [A S  0  G] Qᵀ =  [ K̄   S⁺ ]        F = H P Hᵀ + D Dᵀ,  K̄ = A P Hᵀ F⁻½ᵀ.

The first d columns of Q, Ω (p, d) and Θ (d, d), carry everything else without a subtraction:
``F⁻½ H S = Ω`` and ``(A - K H) S = S⁺ Θ`` with the gain K = K̄ F⁻½.
"""

from typing import NamedTuple, Optional, Tuple

from ..errors import NonFiniteError, SingularMatrixError
from ..typing import Array, Namespace, given
from .checks import require_each
from .cholesky import triangular_solve, unit_roundoff
from .diffuse import Settlement, log_lengths, settle
from .gaussian import HALF_LOG_2PI
from .kalman_gains import (
    SINGULAR,
    SINGULAR_INNOVATION,
    Gains,
    Roots,
    covariance_loop,
    split_rows,
    square_root_gains,
    square_root_loop,
    square_root_steps,
)
from .kalman_scan import Scanned, scanned_states, times
from .matrix import diagonal, identity_like, product, symmetrize, with_axis
from .recursion import affine_recursion, before_steps, corrected_recursion, corrected_step
from .state_space import (
    Joint,
    LinearGaussianSystem,
    joint_system,
    over_batch,
    stopped,
)
from .tangent import stop, zeros_like

NOT_FINITE = "NaN or infinity in the arrays of the system, or in what follows from them"


class Filtered(NamedTuple):
    """Constants (1, T, b, ...), b as in `joint_system`; mean and innovation have the batch size B.

    With diffuse directions mean and innovation have 1 + q columns.
    """

    inverse_factor: Array  # F⁻½, (1, T, b, p, p), lower
    gain: Array  # K = A P Hᵀ F⁻¹, (1, T, b, d, p)
    closed: Array  # Φ = A - K H, (1, T, b, d, d)
    covariance: Array  # P, predicted, (1, T, b, d, d)
    whitened: Array  # F⁻½ H P, (1, T, b, p, d)
    carried: Array  # Φ P, (1, T, b, d, d)
    mean: Array  # a, predicted, (1, T, B, d, 1)
    innovation: Array  # e = F⁻½ (y - H a - d), (1, T, B, p, 1)
    roots: Optional[Roots]  # None in the covariance form
    scanned: Optional[Scanned]  # None by the loop
    settlement: Optional[Settlement]  # None without diffuse directions

    @property
    def square_roots(self) -> Roots:
        """The roots of the square-root form."""
        return given(self.roots)


def kalman_filter(
    F: Namespace,
    system: LinearGaussianSystem,
    states: int,
    observations: int,
    form: str = "square_root",
    length: Optional[int] = None,
    name: str = "Kalman",
    single: bool = False,
) -> Tuple[Filtered, Array]:
    """`Filtered` and -log p(y), (B,), of a `state_space.LinearGaussianSystem`; all constants.

    states d and observations p are the sizes; form: 'square_root' or 'covariance'; length: T for
    the filter that is parallel in time, None for the loop; single: whether there is one step, for
    which there is no loop. Raises SingularMatrixError and NonFiniteError.
    """
    joint = joint_system(F, system)
    emission, transition = split_rows(F, joint.matrix, observations)
    fixed, scanned = stopped(F, system), None
    if form == "covariance":
        gains = covariance_loop(F, joint, observations, name)
    elif single:
        gains = square_root_gains(F, joint, joint.prior_factor, states, observations)
    elif length is None:
        gains = square_root_loop(F, joint, states, observations)
    else:
        scanned = scanned_states(F, joint, fixed, states, observations, length, name)
        gains = square_root_steps(F, joint, scanned.factor, states, observations)
    factor = _checked(F, gains, emission, form, name)
    inverse_factor = triangular_solve(F, factor, identity_like(F, factor))
    gain = product(F, gains.scaled_gain, inverse_factor)
    closed = transition - product(F, gain, emission)
    if gains.covariance is not None:
        covariance = gains.covariance
        whitened = product(F, product(F, inverse_factor, emission), covariance)
        carried = product(F, closed, covariance)
    else:
        root = gains.square_roots
        covariance = symmetrize(F, product(F, root.factor, root.factor, transpose_b=True), axes=5)
        whitened = product(F, root.whitened, root.factor, transpose_b=True)
        carried = product(F, root.carried, root.factor, transpose_b=True)
        carried = product(F, root.following, carried)
    if single:
        mean = over_batch(F, fixed.prior_mean, fixed.observed)
    elif scanned is None or length is None:
        mean = _mean_loop(F, joint, fixed, gain)
    else:
        mean = _predicted_means(F, fixed, transition, scanned.mean)
        mean = _refined_means(F, fixed, joint, mean, gain, closed, length)
    residual = _finite(F, _residual(F, fixed) - times(F, emission, mean), name)
    mean = _finite(F, mean, name)
    innovation, settlement = times(F, inverse_factor, residual), None
    if system.directions is not None:
        settlement = settle(F, innovation, name)
    filtered = Filtered(
        inverse_factor,
        gain,
        closed,
        covariance,
        whitened,
        carried,
        mean,
        innovation,
        gains.roots,
        scanned,
        settlement,
    )
    return filtered, _negative_log_likelihood(F, factor, filtered, fixed)


def _mean_loop(F: Namespace, joint: Joint, fixed: LinearGaussianSystem, gain: Array) -> Array:
    """a by a⁺ = A a + b + K (y - d - H a): small innovations survive large gains."""
    initial = over_batch(F, fixed.prior_mean, fixed.observed)
    return corrected_recursion(F, *_mean_arrays(F, joint, fixed, gain), initial)


def _mean_arrays(
    F: Namespace, joint: Joint, fixed: LinearGaussianSystem, gain: Array
) -> Tuple[Array, Array, Array]:
    """[K  -I], M and [y - d; -b]: a⁺ is the first times what the last exceeds M a."""
    residual = _residual(F, fixed)
    pull = zeros_like(F, times(F, gain, residual))
    if fixed.transition_offset is not None:
        pull = F.broadcast_sub(pull, fixed.transition_offset)
    gain = F.concat(gain, -identity_like(F, product(F, gain, gain, transpose_b=True)), dim=4)
    target = F.concat(residual, pull, dim=3)
    return over_batch(F, gain, residual), over_batch(F, joint.matrix, residual), target


def _predicted_means(
    F: Namespace, fixed: LinearGaussianSystem, transition: Array, filtered: Array
) -> Array:
    """a (1, T, B, d, 1) from the filtered means."""
    following = times(F, transition, filtered)
    if fixed.transition_offset is not None:
        following = F.broadcast_add(following, fixed.transition_offset)
    return before_steps(F, following, over_batch(F, fixed.prior_mean, filtered))


def _refined_means(
    F: Namespace,
    fixed: LinearGaussianSystem,
    joint: Joint,
    mean: Array,
    gain: Array,
    closed: Array,
    length: int,
) -> Array:
    """One step of iterative refinement: the error of a solves the recursion with its defects.

    What a scan adds up in float32 is biased by a few ε of the level over long stretches, and sums
    over time (gradients of shared arrays) feel that.
    """
    stepped = corrected_step(F, *_mean_arrays(F, joint, fixed, gain), mean)
    following = F.slice_axis(F.concat(mean, stepped, dim=1), axis=1, begin=1, end=None)
    following = F.slice_axis(following, axis=1, begin=0, end=length)
    zero = F.slice_axis(zeros_like(F, mean), axis=1, begin=0, end=1)
    defect = stepped - following
    return mean + affine_recursion(F, over_batch(F, closed, mean), defect, zero, length)


def _residual(F: Namespace, fixed: LinearGaussianSystem) -> Array:
    """y - d."""
    if fixed.emission_offset is None:
        return fixed.observed
    return F.broadcast_sub(fixed.observed, fixed.emission_offset)


def _checked(F: Namespace, gains: Gains, emission: Array, form: str, name: str) -> Array:
    """F½ if every innovation has a variance of its own, more than what rounding leaves of 0."""
    factor = gains.factor
    pivots = F.abs(with_axis(F, diagonal(F, factor), 4))
    own = F.sum(F.square(factor), axis=4, keepdims=True)
    factor = _finite(F, factor, name)
    # P_t is what is left of A P Aᵀ + Q, whose diagonal is that of P_t + K̄ K̄ᵀ, up to rounding.
    if gains.covariance is not None:
        state = with_axis(F, diagonal(F, gains.covariance), 4)
    else:
        state = F.sum(F.square(gains.square_roots.factor), axis=4, keepdims=True)
    removed = F.sum(F.square(gains.scaled_gain), axis=4, keepdims=True)
    removed = before_steps(F, removed, F.slice_axis(zeros_like(F, removed), axis=1, begin=0, end=1))
    scale = own + product(F, F.square(emission), state + removed)
    rounding = (
        unit_roundoff(F, F.slice(scale, begin=(None, 0, 0, 0, 0), end=(None, 1, 1, 1, 1)))
        * SINGULAR
    )
    bound = rounding if form == "covariance" else F.square(rounding)
    return require_each(
        F,
        factor,
        F.square(pivots) > F.broadcast_mul(scale, bound),
        SingularMatrixError,
        f"{name}: {SINGULAR_INNOVATION}",
    )


def _finite(F: Namespace, x: Array, name: str) -> Array:
    return require_each(
        F,
        x,
        F.sum(x, axis=4, keepdims=True) * 0.0 == 0.0,
        NonFiniteError,
        f"{name}: {NOT_FINITE}",
    )


def _negative_log_likelihood(
    F: Namespace, factor: Array, filtered: Filtered, fixed: LinearGaussianSystem
) -> Array:
    innovation, settlement = filtered.innovation, filtered.settlement
    pivots = with_axis(F, diagonal(F, factor), 4)
    constant = F.log(F.abs(pivots)) + HALF_LOG_2PI
    column = F.slice_axis(innovation, axis=4, begin=0, end=1)
    constant = F.broadcast_add(constant, zeros_like(F, column))
    if fixed.mask is not None:
        constant = F.broadcast_mul(constant, fixed.mask)
    if settlement is None or fixed.directions is None:
        return stop(F, F.sum(constant + 0.5 * F.square(column), axis=(0, 1, 3, 4)))
    value = F.sum(constant, axis=(0, 1, 3, 4)) + settlement.value
    return stop(F, value - log_lengths(F, fixed.directions, settlement))
