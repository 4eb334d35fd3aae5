"""A structural time series model as data: components and noise, in jobs and in forecasting."""

from typing import Any, Dict, List, Literal, Optional, Sequence, Tuple

import mxnet as mx
from pydantic import Field, model_validator
from typing_extensions import Annotated, Self

from ..blocks import likelihoods, structural
from ..errors import suggestion
from .component import Arima, Component, Regression, Seasonal
from .component_part import MOST_STATES, Part, Variance
from .section import Fixable, Number

# What may stand in place of noise, by its name.
LIKELIHOODS: Dict[str, Any] = {
    "poisson": likelihoods.Poisson,
    "negative_binomial": likelihoods.NegativeBinomial,
    "bernoulli": likelihoods.Bernoulli,
}

Problem = Tuple[Tuple, str]


class StructuralDescription(Fixable):
    """A sum of components, seen through noise."""

    components: Annotated[List[Component], Field(min_length=1)] = Field(
        ..., description="The components whose sum is the signal."
    )
    noise_variance: Optional[Variance] = Field(
        None, description="The initial noise variance of an observation; 0 for none."
    )
    noise: Literal["gaussian", "student_t"] = Field(
        "gaussian",
        description="The distribution of the noise; student_t, with heavy tails, for observations "
        "among which there are outliers.",
    )
    degrees_of_freedom: Optional[Annotated[Number, Field(gt=2)]] = Field(
        None,
        description="For student_t how heavy the tails are: the initial number above 2, of which "
        "the fewer the heavier; null for 4.",
    )
    likelihood: Literal["gaussian", "poisson", "negative_binomial", "bernoulli"] = Field(
        "gaussian",
        description="What an observation is given the signal: the signal and noise, a count whose "
        "rate is e^signal, an overdispersed count, or 0 and 1 with the probability Φ(signal) of 1.",
    )
    dispersion: Optional[Annotated[Number, Field(gt=0)]] = Field(
        None,
        description="For negative_binomial the initial α of a variance μ + α μ²; null for 1.",
    )
    fixed: List[str] = Field(
        [],
        description="Which of noise_variance, degrees_of_freedom and dispersion are not trained. "
        "Parameters of components are fixed in the component.",
    )

    @classmethod
    def fixable(cls) -> Tuple[str, ...]:
        return ("noise_variance", "degrees_of_freedom", "dispersion")

    @property
    def has_noise(self) -> bool:
        """Whether the signal is seen through noise, normal or not, and no other likelihood."""
        return self.likelihood == "gaussian"

    @model_validator(mode="after")
    def something_is_random(self) -> Self:
        for name in self.fixed:
            if getattr(self, name) is None:
                raise ValueError(f"{name} is fixed, but has no value; give it one")
        if self.noise == "student_t" and self.noise_variance == 0:
            raise ValueError("student_t has no noise_variance: 0; give it another, or gaussian")
        if self.noise == "gaussian" and self.degrees_of_freedom is not None:
            raise ValueError("degrees_of_freedom belongs to noise: student_t; add it")
        if self.dispersion is not None and self.likelihood != "negative_binomial":
            raise ValueError("dispersion belongs to likelihood: negative_binomial; add it")
        if not self.has_noise and (self.noise_variance or self.noise != "gaussian"):
            raise ValueError(
                f"{self.likelihood} has no noise beside it; remove noise and noise_variance"
            )
        if (
            self.has_noise
            and self.noise_variance == 0
            and all(part.is_deterministic for part in self.parts)
        ):
            raise ValueError("nothing is random; raise noise_variance or a variance above 0")
        return self

    @property
    def parts(self) -> List[Part]:
        """The sections of the components."""
        return [component.chosen()[1] for component in self.components]

    @property
    def regressions(self) -> List[Regression]:
        """Those of the regressions."""
        return [part for part in self.parts if isinstance(part, Regression)]

    @property
    def has_known_priors(self) -> bool:
        """Whether there are numbers for the initial states of some component."""
        return any(isinstance(part.prior, list) for part in self.parts)

    def problem(
        self,
        covariates: Sequence[str],
        categorical: Sequence[str] = (),
        where: str = "data.covariates",
    ) -> Optional[Problem]:
        """What does not fit together, as (keys, message), or None.

        covariates: the names of what a regression may be on; categorical: those that are columns of
        names; where: what messages call the covariates.
        """
        parts = [component.chosen() for component in self.components]
        levels = [name for name, part in parts if part.is_level]
        if len(levels) > 1:
            message = f"{' and '.join(levels)} cannot be told apart; keep one of them"
            return ("components",), message
        if self.noise_variance != 0 and self.has_noise:
            for index, (name, part) in enumerate(parts):
                if isinstance(part, Arima) and part.has_noise:
                    message = (
                        "its noise cannot be told from that of the model; set noise_variance: 0"
                    )
                    return ("components", index, name), message
        states = sum(_width(part, covariates) for _, part in parts)
        if states > MOST_STATES:
            return ("components",), f"{states} states; at most {MOST_STATES} are possible"
        shared = _shared_wave(parts)
        if shared is not None:
            return shared
        unused = list(covariates)
        for index, (name, part) in enumerate(parts):
            if isinstance(part, Regression):
                problem = _regression_problem(part, covariates, unused, categorical, where)
                if problem is not None:
                    keys, message = problem
                    return ("components", index, name, *keys), message
        if unused:
            message = f"no component uses the covariate '{unused[0]}'; add - regression: {{}}"
            return ("components",), message
        return None

    def model(
        self, components: Sequence[structural.Component], variance: float, **options: Any
    ) -> structural.StructuralModel:
        """The block of these components.

        variance: that of the noise where it is null; options: of the block.
        """
        if not self.has_noise:
            return structural.GeneralizedStructuralModel(components, self._likelihood(), **options)
        noise = variance if self.noise_variance is None else self.noise_variance
        if self.noise == "gaussian":
            return structural.StructuralModel(components, noise, **options)
        freedom = 4.0 if self.degrees_of_freedom is None else self.degrees_of_freedom
        return structural.RobustStructuralModel(components, noise, freedom, **options)

    def _likelihood(self):
        kind = LIKELIHOODS[self.likelihood]
        if kind is likelihoods.NegativeBinomial:
            return kind(1.0 if self.dispersion is None else self.dispersion)
        return kind()

    def used_columns(self, covariates: Sequence[str]) -> List[List[str]]:
        """The columns of each regression, in the order of the components."""
        return [list(part.columns or covariates) for part in self.regressions]

    def build(
        self,
        variance: float,
        squares: Sequence[Sequence[float]],
        parameters: Dict[str, mx.gluon.Parameter],
        steps: int,
    ) -> List[structural.Component]:
        """The blocks; their parameters are added to the dict `parameters` by path.

        variance: the initial value of those that are null; squares: the mean squares of the columns
        of each regression; steps: the length of the series.
        """
        blocks, left = [], iter(squares)
        for index, component in enumerate(self.components):
            name, part = component.chosen()
            own = next(left) if isinstance(part, Regression) else None
            block = part.within(steps).build(name, variance, own)
            for key, parameter in part.trained(block).items():
                if key in part.fixed:
                    parameter.grad_req = "null"
                parameters[f"components.{index}.{name}.{key}"] = parameter
            blocks.append(block)
        return blocks


def _shared_wave(parts):
    """Two seasons that both have a wave of one period, as (keys, message)."""
    earlier = []
    for index, (name, part) in enumerate(parts):
        if not isinstance(part, Seasonal) or isinstance(part.prior, list):
            continue
        for other, wave in earlier:
            if any(abs(wave / own - 1.0) < 1e-9 for own in part.waves):
                message = (
                    f"it and components.{other} both have a wave of {wave:g} steps and cannot be "
                    "told apart; keep one, or give the other fewer harmonics"
                )
                return ("components", index, name), message
        earlier += [(index, wave) for wave in part.waves]
    return None


def _width(part, covariates):
    is_open = isinstance(part, Regression) and part.columns is None
    return len(covariates) if is_open else part.state_size


def _regression_problem(part, covariates, unused, categorical, where):
    """Takes the columns of `part` from `unused`."""
    if not covariates:
        return (), f"{where} is empty; name the columns there"
    for index, name in enumerate(part.columns or covariates):
        keys = ("columns", index) if part.columns else ()
        if name not in covariates:
            return keys, f"'{name}' is not one of {where}; {suggestion(name, covariates)}"
        if name not in unused:
            return keys, f"'{name}' has an effect already; name each column once"
        unused.remove(name)
    columns = part.columns or covariates
    if len(part.coefficient_variance or [1]) > 1 and set(columns) & set(categorical):
        return ("coefficient_variance",), "one for all levels of a column of names; give 1"
    return part.count_problem(len(columns))
