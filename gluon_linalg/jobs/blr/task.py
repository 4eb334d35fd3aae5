"""The layer of a linear regression job, its loss and its predictions."""

from typing import Any, Dict, Tuple, Union

import mxnet as mx
import numpy as np

from ...analysis.regression import (
    coefficient_columns,
    coefficients_text,
    held_out_moments,
)
from ...fitting.units import mean_and_deviation
from ...typing import Device
from ..output import OutputFolder
from ..regression.dataset import Dataset
from ..regression.learned import learn
from ..regression.task import RegressionTask
from ..units import finite
from .config import LinearRegressionJob
from .dataset import read_dataset
from .feature_blocks import FeaturePredictor, FeatureRegression, FourierFeatures

# The initial noise variance, as a share of the variance of the target.
SHARE = 0.01
LENGTHSCALE = "features.fourier.lengthscale"


class LinearRegression(RegressionTask):
    """A `BLRLikelihoodLayer` on features, with its data."""

    job: LinearRegressionJob
    title = "Bayesian linear regression"
    graph_input = "(1, m, d): the inputs minus input_offset, over input_scale"
    singular = (
        "the covariance matrix of its rows is not positive definite at the initial values; raise "
        "model.noise_variance"
    )
    read_dataset = staticmethod(read_dataset)

    def __init__(self, job: LinearRegressionJob, dataset: Dataset, device: Device) -> None:
        super().__init__(job, dataset, device)
        self.layer = self._build_layer()

    def values(self) -> Dict[str, Any]:
        """Without the weights of an mlp, of which there are thousands."""
        own = ("prior_variance", "noise_variance", LENGTHSCALE)
        return {name: self.value(name) for name in own if name in self.parameters}

    def predictor(self) -> FeaturePredictor:
        return self.layer.condition(self.x, self.y)

    def noise_variance(self) -> float:
        return float(self.learned["noise_variance"].value()[0])

    def leave_one_out(self, predictor: mx.gluon.HybridBlock) -> Tuple[np.ndarray, np.ndarray]:
        mean, variance = (a.asnumpy()[0].astype("float64") for a in predictor(self.x))
        y = self.y.asnumpy()[0].astype("float64")
        noise = float(self.layer.likelihood.noise_variance.value()[0])
        least = float(np.finfo(self.job.model.dtype).eps)
        return held_out_moments(y, mean, variance, noise, least)

    def write_results(self, folder: OutputFolder) -> Dict[str, Any]:
        """Beside those of all regressions, the coefficients, if features have names."""
        metrics = super().write_results(folder)
        names = self.job.model.features.chosen()[1].names(self.dataset.inputs)
        if names:
            columns = coefficient_columns(*self._coefficients(), self.job.levels)
            self.report += ["", *coefficients_text(names, columns)]
            metrics["coefficients"] = {
                name: {key: float(values[k]) for key, values in columns.items()}
                for k, name in enumerate(names)
            }
        return metrics

    def _coefficients(self) -> Tuple[np.ndarray, np.ndarray]:
        """Means and variances of the weights in original units; of powers, those of the model."""
        units: Any = self.dataset.units
        found = self.predictor().predictor.weights()
        mean, covariance = (array.asnumpy()[0].astype("float64") for array in found)
        size = self.target_size * units.target_scale
        turn = np.eye(len(mean)) * size
        if self.job.model.features.chosen()[0] == "linear":
            scale, offset = np.asarray(units.input_scale), np.asarray(units.input_offset)
            turn[0, 1:] = -size * offset / scale
            turn[1:, 1:] /= scale[:, None]
        mean, variance = turn @ mean, np.diag(turn @ covariance @ turn.T)
        # The 1 comes first.
        mean[0] += units.target_offset
        return mean, np.maximum(variance, 0.0)

    def _build_layer(self) -> FeatureRegression:
        model, inputs = self.job.model, len(self.dataset.inputs)
        section = model.features.chosen()[1]
        features = section.build(inputs)
        typical = {
            "prior_variance": self._prior_variance(features),
            "noise_variance": self._noise_variance(),
        }
        shape = np.shape(typical["prior_variance"])
        if model.prior_variance is not None:
            shape = np.shape(model.prior_variance)
        layer = FeatureRegression(features, np.ones(shape), 1.0)
        for name, size in typical.items():
            self.learned[name] = learn(
                getattr(layer.likelihood, name),
                getattr(model, name),
                size,
                self.target_size**2,
                name in model.fixed,
            )
            self.parameters[name] = self.learned[name].parameter
        if isinstance(features, FourierFeatures):
            self.parameters[LENGTHSCALE] = features.waves.lengthscale
        for index, dense in enumerate(getattr(features, "layers", ())):
            for name, parameter in dense._reg_params.items():
                self.parameters[f"features.mlp.{index}.{name}"] = parameter
        layer.initialize(ctx=self.device)
        layer.cast(model.dtype)
        return layer

    def _prior_variance(self, features: mx.gluon.HybridBlock) -> Union[float, np.ndarray]:
        """Typical: 1, or where features have units of their own, 1 over the mean square of each."""
        keeps_units = self.job.data.input_scaling in ("raw", "center")
        model = self.job.model
        if (
            not keeps_units
            or model.features.chosen()[0] in ("mlp", "fourier")
            or model.prior_variance is not None
        ):
            return 1.0
        x = mx.nd.array(self.dataset.model_inputs()[None], dtype="float64")
        with np.errstate(all="ignore"):
            squares = np.mean(features(x).asnumpy()[0] ** 2, axis=0)
        finite(self.dataset.path, squares)
        return 1.0 / np.where(squares > 0, squares, 1.0)

    def _noise_variance(self) -> float:
        """A share of the variance of the target; 1 for a constant one."""
        y = self.dataset.model_target() / self.target_size
        _, deviation = mean_and_deviation(y)
        return SHARE * float(deviation) ** 2 or 1.0
