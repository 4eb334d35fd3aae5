"""The job file of the task `gp`."""

from typing import Any, Dict, List, Literal, Optional, Sequence, Tuple, Union

from pydantic import Field, field_validator
from typing_extensions import Annotated

from ...grammar.json_schema import ShownAs
from ...grammar.kernel import KernelExpression
from ...grammar.kernel_building import kernel_problem, leaves
from ...grammar.prior import PriorExpression
from ...grammar.section import Fixable, Number, Section
from ..config import LBFGS, PredictingJob
from ..regression.config import RegressionData

Jitter = Annotated[
    Union[float, str],
    ShownAs(
        {"anyOf": [{"type": "number", "minimum": 0, "exclusiveMaximum": 1}, {"const": "auto"}]}
    ),
]
# The column to be modelled, or several.
Targets = Annotated[
    Any,
    ShownAs(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "title": "column"},
                {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1, "title": "column"},
                    "minItems": 2,
                },
            ]
        }
    ),
]
# An n by n matrix of MXNet has at most 2³¹ - 1 elements.
MOST_ROWS = 46340


class Data(RegressionData):
    """The table and the part its columns play."""

    target: Targets = Field(
        ...,
        description="The column to be modelled, or a list of columns for processes that depend on "
        "each other, of `model.method` exact, sgpr or svgp. Of a list an empty cell leaves out "
        "that value alone.",
    )
    center_inputs: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether the mean of each input column is subtracted before it is rounded to "
        "`model.dtype`. auto: for float32, and for a linear or polynomial kernel or a linear mean, "
        "which then have their x = 0 there; never: x = 0 is where the file has it.",
    )

    @property
    def targets(self) -> List[str]:
        return [self.target] if isinstance(self.target, str) else self.target

    @field_validator("target", mode="before")
    @classmethod
    def one_column_or_several(cls, value: Any) -> Any:
        if isinstance(value, str) and value:
            return value
        is_list = isinstance(value, list) and len(value) > 1
        if not is_list or not all(isinstance(name, str) and name for name in value):
            raise ValueError("expected the name of a column, or a list of two names or more")
        if len(set(value)) < len(value):
            raise ValueError("a column is named twice; name each once")
        return value


# The methods for several targets.
OF_SEVERAL = ("exact", "sgpr", "svgp")
# Of what a target may be: numbers, counts, or classes.
CLASSES = ("bernoulli", "categorical", "ordinal")
COUNTS = ("poisson", "negative_binomial")
# What several targets may be.
OF_EACH = ("gaussian", *COUNTS)


class Inducing(Section):
    """The inducing points of a sparse process, through whose values it sees the rows."""

    count: int = Field(100, ge=1, le=5000, description="How many; time grows with its square.")
    start: Literal["variance", "kmeans", "random"] = Field(
        "variance",
        description="Where they begin: at rows each of which the others before it leave most "
        "uncertain, at centres of clusters, or at rows drawn with `seed`. Of several targets a "
        "point is one of a row and a target, and centres are those of all targets.",
    )
    trained: bool = Field(True, description="Whether they move in training.")


class Outputs(Section):
    """How several targets depend on each other: B = mixing mixingᵀ + diag(kappa)."""

    model: Literal["intrinsic", "linear"] = Field(
        "intrinsic",
        description="intrinsic: one matrix B, times the kernel; linear: one for each part of a "
        "`sum`, so that targets share each of them by itself.",
    )
    rank: int = Field(
        1,
        ge=0,
        le=100,
        description="How many columns the mixing has, one for each part that targets share; 0 for "
        "processes that are independent of each other, with one kernel.",
    )


class Model(Fixable):
    """The Gaussian process."""

    method: Literal["exact", "statespace", "sgpr", "svgp"] = Field(
        "exact",
        description="exact: the process itself, of some thousand rows; statespace: over one "
        "column of time, in proportion to the rows, for kernels that have such a form; sgpr: the "
        "bound of Titsias on its likelihood, through inducing points; svgp: a bound that also "
        "takes other likelihoods, batches of rows, and several devices and workers.",
    )
    likelihood: Literal[
        "gaussian",
        "student_t",
        "heteroscedastic",
        "poisson",
        "negative_binomial",
        "bernoulli",
        "categorical",
        "ordinal",
    ] = Field(
        "gaussian",
        description="What the target is, given the process. Numbers: gaussian; student_t, with "
        "outliers; heteroscedastic, with a second process for the logarithm of the noise variance. "
        "Counts: poisson, negative_binomial, of whose rate the process is the logarithm. Names of "
        "classes: bernoulli, two; categorical, more, with a process each; ordinal, whose names "
        "are in order. All but gaussian need method: svgp. Several targets are all numbers, "
        "gaussian, or all counts.",
    )
    inducing: Inducing = Field(
        default_factory=Inducing,  # type: ignore[arg-type]
        description="The inducing points; for sgpr and svgp.",
    )
    kernel: KernelExpression = Field(..., description="The covariance function.")
    natural_step: Optional[Number] = Field(
        None,
        gt=0,
        le=1,
        description="For svgp: how far the variational distribution goes along its natural "
        "gradient before each step of a Gluon optimizer, which then trains all else; 1 is all of "
        "the way for gaussian and all rows, 0.1 to 0.5 for batches and other likelihoods; null for "
        "a distribution that the optimizer trains, too.",
    )
    coregionalization: Outputs = Field(
        default_factory=Outputs,  # type: ignore[arg-type]
        description="How several targets depend on each other; for a list in data.target.",
    )
    mean: Literal["zero", "constant", "linear"] = Field(
        "zero", description="The mean function: zero, or with learned coefficients."
    )
    noise_variance: Optional[Number] = Field(
        None,
        ge=0,
        description="The initial noise variance of an observation; 0 for a model without noise; "
        "null for one chosen from the data.",
    )
    fixed: List[str] = Field(
        [],
        description="`[noise_variance]` when it is not trained. Parameters of kernels are fixed "
        "in the kernel.",
    )
    priors: Dict[str, PriorExpression] = Field(
        {},
        description="Prior distributions of parameters, by their names in metrics.json, such as "
        "`kernel.rbf.lengthscale` and `noise_variance`, in units of the file; what is trained is "
        "then their posterior mode.",
    )
    restarts: int = Field(
        0,
        ge=0,
        le=1000,
        description="How many starts are drawn from the priors; the search begins at the one that "
        "leads lowest, of svgp that with the lowest bound after some natural steps.",
    )
    jitter: Jitter = Field(
        0.0,
        description="What is added to the diagonal of the covariance, relative to its mean: a "
        "number in [0, 1), or auto for the smallest that works.",
    )
    dtype: Literal["float32", "float64"] = Field(
        "float64", description="The number type of the parameters and of the exported model."
    )
    precision: Optional[Literal["float64"]] = Field(
        None, description="float64 computes a float32 model in float64 inside; null for `dtype`."
    )

    @field_validator("jitter", mode="before")
    @classmethod
    def jitter_is_auto_or_a_share(cls, value: Any) -> Union[float, str]:
        if value == "auto":
            return value
        try:
            share = float(value)
        except (TypeError, ValueError):
            share = -1.0
        if isinstance(value, bool) or not 0 <= share < 1:
            raise ValueError("expected auto or a number in [0, 1)")
        return share

    @classmethod
    def fixable(cls) -> Tuple[str, ...]:
        return ("noise_variance",)

    @property
    def has_classes(self) -> bool:
        """Whether the target is a column of names."""
        return self.likelihood in CLASSES

    @property
    def has_counts(self) -> bool:
        """Whether the target is a column of counts."""
        return self.likelihood in COUNTS

    @property
    def is_stationary(self) -> bool:
        """Whether x = 0 is a point like any other."""
        return self.mean != "linear" and all(
            section.is_stationary for _, section in leaves(self.kernel)
        )


class GaussianProcessJob(PredictingJob):
    """A Gaussian process."""

    task: Literal["gp"] = Field("gp", description="The kind of model: gp, a Gaussian process.")
    data: Data = Field(..., description="The table and its columns.")
    model: Model = Field(..., description="The model and its initial parameters.")

    def problem(self) -> Optional[Tuple[Tuple[Any, ...], str]]:
        model, training = self.model, self.training
        if len(self.data.targets) > 1:
            problem = self._problem_of_several()
            if problem is not None:
                return problem
        if model.likelihood != "gaussian" and model.method != "svgp":
            return (
                ("model", "likelihood"),
                f"{model.likelihood} needs method: svgp; {model.method} is for gaussian",
            )
        if training.batch_size is not None and model.method != "svgp":
            return ("training", "batch_size"), "batches of rows need model.method: svgp; remove it"
        if model.restarts and not model.priors:
            return (
                "model",
                "restarts",
            ), "starts are drawn from model.priors, of which there is none"
        if model.natural_step is not None and model.method != "svgp":
            return ("model", "natural_step"), "natural steps are of method: svgp; remove it"
        if model.natural_step is not None and training.optimizer == LBFGS:
            return (
                ("model", "natural_step"),
                "natural steps go with a Gluon optimizer; set training.optimizer to adam",
            )
        problem = kernel_problem(self.model.kernel, TableInputs(self.data.input_columns))
        if problem is None:
            return None
        keys, message = problem
        return ("model",) + keys, message

    def _problem_of_several(self) -> Optional[Tuple[Tuple[Any, ...], str]]:
        """What does not fit a list of targets."""
        model, count = self.model, len(self.data.targets)
        if model.likelihood not in OF_EACH:
            return (
                ("model", "likelihood"),
                f"{model.likelihood} is of one target, not of {count}; several take one of: "
                f"{', '.join(OF_EACH)}. A job for each target has any",
            )
        if model.method not in OF_SEVERAL:
            return (
                ("model", "method"),
                f"{model.method} is of one target; several need method: {', '.join(OF_SEVERAL)}",
            )
        if model.coregionalization.model == "linear" and model.kernel.chosen()[0] != "sum":
            return (
                ("model", "coregionalization", "model"),
                "linear has a matrix for each part of a sum; make model.kernel a sum",
            )
        if model.noise_variance == 0:
            return ("model", "noise_variance"), "several targets have noise; raise it"
        if model.jitter and model.method == "exact":
            return ("model", "jitter"), "the model of several targets has none; remove it"
        if model.coregionalization.rank > count:
            return (
                ("model", "coregionalization", "rank"),
                f"at most {count}, the number of targets",
            )
        return None


class TableInputs(tuple):
    """The names of the input columns of a table."""

    noun, of_table = "data.inputs", True

    def most_values(self, names: Optional[Sequence[str]]) -> int:
        """How many values a list has with one for each; None for all columns."""
        return len(self if names is None else names)
