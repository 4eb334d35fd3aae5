"""Where to begin the search for the parameters of a structural model, from its data.

The likelihood of a variance is often flat on one side of its maximum, that of a period or of an
autoregression has several maxima: one starting point for all series misses many of them. All
starts are in units of the data, so that the same data in other units start at the same model.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..blocks.structural import ARIMA, AutoRegression, Component, Cycle, Seasonal

# Shares of the mean squared change of a series: of the noise, of the first level, of slopes, and of
# all else. What drives a series, its level, its slope or what comes on top, is a maximum each.
SHARES = (
    (0.1, 0.1, 1e-3, 0.1),
    (0.5, 0.01, 1e-4, 0.01),
    (0.4, 1e-3, 1e-6, 1e-3),
    (0.01, 0.5, 1e-3, 0.5),
    (0.01, 0.05, 0.5, 0.05),
    (0.4, 1e-4, 0.01, 0.01),
    (0.2, 1e-4, 1e-5, 0.4),
)
# Those that are tried with each way in which a component can be.
MAIN_SHARES = (SHARES[0], SHARES[3], SHARES[6])
# A variance that a search has left near 0 is tried at these shares at last: its likelihood may have
# a maximum there, beyond a slope that leads to 0.
REVIVALS = (1e-4, 1e-3, 1e-2, 0.1)
# Peaks of a periodogram that are tried, and dampings of a cycle there.
PEAKS = 2
DAMPINGS = (0.9, 0.98)
AUTOREGRESSIVE_DAMPING = 0.95
# First coefficients of ARIMA processes, of opposite signs in autoregression and moving average.
ARIMA_STARTS = (0.5, -0.5)
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
    rest = [_remainder(own, components) for own in series]
    candidates = [_candidates(c, rest, change) for c in components]
    plain = [own[0] for own in candidates]
    starts = [
        Start(_values(components, plain, change, shares, squares), (-1, number))
        for number, shares in enumerate(SHARES)
    ]
    for index, own in enumerate(candidates):
        for number, candidate in enumerate(own[1:], start=1):
            chosen = [*plain[:index], candidate, *plain[index + 1 :]]
            for shares in MAIN_SHARES:
                values = _values(components, chosen, change, shares, squares)
                starts.append(Start(values, (index, number)))
    return starts


def revivals(change: float) -> List[float]:
    """Variances to try in place of one near 0, for a mean squared change."""
    return [share * change for share in REVIVALS]


def has_many_maxima(components: Sequence[Component]) -> bool:
    """Whether the likelihood of such a model, with noise, is known to have several maxima."""
    variances = sum(n.endswith("variance") for c in components for n in c._reg_params)
    return variances > 1 or any(isinstance(c, (ARIMA, Cycle, AutoRegression)) for c in components)


def mean_squared_change(series: Sequence[np.ndarray]) -> float:
    """From one observation to the next; 1 where nothing changes."""
    each = [np.diff(own[np.isfinite(own)]) for own in series]
    changes = np.concatenate(each) if each else np.zeros(0)
    scale = np.abs(changes).max() if len(changes) else 0.0
    if scale == 0 or not np.isfinite(scale):
        return 1.0
    return float(scale * scale * np.mean((changes / scale) ** 2))


def _values(components, chosen, change, shares, squares) -> Values:
    noise, level, slope, other = shares
    by_name = {"level_variance": level, "slope_variance": slope}
    values: Values = {(None, "noise_variance"): np.array([noise * change])}
    squares = iter(squares)
    for index, (component, candidate) in enumerate(zip(components, chosen)):
        own = next(squares) if component.drifts else 1.0
        for name, parameter in component._reg_params.items():
            share = by_name.get(name, other)
            if name in candidate:
                value = candidate[name]
            elif name.endswith("variance"):
                value = share * change / np.broadcast_to(own, parameter.shape)
            else:
                value = parameter.value()
            values[index, name] = np.broadcast_to(value, parameter.shape).astype("float64")
    return values


def _candidates(component, rest, change) -> List[Dict[str, Any]]:
    """What makes the starts of a component differ, the plainest first.

    rest: what a line and fixed seasons leave of each series.
    """
    found: List[Dict[str, Any]] = [{}]
    if isinstance(component, Cycle):
        upper = getattr(component.period, "upper", np.inf)
        for period, variance in _waves(rest, float(component.period.value()[0])):
            if not component.period.lower < period < upper:
                continue
            for damping in DAMPINGS if component.damping is not None else (None,):
                candidate = {"period": period}
                if damping is not None:
                    candidate["damping"] = damping
                if component.cycle_variance is not None:
                    loss = 1.0 - (damping or DAMPINGS[-1]) ** 2
                    candidate["cycle_variance"] = max(variance * loss, 1e-4 * change)
                found.append(candidate)
    elif isinstance(component, AutoRegression):
        for partial in _partials(rest, component.state_size):
            found.append({"partial_autocorrelation": partial})
        if component.state_size > 1:
            found += [_wave_of(component, *wave, change) for wave in _waves(rest)]
    elif isinstance(component, ARIMA):
        for first in ARIMA_STARTS:
            found.append({
                name: np.append([sign * first], np.zeros(parameter.order - 1))
                for name, sign in (("ar", 1), ("ma", -1), ("seasonal_ar", 1), ("seasonal_ma", -1))
                for parameter in [getattr(component, name)]
                if parameter is not None
            })  # fmt: skip
    return found


def _wave_of(component, period, variance, change):
    """An autoregression that is a wave: complex roots of the period."""
    square = AUTOREGRESSIVE_DAMPING**2
    first = 2.0 * AUTOREGRESSIVE_DAMPING * np.cos(2.0 * np.pi / period) / (1.0 + square)
    partial = np.append([first, -square], np.zeros(component.state_size - 2))
    found = {"partial_autocorrelation": np.clip(partial, -LARGEST_PARTIAL, LARGEST_PARTIAL)}
    if component.innovation_variance is not None:
        loss = np.prod(1.0 - np.square(found["partial_autocorrelation"]))
        found["innovation_variance"] = max(variance * loss, 1e-4 * change)
    return found


def _remainder(own, components):
    """A series less the line and the fixed seasons of least squares, NaN where missing."""
    time, seen = np.arange(len(own)), np.isfinite(own)
    columns = [np.ones(len(own)), time / len(own)]
    for component in components:
        if isinstance(component, Seasonal):
            period, harmonics = component.waves
            for frequency in 2.0 * np.pi * np.arange(1, harmonics + 1) / period:
                columns += [np.cos(frequency * time), np.sin(frequency * time)]
    columns = np.stack(columns, axis=1)
    if seen.sum() <= 2 * columns.shape[1]:
        return own - np.mean(own[seen]) if seen.any() else own
    return own - columns @ np.linalg.lstsq(columns[seen], own[seen], rcond=None)[0]


def _waves(rest, given=None) -> List[Tuple[float, float]]:
    """Periods, and the variance of a wave there, from the longest series.

    The given period first, then the peaks of the periodogram of levels and of changes.
    """
    longest = max(rest, key=len)
    time, seen = np.arange(len(longest)), np.isfinite(longest)
    if seen.sum() < 8:
        return [] if given is None else [(given, 0.0)]
    filled = np.interp(time, time[seen], longest[seen])
    power, changes = _periodogram(filled), _periodogram(np.diff(filled))
    frequencies = np.arange(len(power)) / len(filled)

    def wave(period):
        near = np.abs(frequencies - 1.0 / period) <= 2.5 / len(filled)
        return period, float(filled.var() * power[near].sum() / max(power.sum(), 1e-300))

    periods = [] if given is None else [given]
    for own in (power, changes):
        own_frequencies = np.arange(len(own)) / (len(filled) - (own is changes))
        # At least two waves in the series, and more than two steps in a wave.
        inner = (own_frequencies >= 2.0 / len(filled)) & (own_frequencies < 0.48)
        around = np.pad(own, 1)
        inner &= (own >= around[:-2]) & (own >= around[2:])
        for k in sorted(np.flatnonzero(inner), key=lambda k: -own[k])[:PEAKS]:
            period = float(1.0 / own_frequencies[k])
            if all(abs(np.log(period / other)) > 0.05 for other in periods):
                periods.append(period)
    return [wave(period) for period in periods]


def _periodogram(values):
    values = values - values.mean()
    return np.abs(np.fft.rfft(values * np.hanning(len(values)))) ** 2


def _partials(rest, order) -> List[np.ndarray]:
    """Partial autocorrelations: of the series and their changes, and plain ones."""
    heads = [_sample_partials(rest, order), _sample_partials(map(np.diff, rest), order)]
    heads += [np.array([first]) for first in (0.5, LARGEST_PARTIAL, -0.5)]
    return [np.append(head, np.zeros(order - len(head))) for head in heads if head is not None]


def _sample_partials(series, order) -> Optional[np.ndarray]:
    """By the Durbin-Levinson recursion from autocovariances over the pairs that were observed."""
    products = np.zeros(order + 1)
    for own in series:
        seen = np.isfinite(own)
        filled = np.where(seen, own - np.mean(own[seen]) if seen.any() else 0.0, 0.0)
        for lag in range(min(order, len(own) - 1) + 1):
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
