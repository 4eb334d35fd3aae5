"""What a model of several targets says of each of them."""

from typing import Any, List, Optional, Sequence

import numpy as np

from ..plots.style import Moments
from .rows import NOMINAL, RowsAnalysis, coverages, judged_rows
from .tables import frame, text_table


class TargetRows(RowsAnalysis):
    """One target: each observation, (n,), with its moments given all others."""

    def __init__(self, name: str, targets: np.ndarray, moments: Moments, index: Any) -> None:
        self.name, self._targets, self._moments, self.index = name, targets, moments, index

    @property
    def targets(self) -> np.ndarray:
        return self._targets

    def left_out(self) -> Moments:
        return self._moments


class SeveralAnalysis:
    """What models of several targets share; tables of all have columns by target and name.

    A subclass implements `outputs`, and has `names` of the targets.
    """

    names: List[str]

    def outputs(self) -> Sequence[TargetRows]:
        """Each target by itself, in the order of the names."""
        raise NotImplementedError(f"{type(self).__name__} does not implement outputs")

    def __getitem__(self, name: str) -> Any:
        """The `leave_one_out`, calibration and pictures of one target by its name."""
        return self.outputs()[self._place(name)]

    def leave_one_out(self) -> Any:
        """Each observation predicted from all others, of all targets: a DataFrame.

        Columns of each target as of `RowsAnalysis.leave_one_out`.
        """
        return self._joined([own.leave_one_out() for own in self.outputs()])

    def calibration(self, levels: Sequence[float] = NOMINAL) -> Any:
        """The share of observations inside of their intervals, in percent: a DataFrame."""
        found = [own.left_out_columns()["standardized_residual"] for own in self.outputs()]
        columns = {name: coverages(z, levels) for name, z in zip(self.names, found)}
        return frame({"level": list(levels), **columns}).set_index("level")

    def summary(self) -> str:
        """How well each target is predicted, as text."""
        judged = [judged_rows(own.left_out_columns()) for own in self.outputs()]
        rows = [[line[0][0], *(text for _, text in line)] for line in zip(*judged)]
        return "\n".join(text_table(["each observation left out once", *self.names], rows)) + "\n"

    def plot_leave_one_out(self, name: Optional[str] = None) -> Any:
        """Predicted against observed of one target, the first if None: a figure."""
        return self.outputs()[self._place(name)].plot_leave_one_out()

    def plot_calibration(self, name: Optional[str] = None) -> Any:
        """Shares inside of intervals by their level, of one target: a figure."""
        return self.outputs()[self._place(name)].plot_calibration()

    def _place(self, name: Optional[str]) -> int:
        if name is None:
            return 0
        if name not in self.names:
            raise ValueError(f"there is no output {name!r}; expected one of {self.names}.")
        return self.names.index(name)

    def _joined(self, tables: Sequence[Any]) -> Any:
        import pandas

        return pandas.concat(tables, axis=1, keys=self.names)


def names_of_targets(given: Optional[Sequence[str]], y: Any, count: int) -> List[str]:
    """Of `count` targets: those given, or of the columns of a DataFrame; y1, y2, ... otherwise."""
    found = given if given is not None else getattr(y, "columns", None)
    names = [f"y{k + 1}" for k in range(count)] if found is None else [*map(str, found)]
    if len(names) != count:
        raise ValueError(f"analyze: {len(names)} names for {count} outputs.")
    return names
