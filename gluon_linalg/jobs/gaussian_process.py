"""The task `gp`: the layer of a job, its loss and its predictions."""

import numpy as np

from .._runtime import import_mxnet
from ..blocks import GPLikelihoodLayer
from ..blocks.parameters import PositiveParameter
from .errors import JobError
from .expression import build_kernel, leaves

mx = import_mxnet()

# How many rows are predicted at once: each needs a row of n numbers.
CHUNK = 2048


class GaussianProcess:
    """A `GPLikelihoodLayer` with its data; `parameters` are named as in the job file."""

    def __init__(self, job, dataset, context):
        self.job, self.dataset, self.context = job, dataset, context
        self.parameters = {}
        self.layer = self._build_layer()
        dtype = job.model.dtype
        self.x = to_model_array(dataset.model_inputs()[None], dtype, context, dataset.path)
        self.y = to_model_array(dataset.model_target()[None], dtype, context, dataset.path)
        _refuse_repeated_inputs(job, dataset, self.x.asnumpy()[0])

    def arguments(self):
        """What the layer is called with."""
        return self.x, self.y

    def predictor(self):
        """The posterior of the latent function, for export."""
        return self.layer.condition(self.x, self.y)

    def noise_variance(self):
        """In units of the model."""
        parameter = self.layer.noise_variance
        return 0.0 if parameter is None else float(parameter.value()[0])

    def values(self):
        """All parameters in natural units of the model, by their path in the job file."""
        return {
            path: _number_or_list(
                parameter.value()
                if isinstance(parameter, PositiveParameter)
                else parameter.data(self.context).asnumpy()
            )
            for path, parameter in self.parameters.items()
        }

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


def predict(predictor, units, noise_variance, x, context):
    """Mean and variance of new observations in original units, (m, d) -> (m,), (m,)."""
    dtype = predictor_dtype(predictor)
    means, variances = [], []
    for start in range(0, len(x), CHUNK):
        chunk = units.inputs_to_model(x[start : start + CHUNK])
        mean, variance = predictor(to_model_array(chunk[None], dtype, context, "the inputs"))
        means.append(mean.asnumpy()[0].astype("float64"))
        variances.append(variance.asnumpy()[0].astype("float64"))
    mean, variance = np.concatenate(means), np.concatenate(variances) + noise_variance
    return units.mean_from_model(mean), units.variance_from_model(variance)


def predictor_dtype(predictor):
    """The dtype of a live or an imported predictor."""
    for parameter in predictor.collect_params().values():
        if parameter.name.endswith("variance"):
            return np.dtype(parameter.dtype).name
    raise AssertionError("every kernel has a variance")


def to_model_array(values, dtype, context, source):
    """An NDArray of a NumPy array; JobError when a number is too large for the dtype."""
    with np.errstate(over="ignore"):
        values = np.asarray(values, dtype=dtype)
    if not np.isfinite(values).all():
        raise JobError(f"{source}: a number is too large for {dtype}; rescale the column")
    return mx.nd.array(values, dtype=dtype, ctx=context)


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


def _number_or_list(array):
    values = np.asarray(array, dtype="float64").reshape(-1).tolist()
    return values[0] if len(values) == 1 else values
