"""The models of several series as data, and where their parameters begin."""

from typing import Any, ClassVar, Dict, List, Literal, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from pydantic import Field
from typing_extensions import Annotated

from ...blocks.multivariate import (
    DynamicFactorModel,
    LinearGaussianModel,
    MultivariateModel,
    MultivariateStructuralModel,
    VARMAModel,
)
from ...fitting.structural_starts import mean_squared_change
from ...grammar.component import Component
from ...grammar.component_part import MOST_STATES
from ...grammar.json_schema import ShownAs
from ...grammar.section import Fixable, Number, OneOf, Positives, Section

# The initial value of variances of components, as a share of the mean squared change of a series,
# and of errors and innovations, as a share of its variance.
SHARE, ERROR_SHARE = 0.1, 0.5

Matrix = Annotated[
    List[List[Number]],
    ShownAs(
        {
            "type": ["array"],
            "title": "matrix",
            "items": {"type": "array", "items": {"type": "number"}},
        }
    ),
]
Count = Annotated[int, Field(ge=1, le=MOST_STATES)]
Lags = Annotated[int, Field(ge=0, le=MOST_STATES)]


class Given(NamedTuple):
    """What a model is built for: names (p,) and y (T, p) in units of the model, NaN where missing.

    every: of each series; covariates: how many there are; method, length: as in the models.
    """

    names: Sequence[str]
    y: np.ndarray
    every: List[int]
    covariates: int
    method: str = "sequential"
    length: Optional[int] = None

    @property
    def variances(self) -> np.ndarray:
        """Of each series, (p,); 1 where it does not move."""
        found = np.nanvar(self.y, axis=0)
        return np.where(found > 0, found, 1.0)

    @property
    def means(self) -> np.ndarray:
        """Of each series, (p,)."""
        return np.nanmean(self.y, axis=0)

    @property
    def changes(self) -> np.ndarray:
        """The mean squared change of each series, (p,)."""
        return np.array([mean_squared_change([own]) for own in self.y.T])

    @property
    def options(self) -> Dict[str, Any]:
        return {"method": self.method, "length": self.length, "covariates": self.covariates}


class Varma(Section):
    """z_t = Σ Φ_i z_{t-i} + ε_t + Σ Θ_j ε_{t-j}, y_t = z_t + mean."""

    order: Annotated[List[Lags], Field(min_length=2, max_length=2)] = Field(
        [1, 0], description="(p, q): lags of the autoregression and of the moving average."
    )
    mean: bool = Field(True, description="Whether the series have means, which are learned.")

    def problem(self, names: Sequence[str]) -> Optional[str]:
        """What is wrong for these series, or None."""
        return _too_many(len(names) * (max(self.order[0], 1) + self.order[1]))

    def build(self, given: Given) -> MultivariateModel:
        """The block, with its initial values."""
        mean: Any = given.means if self.mean else False
        covariance = np.diag(given.variances)
        return VARMAModel(
            len(given.names),
            tuple(self.order),
            innovation_covariance=covariance,
            mean=mean,
            **given.options,
        )


class Factors(Section):
    """y_{i,t} = mean_i + Σ_l w_l (λ_iᵀ f_{t-l} + u_{i,t-l}), f an autoregression."""

    count: Count = Field(1, description="The number of factors, fewer than series.")
    order: Count = Field(1, description="The lags of the autoregression of the factors.")
    error_order: Annotated[int, Field(ge=0, le=1)] = Field(
        0, description="1 for errors that are autoregressions, 0 for independent ones."
    )
    aggregation: Literal["growth", "sum", "mean", "last"] = Field(
        "growth",
        description="What series of `data.every` are made of: growth, the rate of growth of a sum "
        "or mean by those of its steps; sum, mean, or the last of its steps.",
    )
    mean: bool = Field(True, description="Whether the series have means, which are learned.")

    def problem(self, names: Sequence[str]) -> Optional[str]:
        """What is wrong for these series, or None."""
        if self.count >= len(names):
            return (
                f"{self.count} factors of {len(names)} series are not identified; lower count to "
                f"{len(names) - 1} at most"
            )
        return None

    def build(self, given: Given) -> MultivariateModel:
        """The block, with its initial values: principal components."""
        plain = DynamicFactorModel(
            len(given.names), self.count, every=given.every, aggregation=self.aggregation
        )
        sizes = np.array([np.sqrt(np.sum(np.square(own))) for own in plain.weights])
        deviations = np.sqrt(given.variances)
        standard = np.nan_to_num((given.y - given.means) / deviations)
        _, lengths, rows = np.linalg.svd(standard, full_matrices=False)
        share = np.maximum(lengths[: self.count] / np.sqrt(len(standard)), 0.1)
        loadings = rows[: self.count].T * share * (deviations / sizes)[:, None]
        ar = np.zeros((self.order, self.count, self.count))
        ar[0] = 0.5 * np.eye(self.count)
        mean: Any = given.means if self.mean else False
        return DynamicFactorModel(
            len(given.names),
            self.count,
            self.order,
            self.error_order,
            given.every,
            self.aggregation,
            loadings,
            ar,
            error_variance=ERROR_SHARE * given.variances / sizes**2,
            mean=mean,
            **given.options,
        )


class Related(Section):
    """The components of a structural model for each series, whose disturbances are correlated."""

    components: Annotated[List[Component], Field(min_length=1)] = Field(
        ...,
        description="The components of each series, as of task: statespace, but for arima and "
        "regression.",
    )
    rank: Dict[str, Count] = Field(
        {},
        description="The ranks of covariances of disturbances, by the name of the variance, such "
        "as {level_variance: 1} for one common trend; all are full unless given.",
    )
    noise: bool = Field(True, description="Whether observations have noise, correlated too.")

    def problem(self, names: Sequence[str]) -> Optional[str]:
        """What is wrong for these series, or None."""
        parts = [component.chosen() for component in self.components]
        for key, _ in parts:
            if key in ("arima", "regression"):
                return f"{key} is for one series alone; leave it out"
        levels = [key for key, part in parts if part.is_level]
        if len(levels) > 1:
            return f"{' and '.join(levels)} cannot be told apart; keep one of them"
        if not self.noise and all(part.is_deterministic for _, part in parts):
            return "nothing is random; set noise: true, or raise a variance above 0"
        variances = [name for _, part in parts for name in type(part).model_fields]
        for name, rank in self.rank.items():
            if name not in variances or not name.endswith("variance"):
                return f"rank has '{name}', which is no variance of the components"
            if rank > len(names):
                return f"the rank of {name} is {rank}; at most {len(names)}, the number of series"
        return _too_many(len(names) * sum(part.state_size for _, part in parts))

    def build(self, given: Given) -> MultivariateModel:
        """The block, with its initial values."""
        chosen = [component.chosen() for component in self.components]
        blocks = [part.within(len(given.y)).build(key) for key, part in chosen]
        model = MultivariateStructuralModel(
            len(given.names),
            blocks,
            self.rank,
            1.0 if self.noise else None,
            **given.options,
        )
        size = np.diag(np.sqrt(SHARE * given.changes))
        for (_, part), covariances in zip(chosen, model.covariances):
            for name, parameter in covariances.items():
                if name in part.fixed:
                    parameter.grad_req = "null"
                if not part.is_given(name):
                    parameter.set_value(size @ parameter.value() @ size)
        if model.noise_covariance is not None:
            model.noise_covariance.set_value(size @ size)
        return model


class Linear(Fixable):
    """x_{t+1} = A x_t + η_t, y_t = H x_t + mean + ε_t, all matrices being learned."""

    parameters: ClassVar[Tuple[str, ...]] = (
        "transition",
        "emission",
        "process_covariance",
        "observation_variance",
        "prior_mean",
        "prior_covariance",
    )

    states: Count = Field(..., description="The number of states.")
    transition: Optional[Matrix] = Field(None, description="The initial A; null for 0.9 I.")
    emission: Optional[Matrix] = Field(
        None, description="The initial H; null for principal directions."
    )
    process_covariance: Optional[Matrix] = Field(
        None, description="The initial covariance of η; null for I."
    )
    observation_variance: Optional[Positives] = Field(
        None, description="The initial variances of ε, one or one for each series."
    )
    prior_mean: Optional[List[Number]] = Field(
        None, description="The initial mean of x_1; null for zeros."
    )
    prior_covariance: Optional[Matrix] = Field(
        None,
        description="The covariance of x_1, which is kept; null for 5 I, about that of a process "
        "of A = 0.9 I.",
    )
    mean: bool = Field(
        True, description="Whether the series have means, which are learned, but for em."
    )
    fixed: List[str] = Field(
        ["process_covariance"],
        description="The parameters that are not trained: by default the covariance of η, which "
        "settles the size of the states.",
    )

    @classmethod
    def fixable(cls) -> Tuple[str, ...]:
        return cls.parameters

    def problem(self, names: Sequence[str]) -> Optional[str]:
        """What is wrong for these series, or None."""
        d, p = self.states, len(names)
        shapes = {
            "transition": (d, d),
            "emission": (p, d),
            "process_covariance": (d, d),
            "prior_mean": (d,),
            "prior_covariance": (d, d),
        }
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is not None:
                widths = {len(row) for row in value} if len(shape) == 2 else {d}
                if len(value) != shape[0] or widths != {d}:
                    return f"{name} is not of {' x '.join(map(str, shape))} numbers"
            if value is not None and name.endswith("covariance"):
                matrix = np.array(value)
                is_symmetric = np.allclose(matrix, matrix.T)
                if not (is_symmetric and np.linalg.eigvalsh(matrix).min() > 0):
                    return f"{name} is no covariance: symmetric, with eigenvalues above 0"
        if self.observation_variance is not None and len(self.observation_variance) not in (1, p):
            count = len(self.observation_variance)
            return f"observation_variance has {count} numbers; give 1 or {p}"
        return None

    def build(self, given: Given) -> MultivariateModel:
        """The block, with its initial values."""
        deviations = np.sqrt(given.variances)
        variance = self.observation_variance or ERROR_SHARE * given.variances
        emission: Any = self.emission
        if emission is None:
            standard = np.nan_to_num((given.y - given.means) / deviations)
            rows = np.linalg.svd(standard, full_matrices=True)[2]
            rows = np.resize(rows, (self.states, len(given.names)))
            emission = 0.5 * rows.T * deviations[:, None]
        mean: Any = given.means if self.mean else False
        model = LinearGaussianModel(
            len(given.names),
            self.states,
            self.transition,
            emission,
            self.process_covariance,
            variance if len(variance) > 1 else variance[0],
            self.prior_mean,
            self.prior_covariance or 5.0 * np.eye(self.states),
            mean,
            **given.options,
        )
        for name in self.fixed:
            getattr(model, name).grad_req = "null"
        return model


class Process(OneOf):
    """What several series are: exactly one of these keys."""

    noun: ClassVar[str] = "process"
    advice: ClassVar[str] = "write one of varma, factors, related, linear"

    varma: Optional[Varma] = Field(
        None, description="A vector autoregression, with moving averages."
    )
    factors: Optional[Factors] = Field(
        None, description="Series that share a few factors, also of several frequencies."
    )
    related: Optional[Related] = Field(
        None, description="Structural models whose disturbances are correlated; common trends."
    )
    linear: Optional[Linear] = Field(
        None, description="A linear-Gaussian state space model, also by `em`."
    )


def trained_parameters(process: Process, model: MultivariateModel) -> Dict[str, mx.gluon.Parameter]:
    """What is learned, by its path in the job file."""
    key, own = process.chosen()
    found = {f"{key}.{name}": parameter for name, parameter in model._reg_params.items()}
    if isinstance(own, Related) and isinstance(model, MultivariateStructuralModel):
        for index, (component, block) in enumerate(zip(own.components, model.parts)):
            name, part = component.chosen()
            for what, parameter in part.trained(block).items():
                if parameter.name in block.params._params:
                    if what in part.fixed:
                        parameter.grad_req = "null"
                    found[f"{key}.components.{index}.{name}.{what}"] = parameter
    return found


def _too_many(states):
    if states > MOST_STATES:
        return f"{states} states; at most {MOST_STATES} are possible"
    return None
