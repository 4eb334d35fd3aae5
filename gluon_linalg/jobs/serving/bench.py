"""How long a model takes for a number of rows."""

import http.client
import json
import time
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Optional
from urllib.parse import urlsplit

import numpy as np

from ..errors import JobError, reason
from ..metrics import versions
from ..predict import TrainedModel
from .formats import JSON, instances_of

# Calls before the measured ones, and the fewest of these.
WARM_UP = 2
FEWEST = 3
MOST = 1_000_000


def bench(
    folder: str, row_counts: str, seconds: float, device: str = "auto", url: Optional[str] = None
) -> Dict[str, Any]:
    """Latency and throughput of the model in `folder`, or of a server of it, as a dict.

    row_counts: text such as 1,32,1024; each of these is asked for again and again for so many
    seconds. What is timed goes from rows of numbers to predictions in original units; with a url it
    is the whole JSON request to /invocations there.
    """
    model = TrainedModel(folder, device)
    report = {
        "folder": str(folder),
        "url": url,
        "task": model.description["task"],
        "dtype": model.description.get("dtype", "float32"),
        "context": str(model.device),
        "versions": versions(),
        "results": [],
    }
    for wanted in parse_counts(row_counts):
        rows = model.sample_rows(wanted)
        table = model.read(rows)
        count = model.predictor.count(table)
        if url is None:
            times = _times(partial(model.predict, table), seconds)
        else:
            with _Client(url) as client:
                body = _request(model, rows)
                times = _times(partial(client.post, body), seconds)
        report["results"].append(_summary(count, times))
    return report


def parse_counts(text: str) -> List[int]:
    """The whole numbers of a list such as 1,32,1024."""
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or not all(1 <= count <= MOST for count in counts):
        raise JobError(f"--rows {text}: expected whole numbers from 1 to {MOST}, such as 1,32,1024")
    return counts


def lines(report: Dict[str, Any]) -> Iterator[str]:
    """The report for people."""
    versions = report["versions"]
    where = report["url"] or report["context"]
    yield f"{report['folder']}: {report['task']} in {report['dtype']} on {where}"
    yield (
        f"gluon-linalg {versions['gluon_linalg']}, MXNet {versions['mxnet']}, NumPy "
        f"{versions['numpy']}, Python {versions['python']}"
    )
    yield f"{'rows':>8} {'calls':>8} {'median ms':>11} {'95 % ms':>11} {'rows/s':>11}"
    for row in report["results"]:
        yield (
            f"{row['rows']:>8} {row['calls']:>8} {row['median_ms']:>11.3f} "
            f"{row['p95_ms']:>11.3f} {row['rows_per_second']:>11.0f}"
        )


def _times(call: Callable[[], Any], seconds: float) -> List[float]:
    """Seconds of each call."""
    for _ in range(WARM_UP):
        call()
    times: List[float] = []
    began = time.perf_counter()
    while len(times) < FEWEST or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def _summary(rows: int, times: List[float]) -> Dict[str, Any]:
    median, high = np.percentile(times, [50, 95])
    return {
        "rows": rows,
        "calls": len(times),
        "median_ms": 1e3 * float(median),
        "p95_ms": 1e3 * float(high),
        "rows_per_second": rows * len(times) / sum(times),
    }


def _request(model: TrainedModel, rows: Any) -> str:
    return json.dumps({"instances": instances_of(rows, model.predictor.columns)})


class _Client:
    """One connection to a server, kept open."""

    def __init__(self, url: str) -> None:
        self.url, parts = url, urlsplit(url)
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        if parts.scheme not in kinds or not parts.hostname:
            raise JobError(f"{url}: expected a URL such as http://127.0.0.1:8080")
        try:
            self._connection = kinds[parts.scheme](parts.hostname, parts.port)
        except ValueError as error:
            raise JobError(f"{url}: {error}") from None
        self._path = parts.path.rstrip("/") + "/invocations"

    def __enter__(self) -> "_Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self._connection.close()

    def post(self, body: str) -> None:
        try:
            self._connection.request("POST", self._path, body, {"Content-Type": JSON})
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise JobError(f"{self.url}: no answer: {reason(error)}") from None
        if answer.status != 200:
            raise JobError(f"{self.url}: {answer.status}: {text[:200].decode(errors='replace')}")
