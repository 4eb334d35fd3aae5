"""The rows of an analysis that sees each column of a table in a unit of its own."""

from dataclasses import dataclass
from typing import Any, Dict, List

import numpy as np

from ..typing import given
from .data import Table
from .sample import Sample, first_rows
from .table_format import Format


@dataclass
class ScaledRows:
    """x: (n, d) in original units; mean and scale, (d,): the analysis sees (x - mean) / scale.

    columns: the names of the d, which are those of `table_columns` and of the `levels` of a column
    of names; places: where the rows stand among the `rows` of the table, of which some may be left
    out. sample: of the columns of the table.
    """

    path: str
    columns: List[str]
    x: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    table_columns: List[str]
    levels: Dict[str, List[str]]
    table_format: Format
    places: np.ndarray
    rows: int
    sample: Sample

    @property
    def left_out(self) -> int:
        """The number of rows that lacked a value."""
        return self.rows - len(self.x)

    def scaled(self) -> np.ndarray:
        """What the analysis sees, (n, d)."""
        return (self.x - self.mean) / self.scale


def of_table(table: Table, data: Any) -> Dict[str, Any]:
    """What `ScaledRows` have of a table and of the section `data` of its job."""
    return {
        "path": data.path,
        "table_columns": data.all_columns,
        "table_format": data.format(),
        "places": given(table.places),
        "rows": len(table.lines) + table.left_out,
        "sample": first_rows(table, data.all_columns),
    }
