"""The rows that were measured, as a JSON file."""

import json
import os
from pathlib import Path
from typing import Any, Dict, List, Optional

from .measure import Row
from .process import ROOT
from .rates import Rates


class Results:
    """Rows of a case and a number of threads each, and the rates of the machine.

    A row replaces the one of the same case and threads; others stay, so that a run may be in parts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        known: Dict[str, Any] = {}
        if path.exists():
            known = json.loads(path.read_text(encoding="utf-8"))
        self.rows: List[Row] = known.get("rows", [])
        self.rates: Dict[str, Any] = known.get("rates", {})

    def put(self, row: Row) -> None:
        def key(one):
            return one["case"], one["threads"]

        kept = [known for known in self.rows if key(known) != key(row)]
        self.rows = sorted([*kept, row], key=key)

    def put_rates(self, threads: int, rates: Rates, taken: Dict[str, Any]) -> None:
        self.rates[str(threads)] = {**rates._asdict(), "taken": taken}

    def write(self) -> None:
        content = {"rates": self.rates, "rows": self.rows}
        write(self._path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def of_folder(output: Optional[Path]) -> Results:
    """What a folder has, without one the repository."""
    return Results((output or ROOT / "benchmarks") / "results.json")


def write(path: Path, content: str) -> None:
    """The file in one step: a run that is stopped keeps what it had."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(content, encoding="utf-8")
    os.replace(part, path)
