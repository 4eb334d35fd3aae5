"""Markdown tables of rows."""

import math
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

from .case import ALONE, BACKENDS, HERE
from .measure import Row

NONE = "–"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> List[str]:
    """A head and lines of cells."""
    every = [head, ["---"] * len(head), *lines]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in every]


def number(value: Optional[float]) -> str:
    """Three digits that count."""
    if value is None or not math.isfinite(value):
        return NONE
    places = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{round(value, places):.{max(places, 0)}f}"


def rates(known: Mapping[str, Any]) -> List[str]:
    """What the machine can do."""
    lines = [
        [
            threads,
            number(one["operations"]["float64"] / 1e9),
            number(one["operations"]["float32"] / 1e9),
            number(one["bytes"] / 1e9),
        ]
        for threads, one in sorted(known.items())
    ]
    head = ["threads", "products in float64, GFlop/s", "in float32", "copies, GB/s"]
    return [*table(head, lines), "", taken([*known.values()])] if lines else []


def ratios(rows: Sequence[Row]) -> List[str]:
    """The time of value and gradients in that of each peer, by backend and threads."""
    counts = sorted({row["threads"] for row in rows})
    columns = [(label, count) for label in BACKENDS.values() for count in counts]
    by_case: Dict[str, Dict[int, Row]] = {}
    for row in rows:
        if row["line"] is None and not row.get("fits"):
            by_case.setdefault(row["case"], {})[row["threads"]] = row
    lines = []
    for case, own in by_case.items():
        title = f"{case.split('/')[0]}: {next(iter(own.values()))['title']}"
        for peer in sorted({name for row in own.values() for name in _peers([row])}):
            cells = [
                number(_ratio(own[count], label, peer)) if count in own else NONE
                for label, count in columns
            ]
            last = own.get(counts[-1], {"contenders": {}})
            both = number(_ratio(last, BACKENDS["native"], ALONE))
            lines.append([title, peer, *cells, both])
            title = ""
    head = [f"{label}, {count} thread{'s' * (count > 1)}" for label, count in columns]
    last = f"native, {counts[-1]} threads / 1 thread" if counts else ""
    return table(["work", "beside", *head, last], lines) if lines else []


def details(rows: Sequence[Row]) -> List[str]:
    """All that is known of rows, a line for each contender."""
    if not rows:
        return []
    beside = [*_peers(rows), *({BACKENDS["mxnet"]} & _labels(rows))]
    figures = _names(own.get("figures", {}) for row in rows for own in row["contenders"].values())
    head = [
        "problem",
        "threads",
        "",
        "value + gradients, ms",
        "quartiles",
        "value alone, ms",
        "first call, s",
        "memory, MB",
        *[f"/ {label}" for label in beside],
        "of the limit",
        *figures,
    ]
    lines = []
    before = None
    for row in rows:
        # What has a name above, with another number of threads, needs none.
        title = ["" if row["title"] == before else row["title"], str(row["threads"])]
        before = row["title"]
        if "failed" in row:
            lines.append([*title, f"failed: {row['failed']}", *[""] * (len(head) - 3)])
            continue
        for label, own in row["contenders"].items():
            lines.append([*title, label, *_cells(row, label, own, beside, figures)])
            title = ["", ""]
    return [*table(head, lines), "", taken(rows)]


def scores(rows: Sequence[Row]) -> List[str]:
    """What was found and how long it took, a line for each contender."""
    if not rows:
        return []
    figures = _names(own.get("figures", {}) for row in rows for own in row["contenders"].values())
    peers = _peers(rows)
    head = ["", "", *figures, "seconds", *[f"/ {label}" for label in peers]]
    lines = []
    for row in rows:
        title = row["title"]
        if "failed" in row:
            lines.append([title, f"failed: {row['failed']}", *[""] * (len(head) - 2)])
            continue
        for label, own in row["contenders"].items():
            known = [number(own.get("figures", {}).get(name)) for name in figures]
            ratios = [number(_ratio(row, label, other)) for other in peers]
            lines.append([title, label, *known, number(_median(row, label)), *ratios])
            title = ""
    return [*table(head, lines), "", taken(rows)]


def _cells(row, label, own, beside, figures) -> Iterator[str]:
    run, forward = own.get("run"), own.get("forward")
    known = own.get("figures", {})
    if run is None:
        yield "failed" if "failed" in own else "not run"
    else:
        yield number(1e3 * run["median"])
    yield f"{number(1e3 * run['low'])} – {number(1e3 * run['high'])}" if run else NONE
    yield number(forward and 1e3 * forward["median"])
    yield number(own.get("first"))
    memory = own.get("memory")
    yield NONE if memory is None else number(memory / 1e6)
    for other in beside:
        yield number(_ratio(row, label, other))
    yield number(row["limit"] / run["median"] if run and row["limit"] else None)
    for name in figures:
        yield number(known.get(name)) if name in known else NONE


def taken(rows: Sequence[Mapping[str, Any]]) -> str:
    """When and where, of all rows."""
    every = [row["taken"] for row in rows]
    dates = sorted({one["date"] for one in every})
    places = sorted({f"{one['processor']}, {one['processors']} processors" for one in every})
    loads = sorted(one["load"] for one in every)
    return (
        f"{' to '.join(dict.fromkeys([dates[0], dates[-1]]))}; {'; '.join(places)}; "
        f"load of the machine {' to '.join(map(str, dict.fromkeys([loads[0], loads[-1]])))}."
    )


def _names(every):
    return list(dict.fromkeys(name for one in every for name in one))


def _labels(rows):
    return {label for row in rows for label in row["contenders"]}


def _peers(rows):
    """Labels of other libraries."""
    return _names(
        [label for label, own in row["contenders"].items() if own["environment"] != HERE]
        for row in rows
    )


def _median(row, label):
    return row["contenders"].get(label, {}).get("run", {}).get("median")


def _ratio(row, label, other):
    both = _median(row, label), _median(row, other)
    return both[0] / both[1] if all(both) else None
