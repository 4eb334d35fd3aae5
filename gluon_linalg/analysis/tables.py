"""Tables of text, and tables of normal distributions."""

from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

LEVELS = (80, 95)


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> List[str]:
    """Lines: words to the left, numbers to the right of their columns."""
    table = [tuple(headings), *map(tuple, rows)]
    widths = [max(len(row[k]) for row in table) for k in range(len(headings))]
    lines = ["  ".join(map(_padded, row, widths)).rstrip() for row in table]
    return [lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]]


def figure(value: float) -> str:
    """A number with five digits; nothing for NaN."""
    return "" if np.isnan(value) else f"{value:.5g}"


def normal_columns(
    mean: np.ndarray, variance: np.ndarray, levels: Sequence[float] = LEVELS
) -> Dict[str, np.ndarray]:
    """mean, std, and lower and upper ends of intervals by their level in percent, by name."""
    deviation = np.sqrt(variance)
    columns = {"mean": mean, "std": deviation}
    for level in levels:
        width = normal_width(level) * deviation
        columns[f"lower_{level:g}"], columns[f"upper_{level:g}"] = mean - width, mean + width
    return columns


def normal_width(level: float) -> float:
    """How many standard deviations the interval of a level in percent reaches from the mean."""
    from scipy.special import ndtri

    if not 0.0 < level < 100.0:
        raise ValueError(f"levels: {level!r} is no percentage between 0 and 100, such as 95.")
    return float(ndtri(0.5 + level / 200.0))


def interval_name(level: float) -> Tuple[str, str]:
    """The names of the columns of an interval."""
    return f"lower_{level:g}", f"upper_{level:g}"


def _padded(text: str, width: int) -> str:
    return f"{text:<{width}}" if text and text[0].isalpha() else f"{text:>{width}}"


def frame(columns: Any, index: Any = None) -> Any:
    """A pandas DataFrame."""
    import pandas

    return pandas.DataFrame(columns, index=index)
