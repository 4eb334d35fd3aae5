"""Where to begin the search for the parameters of a structural model, from its data.

The likelihood of a variance is often flat on one side of its maximum, that of a period or of an
autoregression has several maxima: one starting point for all series misses many of them. All
starts are in units of the data, so that the same data in other units start at the same model.
"""

from itertools import islice
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..blocks.structural import AutoRegression, Component, Cycle

# Shares of the mean squared change of a series: of the noise, of slopes, and of all else.
SHARES = (
    (0.1, 1e-3, 0.1),
    (0.5, 1e-4, 0.01),
    (0.4, 1e-6, 1e-3),
    (0.01, 1e-3, 0.5),
    (0.01, 0.5, 0.05),
)
# Peaks of a periodogram that are tried, and dampings of a cycle there.
PEAKS = 2
DAMPINGS = (0.9, 0.98)
# No start is nearer to a unit root.
LARGEST_PARTIAL = 0.95

Values = Dict[Tuple[Optional[int], str], np.ndarray]


class Start(NamedTuple):
    """values: natural values by (number of the component or None, name); family: starts of one
    family lead to the same maximum, as far as can be foreseen."""

    values: Values
    family: Tuple[int, ...]


def structural_starts(
    components: Sequence[Component],
    series: Sequence[np.ndarray],
    squares: Sequence[np.ndarray] = (),
) -> List[Start]:
    """Starts for a model of these components, the first being the plainest.

    series: arrays (T,), NaN where missing, that share the parameters; squares: for each drifting
    regression the mean squares (k,) of its centred covariates.
    """
    change = mean_squared_change(series)
    candidates = [_candidates(c, series, change) for c in components]
    plain = [own[0] for own in candidates]
    starts = [Start(_values(components, plain, change, s, squares), ()) for s in SHARES]
    for index, own in enumerate(candidates):
        for number, candidate in enumerate(own[1:], start=1):
            chosen = [*plain[:index], candidate, *plain[index + 1 :]]
            for shares in (SHARES[0], SHARES[3]):
                values = _values(components, chosen, change, shares, squares)
                starts.append(Start(values, (index, number)))
    return starts


def has_many_maxima(components: Sequence[Component]) -> bool:
    """Whether the likelihood of such a model is known to have several maxima."""
    return any(isinstance(c, (Cycle, AutoRegression)) for c in components)


def mean_squared_change(series: Sequence[np.ndarray]) -> float:
    """From one observation to the next; 1 where nothing changes."""
    changes = [np.diff(own[np.isfinite(own)]) for own in series]
    changes = np.concatenate(changes) if changes else np.zeros(0)
    scale = np.abs(changes).max() if len(changes) else 0.0
    if scale == 0 or not np.isfinite(scale):
        return 1.0
    return float(scale * scale * np.mean((changes / scale) ** 2))


def _values(components, chosen, change, shares, squares) -> Values:
    noise, slope, other = shares
    values: Values = {(None, "noise_variance"): np.array([noise * change])}
    squares = iter(squares)
    for index, (component, candidate) in enumerate(zip(components, chosen)):
        own = next(squares) if component.drifts else 1.0
        for name, parameter in component._reg_params.items():
            share = slope if name == "slope_variance" else other
            if name in candidate:
                value = candidate[name]
            elif name.endswith("variance"):
                value = share * change / np.broadcast_to(own, parameter.shape)
            else:
                value = parameter.value()
            values[index, name] = np.broadcast_to(value, parameter.shape).astype("float64")
    return values


def _candidates(component, series, change) -> List[Dict[str, Any]]:
    """What makes the starts of a component differ, the plainest first."""
    found: List[Dict[str, Any]] = [{}]
    if isinstance(component, Cycle):
        given = float(component.period.value()[0])
        for period in [given, *_periods(series)]:
            for damping in DAMPINGS if component.damping is not None else (None,):
                candidate = {"period": period}
                if damping is not None:
                    candidate["damping"] = damping
                if component.cycle_variance is not None:
                    loss = 1.0 - (damping or 0.98) ** 2
                    candidate["cycle_variance"] = max(0.5 * _variance(series) * loss, 1e-3 * change)
                found.append(candidate)
    elif isinstance(component, AutoRegression):
        order = component.state_size
        for partial in _partials(series, order):
            found.append({"partial_autocorrelation": partial})
    return found


def _periods(series) -> List[float]:
    """Periods of the peaks of the mean periodogram, of levels and of changes."""
    longest = max(series, key=len)
    time = np.arange(len(longest))
    seen = np.isfinite(longest)
    if seen.sum() < 8:
        return []
    filled = np.interp(time, time[seen], longest[seen])
    line = np.polyfit(time, filled, 1)
    found = []
    for values in (filled - np.polyval(line, time), np.diff(filled)):
        values = values - values.mean()
        power = np.abs(np.fft.rfft(values * np.hanning(len(values)))) ** 2
        # At least two waves in the series, and more than two steps in a wave.
        frequencies = np.arange(len(power)) / len(values)
        inner = np.flatnonzero((frequencies >= 2.0 / len(values)) & (frequencies < 0.48))
        if not len(inner):
            continue
        peaks = [
            k for k in inner if power[k] >= power[k - 1] and (k + 1 == len(power) or power[k] >= power[k + 1])
        ]
        for k in sorted(peaks, key=lambda k: -power[k])[:PEAKS]:
            period = 1.0 / frequencies[k]
            if all(abs(np.log(period / other)) > 0.1 for other in found):
                found.append(float(period))
    return list(islice(found, 2 * PEAKS))


def _partials(series, order) -> List[np.ndarray]:
    """Partial autocorrelations: those of the detrended series and of its changes, and plain ones."""
    found = []
    for values in (_detrended(series), [np.diff(own) for own in series]):
        partial = _sample_partials(values, order)
        if partial is not None:
            found.append(partial)
    rest = np.zeros(order - 1)
    found += [np.append(first, rest) for first in (0.5, -0.5)]
    if order > 1:
        # A wave: φ = (1.2, -0.6).
        found.append(np.append([0.75, -0.6], np.zeros(order - 2)))
    return found


def _sample_partials(series, order) -> Optional[np.ndarray]:
    """By the Durbin-Levinson recursion from autocovariances over the pairs that were observed."""
    products = np.zeros(order + 1)
    for own in series:
        centred = own - np.nanmean(own) if np.isfinite(own).any() else own
        filled = np.where(np.isfinite(centred), centred, 0.0)
        for lag in range(order + 1):
            products[lag] += filled[lag:] @ filled[: len(filled) - lag]
    if not products[0] > 0 or not np.isfinite(products).all():
        return None
    coefficients, partial, error = np.zeros(0), [], products[0]
    for lag in range(1, order + 1):
        r = (products[lag] - coefficients @ products[lag - 1 : 0 : -1]) / error
        r = float(np.clip(r, -LARGEST_PARTIAL, LARGEST_PARTIAL))
        coefficients = np.append(coefficients - r * coefficients[::-1], r)
        error *= 1.0 - r * r
        partial.append(r)
    return np.array(partial)


def _detrended(series):
    found = []
    for own in series:
        time, seen = np.arange(len(own)), np.isfinite(own)
        if seen.sum() > 2:
            own = own - np.polyval(np.polyfit(time[seen], own[seen], 1), time)
        found.append(own)
    return found


def _variance(series):
    values = np.concatenate([own[np.isfinite(own)] for own in _detrended(series)])
    return float(values.var()) if len(values) else 0.0
