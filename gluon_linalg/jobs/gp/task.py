"""The layer of a Gaussian process job, its loss and its predictions."""

import numpy as np

from ...blocks import GPLikelihoodLayer
from ..errors import JobError
from ..regression.task import RegressionTask
from ..task import to_model_array
from .dataset import read_dataset
from .expression import build_kernel, leaves


class GaussianProcess(RegressionTask):
    """A `GPLikelihoodLayer` with its data."""

    title = "Gaussian process"
    graph_input = "(1, m, d): the inputs minus input_offset"
    singular = (
        "the covariance matrix of its rows is not positive definite at the initial values; raise "
        "model.noise_variance, set model.jitter: auto, or compute in float64 (model.dtype or "
        "model.precision)"
    )
    read_dataset = staticmethod(read_dataset)

    def __init__(self, job, dataset, context):
        super().__init__(job, dataset, context)
        self.layer = self._build_layer()
        dtype = job.model.dtype
        self.x = to_model_array(dataset.model_inputs()[None], dtype, context, dataset.path)
        self.y = to_model_array(dataset.model_target()[None], dtype, context, dataset.path)
        _refuse_repeated_inputs(job, dataset, self.x.asnumpy()[0])

    def predictor(self):
        """The posterior of the latent function, for export."""
        return self.layer.condition(self.x, self.y)

    def noise_variance(self):
        """In units of the model."""
        parameter = self.layer.noise_variance
        return 0.0 if parameter is None else float(parameter.value()[0])

    def leave_one_out(self, predictor):
        return [array.asnumpy()[0] for array in predictor.leave_one_out()]

    def _build_layer(self):
        model = self.job.model
        kernel = build_kernel(model.kernel, self.dataset.inputs, self.parameters)
        layer = GPLikelihoodLayer(
            kernel, model.mean, model.noise_variance, model.jitter, model.precision
        )
        if layer.noise_variance is not None:
            self.parameters["noise_variance"] = layer.noise_variance
            if "noise_variance" in model.fixed:
                layer.noise_variance.grad_req = "null"
        if layer.mean is not None:
            for name, parameter in layer.mean._reg_params.items():
                self.parameters[f"mean.{name}"] = parameter
        if model.mean == "linear":
            layer.mean.weight.shape = (1, len(self.dataset.inputs))
        layer.initialize(ctx=self.context)
        layer.cast(model.dtype)
        return layer


def _refuse_repeated_inputs(job, dataset, x):
    """Without noise, two observations at one input leave no Gaussian process."""
    model = job.model
    kernels = (name for path, _ in leaves(model.kernel) for name in path)
    if model.noise_variance != 0 or model.jitter != 0 or "white" in kernels:
        return
    _, first, groups = np.unique(x, axis=0, return_index=True, return_inverse=True)
    partner = first[groups.reshape(-1)]
    repeated = np.flatnonzero(partner != np.arange(len(x)))
    if len(repeated):
        one, other = dataset.lines[partner[repeated[0]]], dataset.lines[repeated[0]]
        raise JobError(
            f"{dataset.path}: rows {one} and {other} have the same inputs"
            f"{'' if job.model.dtype == 'float64' else ' in float32'}, and the model has no "
            "noise; set model.noise_variance above 0, or remove one of them"
        )
