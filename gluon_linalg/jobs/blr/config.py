"""The job file of the task `blr`."""

from typing import Any, List, Literal, Optional, Tuple

from pydantic import Field

from ...grammar.section import Fixable, Positive, Positives
from ..config import PredictingJob
from ..regression.config import RegressionData
from .features import FeatureExpression

# More would take minutes for a likelihood, whose cost grows with their square.
MOST_FEATURES = 5000


class Data(RegressionData):
    """The table and the part its columns play."""

    input_scaling: Literal["raw", "center", "unit", "standardize"] = Field(
        "standardize",
        description="What is done to each input column before training: nothing; its mean "
        "subtracted; mapped to [0, 1]; its mean subtracted and divided by its standard deviation.",
    )


class Model(Fixable):
    """The regression."""

    features: FeatureExpression = Field(
        ..., description="The functions of the inputs that are weighted; a 1 is always among them."
    )
    prior_variance: Optional[Positives] = Field(
        None,
        description="The initial prior variance of the weights; one, or one per feature; null for "
        "the mean square of the target, and where inputs keep the units of the file, for one per "
        "feature: the mean square of the target over that of the feature.",
    )
    noise_variance: Optional[Positive] = Field(
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

    @classmethod
    def fixable(cls) -> Tuple[str, ...]:
        return ("prior_variance", "noise_variance")


class LinearRegressionJob(PredictingJob):
    """Bayesian linear regression."""

    task: Literal["blr"] = Field(
        ..., description="The kind of model: blr, Bayesian linear regression."
    )
    data: Data = Field(..., description="The table and its columns.")
    model: Model = Field(..., description="The model and its initial parameters.")

    def problem(self) -> Optional[Tuple[Tuple[Any, ...], str]]:
        name, section = self.model.features.chosen()
        # How many levels a column of names has is in the file: the data are checked instead.
        if self.data.categorical:
            return None
        count = section.count(len(self.data.inputs))
        if count > MOST_FEATURES:
            message = f"{count} features; at most {MOST_FEATURES} are possible"
            return ("model", "features", name), message
        given = len(self.model.prior_variance or [1])
        if given not in (1, count):
            message = f"{given} values for {count} features; give 1 or {count}"
            return ("model", "prior_variance"), message
        return None
