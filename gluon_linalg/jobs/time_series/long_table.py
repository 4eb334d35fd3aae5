"""Tables of several series, one below the other."""

from itertools import chain
from typing import Any, Dict, Optional

import numpy as np

from ..predictions import Columns


def joined(column: Optional[str], tables: Dict[Any, Columns]) -> Columns:
    """The tables by name of their series, one below the other, with the name in a first column.

    A table is a list of pairs of a name and a list or array. column: None for one series.
    """
    if column is None:
        return tables[None]
    names = [name for name, table in tables.items() for _ in table[0][1]]
    columns: Columns = [(column, names)]
    for parts in zip(*tables.values()):
        values = [values for _, values in parts]
        is_array = isinstance(values[0], np.ndarray)
        values = np.concatenate(values) if is_array else list(chain.from_iterable(values))
        columns.append((parts[0][0], values))
    return columns
