"""Several machines of one SageMaker training: MXNet's scheduler and server on the first of them."""

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

from ..server import PORT, ROLE
from .config import DISTRIBUTED
from .errors import JobError
from .kinds import DEFAULT, NAMES, kind_of
from .workers import meeting_point

if TYPE_CHECKING:
    from .sagemaker import Folders

DEFAULT_PORT = "9091"
# Seconds for the servers to end by themselves.
ENDING = 30


class Machines(NamedTuple):
    """`names` are sorted, so that all machines agree on the first; `current` is this one's."""

    names: List[str]
    current: str
    interface: Optional[str]

    @property
    def count(self) -> int:  # type: ignore[override]
        return len(self.names)

    def environment(self, role: str) -> Dict[str, str]:
        """What MXNet's launcher would set for a process of this role; nothing on one machine."""
        if self.count == 1:
            return {}
        port = os.environ.get(PORT, DEFAULT_PORT)
        variables = meeting_point(self.names[0], port, 1, self.count)
        variables[ROLE] = role
        if self.interface:
            variables["DMLC_INTERFACE"] = self.interface
        return variables


def read(folders: "Folders") -> Machines:
    """The machines of resourceconfig.json; without that file, this one."""
    config = folders.config("resourceconfig.json") or {}
    current = config.get("current_host", "localhost")
    names = sorted(config.get("hosts", [current]))
    if current not in names:
        raise JobError(f"resourceconfig.json: {current} is not among the hosts {', '.join(names)}")
    return Machines(names, current, config.get("network_interface_name"))


def distribute(document: Dict[str, Any]) -> None:
    """Makes the job one of several machines, unless it says otherwise."""
    task = document.get("task", DEFAULT)
    if task in NAMES and not kind_of(task).has_training:
        raise JobError(f"task: {task} is computed by one machine; use an instance count of 1")
    training = document.setdefault("training", {})
    if isinstance(training, dict):
        training.setdefault("kvstore", DISTRIBUTED)


@contextlib.contextmanager
def servers(machines: Machines, command: Sequence[str]) -> Iterator[None]:
    """Scheduler and server, on the first machine, for as long as its worker runs."""
    roles = ("scheduler", "server") if machines.count > 1 and _is_first(machines) else ()
    processes = [
        subprocess.Popen(command, env={**os.environ, **machines.environment(role)})
        for role in roles
    ]
    try:
        yield
        for process in processes:
            # They end when all workers have said goodbye.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ENDING)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _is_first(machines):
    return machines.current == machines.names[0]
