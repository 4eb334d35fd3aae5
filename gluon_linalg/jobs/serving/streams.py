"""Series that grow: a state for each one that a client names, kept in a folder."""

import fcntl
import hashlib
import json
import os
from typing import Any, Dict, Optional, Tuple

from ..data import JsonSeries
from ..errors import JobError, reason
from ..files import read_bytes, read_json, remove_unfinished, write_json
from ..output import MODEL_IO, graph_files
from ..predictions import Columns, rows_of
from ..predictor import load_graph
from .formats import READERS
from .refused import Refused
from .service import Service

LONGEST_NAME = 200
LOCK = ".lock"


class Streams:
    """The states of the series that grow, a JSON file each, written whole or not at all.

    service: of a model of series; folder: of the states, for one server at a time. JobError for
    another model, and for a folder that cannot be used.
    """

    def __init__(self, service: Service, folder: str) -> None:
        self.service, self.folder, self.model = service, folder, service.model
        self.predictor = self.model.predictor
        graph = self.predictor.stream
        if graph is None:
            raise JobError(
                f"{self.model.folder}: no state can be kept for this model: --states needs one of "
                "task: statespace or multivariate, trained by this version"
            )
        self._lock = _locked(folder)
        remove_unfinished(folder)
        self.graph = load_graph(self.model.folder, self.model.description, self.model.device, graph)
        names = (MODEL_IO, *graph_files(graph))
        content = (read_bytes(os.path.join(self.model.folder, name)) for name in names)
        self.fingerprint = hashlib.sha256(b"".join(content)).hexdigest()

    def close(self) -> None:
        """Leaves the folder to another server."""
        self._lock.close()

    def update(self, name: str, body: bytes, content_type: str) -> Tuple[Dict[str, Any], int]:
        """The answer after the rows of a body, and how many these are.

        The state is on the disk before it is answered; a body that is refused changes nothing.
        """
        rows = READERS[content_type](
            body, self.predictor.stream_columns, self.service.most_rows, self.predictor.format
        )
        if isinstance(rows, JsonSeries):
            raise Refused(422, "row 1, column 'target': expected a number, not a list")
        stored = self._stored(name)
        earlier = None if stored is None else stored["state"]
        most, device = self.service.most_rows, self.model.device
        try:
            state, predictions = self.predictor.advance(
                self.graph, device, name, rows, earlier, most
            )
        except JobError as error:
            raise Refused(422, error) from None
        answer = _answer(name, state, predictions)
        document = {"series": name, "model": self.fingerprint, "answer": answer}
        write_json(self._path(name), {**document, "state": state})
        return answer, state["steps"] - (0 if earlier is None else earlier["steps"])

    def answer(self, name: str) -> Dict[str, Any]:
        """The last answer for a series; `Refused` for one that is not known."""
        stored = self._stored(name)
        if stored is None:
            raise Refused(404, f"there is no series '{name}' yet; send its first rows")
        return stored["answer"]

    def forget(self, name: str) -> None:
        """Removes the state of a series; its next row is its first one."""
        path = self._path(name)
        if not os.path.exists(path):
            raise Refused(404, f"there is no series '{name}'")
        os.remove(path)

    def _stored(self, name: str) -> Optional[Dict[str, Any]]:
        path = self._path(name)
        if not os.path.exists(path):
            return None
        stored = read_json(path)
        if stored["model"] != self.fingerprint:
            raise Refused(
                409,
                f"the state of '{name}' is that of another model, which was trained before; "
                "DELETE it, and send the series anew",
            )
        return stored

    def _path(self, name: str) -> str:
        if not 0 < len(name) <= LONGEST_NAME:
            raise Refused(422, f"the name of a series has 1 to {LONGEST_NAME} characters")
        # Names may have any characters.
        return os.path.join(self.folder, f"{hashlib.sha256(name.encode()).hexdigest()}.json")


def _answer(name: str, state: Dict[str, Any], predictions: Columns) -> Dict[str, Any]:
    names = [column for column, _ in predictions]
    answer = {
        "series": name,
        "time": state["time"],
        "observations": state["observations"],
        "predictions": [dict(zip(names, row)) for row in rows_of(predictions)],
    }
    return json.loads(json.dumps(answer))


def _locked(folder: str) -> Any:
    """The file of the lock that one server has on its folder of states."""
    try:
        os.makedirs(folder, exist_ok=True)
        file = open(os.path.join(folder, LOCK), "w")  # noqa: SIM115
    except OSError as error:
        raise JobError(f"{folder}: cannot keep states: {reason(error)}; choose another") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise JobError(f"{folder}: another server keeps its states there; choose another") from None
    return file
