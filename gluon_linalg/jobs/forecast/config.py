"""The job file of the task `forecast`."""

import math
from typing import Any, Dict, List, Literal, Optional, Tuple

from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import Annotated

from ...grammar.section import Column, Name, Number, Section
from ..config import LBFGS, Level, Optimizer, PredictingJob, Training
from ..data import NUMBER
from ..table_format import SeriesData

STRUCTURAL = "structural"


class Backtest(Section):
    """The steps at the end of each series that are forecast and compared."""

    windows: int = Field(
        1,
        ge=1,
        le=1000,
        description="How many times `model.prediction_length` steps at the end of each series are "
        "kept from training; each is forecast from all that is before it.",
    )


class Data(SeriesData):
    """The series."""

    path: Name = Field(
        ...,
        description="The series: a CSV file with a header, or JSON lines (.json, .jsonl), or a "
        "folder of such files; relative to the folder of the job file.",
    )
    freq: Name = Field(
        ..., description="The frequency as pandas calls it: h, D, B, W, M, BM, Q, Y, 15min, ..."
    )
    item: Optional[Column] = Field(
        None, description="CSV only: the column with the name of the series; null for one series."
    )
    time: Column = Field("timestamp", description="CSV only: the column of times.")
    target: Column = Field(
        "target",
        description="CSV only: the column to be forecast; an empty cell is a missing observation.",
    )
    backtest: Optional[Backtest] = Field(
        None, description="How the forecasts are judged; null for not at all."
    )

    @model_validator(mode="after")
    def columns_differ(self) -> "Data":
        names = [name for name in (self.item, self.time, self.target) if name is not None]
        if len(set(names)) < len(names):
            raise ValueError("item, time and target must be different columns")
        return self


def _as_values(value):
    """Texts of YAML, which come as they are written, as numbers and truth values."""
    if isinstance(value, dict):
        return {key: _as_values(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_values(inner) for inner in value]
    if isinstance(value, str) and NUMBER.fullmatch(value):
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{value} is not a finite number")
        is_whole = value.lstrip("+-").isdigit()
        return int(value) if is_whole else number
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


Options = Annotated[Dict[str, Any], BeforeValidator(_as_values)]


class Model(Section):
    """The estimator."""

    estimator: Literal["deep_state", "gaussian_process", "blr", "ppca", "structural"] = Field(
        ...,
        description="What forecasts: DeepStateSpaceEstimator, GaussianProcessEstimator, "
        "BLRForecastEstimator, PPCAForecastEstimator or StructuralPredictor of "
        "`gluon_linalg.forecast`.",
    )
    prediction_length: int = Field(..., ge=1, le=10**5, description="The steps of a forecast.")
    context_length: Optional[Annotated[int, Field(ge=1, le=10**6)]] = Field(
        None,
        description="The steps that a forecast is conditioned on; null for the default of the "
        "estimator. Not for structural, which takes all.",
    )
    options: Options = Field(
        {}, description="Further arguments of the estimator's constructor, by their names."
    )
    dtype: Literal["float32", "float64"] = Field(
        "float32",
        description="The number type of the network; structural always computes in float64.",
    )


class ForecastTraining(Training):
    """How the network of an estimator is trained."""

    optimizer: Optimizer = Field(
        "adam", description="The name of a Gluon optimizer: adam, sgd, rmsprop, ..."
    )
    iterations: int = Field(1000, ge=0, le=10**9, description="The number of steps.")
    learning_rate: Annotated[Number, Field(gt=0)] = Field(
        0.001, description="The step size of the optimizer."
    )
    batch_size: Annotated[int, Field(ge=1, le=10**6)] = Field(
        32, description="The number of windows an iteration sees."
    )

    @model_validator(mode="after")
    def keys_fit_the_optimizer(self) -> "ForecastTraining":
        if self.optimizer == LBFGS:
            raise ValueError(
                "lbfgs needs the same loss at each step, but an iteration sees windows of its "
                "own; choose adam"
            )
        return self


class ForecastJob(PredictingJob):
    """Forecasts of many series."""

    task: Literal["forecast"] = Field(
        ..., description="The kind of model: forecast, an estimator of many series."
    )
    data: Data = Field(..., description="The series and what is kept from training.")
    model: Model = Field(..., description="The estimator.")
    training: ForecastTraining = Field(
        default_factory=ForecastTraining,  # type: ignore[arg-type]
        description="How the network is trained.",
    )
    levels: Annotated[List[Level], Field(min_length=1, max_length=20)] = Field(
        [80, 95],
        description="Of the bands of forecasts, in percent: each level has two columns, such as "
        "lower_95 and upper_95, with as much of the forecast below as above them.",
    )

    def has_steps(self) -> bool:
        """structural finds the parameters of a series when it is asked for its forecast."""
        return self.model.estimator != STRUCTURAL

    def problem(self) -> Optional[Tuple[Tuple[Any, ...], str]]:
        if not self.has_steps() and self.model.context_length is not None:
            message = "structural conditions on the whole series; remove it"
            return ("model", "context_length"), message
        return None
