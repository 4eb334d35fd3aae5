"""A state space job that trains in a moment, and a reader of its tables."""

import csv
import math

import numpy as np

YEARS = range(1990, 2014)
VALUES = [20 + 0.3 * i + 2 * math.sin(1.9 * i) + ((i * 29) % 11 - 5) / 4 for i in range(24)]
PRICES = [((i * 13) % 7) - 3 for i in range(30)]
TABLE = "year,price,y\n" + "".join(
    f"{year},{price},{value:.4f}\n" for year, price, value in zip(YEARS, PRICES, VALUES)
)
JOB = {
    "task": "statespace",
    "data": {"path": "table.csv", "time": "year", "target": "y"},
    "model": {"components": [{"level": {}}]},
    "forecast": {"steps": 3},
    "training": {"iterations": 60},
    "output": "out",
}

# Three series: the first year, the number of years, and the size of each.
REGIONS = {"east": (1994, 17, 5.0), "north": (1990, 24, 0.2), "west": (1997, 13, 40.0)}
PANEL_JOB = {
    **JOB,
    "data": {
        "path": "table.csv",
        "series": "region",
        "time": "year",
        "step": 1,
        "target": "y",
        "target_scaling": "standardize",
    },
}


def panel_rows():
    """Rows (year, region, price, y) of `REGIONS`; y is None where missing and in later years."""
    random = np.random.RandomState(7)
    rows = []
    for name, (start, count, scale) in REGIONS.items():
        level = 30 + np.cumsum(random.randn(count))
        for step in range(count + 5):
            price = (step * 13 + start) % 7 - 3
            value = None
            if step < count and step % 6 != 4:
                value = round(scale * (level[step] + 0.6 * price + random.randn()), 5)
            rows.append((start + step, name, price, value))
    return rows


def panel_table(rows):
    """The rows as the text of a file."""
    lines = [f"{year},{name},{price},{'' if y is None else y}" for year, name, price, y in rows]
    return "\n".join(["year,region,price,y", *lines, ""])


def columns_of(path):
    """The columns of a CSV file; numbers where all cells are such, NaN for empty ones."""
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {}
    for name in rows[0]:
        cells = [row[name] for row in rows]
        try:
            columns[name] = np.array([float(cell) if cell else np.nan for cell in cells])
        except ValueError:
            columns[name] = cells
    return columns
