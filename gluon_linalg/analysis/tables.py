"""Tables of text, and tables of normal distributions."""

import html
from typing import Any, Dict, List, Sequence

import numpy as np

from ..plots.style import Moments, normal_width

LEVELS = (80, 95)


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> List[str]:
    """Lines: the first column and words to the left, numbers to the right."""
    table = [tuple(headings), *map(tuple, rows)]
    columns = range(len(headings))
    widths = [max(len(row[k]) for row in table) for k in columns]
    is_left = [k == 0 or any(row[k][:1].isalpha() for row in table[1:]) for k in columns]
    lines = [
        "  ".join(
            text.ljust(width) if left else text.rjust(width)
            for text, width, left in zip(row, widths, is_left)
        ).rstrip()
        for row in table
    ]
    return [lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]]


def html_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same in HTML."""
    head = "".join(f"<th>{html.escape(text)}</th>" for text in headings)
    lines = ("".join(f"<td>{html.escape(text)}</td>" for text in row) for row in rows)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


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


def normal_tables(
    moments: Moments, levels: Sequence[float], index: Any, names: Sequence[str]
) -> Any:
    """`normal_columns` of k series, of moments (n, k), each under its name: a DataFrame."""
    import pandas

    each = zip(*(array.T for array in moments))
    tables = [frame(normal_columns(m, v, levels), index) for m, v in each]
    return pandas.concat(tables, axis=1, keys=names)


def frame(columns: Any, index: Any = None) -> Any:
    """A pandas DataFrame."""
    import pandas

    return pandas.DataFrame(columns, index=index)
