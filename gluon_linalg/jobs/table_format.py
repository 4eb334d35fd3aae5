"""How the text of a table is written: the keys of a job file that say so."""

from typing import Any, ClassVar, List, Literal, NamedTuple, Optional, Tuple

from pydantic import Field, field_validator

from ..grammar.section import Column, Section
from .clocks import find_zone


class Format(NamedTuple):
    """What a job says of the text of its tables; None where the text itself tells."""

    separator: Optional[str] = None
    decimal: Optional[str] = None
    day_first: Optional[bool] = None
    timezone: Optional[str] = None


# Nothing is said.
AUTO = Format()


class TableData(Section):
    """The keys of a table that has numbers."""

    seldom: ClassVar[Tuple[str, ...]] = Format._fields

    separator: Optional[Literal[",", ";", "|", "tab"]] = Field(
        None,
        description="What stands between the cells: a comma, a semicolon, a tab or a bar; null to "
        "see which of the first three the header has, or a first line such as sep=;",
    )
    decimal: Optional[Literal[".", ","]] = Field(
        None,
        description="The decimal sign; null for a comma where all numbers with a sign have it and "
        "it cannot be one between thousands, else for a point.",
    )

    @field_validator("separator", mode="before")
    @classmethod
    def tab_is_a_word(cls, value: Any) -> Any:
        return "tab" if value == "\t" else value

    def format(self) -> Format:
        """The `Format` of all tables of the job."""
        values = {name: getattr(self, name, None) for name in Format._fields}
        if values["separator"] == "tab":
            values["separator"] = "\t"
        return Format(**values)


class DatedTableData(TableData):
    """The keys of a table that may have dates."""

    day_first: Optional[bool] = Field(
        None,
        description="Whether dates such as 31/12/1958 have the day first, or the month; null to "
        "see it in the column.",
    )


class RowsData(Section):
    """The keys of a table whose rows are independent observations."""

    categorical: List[Column] = Field(
        [],
        description="The columns of names, each of which stands for a column of 0 and 1 for each "
        "of its levels; those that are not among the others are added to them.",
    )
    incomplete_rows: Literal["refuse", "leave_out"] = Field(
        "refuse",
        description="What is done with rows that have an empty cell or NA in a column of the job: "
        "an error, or the training does without them and says how many there are.",
    )

    @field_validator("categorical")
    @classmethod
    def names_differ(cls, names: List[str]) -> List[str]:
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"the column '{name}' is named twice; name each once")
        return names


class SeriesData(DatedTableData):
    """The keys of a table with times that are equal steps apart."""

    timezone: Optional[str] = Field(
        None,
        description="The time zone in which days and longer steps begin, such as Europe/Berlin, "
        "for times of day in UTC or with an offset from it; null for the times as they are "
        "written.",
    )

    @field_validator("timezone")
    @classmethod
    def zone_exists(cls, name: Optional[str]) -> Optional[str]:
        if name is not None:
            find_zone(name)
        return name
