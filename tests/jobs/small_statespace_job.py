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
