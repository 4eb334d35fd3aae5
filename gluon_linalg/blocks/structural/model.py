"""Structural time series models: sums of components seen through noise, and their forecasts."""

from ... import functional as fn
from ..._runtime import import_mxnet
from ...errors import ShapeError
from ..base import LinearAlgebraBlock
from ..copying import frozen_copy
from ..kalman import KalmanFilterLayer
from ..parameters import parameter_array, positive_parameter
from ..smoother import KalmanForecastLayer, KalmanSmootherLayer
from .arrays import scalar_one
from .base import Component, Sum
from .bounded import VARIANCE_FLOOR
from .diffuse import LARGE, diffuse_prior

mx = import_mxnet()


class StructuralModel(LinearAlgebraBlock):
    """Negative diffuse log likelihood of a sum of components plus noise, (y, ...) -> (B,).

    y_t = Σ_i H_t^i x_t^i + ε_t,  ε_t ~ N(0, noise_variance).

    y: (B, T), one series for each batch element, all with the same parameters; covariates:
    (B or 1, T, k), the second argument if and only if there is a `Regression`; mask: optional last
    argument, (B, T) of 0/1, 1 where y was observed. What y holds behind the mask changes nothing,
    NaN included.

    The likelihood is the diffuse one, -lim log p(y) + Σ_j log(κ_j √2π) as the standard deviations
    κ_j of the diffuse states grow: for a local level -log p(y_2, ..., y_T | y_1). It is computed
    at κ_j large relative to the data (`diffuse_prior`): 1e5 in float64 and 100 in float32, for
    method='parallel' 1e4 and 30. Errors of order κ⁻² remain. (The exact diffuse log likelihood of
    statsmodels is lower by ½ log 2π for each diffuse state.)

    components: a component, a sum, or a list of them. noise_variance: the initial value of a
    learnable parameter in squared units of y; None or 0 for none. method, length: as in
    `KalmanFilterLayer`. Durbin & Koopman 2012, chapters 3 and 5; Harvey 1989, chapters 2 and 3.

    Raises ShapeError, DtypeError, and what `KalmanFilterLayer` does.
    """

    def __init__(self, components, noise_variance=1.0, method="sequential", length=None, **kwargs):
        super().__init__(**kwargs)
        self.options = {"method": method, "length": length}
        with self.name_scope():
            parts = [components] if isinstance(components, Component) else components
            self.components = Sum(*parts)
            size = self.components.state_size
            self.filter = KalmanFilterLayer(size, **self.options)
            self.smoother = KalmanSmootherLayer(size, **self.options)
            self.noise_variance = None
            if noise_variance:
                self.noise_variance = positive_parameter(
                    self, "noise_variance", noise_variance, VARIANCE_FLOOR
                )
        if self.noise_variance is None and self.components.noise_size == 0:
            raise ValueError(
                f"{self.name}: nothing in the model is random; give it a noise_variance, or one of "
                "its components a variance."
            )
        covariates = (("covariates", "C T k"),) if self.components.features else ()
        self.arguments = (("y", "B T"), *covariates, ("mask", "B T"))
        self.required = 1 + len(covariates)

    def hybrid_forward(self, F, y, *rest, **stored):
        inputs, diffuse_constant = self.kalman_inputs(F, y, *rest)
        return self.filter(*inputs) - diffuse_constant

    def smooth(self, y, *rest):
        """Mean (B, T, d) and covariance (B, T, d, d) of all states given all observations.

        Arguments as in a call of the model; states in the order of the components.
        """
        self._check((y, *rest))
        inputs, _ = self.kalman_inputs(mx.nd, y, *rest)
        return self.smoother(*inputs)

    def decompose(self, y, *rest):
        """What each component contributes to y: {label: (mean (B, T), variance (B, T))}.

        Given all observations. Arguments as in a call of the model.
        """
        mean, covariance = self.smooth(y, *rest)
        covariates, _ = self._split(rest)
        emission = self.components.system(mx.nd, y, covariates).emission.squeeze(axis=2)
        parts = {}
        for label, (component, begin) in zip(self.components.labels(), self.components.offsets()):
            states = slice(begin, begin + component.state_size)
            own = emission[:, :, states]
            pairs = mx.nd.broadcast_mul(own.expand_dims(axis=3), own.expand_dims(axis=2))
            parts[label] = (
                mx.nd.broadcast_mul(mean[:, :, states], own).sum(axis=2),
                mx.nd.broadcast_mul(covariance[:, :, states, states], pairs).sum(axis=(2, 3)),
            )
        return parts

    def forecaster(self, steps):
        """A block for `steps` observations after the last: (y, ...) -> mean, variance, (B, h).

        It exports, and holds copies of the parameters: training the model further does not
        change it. Arguments as in a call of the model, but covariates have T + h entries.
        """
        return StructuralForecaster(frozen_copy(self), steps)

    def kalman_inputs(self, F, y, *rest):
        """The arguments of the Kalman layers, and the diffuse constant (B,), inside a graph."""
        covariates, mask = self._split(rest)
        observed = fn.ones_like(F, y)
        if mask is not None:
            observed = fn.stop(F, mask)
            y = F.where(observed, y, fn.zeros_like(F, y))
        system = self.components.system(F, y, covariates)
        noise = scalar_one(F, y) * 0.0
        if self.noise_variance is not None:
            stored = parameter_array(F, self.noise_variance, y)
            noise = F.reshape(self.noise_variance.natural(F, stored), shape=(1, 1))
        variances = [noise, *self.components.variances(F, y)]
        large = LARGE[self.options["method"]][self.dtype]
        prior_mean, prior_factor, diffuse_constant = diffuse_prior(
            F, self.components, system, y, observed, variances, large
        )
        inputs = [
            F.expand_dims(y, axis=2),
            system.transition,
            system.emission,
            system.process_factor,
            F.reshape(F.sqrt(noise), shape=(1, 1, 1, 1)),
            prior_mean,
            prior_factor,
        ]
        if mask is not None:
            inputs.append(F.expand_dims(mask, axis=2))
        return inputs, diffuse_constant

    def check_shapes(self, sizes):
        features = self.components.features
        if sizes.get("k", 0) != features:
            raise ShapeError(
                f"{self.name}: 'covariates' has {sizes['k']} columns, expected {features}, one "
                "for each feature of the regressions."
            )
        if sizes.get("C", 1) not in (1, sizes["B"]):
            raise ShapeError(
                f"{self.name}: 'covariates' has batch {sizes['C']}, expected 1 or that of 'y', "
                f"{sizes['B']}."
            )

    def _split(self, rest):
        """(covariates, mask) from the arguments after y; None for what is not there."""
        rest = list(rest)
        covariates = rest.pop(0) if self.components.features else None
        return covariates, rest[0] if rest else None


class StructuralForecaster(LinearAlgebraBlock):
    """(y, ...) -> mean and variance of the next h observations, (B, h) each.

    E[y_{T+i} | y] = H E[x_{T+i} | y],  Var[y_{T+i} | y] = H Var[x_{T+i} | y] Hᵀ + noise_variance.

    Made by `StructuralModel.forecaster`. y: (B, T); covariates: (B or 1, T + h, k) if there is a
    `Regression`; mask: optional, (B, T).
    """

    def __init__(self, model, steps, **kwargs):
        super().__init__(**kwargs)
        self.steps = steps
        self.model = model
        with self.name_scope():
            size = model.components.state_size
            self.layer = KalmanForecastLayer(size, steps=steps, **model.options)
        self.required = model.required
        self.arguments = tuple(
            (name, axes.replace("T", "S") if name == "covariates" else axes)
            for name, axes in model.arguments
        )

    def hybrid_forward(self, F, y, *rest):
        inputs, _ = self.model.kalman_inputs(F, y, *rest)
        _, _, mean, covariance = self.layer(*inputs)
        return F.squeeze(mean, axis=2), F.squeeze(covariance, axis=(2, 3))

    def check_shapes(self, sizes):
        self.model.check_shapes(sizes)
        if sizes.get("S", sizes["T"] + self.steps) != sizes["T"] + self.steps:
            raise ShapeError(
                f"{self.name}: 'covariates' has {sizes['S']} entries in time, expected "
                f"{sizes['T']} + {self.steps}: those of 'y' and those of the forecast."
            )
