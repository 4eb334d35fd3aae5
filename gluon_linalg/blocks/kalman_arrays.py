"""The arguments of Kalman layers from matrices as people write them."""

from typing import Any, Dict, Optional

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import DtypeError, NonFiniteError, NotPositiveDefiniteError, ShapeError
from ..typing import Device
from . import dates
from .arguments import axis_sizes, plain
from .casting import FLOATS

NAME = "kalman_arrays"
# The axes of each argument in the end, and how many of them it has when it is neither for several
# series nor changes with time.
AXES = {
    "y": ("B N p", 2),
    "transition": ("B? T? d d", 2),
    "emission": ("B? T? p d", 2),
    "process_covariance": ("B? T? d d", 2),
    "observation_covariance": ("B? T? p p", 2),
    "prior_mean": ("B? d", 1),
    "prior_covariance": ("B? d d", 2),
    "process_factor": ("B? T? d r", 2),
    "observation_factor": ("B? T? p q", 2),
    "prior_factor": ("B? d s", 2),
    "drift": ("B? T? d d", 2),
    "diffusion": ("B? T? d w", 2),
    "times": ("B? T", 1),
    "diffuse_directions": ("B? d u", 2),
    "mask": ("B N p", 2),
    "transition_offset": ("B? T? d", 1),
    "emission_offset": ("B? T? p", 1),
}
# Of these a vector is the only column, or the only row.
COLUMNS = (
    "y",
    "mask",
    "diffuse_directions",
    "process_factor",
    "observation_factor",
    "prior_factor",
    "diffusion",
)
ROWS = ("emission",)
# Rounding of a correlation matrix, in units of its size and of the precision it was given in.
ROUNDING = 8.0


def kalman_arrays(
    y: Any,
    transition: Any = None,
    emission: Any = None,
    process_covariance: Any = None,
    observation_covariance: Any = None,
    prior_mean: Any = None,
    prior_covariance: Any = None,
    *,
    process_factor: Any = None,
    observation_factor: Any = None,
    prior_factor: Any = None,
    times: Any = None,
    time_unit: Any = None,
    drift: Any = None,
    diffusion: Any = None,
    diffuse_directions: Any = None,
    prior: str = "known",
    mask: Any = None,
    transition_offset: Any = None,
    emission_offset: Any = None,
    dtype: str = "float64",
    device: Optional[Device] = None,
) -> Dict[str, mx.nd.NDArray]:
    """The arguments of a Kalman layer by name: ``layer(**kalman_arrays(y, A, H, Q, R, m, P))``.

    x_1 ~ N(m, P),   y_t = H x_t + d + ε_t,  ε ~ N(0, R),   x_{t+1} = A x_t + b + η_t,  η ~ N(0, Q).

    Each of Q, R and P may be given as a factor in its place: process_factor G (d, r) with
    Q = G Gᵀ, observation_factor (p, q), prior_factor (d, s). prior: 'stationary' for layers with
    that option, which find m and P themselves.

    In continuous time, dx = F x dt + L dβ, drift F (d, d) and diffusion L (d, w) stand in place of
    A and Q, and times tells when y was observed, (T,), increasing, or with the steps of a forecast
    (T + h,): A = exp(F h) and Q = ∫ exp(F s) L Lᵀ exp(F s)ᵀ ds over each gap h (Van Loan 1978).
    Dates (numpy.datetime64, a DatetimeIndex or PeriodIndex of pandas) need time_unit, that of F and
    L: 'second', 'minute', 'hour', 'day', 'week', 'year' (365.2425 days), or a timedelta.
    (`DiscretizationBlock` does the same inside a network, with gradients.)

    All are whatever NumPy reads, or NDArrays. y: (T,) for one number at a time, (T, p), or
    (B, T, p); NaN is missing, unless there is a mask. transition A: (d, d); emission H: (p, d), or
    (d,) for p = 1; process_covariance Q: (d, d); observation_covariance R: (p, p); prior_mean m:
    (d,), 0 unless given; prior_covariance P: (d, d). diffuse_directions: (d, q), for layers with
    diffuse=q, in which nothing is known of x_1; then P is 0 unless given. mask: as y;
    transition_offset b: (d,); emission_offset d: (p,). A number is an array of one element. What
    changes with time has an axis T in front, (T, d, d), what differs between series two, (B, T, d,
    d), or one if it is of the prior, (B, d, d).

    A covariance may be singular. Its factor, computed in float64, is diag(s) U √λ with the standard
    deviations s and the eigenvalues and eigenvectors of the correlations, U diag(λ) Uᵀ, where those
    that are rounding are 0: so it has the rank of the covariance, and each element is kept to the
    rounding of its own row and column, whatever their units.

    dtype: of the arrays, 'float32' or 'float64'; device: theirs, unless given that of y where
    this is an NDArray, else the current one.

    Raises ShapeError, NonFiniteError, and NotPositiveDefiniteError for what is no covariance, all
    of which name the argument; DtypeError for another dtype.

    >>> arrays = gl.kalman_arrays([1.0, np.nan], 1.0, 1.0, 4.0, 1.0, 0.0, 1.0)  # y, A, H, Q, R, ...
    >>> print(arrays["process_factor"].asnumpy().ravel(), arrays["mask"].asnumpy().ravel())
    [2.] [1. 0.]
    """
    if np.dtype(dtype).name not in FLOATS:
        raise DtypeError(f"{NAME}: dtype is {dtype!r}, expected 'float32' or 'float64'.")
    if dates.are_dates(times):
        times = dates.elapsed(f"{NAME}: 'times'", times, time_unit)
    elif time_unit is not None:
        raise TypeError(f"{NAME}: time_unit is for 'times' that are dates; leave it out.")
    given = {
        "y": y,
        "transition": transition,
        "emission": emission,
        "process_covariance": process_covariance,
        "observation_covariance": observation_covariance,
        "prior_mean": prior_mean,
        "prior_covariance": prior_covariance,
        "process_factor": process_factor,
        "observation_factor": observation_factor,
        "prior_factor": prior_factor,
        "times": times,
        "drift": drift,
        "diffusion": diffusion,
        "diffuse_directions": diffuse_directions,
        "mask": mask,
        "transition_offset": transition_offset,
        "emission_offset": emission_offset,
    }
    given = {name: value for name, value in given.items() if value is not None}
    _refuse_combination(given, prior)
    arrays = {name: _read(name, value) for name, value in given.items()}
    sizes = axis_sizes(NAME, [(name, AXES[name][0], array.shape) for name, array in arrays.items()])
    if prior == "known":
        arrays.setdefault("prior_mean", np.zeros((1, sizes["d"])))
        if "prior_covariance" not in arrays and "prior_factor" not in arrays:
            arrays["prior_factor"] = np.zeros((1, sizes["d"], 1))
    if "times" in arrays:
        own = [arrays.pop(name) for name in ("times", "drift", "diffusion")]
        arrays["transition"], arrays["process_factor"] = _discretized(*own)
    if mask is None and np.isnan(arrays["y"]).any():
        arrays["mask"] = ~np.isnan(arrays["y"])
    if device is None:
        device = y.context if isinstance(y, mx.nd.NDArray) else mx.current_context()
    found = {}
    for name, array in arrays.items():
        if name.endswith("_covariance"):
            precision = np.finfo(_float_of(given[name])).eps
            name, array = name.replace("_covariance", "_factor"), _factor(name, array, precision)
        found[name] = mx.nd.array(array, dtype=dtype, ctx=device)
    return found


def _refuse_combination(given, prior):
    """TypeError for what is missing, or given in two ways."""
    if prior not in ("known", "stationary"):
        raise ValueError(f"{NAME}: prior is {prior!r}, expected 'known' or 'stationary'.")
    has_times = "times" in given or "drift" in given or "diffusion" in given
    dynamics = ("times", "drift", "diffusion") if has_times else ("transition",)
    for name in (*dynamics, "emission"):
        if name not in given:
            raise TypeError(f"{NAME}: '{name}' is missing.")
    if has_times and "transition" in given:
        raise TypeError(f"{NAME}: give either 'transition', or 'times', 'drift' and 'diffusion'.")
    for kind in ("process", "observation", "prior"):
        ways = [n for n in (f"{kind}_covariance", f"{kind}_factor") if n in given]
        if kind == "process" and has_times:
            ways.append("diffusion")
        if len(ways) > 1:
            raise TypeError(f"{NAME}: give either '{ways[0]}' or '{ways[1]}', not both.")
        if not ways and kind != "prior":
            raise TypeError(f"{NAME}: give '{kind}_covariance', or '{kind}_factor'.")
        if kind != "prior":
            continue
        if prior == "stationary" and (ways or "prior_mean" in given):
            raise TypeError(f"{NAME}: with prior='stationary' leave the prior out.")
        if not ways and prior == "known" and "diffuse_directions" not in given:
            raise TypeError(
                f"{NAME}: what is known of the first state is missing: give prior_covariance, or "
                "diffuse_directions for a layer with diffuse=q, or prior='stationary' for one with "
                "that option."
            )


def _discretized(times, drift, diffusion):
    """A (B, T, d, d) and G (B, T, d, d) of the gaps after each time; the last one leads nowhere."""
    gaps = np.diff(times, axis=1)
    if (gaps <= 0).any():
        element, step = np.argwhere(gaps <= 0)[0]
        raise ValueError(
            f"{NAME}: 'times' is not increasing: {times[element, step]:g} comes before "
            f"{times[element, step + 1]:g} (t = {step + 1})."
        )
    gaps = np.concatenate([gaps, np.zeros((len(times), 1))], axis=1)[..., None]
    own = (mx.nd.array(x, dtype="float64", ctx=mx.cpu()) for x in (drift, diffusion, gaps))
    transition, factor = fn.discretized(mx.nd, *own, name=NAME)
    # The other columns are for gradients.
    size = drift.shape[-1]
    return transition.asnumpy(), factor.asnumpy()[..., :size]


def _read(name, value):
    """An argument as a float64 array with all its axes."""
    axes, least = AXES[name]
    letters = axes.replace("?", "").replace("N", "T").split()
    try:
        value = plain(axes, value)
        array = value.asnumpy() if isinstance(value, mx.nd.NDArray) else np.asarray(value)
        array = array.astype("float64")
    except (TypeError, ValueError, OverflowError):
        raise ShapeError(f"{NAME}: '{name}' is not an array of numbers.") from None
    if name not in ("y", "mask") and not np.isfinite(array).all():
        raise NonFiniteError(f"{NAME}: '{name}' has NaN or infinity.")
    if array.ndim == 0:
        array = array.reshape((1,) * least)
    elif array.ndim == 1 and name in COLUMNS:
        array = array[:, None]
    elif array.ndim == 1 and name in ROWS:
        array = array[None]
    if not least <= array.ndim <= len(letters):
        shapes = [f"({', '.join(letters[k:])})" for k in range(len(letters) - least, -1, -1)]
        raise ShapeError(
            f"{NAME}: '{name}' has shape {np.shape(value)}, expected {' or '.join(shapes)}."
        )
    return array.reshape((1,) * (len(letters) - array.ndim) + array.shape)


def _factor(name, covariance, precision):
    """F with F Fᵀ = covariance, (..., n, n), in float64."""
    variances = np.diagonal(covariance, axis1=-2, axis2=-1)
    deviations = np.sqrt(np.maximum(variances, 0.0))
    units = np.where(deviations > 0, deviations, 1.0)
    correlation = covariance / units[..., :, None] / units[..., None, :]
    tolerance = ROUNDING * precision * covariance.shape[-1]
    if (np.abs(correlation - np.swapaxes(correlation, -1, -2)) > tolerance).any():
        raise NotPositiveDefiniteError(f"{NAME}: '{name}' is no covariance: it is not symmetric.")
    values, vectors = np.linalg.eigh(correlation)
    if (variances < 0).any() or (values < -tolerance * values.max(axis=-1, keepdims=True)).any():
        raise NotPositiveDefiniteError(
            f"{NAME}: '{name}' is no covariance: it is not positive semidefinite, its correlations "
            f"have the eigenvalue {values.min():.6g}."
        )
    is_rounding = values <= tolerance * values.max(axis=-1, keepdims=True)
    roots = np.sqrt(np.where(is_rounding, 0.0, values))
    return deviations[..., :, None] * vectors * roots[..., None, :]


def _float_of(value):
    """The precision that an array of numbers was given in."""
    dtype = np.dtype(getattr(value, "dtype", "float64"))
    return dtype if dtype.kind == "f" else np.dtype("float64")
