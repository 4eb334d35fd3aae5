"""How times grow: tables over sizes, with the exponents of fitted powers."""

from typing import Dict, Iterator, List, Sequence, Tuple

import numpy as np

from .measure import Row
from .tables import number, table, taken


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """k of seconds ~ sizes^k, by least squares of logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def lines(rows: Sequence[Row]) -> List[str]:
    """A table for each line of cases and number of threads."""
    found: Dict[Tuple[str, str, int], List[Row]] = {}
    for row in rows:
        if row["line"] is not None and "failed" not in row:
            name, grows, _ = row["line"]
            found.setdefault((name, grows, row["threads"]), []).append(row)
    return [line for key, own in found.items() for line in _table(*key, own)]


def _table(name, grows, threads, rows) -> Iterator[str]:
    rows = sorted(rows, key=lambda row: row["line"][2])
    sizes = [row["line"][2] for row in rows]
    labels = dict.fromkeys(label for row in rows for label in row["contenders"])
    cells = []
    for label in labels:
        runs = [row["contenders"].get(label, {}).get("run") for row in rows]
        known = [(size, run["median"]) for size, run in zip(sizes, runs) if run]
        fits = [exponent(*zip(*part)) if len(part) > 1 else None for part in (known, known[-2:])]
        times = [number(run and 1e3 * run["median"]) for run in runs]
        cells.append([label, *times, *map(number, fits)])
    head = ["ms", *[f"{grows} = {size}" for size in sizes], "exponent", "of the last two"]
    yield f"{name}, value and gradients over {grows}, {threads} thread{'s' * (threads > 1)}:"
    yield ""
    yield from table(head, cells)
    yield ""
    yield taken(rows)
    yield ""
