"""The job file of the task `blr`."""

from typing import List, Literal, Optional

from pydantic import Field, field_validator

from ..config import TrainedJob
from ..regression.config import RegressionData
from ..section import Number, Positives, Section, check_fixed
from .features import FeatureExpression

# The smallest noise variance is above this (see blocks/blr.py).
SMALLEST_NOISE = 1e-10
# More would take minutes for a likelihood, whose cost grows with their square.
MOST_FEATURES = 5000


class Data(RegressionData):
    """The table and the part its columns play."""

    input_scaling: Literal["raw", "center", "unit", "standardize"] = Field(
        "standardize",
        description="What is done to each input column before training: nothing; its mean "
        "subtracted; mapped to [0, 1]; its mean subtracted and divided by its standard deviation.",
    )


class Model(Section):
    """The regression."""

    features: FeatureExpression = Field(
        ..., description="The functions of the inputs that are weighted; a 1 is always among them."
    )
    prior_variance: Positives = Field(
        [1.0], description="The initial prior variance of the weights; one, or one per feature."
    )
    noise_variance: Optional[Number] = Field(
        None,
        description="The initial noise variance of an observation; null for a hundredth of the "
        "variance of the target.",
    )
    fixed: List[str] = Field(
        [], description="Of prior_variance and noise_variance, those that are not trained."
    )
    dtype: Literal["float32", "float64"] = Field(
        "float64", description="The number type of the parameters and of the exported model."
    )

    @field_validator("noise_variance")
    @classmethod
    def noise_is_above_its_bound(cls, value):
        if value is not None and value <= SMALLEST_NOISE:
            raise ValueError(f"expected a number above {SMALLEST_NOISE:g}")
        return value

    @field_validator("fixed")
    @classmethod
    def fixed_names_are_parameters(cls, names):
        return check_fixed(names, ("prior_variance", "noise_variance"))


class LinearRegressionJob(TrainedJob):
    """Bayesian linear regression."""

    task: Literal["blr"] = Field(
        ..., description="The kind of model: blr, Bayesian linear regression."
    )
    data: Data = Field(..., description="The table and its columns.")
    model: Model = Field(..., description="The model and its initial parameters.")

    def problem(self):
        name, section = self.model.features.chosen()
        # How many levels a column of names has is in the file: the data are checked instead.
        if self.data.categorical:
            return None
        count = section.count(len(self.data.inputs))
        if count > MOST_FEATURES:
            message = f"{count} features; at most {MOST_FEATURES} are possible"
            return ("model", "features", name), message
        given = len(self.model.prior_variance)
        if given not in (1, count):
            message = f"{given} values for {count} features; give 1 or {count}"
            return ("model", "prior_variance"), message
        return None
