"""What regressions share: each row predicted from all others, and how well that went."""

from typing import Any, Mapping, Optional, Sequence

import numpy as np

from ..plots.regression import plot_agreement, plot_calibration
from ..plots.style import Moments, normal_width
from .tables import LEVELS, figure, frame, text_table

NOMINAL = (50, 80, 90, 95, 99)


def left_out_columns(y: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> Any:
    """observed, mean, std, residual and log density of rows that were predicted from others."""
    deviation = np.sqrt(variance)
    residual = (y - mean) / deviation
    density = -0.5 * residual**2 - np.log(deviation) - 0.5 * np.log(2.0 * np.pi)
    columns = {"observed": y, "mean": mean, "std": deviation}
    return {**columns, "standardized_residual": residual, "log_density": density}


def coverages(residual: np.ndarray, levels: Sequence[float] = NOMINAL) -> np.ndarray:
    """The shares of standardized residuals within the intervals of levels, both in percent."""
    widths = [normal_width(level) for level in levels]
    return np.array([100.0 * np.mean(np.abs(residual) <= width) for width in widths])


def seen_rows(layer: Any, arrays: Sequence[Any]) -> np.ndarray:
    """Whether each row counts, (n,) or (n, k): by the mask among the arrays of one data set."""
    named = dict(zip((name for name, _ in layer.arguments), arrays))
    mask = named.get("mask")
    if mask is None:
        return np.ones(named["y"].shape[1:], dtype=bool)
    return mask.asnumpy()[0] > 0


class RowsAnalysis:
    """What regressions share: each row predicted from all others, and how well that went.

    A subclass implements `left_out`, or `left_out_columns` where predictions are not normal, and
    `targets`: of the rows that count, without those that a mask hides, whose index is `index`.
    """

    index: Any = None
    name = "y"

    def left_out(self) -> Moments:
        """Mean and variance of each observation given all others, (n,) each."""
        raise NotImplementedError(f"{type(self).__name__} does not implement left_out")

    @property
    def targets(self) -> np.ndarray:
        """The observations, (n,)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement targets")

    def left_out_columns(self) -> Mapping[str, np.ndarray]:
        """The columns of `leave_one_out` by name, (n,) each."""
        return left_out_columns(self.targets, *self.left_out())

    def leave_one_out(self) -> Any:
        """Each row predicted from all others: a DataFrame.

        Columns observed, mean, std (of an observation), standardized_residual and log_density.
        """
        return frame(self.left_out_columns(), self.index)

    def calibration(self, levels: Sequence[float] = NOMINAL) -> Any:
        """The share of rows inside of their intervals, each left out, in percent: a DataFrame."""
        residual = self.left_out_columns()["standardized_residual"]
        return frame({"level": list(levels), "inside": coverages(residual, levels)}).set_index(
            "level"
        )

    def summary(self) -> str:
        """How well each row is predicted from all others, as text."""
        rows = judged_rows(self.left_out_columns())
        return "\n".join(text_table(("each row left out once", ""), rows)) + "\n"

    def plot_leave_one_out(self) -> Any:
        """Predicted against observed, each row left out once: a figure."""
        found = self.left_out_columns()
        moments = found["mean"], found["std"] ** 2
        return plot_agreement(self.name, [("each left out once", found["observed"], moments)])

    def plot_calibration(self) -> Any:
        """Shares inside of intervals by their level, and where observations lie: a figure."""
        return plot_calibration(self.left_out_columns()["standardized_residual"])


def judged_rows(found: Mapping[str, np.ndarray]) -> Any:
    """Pairs of a name and a figure: how well rows were predicted."""
    error = np.sqrt(np.mean((found["observed"] - found["mean"]) ** 2))
    shares = coverages(found["standardized_residual"], LEVELS)
    return [
        ("RMSE", figure(float(error))),
        ("mean log density", figure(float(np.mean(found["log_density"])))),
        *(
            (f"inside the {level:g} % interval", f"{share:.1f} %")
            for level, share in zip(LEVELS, shares)
        ),
    ]


def index_of_seen(index: Optional[Any], seen: np.ndarray) -> Any:
    """The index of the rows that count; None where there is none."""
    return None if index is None else index[seen]
