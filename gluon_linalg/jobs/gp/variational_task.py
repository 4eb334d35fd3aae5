"""Gaussian processes of any likelihood, from batches of rows."""

import contextlib
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
    cast,
)

import mxnet as mx
import numpy as np
from scipy.special import ndtri

from ... import functional as fn
from ...blocks import SVGPLikelihoodLayer, likelihoods
from ...blocks.kernels import Kernel
from ...blocks.mean import ConstantMean
from ...blocks.parameters import PositiveParameter
from ...blocks.priors import PriorLoss
from ...errors import LinearAlgebraError
from ...typing import Array, Device, Namespace
from ..config import LBFGS
from ..errors import JobError
from ..metrics import Band
from ..predictor import answers
from ..regression.dataset import Dataset
from ..regression.learned import learn
from .config import GaussianProcessJob
from .initial_values import initial_kernel
from .inputs import Inputs
from .mean import build_mean
from .sparse_task import CHUNK, JITTER, SparseProcess
from .task import NOISES

# Of more rows the loss of everything is estimated from as many, drawn once.
MOST_EVALUATED = 20000
# How many natural steps lead from the prior near the best variational distribution.
SETTLING = 10
LOG_NOISE_LEVEL = "log_noise.mean.constant"


class VariationalProcess(SparseProcess):
    """An `SVGPLikelihoodLayer` with its data, whose losses are those of rows."""

    process: SVGPLikelihoodLayer
    data_label = "data"

    def __init__(self, job: GaussianProcessJob, dataset: Dataset, device: Device) -> None:
        count = dataset.count
        if count > MOST_EVALUATED and (
            job.training.optimizer == LBFGS or job.training.batch_size is None
        ):
            raise JobError(
                f"{dataset.path}: {count} rows to train on; beyond {MOST_EVALUATED} svgp needs "
                "batches: set training.optimizer to adam, and training.batch_size to 1024"
            )
        if (job.training.batch_size or 1) > count:
            raise JobError(
                f"training.batch_size: {job.training.batch_size} for {count} rows to train on; "
                "lower it"
            )
        super().__init__(job, dataset, device)
        if job.model.natural_step is not None and all(
            parameter.grad_req == "null" for parameter in self.parameters.values()
        ):
            raise JobError("model.natural_step: the optimizer has nothing else to train; fix less")
        self.batch_axis_size = count
        self._rows = tuple(array[0] for array in self.observations())
        self._some = self._rows
        if count > MOST_EVALUATED:
            chosen = np.random.RandomState(job.seed).permutation(count)[:MOST_EVALUATED]
            index = mx.nd.array(chosen, dtype="int32", ctx=device)
            self._some = tuple(array.take(index) for array in self._rows)
            self.weight = count / MOST_EVALUATED

    def leave_one_out(self, predictor: mx.gluon.HybridBlock) -> List[np.ndarray]:
        """Of the rows themselves, of which there may be very many."""
        x = self.x.asnumpy()[0]
        dtype, path = self.job.model.dtype, self.dataset.path
        mean, variance = answers(predictor, x, dtype, self.device, path, CHUNK)
        return [mean, variance + self.noise_variance() / self.target_size**2]

    def size_of_target(self, y: np.ndarray) -> float:
        model = self.job.model
        return 1.0 if model.has_classes or model.has_counts else super().size_of_target(y)

    def arguments(self) -> Tuple[mx.nd.NDArray, ...]:
        return self._some

    def all_arguments(self) -> Sequence[mx.nd.NDArray]:
        return self._rows

    def starts(self) -> Iterator[List[Dict[str, Any]]]:
        """Those that are drawn: of others the bound of the prior tells nothing."""
        if self.job.model.restarts:
            yield self._drawn()

    def start_at(self, start: Mapping[str, Any]) -> None:
        super().start_at(start)
        self.settle()

    def settle(self) -> None:
        """Brings the variational distribution near the best for a start that was drawn."""
        if not self.job.model.restarts:
            return
        for parameter in self._variational():
            parameter.initialize(force_reinit=True, ctx=parameter.list_ctx())
        is_normal = self.job.model.likelihood == "gaussian"
        for _ in range(1 if is_normal else SETTLING):
            self._natural_step(self.arguments(), 1.0 if is_normal else 0.5)

    def own_step(self, iteration: int) -> Callable[[], None]:
        """A step along the natural gradient, where the job wants it; none where it fails."""
        step = self.job.model.natural_step
        if step is None:
            return super().own_step(iteration)
        before = [(p, p.data(self.device).copy()) for p in self._variational()]
        rows = self.batch(iteration)[0] if self.has_batches else self.arguments()
        self._natural_step(rows, step)

        def take_back() -> None:
            for parameter, values in before:
                parameter.set_data(values)

        return take_back

    def _natural_step(self, rows: Sequence[mx.nd.NDArray], step: float) -> None:
        given: Any = [array.expand_dims(axis=0) for array in rows]
        x, y, mask = (*given, None)[:3]
        # The loss tells what is wrong, if more is than the step.
        with contextlib.suppress(LinearAlgebraError):
            self.process.natural_step(x, y, mask, step)

    def _variational(self) -> List[mx.gluon.Parameter]:
        return [self.process.variational_mean, self.process.variational_factor]

    def value(self, path: str) -> Union[float, List[float]]:
        found = super().value(path)
        if path == LOG_NOISE_LEVEL:
            # Of the noise variance in units of the job.
            return cast(float, found) + 2.0 * float(np.log(self.target_size))
        return found

    def predictor(self) -> Any:
        """The moments of new observations."""
        return self.process.predictor(include_noise=True)

    def noise_variance(self) -> float:
        """None beside that in the predictor."""
        return 0.0

    def judged(self, holdout: Optional[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
        if holdout is None or self.job.model.likelihood == "gaussian":
            return holdout
        dataset, predictor = self.dataset, self.process.predictor()
        x = dataset.units.inputs_to_model(dataset.holdout_x)
        y = dataset.units.target_to_model(dataset.holdout_y) / self.target_size
        dtype, total = self.job.model.dtype, 0.0
        for start in range(0, len(y), CHUNK):
            rows = [a[None, start : start + CHUNK] for a in (x, y)]
            given = (mx.nd.array(a, dtype=dtype, ctx=self.device) for a in rows)
            total += float(predictor.log_density(*given).sum().asscalar())
        unit = np.log(self.target_size * dataset.units.target_scale)
        return {**holdout, "nlpd": float(unit) - total / len(y)}

    def bands(self, metrics: Dict[str, Any]) -> List[Band]:
        return [] if self.job.model.has_counts else super().bands(metrics)

    def warnings(self) -> Iterator[str]:
        model = self.job.model
        if model.likelihood == "gaussian":
            yield from super().warnings()
            return
        yield from self.constant_inputs()
        if not np.ptp(self.dataset.y):
            yield f"column '{self.dataset.target}' is constant in the rows to train on"

    def _layer(self, kernel: Kernel, inputs: Inputs) -> Tuple[Any, Optional[PositiveParameter]]:
        model = self.job.model
        self.mean = build_mean(model.mean, inputs, model.dtype)
        if model.has_counts and isinstance(self.mean, ConstantMean):
            level = float(np.log(np.mean(self.dataset.y) + 0.1))
            self.mean.constant.init = mx.init.Constant(level)
        likelihood = self._likelihood()
        kernels: Any = kernel
        means: Any = self.mean
        if model.likelihood == "heteroscedastic":
            second, learned = initial_kernel(model.kernel, inputs, self.target_size**2)
            for path, found in learned.items():
                found.unit = 1.0
                self.learned[f"log_noise.{path}"] = found
            level_of_noise = ConstantMean(prefix="log_noise_mean_")
            level_of_noise.constant.init = mx.init.Constant(float(np.log(NOISES[0])))
            self.parameters[LOG_NOISE_LEVEL] = level_of_noise.constant
            kernels, means = [kernel, second], [self.mean, level_of_noise]
        self.process = SVGPLikelihoodLayer(
            kernels,
            self._points(kernel, inputs),
            likelihood,
            self.dataset.count,
            means,
            model.jitter or JITTER,
        )
        self._name_points(self.process)
        self._name_variational()
        noise = likelihood.noise_variance if model.likelihood == "gaussian" else None
        return RowsBound(self.process, self.dataset.count), noise

    def _name_variational(self) -> None:
        for name, parameter in zip(("mean", "factor"), self._variational()):
            self.parameters[f"variational.{name}"] = parameter
            if self.job.model.natural_step is not None:
                parameter.grad_req = "null"

    def _with_priors(self, layer: Any) -> Any:
        return RowsBound(self.process, self.dataset.count, PriorLoss(self.process))

    def _likelihood(self) -> likelihoods.Likelihood:
        name = self.job.model.likelihood
        if name == "gaussian":
            return likelihoods.Gaussian()
        if name == "student_t":
            found = likelihoods.StudentT()
            size = self.target_size
            self.learned["likelihood.scale"] = learn(found.scale, None, NOISES[0] ** 0.5, size)
            self.parameters["likelihood.degrees_of_freedom"] = found.degrees_of_freedom
            return found
        if name == "heteroscedastic":
            return likelihoods.HeteroscedasticGaussian()
        if name == "poisson":
            return likelihoods.Poisson()
        if name == "negative_binomial":
            counts = likelihoods.NegativeBinomial()
            self.parameters["likelihood.dispersion"] = counts.dispersion
            return counts
        if name == "bernoulli":
            return likelihoods.Bernoulli()
        classes = len(self.dataset.classes or ())
        if name == "categorical":
            return likelihoods.Categorical(classes)
        # Where as many are below each as there are, of a process of variance 1 with noise of 1.
        shares = np.bincount(self.dataset.y.astype(int), minlength=classes) / self.dataset.count
        ordinal = likelihoods.Ordinal(2.0**0.5 * ndtri(np.cumsum(shares)[:-1]))
        self.parameters["likelihood.first_cutpoint"] = ordinal.first_cutpoint
        if ordinal.gaps is not None:
            self.parameters["likelihood.gaps"] = ordinal.gaps
        return ordinal


class RowsBound(mx.gluon.HybridBlock):
    """The bound of a batch as losses of its rows, (n, d), (n,) -> (n,), or of y (n, k).

    Each has the same share of it, so that sums over the rows of several devices or workers are
    sums of bounds; of all `count` rows it is the bound.
    """

    def __init__(
        self,
        process: SVGPLikelihoodLayer,
        count: int,
        prior: Optional[PriorLoss] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.process, self._count, self.prior = process, count, prior

    def hybrid_forward(self, F: Namespace, x: Array, *others: Array) -> Array:
        bound = self.process(*(F.expand_dims(array, axis=0) for array in (x, *others)))
        bound = bound if self.prior is None else self.prior(bound)
        share = fn.ones_like(F, F.sum(x, axis=1)) * (1.0 / self._count)
        return F.broadcast_mul(share, bound)
