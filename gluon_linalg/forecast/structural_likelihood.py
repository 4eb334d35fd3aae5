"""The graph of the likelihoods of many structural models of one kind."""

from typing import TYPE_CHECKING, Any

import mxnet as mx

from ..blocks.kalman import KalmanFilterLayer
from ..blocks.structural import RobustStructuralModel
from ..typing import Array, Namespace

if TYPE_CHECKING:
    from .structural_fit import SeriesBatch


class BatchLikelihood(mx.gluon.HybridBlock):
    """Negative diffuse log likelihoods (B,); arguments as in `SeriesBatch.kalman_inputs`.

    Then those of the Kalman layer that hang on no parameter, computed once, at `constants`.
    """

    is_exported = False

    def __init__(self, batch: "SeriesBatch", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Not a block of this one, whose parameters are rows of `points`.
        self._batch = batch
        states, diffuse = batch.components.state_size, sum(batch.components.diffuse)
        with self.name_scope():
            self.filter = KalmanFilterLayer(states, diffuse=diffuse)
        # Of the arrays only these hold parameters.
        names = {name for block in batch.components.components for name in block._reg_params}
        constants = ["y", "prior_mean", "directions"]
        if not any(block.learns_emission for block in batch.components.components):
            constants.append("emission")
        if all(name.endswith("variance") for name in names):
            constants += ["transition", "prior_factor"]
        self.filter.constants = tuple(constants)
        places = [name for name, _ in self.filter.arguments]
        # What would leave an argument without use is not replaced.
        has_priors = batch.description.has_known_priors and "prior_factor" not in constants
        kept = () if isinstance(batch.model, RobustStructuralModel) else constants
        left_out = {"directions", "prior_mean" if has_priors else ""}
        left_out |= {"emission"} if batch.has_covariates and not diffuse else set()
        self.constants = [places.index(name) for name in kept if name not in left_out]
        self.takes_priors = batch.description.has_known_priors and (has_priors or not kept)

    def hybrid_forward(self, F: Namespace, points: Array, *arrays: Array) -> Array:
        batch = self._batch
        if isinstance(batch.model, RobustStructuralModel):
            stored = batch._stored_by_name(F, points)
            inputs, bound = batch.model.weighted_inputs(F, *arrays, stored=stored)
            return self.filter(*inputs) - bound
        data = len(arrays) - len(self.constants)
        if self.takes_priors:
            inputs, _ = batch.kalman_inputs(F, points, *arrays[:data])
        else:
            stored = batch._stored_by_name(F, points)
            inputs, _ = batch.model.kalman_inputs(F, *arrays[:data], stored=stored)
        for place, array in zip(self.constants, arrays[data:]):
            inputs[place] = array
        return self.filter(*inputs)
