"""A network that emits the parameters of a structural model for each series and time."""

import math
from typing import Any, Mapping, Sequence, Tuple

import mxnet as mx

from .. import functional as fn
from ..blocks.structural.arrays import matrix, scalar_one
from ..typing import Array, Namespace

RECURRENT = {"lstm": mx.gluon.rnn.LSTM, "gru": mx.gluon.rnn.GRU}
CELLS = (*RECURRENT, "mlp")


class StateSpaceEmitter(mx.gluon.HybridBlock):
    """From features to the arrays of a structural model (Rangapuram et al. 2018).

        y_t = H_t x_t + d_t + σ_t ε_t,   x_{t+1} = A x_t + G_t η_t,   x_1 ~ N(m, S Sᵀ)

    The state is a level, its slope if there is a `trend`, and for each season the coefficients of
    cos 2πjφ_t and sin 2πjφ_t, j = 1, ..., J, at its phase φ_t; so H_t = [1, 0, cos..., sin...] and
    A is the identity, or adds the slope to the level. η_t has one element for the level, the slope
    and each season; the last moves the coefficients along what is seen at t, divided by J: its
    standard deviation is that of the change of y, as for a season of dummies.

    The network emits d_t, σ_t and the standard deviations of η_t at each time, and at the first m
    and the diagonal of S.

    network: a block (B, N, k) -> (B, N, c); harmonics: J of each season; embeddings: (cardinality,
    size) of each static category; bounds: dict of (lower, upper) for noise and innovation, of
    standard deviations, and prior, of variances. Inputs as in `TrainingWindows`: categories
    (B, c), reals (B, s), features (B, N, k), phases (B, N, q). Results, in the order of the Kalman
    layers: A (1, 1, d, d), H (B, N, 1, d), G (B, N, d, r), σ (B, N, 1, 1), m (B, d), S (B, d, d),
    and the offset d_t (B, N, 1).
    """

    def __init__(
        self,
        network: mx.gluon.HybridBlock,
        harmonics: Sequence[int],
        trend: bool,
        embeddings: Sequence[Tuple[int, int]],
        bounds: Mapping[str, Tuple[float, float]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._trend, self._harmonics, self._bounds = bool(trend), list(harmonics), bounds
        # The states that each element of the innovation moves.
        sizes = [1] * (1 + self._trend) + [2 * count for count in self._harmonics]
        self.state_size, self.innovation_size = sum(sizes), len(sizes)
        self._moves = [
            [float(column == row) for column in range(len(sizes))]
            for row, size in enumerate(sizes)
            for _ in range(size)
        ]
        with self.name_scope():
            self.network = network
            self.embedders = mx.gluon.nn.HybridSequential(prefix="")
            for shape in embeddings:
                self.embedders.add(mx.gluon.nn.Embedding(*shape))
            self.each_time = mx.gluon.nn.Dense(
                2 + self.innovation_size, flatten=False, prefix="each_time_"
            )
            self.first_time = mx.gluon.nn.Dense(2 * self.state_size, prefix="first_time_")

    def hybrid_forward(
        self, F: Namespace, categories: Array, reals: Array, features: Array, phases: Array
    ) -> Tuple[Array, ...]:
        # Of the phases, so that the graph has this input when there are no seasons, too.
        zeros = fn.zeros_like(F, F.slice_axis(phases, axis=2, begin=0, end=1))
        statics = F.expand_dims(self._statics(F, categories, reals), axis=1)
        inputs = F.concat(features, F.broadcast_add(zeros, statics), dim=2)
        hidden = self.network(inputs)
        offset, noise, innovations = _columns(F, self.each_time(hidden), 1, 1)
        noise = _between(F, noise, *self._bounds["noise"])
        innovations = _between(F, innovations, *self._bounds["innovation"])
        first = F.squeeze(F.slice_axis(hidden, axis=1, begin=0, end=1), axis=1)
        mean, variance = _columns(F, self.first_time(first), self.state_size)
        variance = _between(F, variance, *self._bounds["prior"])
        one = scalar_one(F, reals)
        emission, directions = self._emission(F, one, phases, zeros)
        spread = F.broadcast_mul(
            F.expand_dims(innovations, axis=2), F.expand_dims(matrix(F, one, self._moves), axis=0)
        )
        return (
            F.expand_dims(matrix(F, one, self._transition()), axis=0),
            F.expand_dims(emission, axis=2),
            F.broadcast_mul(F.expand_dims(directions, axis=3), spread),
            F.expand_dims(noise, axis=3),
            mean,
            fn.diagonal_matrix(F, F.sqrt(variance)),
            offset,
        )

    def _statics(self, F, categories, reals):
        embedded = [reals]
        for i, embedder in enumerate(self.embedders._children.values()):
            column = F.squeeze(F.slice_axis(categories, axis=1, begin=i, end=i + 1), axis=1)
            embedded.append(embedder(column))
        return F.concat(*embedded, dim=1)

    def _emission(self, F, one, phases, zeros):
        """H_t and the directions of innovations, (B, N, d) each."""
        ones = zeros + 1.0
        seen, moved = [ones], [ones]
        if self._trend:
            seen.append(zeros)
            moved.append(ones)
        for i, count in enumerate(self._harmonics):
            phase = F.slice_axis(phases, axis=2, begin=i, end=i + 1)
            speeds = matrix(F, one, [[2.0 * math.pi * j for j in range(1, count + 1)]])
            angles = F.broadcast_mul(phase, speeds)
            for wave in (F.cos(angles), F.sin(angles)):
                seen.append(wave)
                moved.append(wave / count)
        return F.concat(*seen, dim=2), F.concat(*moved, dim=2)

    def _transition(self):
        size = range(self.state_size)
        rows = [[float(row == column) for column in size] for row in size]
        if self._trend:
            rows[0][1] = 1.0
        return rows


def feature_network(
    cell_type: str, layers: int, cells: int, dropout: float, prefix: str = "network_"
) -> mx.gluon.nn.HybridSequential:
    """A block (B, N, k) -> (B, N, cells): 'lstm' and 'gru' see all earlier steps, 'mlp' its own."""
    if cell_type not in CELLS:
        raise ValueError(f"cell_type is {cell_type!r}, expected one of {CELLS}.")
    network = mx.gluon.nn.HybridSequential(prefix=prefix)
    with network.name_scope():
        for _ in range(layers):
            if cell_type in RECURRENT:
                network.add(RECURRENT[cell_type](cells, layout="NTC"))
            else:
                network.add(mx.gluon.nn.Dense(cells, activation="relu", flatten=False))
            # A block of its own: MXNet's recurrent layers leave theirs out in float32 on CPU.
            network.add(mx.gluon.nn.Dropout(dropout))
    return network


def _columns(F, array, *widths):
    """Columns of the last axis with these widths, and the rest."""
    parts, begin = [], 0
    for width in (*widths, None):
        end = None if width is None else begin + width
        parts.append(F.slice_axis(array, axis=-1, begin=begin, end=end))
        begin = end
    return parts


def _between(F, raw, lower, upper):
    """Positive numbers between bounds, evenly on a logarithmic scale."""
    return lower * F.exp(math.log(upper / lower) * F.sigmoid(raw))
