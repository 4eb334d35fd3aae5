"""The job file of the task `pca`."""

from typing import Any, List, Literal, Optional, Tuple

from pydantic import Field, model_validator

from ...grammar.section import Column, Columns, Name, Section
from ..config import Job
from ..table_format import RowsData, TableData


class Data(RowsData, TableData):
    """The table and its columns."""

    path: Name = Field(
        ..., description="The CSV file, with a header; relative to the folder of the job file."
    )
    columns: Columns = Field(..., description="The columns to analyse, numbers.")
    color: Optional[Column] = Field(
        None,
        description="A column of names or numbers, by which the rows are coloured in plot.png; the "
        "analysis does not see it, unless it is among the columns.",
    )

    @property
    def all_columns(self) -> List[str]:
        """The columns and those of names that are not among them."""
        return [*self.columns, *(name for name in self.categorical if name not in self.columns)]

    @model_validator(mode="after")
    def columns_differ(self) -> "Data":
        for index, name in enumerate(self.columns):
            if name in self.columns[:index]:
                raise ValueError(f"the column '{name}' is named twice; name each once")
        return self


class Model(Section):
    """The analysis."""

    components: Optional[int] = Field(
        None, ge=1, description="The number of components; null for as many as there are."
    )
    standardize: bool = Field(
        False,
        description="Whether each column is divided by its standard deviation first, so that the "
        "units of the columns do not matter.",
    )
    whiten: bool = Field(False, description="Whether the scores are scaled to a variance of 1.")
    dtype: Literal["float32", "float64"] = Field(
        "float64", description="The number type of the exported model; the analysis is in float64."
    )


class PrincipalComponentsJob(Job):
    """Principal component analysis."""

    task: Literal["pca"] = Field(
        ..., description="The kind of model: pca, principal component analysis."
    )
    data: Data = Field(..., description="The table and its columns.")
    model: Model = Field(
        default_factory=Model,  # type: ignore[arg-type]
        description="The analysis.",
    )

    def problem(self) -> Optional[Tuple[Tuple[Any, ...], str]]:
        count = self.model.components
        # Of a column of names nobody knows yet how many levels it has.
        if self.data.categorical:
            return None
        if count is not None and count > len(self.data.columns):
            message = f"{len(self.data.columns)} columns have no {count} components; lower it"
            return ("model", "components"), message
        return None
