"""The health check of a container; the exit status is 0 when it is healthy.

A server is healthy if it answers GET /ping. A training is if it has used the processor since the
last look: one that hangs does not. The members of a distributed training may wait for each other,
and any other command is not ours to judge: they are healthy as long as they run.
"""

import os
import sys
import urllib.request

MODULE = "gluon_linalg.jobs"
# An argument names another folder of processes, for tests outside of a container.
PROCESSES = sys.argv[1] if len(sys.argv) > 1 else "/proc"
LAST_LOOK = "/tmp/gluon-linalg-health"
SECONDS = 5


def main():
    commands = {pid: command for pid, command in processes() if is_ours(command)}
    for pid, command in commands.items():
        if "serve" in command:
            port = option(command, "--port") or variable(pid, "SAGEMAKER_BIND_TO_PORT") or "8080"
            sys.exit(ping(port))
    is_alone = all(variable(pid, "DMLC_ROLE") is None for pid in commands)
    if is_alone and any("train" in command for command in commands.values()):
        sys.exit(has_advanced(sum(ticks(pid) for pid in commands)))


def processes():
    """The process ids of this container and their arguments."""
    for pid in filter(str.isdigit, os.listdir(PROCESSES)):
        try:
            with open(f"{PROCESSES}/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                yield pid, file.read().split("\0")[:-1]
        except OSError:
            continue


def is_ours(command):
    return any(part == MODULE or part.startswith(MODULE + ".") for part in command)


def option(command, name):
    for part, following in zip(command, command[1:] + [None]):
        if part == name:
            return following
        if part.startswith(name + "="):
            return part[len(name) + 1 :]
    return None


def variable(pid, name):
    with open(f"{PROCESSES}/{pid}/environ", encoding="utf-8", errors="replace") as file:
        settings = dict(part.partition("=")[::2] for part in file.read().split("\0"))
    return settings.get(name)


def ping(port):
    """0 if the server answers; it also says no while it cannot predict."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=SECONDS) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:
        print(f"/ping: {error}")
        return 1


def has_advanced(now):
    """0 if the processor time differs from the one of the last look."""
    try:
        with open(LAST_LOOK, encoding="ascii") as file:
            before = int(file.read())
    except (OSError, ValueError):
        before = None
    with open(LAST_LOOK, "w", encoding="ascii") as file:
        file.write(str(now))
    if now == before:
        print("the training has used no processor time since the last look")
        return 1
    return 0


def ticks(pid):
    """The processor time of a process so far."""
    with open(f"{PROCESSES}/{pid}/stat", encoding="ascii", errors="replace") as file:
        # The name, in parentheses, may hold spaces; user and system time are fields 14 and 15.
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


if __name__ == "__main__":
    main()
