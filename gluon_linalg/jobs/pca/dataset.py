"""The rows of a principal component analysis."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from ...fitting.units import mean_and_deviation
from ...plots.components import MOST_NAMES
from ..categories import encoded, find_levels, level_names
from ..data import Table, read_table
from ..errors import JobError
from ..scaled_rows import ScaledRows, of_table
from ..units import finite
from .config import Data, PrincipalComponentsJob

# So many standard deviations from 0, float32 has less than five digits for what a column varies.
FAR = 100.0


@dataclass
class Dataset(ScaledRows):
    """total_variance: of all columns as the analysis sees them, with divisor n - 1.

    input_offset: (d,), what is subtracted from the columns before they are rounded to
    `model.dtype`. color: of each row, (n,), for the picture.
    """

    total_variance: float
    components: int
    input_offset: np.ndarray
    color: Any

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.x)

    def content(self) -> bytes:
        """All numbers as bytes, for a fingerprint."""
        return np.ascontiguousarray(self.x).tobytes()


def read_dataset(job: PrincipalComponentsJob) -> Dataset:
    """Reads the table; JobError where it has too few rows or a column that does not vary."""
    table, levels = _read(job.data)
    path, x = job.data.path, encoded(table, job.data.all_columns, levels)
    columns = level_names(job.data.all_columns, levels)
    count, most = job.model.components, min(len(x) - 1, len(columns))
    if most < 1 or (count or 1) > most:
        if (count or 1) > len(columns):
            raise JobError(
                f"{path}: {len(columns)} columns have no {count} components; lower model.components"
            )
        raise JobError(
            f"{path}: {len(x)} rows for {count or 1} components; at least {(count or 1) + 1} are "
            "needed"
        )
    with np.errstate(all="ignore"):
        mean, deviation = mean_and_deviation(x, ddof=1)
        finite(path, mean, deviation**2)
    is_constant = deviation == 0
    if is_constant.all():
        raise JobError(f"{path}: all rows are the same; there is nothing to analyse")
    if job.model.standardize and is_constant.any():
        name = columns[int(np.argmax(is_constant))]
        raise JobError(
            f"{path}: column '{name}' is constant, it has no standard deviation to divide by; "
            "remove it from data.columns, or set model.standardize: false"
        )
    scale = deviation if job.model.standardize else np.ones(len(columns))
    total = float(np.sum((deviation / scale) ** 2))
    rounds_away = (np.abs(mean) > FAR * deviation) & (job.model.dtype == "float32")
    offset = np.where(rounds_away, mean, 0.0)
    return Dataset(
        **of_table(table, job.data),
        columns=columns,
        levels=levels,
        x=x,
        mean=mean,
        scale=scale,
        total_variance=total,
        components=count or most,
        input_offset=offset,
        color=_color(table, job.data.color),
    )


def _color(table: Table, name: Optional[str]) -> Any:
    """Numbers where all cells are such, and differ, else names; None for no column."""
    if name is None:
        return None
    texts = table.texts[name]
    try:
        numbers = np.array([float(text) for text in texts])
    except ValueError:
        return texts
    return numbers if len(np.unique(numbers)) > MOST_NAMES else texts


def _read(data: Data) -> Tuple[Table, Dict[str, List[str]]]:
    added = [name for name in (data.color,) if name is not None and name not in data.all_columns]
    table = read_table(
        data.path,
        [*data.all_columns, *added],
        (),
        table_format=data.format(),
        categorical=[*data.categorical, *added],
        incomplete=data.incomplete_rows,
    )
    return table, find_levels(table, data.categorical)
