"""The table of a regression in a job file."""

from typing import List, Literal, Optional

from pydantic import ConfigDict, Field, model_validator

from ...grammar.section import Column, Columns, Name, Number, Section
from ..table_format import DatedTableData, RowsData


class Holdout(Section):
    """Rows that are kept from training, to judge the model by; exactly one of the keys."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [name], "properties": {name: {"type": "number"}}}
                for name in ("last", "fraction")
            ]
        }
    )

    last: Optional[int] = Field(None, ge=1, description="This many rows at the end of the file.")
    fraction: Optional[Number] = Field(
        None, gt=0, lt=1, description="This share of the rows, drawn at random with `seed`."
    )

    @model_validator(mode="after")
    def one_rule(self) -> "Holdout":
        if (self.last is None) == (self.fraction is None):
            raise ValueError("expected either last: ROWS or fraction: SHARE")
        return self


class RegressionData(RowsData, DatedTableData):
    """The table and the part its columns play."""

    path: Name = Field(
        ..., description="The CSV file, with a header; relative to the folder of the job file."
    )
    inputs: Columns = Field(
        ...,
        description="The input columns: numbers, or dates such as 1958-03, 1958-03-01 or "
        "31/12/1958, which become years: year + month/12, plus the share of the month that has "
        "passed.",
    )
    target: Column = Field(..., description="The column to be modelled.")
    target_scaling: Literal["raw", "center", "standardize"] = Field(
        "center",
        description="What is done to the target before training: nothing; its mean subtracted; "
        "also divided by its standard deviation. Predictions are in original units.",
    )
    holdout: Optional[Holdout] = Field(
        None, description="The rows kept from training; none for no such rows."
    )

    @property
    def targets(self) -> List[str]:
        """The columns to be modelled."""
        return [self.target]

    @property
    def input_columns(self) -> List[str]:
        """The inputs and the columns of names that are not among them."""
        return [*self.inputs, *(name for name in self.categorical if name not in self.inputs)]

    @model_validator(mode="after")
    def columns_differ(self) -> "RegressionData":
        for index, name in enumerate(self.input_columns):
            if name in self.inputs[:index] or name in self.targets:
                raise ValueError(f"the column '{name}' has two parts to play; name each once")
        return self
