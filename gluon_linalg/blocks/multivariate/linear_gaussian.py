"""Linear-Gaussian state space models whose matrices are learned."""

from typing import Any, Dict, Mapping

import numpy as np

from ...typing import Array, Namespace
from ..bounded import VARIANCE_FLOOR
from ..parameters import positive_parameter
from ..structural.arrays import matrix
from .base import MultivariateModel, VectorSystem, checked_count
from .parameters import covariance_parameter, real_parameter, waves


class LinearGaussianModel(MultivariateModel):
    """Negative log likelihood of p series that d states drive, all matrices being learned.

    x_1 ~ N(m, P),  x_{t+1} = A x_t + η_t,  η_t ~ N(0, Q),
    y_t = H x_t + mean + B c_t + ε_t,  ε_{i,t} ~ N(0, observation_variance_i).

    series p, states d. transition: initial A, (d, d), 0.9 I unless given; emission: initial H,
    (p, d), by default such that no two states are alike; process_covariance: initial Q, (d, d), or
    a variance for all; observation_variance: initial, a number or p; prior_mean: initial m, zeros
    unless given; prior_covariance: P, (d, d) or a variance for all, which is not learned (the
    likelihood of few series has no maximum in it); mean: initial values of the p means, None for
    zeros, False for none; covariates: how many there are in c_t, whose `effects` B, (p, n), begin
    at 0. The states are determined up to a linear map, in which neither likelihood nor forecast
    differs. Without means and covariates `expectation_maximization` learns the same model
    (`matrices`, `set_matrices`). Shumway & Stoffer 1982.

    Arguments, options (covariates, method, length), methods and errors as in `MultivariateModel`;
    ValueError for what is none of these.

    >>> model = gl.LinearGaussianModel(3, 2)
    >>> model.initialize()
    >>> model(mx.nd.zeros((1, 5, 3))).shape
    (1,)
    """

    def __init__(
        self,
        series: int,
        states: int,
        transition: Any = None,
        emission: Any = None,
        process_covariance: Any = None,
        observation_variance: Any = 1.0,
        prior_mean: Any = None,
        prior_covariance: Any = None,
        mean: Any = None,
        **options: Any,
    ) -> None:
        name = type(self).__name__
        checked_count(name, "series", series, 1)
        checked_count(name, "states", states, 1)
        super().__init__(series, states, 0, **options)
        transition = 0.9 * np.eye(states) if transition is None else transition
        emission = waves(series, states) if emission is None else emission
        self.transition = real_parameter(self, "transition", transition, (states, states))
        self.emission = real_parameter(self, "emission", emission, (series, states))
        self.process_covariance = covariance_parameter(
            self, "process_covariance", process_covariance, states
        )
        variance = np.broadcast_to(np.asarray(observation_variance, "float64"), (series,))
        self.observation_variance = positive_parameter(
            self, "observation_variance", variance, VARIANCE_FLOOR
        )
        self.prior_mean = real_parameter(self, "prior_mean", prior_mean, (states,))
        self.prior_covariance = covariance_parameter(
            self, "prior_covariance", prior_covariance, states
        )
        self.prior_covariance.grad_req = "null"
        if mean is not False:
            self.mean = real_parameter(self, "mean", mean, (series,))

    def system(self, F: Namespace, y: Array, mask: Array) -> VectorSystem:
        one = self.one(F, y)
        process, prior = (
            parameter.factor(F, one, self.stored(F, parameter, y))
            for parameter in (self.process_covariance, self.prior_covariance)
        )
        variance = self.observation_variance.natural(
            F, self.stored(F, self.observation_variance, y)
        )
        deviation = F.reshape(F.sqrt(variance), shape=(1, -1, 1))
        noise = F.broadcast_mul(deviation, matrix(F, one, np.eye(self.series).tolist()))
        return VectorSystem(
            F.reshape(self.stored(F, self.transition, y), shape=(1, 1, self.state_size, -1)),
            F.reshape(self.stored(F, self.emission, y), shape=(1, 1, self.series, -1)),
            F.expand_dims(process, axis=0),
            F.expand_dims(noise, axis=0),
            F.reshape(self.stored(F, self.prior_mean, y), shape=(1, -1)),
            prior,
            None,
            self.offset(F, y),
        )

    def matrices(self) -> Dict[str, np.ndarray]:
        """A, H, Q, R, m and P by the names of `expectation_maximization`, float64 NumPy arrays."""
        return {
            "transition": self.transition.value(),
            "emission": self.emission.value(),
            "process_covariance": self.process_covariance.value(),
            "observation_covariance": np.diag(np.ravel(self.observation_variance.value())),
            "prior_mean": self.prior_mean.value(),
            "prior_covariance": self.prior_covariance.value(),
        }

    def set_matrices(self, matrices: Mapping[str, np.ndarray]) -> None:
        """Takes what `matrices` gives, such as the parameters of `ExpectationMaximization`."""
        given = dict(matrices)
        noise = given.pop("observation_covariance", None)
        if noise is not None:
            self.observation_variance.set_value(np.diag(noise))
        for name, value in given.items():
            getattr(self, name).set_value(value)
