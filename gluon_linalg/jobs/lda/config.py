"""The job file of the task `lda`."""

from typing import List, Literal, Optional

from pydantic import Field, model_validator
from typing_extensions import Annotated

from ...grammar.section import Column, Columns, Name, Number, Section
from ..config import Job
from ..regression.config import Holdout
from ..table_format import RowsData, TableData


class Data(RowsData, TableData):
    """The table and the part its columns play."""

    path: Name = Field(
        ..., description="The CSV file, with a header; relative to the folder of the job file."
    )
    columns: Columns = Field(..., description="The columns that tell the classes apart, numbers.")
    categorical: List[Column] = Field(
        [],
        description="The columns of names, each of which stands for a column of 0 and 1 for each "
        "of its levels but the first; those that are not among the others are added to them.",
    )
    target: Column = Field(..., description="The column with the names of the classes.")
    holdout: Optional[Holdout] = Field(
        None, description="The rows kept from training; none for no such rows."
    )

    @property
    def all_columns(self) -> List[str]:
        """The columns and those of names that are not among them."""
        return [*self.columns, *(name for name in self.categorical if name not in self.columns)]

    @model_validator(mode="after")
    def columns_differ(self) -> "Data":
        for index, name in enumerate(self.all_columns):
            if name in self.columns[:index] or name == self.target:
                raise ValueError(f"the column '{name}' has two parts to play; name each once")
        return self


class Model(Section):
    """The analysis."""

    components: Optional[Annotated[int, Field(ge=1)]] = Field(
        None,
        description="The number of directions; null for all: one fewer than classes, or as many "
        "as columns if that is less.",
    )
    priors: Literal["observed", "equal"] = Field(
        "observed",
        description="How probable a class is before a row is seen: its share of the rows to train "
        "on, or all the same.",
    )
    ridge: Annotated[Number, Field(ge=0, le=1e6)] = Field(
        0.0,
        description="What is added to the variances of the standardized columns within the "
        "classes, as a share of their mean; above 0 for columns that depend on each other.",
    )
    dtype: Literal["float32", "float64"] = Field(
        "float64", description="The number type of the exported model; the analysis is in float64."
    )


class DiscriminantJob(Job):
    """Linear discriminant analysis."""

    task: Literal["lda"] = Field(
        ..., description="The kind of model: lda, linear discriminant analysis."
    )
    data: Data = Field(..., description="The table and the part its columns play.")
    model: Model = Field(
        default_factory=Model,  # type: ignore[arg-type]
        description="The analysis.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="The seed of the random hold-out.")
