"""One row: all contenders of a case, in turns."""

import datetime
import os
import platform
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import numpy as np

from . import environments
from .case import ALONE, BACKENDS, Case
from .process import Failed, Missing, Process
from .rates import Rates

# A turn takes about so long for each of the two kinds of calls.
TURN = 0.1
KINDS = ("run", "forward")
Row = Dict[str, Any]


def measure(
    case: Case,
    threads: int,
    turns: int,
    folder: Path,
    rates: Rates,
    wanted: Callable[[str], bool] = lambda label: True,
    timeout: float = 1800.0,
) -> Row:
    """The row of a case, as it stands in the results.

    folder: of the peers' environments; wanted: whether to have a contender of this label.
    """
    row: Row = {
        "case": case.name,
        "table": case.table,
        "title": case.title,
        "line": case.line,
        "fits": case.fits,
        "threads": threads,
        "taken": taken(),
        "limit": case.work and rates.seconds(case.work, case.dtype),
        "contenders": {},
    }
    processes: Dict[str, Process] = {}
    told = row["contenders"]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            inputs = _inputs(case, Path(scratch))
            for contender in filter(lambda one: wanted(one.label), _contenders(case, threads)):
                own = told[contender.label] = {"environment": contender.environment}
                try:
                    python = environments.python_of(contender.environment, folder)
                    process = processes[contender.label] = Process(
                        python, contender.threads or threads
                    )
                    own.update(
                        process.ask(
                            "make",
                            timeout,
                            target=contender.target,
                            options=dict(contender.options),
                            memory=case.memory,
                            **inputs,
                        )
                    )
                    path = Path(scratch) / "results.npz"
                    process.ask("results", timeout, path=path)
                    with np.load(path) as file:
                        own["results"] = dict(file)
                except (LookupError, Missing) as error:
                    own["missing"] = str(error)
                except Failed as error:
                    own["failed"] = str(error)
        row.update(_compared(case, told))
        if "failed" not in row:
            _take_turns(row, processes, min(turns, case.turns), timeout)
    finally:
        for process in processes.values():
            process.close()
    return row


def _contenders(case, threads):
    """Those of the case, and where there are several threads also this package with one."""
    if threads == 1:
        return case.contenders
    native = [one for one in case.contenders if one.label == BACKENDS["native"]]
    return [*case.contenders, *(one._replace(label=ALONE, threads=1) for one in native)]


def taken() -> Dict[str, Any]:
    """When and where a row was measured."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }


def _processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _inputs(case, scratch):
    paths: Dict[str, Optional[Path]] = {}
    for name, make in (("inputs", case.inputs), ("small", case.small)):
        paths[name] = None if make is None else scratch / f"{name}.npz"
        if make is not None:
            np.savez(paths[name], **make())
    return paths


def _compared(case, told):
    """What the row says of how results differ; takes the results out of what is told."""
    found = {label: own.pop("results") for label, own in told.items() if "results" in own}
    if not found:
        return {"failed": "no contender could run"}
    reference = next(iter(found))
    row: Row = {"reference": reference}
    for label, results in found.items():
        try:
            difference = case.difference(results, found[reference])
        except ValueError as error:
            return {**row, "failed": f"{label} beside {reference}: {error}"}
        told[label]["difference"] = difference
        if not difference < case.tolerance:
            text = f"{label} differs from {reference} by {difference:.1e}"
            return {**row, "failed": f"{text}, more than {case.tolerance:.0e}"}
    return row


def _take_turns(row, processes, turns, timeout):
    seconds: Dict[str, Dict[str, list]] = {
        label: {kind: [] for kind in KINDS}
        for label, own in row["contenders"].items()
        if "difference" in own
    }
    for _ in range(turns):
        for label in list(seconds):
            try:
                for kind in KINDS:
                    answer = processes[label].ask("time", timeout, kind=kind, seconds=TURN)
                    if answer["seconds"]:
                        seconds[label][kind].append(float(np.median(answer["seconds"])))
            except Failed as error:
                row["contenders"][label]["failed"] = str(error)
                del seconds[label]
    for label, kinds in seconds.items():
        own = row["contenders"][label]
        own["figures"] = processes[label].ask("figures", timeout)
        own.update({kind: _summary(values) for kind, values in kinds.items() if values})


def _summary(values):
    low, median, high = np.percentile(values, [25, 50, 75])
    return {"median": median, "low": low, "high": high, "turns": len(values)}
