"""The networks of `DeepStateSpaceEstimator`: a loss to train, and forecasts."""

from typing import Any, Tuple

import mxnet as mx

from .. import functional as fn
from ..blocks.kalman import KalmanFilterLayer
from ..blocks.smoother import KalmanForecastLayer
from ..functional.matrix import with_axis
from ..functional.recursion import affine_recursion
from ..functional.state_space import over_time, time_first
from ..typing import Array, Namespace
from .state_space_emitter import StateSpaceEmitter


class DeepStateTrainingNetwork(mx.gluon.HybridBlock):
    """-log p(target) of each window per observation, (B,).

    emitter: a `StateSpaceEmitter`. Inputs as in `TrainingWindows`.
    """

    def __init__(self, emitter: StateSpaceEmitter, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.emitter = emitter
        self.likelihood = KalmanFilterLayer(emitter.state_size)

    def hybrid_forward(
        self,
        F: Namespace,
        categories: Array,
        reals: Array,
        features: Array,
        phases: Array,
        target: Array,
        observed: Array,
    ) -> Array:
        *system, offset = self.emitter(categories, reals, features, phases)
        y, mask = (F.expand_dims(array, axis=2) for array in (target, observed))
        loss = self.likelihood(y, *system, mask=mask, emission_offset=offset)
        count = F.sum(observed, axis=1)
        return loss / F.broadcast_maximum(count, fn.ones_like(F, count))


class DeepStatePredictionNetwork(mx.gluon.HybridBlock):
    """Forecasts as in `GraphPredictor`: paths (B, S, h), means (B, h), standard deviations (B, h).

    The state at the last step T of the context is filtered; the moments are those of
    `KalmanForecastLayer` from there, and each path is a draw of this state and of the model after
    it. noise (B, S, `noise_size`): standard normal numbers for the state, then for the innovations
    and the observations of each step.
    """

    def __init__(
        self,
        emitter: StateSpaceEmitter,
        context_length: int,
        prediction_length: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._context, self._steps = context_length, prediction_length
        self._states, self._innovations = emitter.state_size, emitter.innovation_size
        self.emitter = emitter
        self.filter = KalmanFilterLayer(self._states, moments="factor")
        self.moments = KalmanForecastLayer(self._states, steps=prediction_length)

    @staticmethod
    def noise_size(emitter: StateSpaceEmitter, steps: int) -> int:
        """The numbers that one path takes."""
        return emitter.state_size + steps * (emitter.innovation_size + 1)

    def hybrid_forward(
        self,
        F: Namespace,
        categories: Array,
        reals: Array,
        features: Array,
        phases: Array,
        target: Array,
        observed: Array,
        noise: Array,
    ) -> Tuple[Array, Array, Array]:
        transition, *along, prior_mean, prior_factor, offset = self.emitter(
            categories, reals, features, phases
        )
        past = [F.slice_axis(x, axis=1, begin=0, end=self._context) for x in (*along, offset)]
        y, mask = (F.expand_dims(array, axis=2) for array in (target, observed))
        _, mean, factor = self.filter(
            y, transition, *past[:3], prior_mean, prior_factor, mask=mask, emission_offset=past[3]
        )
        mean, factor = (
            F.squeeze(F.slice_axis(x, axis=1, begin=-1, end=None), axis=1) for x in (mean, factor)
        )
        # From T to T + h.
        future = [
            F.slice_axis(x, axis=1, begin=self._context - 1, end=None) for x in (*along, offset)
        ]
        nothing = fn.zeros_like(F, F.slice_axis(y, axis=1, begin=0, end=1))
        _, _, means, variances = self.moments(
            nothing,
            transition,
            *future[:3],
            mean,
            factor,
            mask=nothing,
            emission_offset=future[3],
        )
        paths = self._paths(F, transition, future, mean, factor, noise)
        return paths, F.squeeze(means, axis=2), F.sqrt(F.squeeze(variances, axis=(2, 3)))

    def _paths(self, F, transition, future, mean, factor, noise):
        """Draws of T + 1, ..., T + h, the paths of a series side by side: states are (d, S)."""
        first, steps, innovations = self._states, self._steps, self._innovations
        cuts = (0, first, first + steps * innovations, None)
        initial, moves, errors = (
            F.slice_axis(noise, axis=2, begin=begin, end=end)
            for begin, end in zip(cuts[:-1], cuts[1:])
        )
        initial = F.broadcast_add(
            F.expand_dims(mean, axis=2), fn.product(F, factor, initial, transpose_b=True)
        )
        moves = F.reshape(moves, shape=(0, 0, steps, innovations))
        moves, errors = (
            with_axis(F, F.transpose(x, axes=(2, 0, 3, 1)), 0)
            for x in (moves, F.expand_dims(errors, axis=3))
        )
        emission, process_factor, noise_factor, offset = (
            time_first(F, x) for x in (*future[:3], F.expand_dims(future[3], axis=3))
        )
        moved = fn.product(F, F.slice_axis(process_factor, axis=1, begin=0, end=-1), moves)
        transition = over_time(F, time_first(F, transition), moved)
        states = affine_recursion(F, transition, moved, with_axis(F, with_axis(F, initial, 0), 0))
        states = fn.product(F, transition, states) + moved
        emission, noise_factor, offset = (
            F.slice_axis(x, axis=1, begin=1, end=None) for x in (emission, noise_factor, offset)
        )
        paths = fn.product(F, emission, states) + fn.product(F, noise_factor, errors)
        paths = fn.batch_first(F, F.broadcast_add(paths, offset))
        return F.transpose(F.squeeze(paths, axis=2), axes=(0, 2, 1))
