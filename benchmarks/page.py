"""docs/benchmarks.md: a text by hand, and tables between marks.

A table stands between a comment such as `<!-- table: kalman -->` and `<!-- end -->`.
"""

import re
from pathlib import Path
from typing import List, Optional, Sequence

from . import scaling, tables
from .catalogue import all_cases
from .measure import Row
from .process import ROOT
from .results import Results, write

PAGE = ROOT / "docs" / "benchmarks.md"
MARKED = re.compile(
    r"(<!-- (rates|ratios|table|scores|scaling)(?:: ([\w ]+))? -->\n).*?(<!-- end -->)", re.DOTALL
)


def fill(page: str, known: Results, names: Sequence[str]) -> str:
    """The page with all its tables. names: of the cases, in the order of rows."""
    rows = sorted(
        (row for row in known.rows if row["case"] in names),
        key=lambda row: (names.index(row["case"]), row["threads"]),
    )

    def filled(found):
        begin, what, name, end = found.groups()
        return f"{begin}\n{_content(what, name, known, rows)}\n{end}"

    return MARKED.sub(filled, page)


def _content(what, name, known, rows):
    if what == "rates":
        lines = tables.rates(known.rates)
    elif what == "ratios":
        lines = tables.ratios(rows)
    elif what == "scaling":
        lines = scaling.lines(rows)
    else:
        show = tables.scores if what == "scores" else tables.details
        lines = show([row for row in rows if row["table"] == name])
    return "".join(f"{line}\n" for line in lines) or _absent(name)


def _absent(table):
    """What measures a table without results."""
    own = [case for case in all_cases() if case.table == table]
    slow = " --slow" if any(case.slow for case in own) else ""
    named = " ".join(case.name for case in own)
    return f"No results are stored: `python -m benchmarks run {named}{slow}` measures them.\n"


def update(known: Results, names: Sequence[str], output: Optional[Path]) -> None:
    """Writes the page: that of the repository, or one in a folder."""
    target = PAGE if output is None else output / PAGE.name
    write(target, fill(PAGE.read_text(encoding="utf-8"), known, names))


def is_stale(known: Results, names: Sequence[str]) -> bool:
    """Whether the page of the repository has other tables than the results."""
    page = PAGE.read_text(encoding="utf-8")
    return fill(page, known, names) != page


def marked_tables() -> List[str]:
    """The names of the tables that have a place on the page."""
    found = MARKED.findall(PAGE.read_text(encoding="utf-8"))
    return [name or what for _, what, name, _ in found]


def told(row: Row) -> List[str]:
    """A row as it is shown when it has been measured."""
    reasons = [
        f"{label}: {own.get('failed') or own['missing']}"
        for label, own in row["contenders"].items()
        if {"failed", "missing"} & set(own)
    ]
    show = tables.scores if row.get("fits") else tables.details
    return [f"{row['case']}, threads: {row['threads']}", *show([row])[:-2], *reasons]
