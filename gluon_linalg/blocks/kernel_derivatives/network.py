"""Derivatives of kernels of networks, with those of the networks in forward mode."""

import math
from typing import Any, Dict, List, Tuple

import mxnet as mx

from ... import functional as fn
from ...typing import Array, Namespace
from ..dense_network import DenseNetwork
from ..kernels.combination import inner
from ..kernels.network import FARTHEST
from ..parameters import parameter_array
from .base import (
    WIDE,
    Bends,
    Differentiated,
    Points,
    Slopes,
    differentiated,
    of_column,
    own_values,
    pairs_of,
    plus,
    times,
)

nn = mx.gluon.nn


def deep(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    """Of k(g(a), g(b)) by the chain rule, J = ∂g/∂b: Jᵀ ∂k/∂g and Jᵀ ∂²k J."""
    z, tangents, count = _of_network(F, kernel, points.z, points.columns)
    x = None if points.x is None else _of_network(F, kernel, points.x, points.columns)[0]
    own = inner(hyperparameters, "kernel")
    found = differentiated(F, kernel.kernel, x, z, count, own, twice)
    rows = [[points.of_right(F, tangent, f) for f in range(count)] for tangent in tangents]
    slopes: Slopes = []
    for row in rows:
        slope = None
        for by_feature, change in zip(found.slopes, row):
            if by_feature is not None:
                slope = plus(slope, F.broadcast_mul(by_feature, change))
        slopes.append(slope)
    bends: Bends = {}
    for i, j in pairs_of(points.columns) if twice else ():
        bend = None
        for (f, g), by_features in found.bends.items():
            change = rows[i][f] * rows[j][g]
            change = change if f == g else change + rows[i][g] * rows[j][f]
            bend = plus(bend, times(by_features, change))
        if bend is not None:
            bends[i, j] = bend
    return Differentiated(found.value, slopes, bends)


def gibbs(
    F: Namespace, kernel: Any, points: Points, hyperparameters: Any, twice: bool
) -> Differentiated:
    """Of v (2 l l'/(l² + l'²))^(d/2) exp(-r²/(l² + l'²)), l = exp(g(a)), l' = exp(g(b)).

    With p = l'²/(l² + l'²) and q = 1/(l² + l'²) the derivative of its logarithm by b_j is

        (d/2 (1 - 2 p) + 2 p q r²) ∂g/∂b_j - 2 q (b_j - a_j)/ℓ_j²,

    and where a = b that of k by a_i and b_j is v (d/2 ∂g/∂a_i ∂g/∂b_j + [i = j]/(ℓ_j² l²)).
    """
    own, d = own_values(F, kernel, points, hyperparameters), points.columns
    variance, scales = (
        own["variance"],
        [of_column(F, kernel, "lengthscale", own["lengthscale"], j) for j in range(d)],
    )
    found, tangents, _ = _of_network(F, kernel, points.z, d)
    outside = fn.stop(F, F.abs(found)) >= FARTHEST
    ours = points.of_right(F, F.clip(found, a_min=-FARTHEST, a_max=FARTHEST), 0)
    bent = [points.of_right(F, tangent * (1.0 - outside), 0) for tangent in tangents]
    slopes: Slopes = [None] * d
    bends: Bends = {}
    if points.x is None:
        value = F.broadcast_mul(points.ones(F), variance)
        for i, j in pairs_of(d) if twice else ():
            bend = 0.5 * d * bent[i] * bent[j]
            if i == j:
                bend = bend + F.broadcast_div(F.exp(-2.0 * ours), F.square(scales[j]))
            bends[i, j] = F.broadcast_mul(bend, variance)
        return Differentiated(value, slopes, bends)
    theirs = _of_network(F, kernel, points.x, d)[0]
    theirs = F.clip(theirs, a_min=-FARTHEST, a_max=FARTHEST)
    steps = [F.broadcast_div(points.difference(F, j), scales[j]) for j in range(d)]
    squared = sum(F.square(step) for step in steps)
    gap = F.broadcast_sub(ours, theirs)
    share = F.sigmoid(2.0 * gap)
    # log cosh of the gap, and 1/(l² + l'²).
    size = F.abs(gap)
    bend = size + F.log1p(F.exp(-2.0 * size)) - math.log(2.0)
    sharpness = 0.5 * F.exp(-F.broadcast_add(ours, theirs) - bend)
    value = F.exp(-sharpness * squared - 0.5 * d * bend)
    value = F.broadcast_mul(value, variance)
    by_logarithm = 0.5 * d * (1.0 - 2.0 * share) + 2.0 * share * sharpness * squared
    for j in range(d):
        change = F.broadcast_mul(by_logarithm, bent[j])
        slopes[j] = value * (change - 2.0 * sharpness * F.broadcast_div(steps[j], scales[j]))
    return Differentiated(value, slopes, bends)


# Networks.


def _of_network(
    F: Namespace, kernel: Any, x: Array, columns: int
) -> Tuple[Array, List[Array], int]:
    """g(x), (B, n, k), its derivatives by each column, (B, n, k), and k.

    Computed in the dtype of the network, whose parameters are those of the kernel.
    """
    x = F.cast(x, dtype=kernel.dtype)
    one = fn.ones_like(F, F.slice_axis(x, axis=2, begin=0, end=1))
    nothing = fn.zeros_like(F, one)
    units = [
        F.concat(*(one if i == j else nothing for i in range(columns)), dim=2)
        if columns > 1
        else one
        for j in range(columns)
    ]
    # Derivatives by all columns below one another: (B, d n, k).
    tangents = F.concat(*units, dim=1) if columns > 1 else units[0]
    found, tangents, count = _through(F, kernel, kernel.network, x, tangents, columns, columns)
    each = F.reshape(tangents, shape=(0, -4, columns, -1, 0))
    parts = [
        F.reshape(F.slice_axis(each, axis=1, begin=j, end=j + 1), shape=(0, -3, 0))
        for j in range(columns)
    ]
    return F.cast(found, dtype=WIDE), [F.cast(part, dtype=WIDE) for part in parts], count


def _through(
    F: Namespace, kernel: Any, layer: Any, x: Array, tangents: Array, count: int, columns: int
) -> Tuple[Array, Array, int]:
    """What a layer makes of x (B, n, count) and of its derivatives, and the new count."""
    if isinstance(layer, nn.HybridSequential):
        for part in layer._children.values():
            x, tangents, count = _through(F, kernel, part, x, tangents, count, columns)
        return x, tangents, count
    if type(layer) is DenseNetwork:
        centre, spread = (
            F.reshape(parameter_array(F, p, x), shape=(1, 1, -1))
            for p in (layer.centre, layer.spread)
        )
        x = F.broadcast_div(F.broadcast_sub(x, centre), spread)
        tangents = F.broadcast_div(tangents, spread)
        return _through(F, kernel, layer.layers, x, tangents, count, columns)
    if type(layer) is nn.Dense and not layer._flatten:
        weight = parameter_array(F, layer.weight, x)
        options: Dict[str, Any] = {"num_hidden": layer._units, "flatten": False}
        bias = [] if layer.bias is None else [parameter_array(F, layer.bias, x)]
        x = F.FullyConnected(x, weight, *bias, no_bias=not bias, **options)
        tangents = F.FullyConnected(tangents, weight, no_bias=True, **options)
        if layer.act is None:
            return x, tangents, layer._units
        return (*_activated(F, layer.act, x, tangents, columns), layer._units)
    if type(layer) is nn.Activation:
        return (*_activated(F, layer, x, tangents, columns), count)
    if type(layer) is nn.Dropout:
        return x, tangents, count
    raise TypeError(
        f"{kernel.name}: there is no closed derivative of the layer {type(layer).__name__}; there "
        "is of HybridSequential, Dense (flatten=False), Activation and Dropout. Differentiate "
        "`mean` and `variance` by mx.autograd instead."
    )


def _activated(
    F: Namespace, layer: Any, x: Array, tangents: Array, columns: int
) -> Tuple[Array, Array]:
    value = F.Activation(x, act_type=layer._act_type)
    slopes = {
        "tanh": lambda: 1.0 - F.square(value),
        "sigmoid": lambda: value * (1.0 - value),
        "softrelu": lambda: F.sigmoid(x),
        "softsign": lambda: 1.0 / F.square(1.0 + F.abs(x)),
        "relu": lambda: x > 0.0,
    }
    slope = slopes[layer._act_type]()
    return value, tangents * (F.tile(slope, reps=(1, columns, 1)) if columns > 1 else slope)
