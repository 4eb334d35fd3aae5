"""The layer of a linear regression job, its loss and its predictions."""

import numpy as np

from ..regression.task import RegressionTask
from ..task import to_model_array
from ..units import finite
from .config import SMALLEST_NOISE
from .dataset import read_dataset
from .feature_blocks import FeatureRegression

# The initial noise variance, as a share of the variance of the target.
SHARE = 0.01


class LinearRegression(RegressionTask):
    """A `BLRLikelihoodLayer` on features, with its data."""

    title = "Bayesian linear regression"
    graph_input = "(1, m, d): the inputs minus input_offset, over input_scale"
    singular = (
        "the covariance matrix of its rows is not positive definite at the initial values; raise "
        "model.noise_variance"
    )
    read_dataset = staticmethod(read_dataset)

    def __init__(self, job, dataset, context):
        super().__init__(job, dataset, context)
        self.layer = self._build_layer()
        dtype = job.model.dtype
        self.x = to_model_array(dataset.model_inputs()[None], dtype, context, dataset.path)
        self.y = to_model_array(dataset.model_target()[None], dtype, context, dataset.path)

    def values(self):
        """Without the weights of an mlp, of which there are thousands."""
        return {name: self.value(name) for name in ("prior_variance", "noise_variance")}

    def predictor(self):
        return self.layer.condition(self.x, self.y)

    def noise_variance(self):
        return float(self.layer.likelihood.noise_variance.value()[0])

    def leave_one_out(self, predictor):
        """The residual of a row that was seen, r, is (1 - h) times that of one that was not.

        h = variance / noise variance is the leverage of the row (Hastie, Tibshirani & Friedman,
        section 7.10); its own observation has the variance noise variance / (1 - h).
        """
        mean, variance = (a.asnumpy()[0].astype("float64") for a in predictor(self.x))
        y, noise = self.y.asnumpy()[0].astype("float64"), self.noise_variance()
        # Rounding may bring the leverage of a row that stands alone to 1.
        unseen = np.maximum(1.0 - variance / noise, np.finfo(self.job.model.dtype).eps)
        return y - (y - mean) / unseen, noise / unseen

    def _build_layer(self):
        model, dataset = self.job.model, self.dataset
        section = model.features.chosen()[1]
        prior_variance = model.prior_variance
        layer = FeatureRegression(
            section.build(len(dataset.inputs)),
            prior_variance[0] if len(prior_variance) == 1 else prior_variance,
            _noise_variance(dataset) if model.noise_variance is None else model.noise_variance,
        )
        for name in ("prior_variance", "noise_variance"):
            self.parameters[name] = getattr(layer.likelihood, name)
            if name in model.fixed:
                self.parameters[name].grad_req = "null"
        for index, dense in enumerate(getattr(layer.features, "layers", ())):
            for name, parameter in dense._reg_params.items():
                self.parameters[f"features.mlp.{index}.{name}"] = parameter
        layer.initialize(ctx=self.context)
        layer.cast(model.dtype)
        return layer


def _noise_variance(dataset):
    """A share of the variance of the target in units of the model; 1 for a constant target."""
    with np.errstate(over="ignore"):
        variance = SHARE * float(np.var(dataset.model_target()))
    finite(dataset.path, variance)
    return max(variance, 2.0 * SMALLEST_NOISE) if variance else 1.0
