"""The layer of a Gaussian process job, its loss and its predictions."""

from typing import Any, Dict, Iterator, List, Optional, Tuple, Union, cast

import mxnet as mx
import numpy as np

from ...blocks import GPLikelihoodLayer
from ...blocks.kernels import Kernel
from ...blocks.parameters import PositiveParameter
from ...blocks.priors import PriorLoss
from ...grammar.kernel_building import leaves
from ...typing import Array, Device, Namespace
from ..errors import JobError, suggestion
from ..regression.dataset import Dataset
from ..regression.learned import Learned, learn
from ..regression.task import RegressionTask
from ..task import number_or_list
from .config import GaussianProcessJob
from .dataset import Units, read_dataset
from .initial_values import initial_kernel
from .inputs import Inputs
from .mean import build_mean

# Initial values to choose from: noise variances, as shares of the mean square of the target,
# lengthscales over their typical size, and then variances over theirs.
NOISES = (0.1, 0.5, 0.005)
LENGTHS = [3.0 * 4.0**-k for k in range(6)]
SHARES = (0.1, 0.01, 0.001, 0.0001)
# The range of evenly spread numbers, in their standard deviations.
NEIGHBOURS = 3.5
# Of more rows a likelihood takes seconds: they are tried with lengthscales alone.
MANY_ROWS = 1500
# Before the places of the weights of networks.
NETWORK = "network."
# Of which there are too many to tell.
HIDDEN = (NETWORK, "inducing.", "variational.")


class GaussianProcess(RegressionTask):
    """A `GPLikelihoodLayer` with its data."""

    job: GaussianProcessJob
    title = "Gaussian process"
    graph_input = "(1, m, d): the inputs minus input_offset"
    singular = (
        "the covariance matrix of its rows is not positive definite at the initial values; raise "
        "model.noise_variance, set model.jitter: auto, or compute in float64 (model.dtype or "
        "model.precision)"
    )
    read_dataset = staticmethod(read_dataset)

    mean: Any

    def __init__(self, job: GaussianProcessJob, dataset: Dataset, device: Device) -> None:
        super().__init__(job, dataset, device)
        self.layer = self._build_layer()
        _refuse_repeated_inputs(job, dataset, self.x.asnumpy()[0])

    @property
    def has_likelihood(self) -> bool:
        return not self.job.model.priors

    def predictor(self) -> Any:
        """The posterior of the latent function, for export."""
        layer = self.layer.layer if isinstance(self.layer, WithPriors) else self.layer
        return layer.condition(self.x, self.y)

    def starts(self) -> Iterator[List[Dict[str, Any]]]:
        """Lengthscales and noise together, then those of each kernel, and its share of the target.

        The functions bend seldom, or as often as they can between neighbours.
        """
        if self.job.model.restarts:
            yield self._drawn()
        count, columns = self.x.shape[1:]
        finest = NEIGHBOURS * count ** (-1.0 / columns)
        factors = [factor for factor in LENGTHS if factor >= min(finest, LENGTHS[2])]
        opened = {path: found.typical for path, found in self.learned.items() if found.is_open}
        lengths = {path: size for path, size in opened.items() if path.endswith("lengthscale")}
        noises = [{"noise_variance": noise} for noise in NOISES if "noise_variance" in opened]
        noises = noises[:1] if count > MANY_ROWS else noises
        if not lengths and not noises:
            return
        yield [
            {**{path: factor * size for path, size in lengths.items()}, **noise}
            for factor in (factors if lengths else [1.0])
            for noise in (noises or [{}])
        ]
        if count > MANY_ROWS:
            return
        if noises:
            yield [{"noise_variance": share} for share in SHARES]
        for path, size in lengths.items() if len(lengths) > 1 else ():
            yield [{path: factor * size} for factor in factors]
        for path, size in opened.items():
            if path.startswith("kernel.sum") and path.endswith("variance"):
                yield [{path: share * size} for share in SHARES]

    def values(self) -> Dict[str, Any]:
        """Without the weights of networks, of which there are many."""
        return {path: self.value(path) for path in self.parameters if not path.startswith(HIDDEN)}

    def families(self) -> Optional[List[int]]:
        """Each of the drawn starts may lead to another minimum."""
        return list(range(self.job.model.restarts)) or None

    def noise_variance(self) -> float:
        learned = self.learned.get("noise_variance")
        return 0.0 if learned is None else float(learned.value()[0])

    def leave_one_out(self, predictor: Any) -> List[np.ndarray]:
        return [array.asnumpy()[0] for array in predictor.leave_one_out()]

    def value(self, path: str) -> Union[float, List[float]]:
        name = path.split(".")[-1]
        if not path.startswith("mean."):
            return super().value(path)
        # What the data were centred by belongs to the mean, unless the job says otherwise.
        offset = self.dataset.units.target_offset if self.job.data.target_scaling == "raw" else 0.0
        if name == "constant":
            return self.target_size * cast(float, super().value(path)) + offset
        weight, bias = self.mean.natural_values()
        if name == "weight":
            return number_or_list(self.target_size * weight)
        return self.target_size * bias + offset

    def _build_layer(self) -> Any:
        model = self.job.model
        x, y = self.x.asnumpy()[0].astype("float64"), self.dataset.model_target()
        offset = np.asarray(cast(Units, self.dataset.units).input_offset)
        first = self.observed(y if y.ndim == 1 else y[:, 0])
        inputs = Inputs(self.dataset.inputs, x, first, offset=offset)
        kernel, learned = self._kernel_of(inputs)
        self.learned.update(learned)
        layer, noise_variance = self._layer(kernel, inputs)
        if noise_variance is not None:
            self.learned["noise_variance"] = learn(
                noise_variance,
                model.noise_variance,
                NOISES[0],
                self.target_size**2,
                "noise_variance" in model.fixed,
            )
        self.parameters.update({path: found.parameter for path, found in self.learned.items()})
        self._name_parameters(kernel)
        if self._set_priors():
            layer = self._with_priors(layer)
        layer.initialize(ctx=self.device)
        layer.cast(model.dtype)
        return layer

    def _kernel_of(self, inputs: Inputs) -> Tuple[Kernel, Dict[str, Learned]]:
        """The kernel of the job, and its parameters by path."""
        return initial_kernel(self.job.model.kernel, inputs, self.target_size**2)

    def _set_priors(self) -> bool:
        """Gives parameters the priors of the job, in units of the layer; whether there are any."""
        given = self.job.model.priors
        for path, described in given.items():
            if path not in self.learned:
                advice = suggestion(path, list(self.learned))
                raise JobError(f"model.priors: there is no parameter '{path}'; {advice}")
            learned, prior = self.learned[path], described.build()
            if prior.positive and not isinstance(learned.parameter, PositiveParameter):
                raise JobError(f"model.priors: {path} may have any sign; give it a normal prior")
            units = np.broadcast_to(learned.unit, learned.parameter.shape)
            unit = float(units.flat[0])
            if not np.allclose(units, unit, rtol=1e-9):
                raise JobError(
                    f"model.priors: {path} has a unit of its own for each target; set "
                    "data.target_scaling: standardize, which makes them one"
                )
            learned.parameter.prior = prior.over(unit, learned.offset)
            self.loss_offset += float(np.prod(learned.parameter.shape) * np.log(unit))
        return bool(given)

    def _with_priors(self, layer: Any) -> Any:
        return WithPriors(layer)

    def _drawn(self) -> List[Dict[str, Any]]:
        """Starts of the parameters that have priors, in units of the layer."""
        random = np.random.RandomState(self.job.seed)
        found = []
        for _ in range(self.job.model.restarts):
            start = {}
            for path in self.job.model.priors:
                parameter: Any = self.learned[path].parameter
                value = parameter.prior.sample(random, parameter.shape)
                lower = getattr(parameter, "lower", -np.inf)
                start[path] = np.maximum(value, 2.0 * lower if np.isfinite(lower) else lower)
            found.append(start)
        return found

    def _layer(self, kernel: Kernel, inputs: Inputs) -> Tuple[Any, Optional[PositiveParameter]]:
        """The layer that is trained, and its noise variance."""
        model = self.job.model
        self.mean = build_mean(model.mean, inputs, model.dtype)
        layer = GPLikelihoodLayer(
            kernel,
            self.mean,
            None if model.noise_variance == 0 else 1.0,
            model.jitter,
            model.precision,
        )
        return layer, layer.noise_variance

    def _name_parameters(self, kernel: Kernel) -> None:
        """Those of the mean, and of networks in the kernel by their places in it."""
        for name in ("constant", "bias", "weight"):
            if hasattr(self.mean, name):
                self.parameters[f"mean.{name}"] = getattr(self.mean, name)
        known = {id(parameter) for parameter in self.parameters.values()}
        for name, parameter in kernel._collect_params_with_prefix().items():
            if id(parameter) not in known and parameter.grad_req != "null":
                self.parameters[f"{NETWORK}{name}"] = parameter


class WithPriors(mx.gluon.HybridBlock):
    """The loss of a layer with the priors of its parameters, (x, y, ...) -> (1,)."""

    def __init__(self, layer: mx.gluon.HybridBlock, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer, self.prior = layer, PriorLoss(layer)

    def hybrid_forward(self, F: Namespace, x: Array, *others: Array) -> Array:
        return self.prior(self.layer(x, *others))


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
