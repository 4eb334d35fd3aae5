"""The LDS of GluonTS in a block, float32 and static as in its trainer."""

import mxnet as mx
import numpy as np
from gluonts.mx.distribution.lds import LDS


class LDSBlock(mx.gluon.HybridBlock):
    """Negative log likelihood (B,) by LDS, which wants every array for each series and step."""

    def __init__(self, batch, length, states, observations, **kwargs):
        super().__init__(**kwargs)
        self._batch, self._length = batch, length
        self._states, self._observations = states, observations

    def hybrid_forward(self, F, y, transition, emission, process, observation, mean, prior, offset):
        leading = (self._batch, self._length)
        lds = LDS(
            emission_coeff=F.broadcast_to(emission, shape=(*leading, 0, 0)),
            transition_coeff=F.broadcast_to(transition, shape=(*leading, 0, 0)),
            innovation_coeff=F.broadcast_to(process, shape=(*leading, 0)),
            noise_std=F.broadcast_to(observation, shape=(*leading, 0)),
            residuals=F.broadcast_to(offset, shape=(*leading, 0)),
            prior_mean=F.broadcast_to(mean, shape=(self._batch, 0)),
            prior_cov=F.broadcast_to(prior, shape=(self._batch, 0, 0)),
            latent_dim=self._states,
            output_dim=self._observations,
            seq_length=self._length,
        )
        log_likelihood, _, _ = lds.log_prob(y)
        return -F.sum(log_likelihood, axis=1)


class Filter:
    """It takes the covariance of the prior, and deviations of the observations."""

    def __init__(self, arrays):
        batch, length, observations = arrays["y"].shape
        states = arrays["transition"].shape[-1]
        self._block = LDSBlock(batch, length, states, observations)
        self._block.hybridize(static_alloc=True, static_shape=True)
        self._prior_factor = factor = arrays["prior_factor"]
        deviations = np.diagonal(arrays["observation_factor"], axis1=-2, axis2=-1)
        converted = {
            **arrays,
            "process_factor": arrays["process_factor"][..., 0],
            "observation_factor": deviations,
            "prior_factor": factor @ factor.swapaxes(-1, -2),
        }
        self._inputs = {k: mx.nd.array(a, dtype="float32") for k, a in converted.items()}
        for array in self._inputs.values():
            array.attach_grad()

    def run(self):
        with mx.autograd.record():
            self._value = self._block(*self._inputs.values())
        self._value.backward()
        mx.nd.waitall()

    def forward(self):
        self._block(*self._inputs.values())
        mx.nd.waitall()

    def results(self):
        found = {name: array.grad.asnumpy() for name, array in self._inputs.items()}
        found["process_factor"] = found["process_factor"][..., None]
        found["observation_deviations"] = found.pop("observation_factor")
        covariance = found["prior_factor"]
        # The chain rule, from the covariance to its factor.
        found["prior_factor"] = (covariance + covariance.swapaxes(-1, -2)) @ self._prior_factor
        return {"value": self._value.asnumpy(), **found}
