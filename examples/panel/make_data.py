"""Writes examples/data/grunfeld.csv, one row for each firm and year, from the data of statsmodels.

    python examples/panel/make_data.py [FILE]

Grunfeld's investment data: gross investment, value of the firm and stock of plant and equipment, in
millions of dollars of 1947, of 11 American firms from 1935 to 1954 (statsmodels.datasets.grunfeld,
public domain).
"""

import csv
import sys
from pathlib import Path

from statsmodels.datasets import grunfeld

FILE = Path(__file__).resolve().parent.parent / "data" / "grunfeld.csv"
COLUMNS = ["firm", "year", "invest", "value", "capital"]


def main(path=FILE):
    """Writes the table to `path`."""
    table = grunfeld.load_pandas().data[COLUMNS].sort_values(["firm", "year"])
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for firm, year, *numbers in table.itertuples(index=False):
            writer.writerow([firm, int(year), *(f"{number:.10g}" for number in numbers)])


if __name__ == "__main__":
    main(*sys.argv[1:])
