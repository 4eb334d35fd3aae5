"""Builds what a Dockerfile says without Docker, as far as these tests need it.

`build` reads the instructions and gives each to a machine: a `Folder` here, which puts the absolute
paths of the image below a folder of this one, or a `Chroot` (chroot.py) with the whole file system
of the image. Instructions and forms that are not used in docker/ are refused, so that none is
passed over.
"""

import glob
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from dockerfile_parse import DockerfileParser

import docker

FLAG = re.compile(r"--([a-z-]+)=(\S+)\s+")


class Image:
    """The configuration of a stage: what Docker would store beside the files."""

    def __init__(self, arguments):
        self.environment, self.labels, self.arguments = {}, {}, dict(arguments)
        self.folder, self.user, self.ports, self.stop_signal = "/", "root", [], None
        self.entry_point, self.command, self.health_check, self.health_options = [], [], [], {}


class Folder:
    """The stages of an image in one folder; what needs root or Debian's packages is not run.

    Where a path begins with one of `roots`, the folder is put before it. `python` stands for the
    one of the base image. Without `runs`, no RUN is executed.
    """

    roots = ("/build", "/opt", "/jobs", "/data", "/out", "/usr/local/bin", "/usr/local/lib")
    system_commands = ("apt-get ", "useradd ")

    def __init__(self, folder, python, environment, runs=True):
        self.folder, self.runs = Path(folder), runs
        self.executed, self.skipped = [], []
        tools = self.folder / "python" / "bin"
        tools.mkdir(parents=True)
        # No link: through a link, the Python of an environment does not know its environment.
        (tools / "python").write_text(f'#!/bin/sh\nexec {python} "$@"\n')
        (tools / "python").chmod(0o755)
        self.environment = {**environment, "PATH": f"{tools}:{environment['PATH']}"}

    def start_stage(self, base, name):
        assert base.startswith("python:3.11.")

    def real(self, path):
        """The place of an absolute path of the image."""
        return Path(self.translate(path))

    def translate(self, text):
        pattern = rf"(?<![\w./-])({'|'.join(map(re.escape, self.roots))})(?=[/\s:\"']|$)"
        return re.sub(pattern, lambda found: f"{self.folder}{found.group(1)}", text)

    def variables(self, image):
        return {name: self.translate(value) for name, value in image.environment.items()}

    def run(self, image, command):
        if not self.runs or command.startswith(self.system_commands):
            self.skipped.append(command)
            return
        self.executed.append(command)
        self.real(image.folder).mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["/bin/sh", "-c", self.translate(command)],
            cwd=self.real(image.folder),
            env={**self.environment, **self.variables(image)},
            check=True,
            capture_output=True,
            text=True,
        )

    def copy_from_stage(self, image, stage, source, target):
        # The stages share the folder: an environment cannot be moved.
        assert source == target and (self.real(source).exists() or not self.runs)


def build(dockerfile, context, machine, arguments=None):
    """Executes the Dockerfile; returns the `Image` of its last stage."""
    lines = instructions(dockerfile)
    globals_, stages, image = dict(arguments or {}), {}, None
    for name, value in lines:
        if name == "FROM":
            base, _, stage = expand(value, globals_).partition(" AS ")
            image = Image({})
            image.environment = {"PATH": machine.environment["PATH"]}
            machine.start_stage(base, stage or None)
            stages[stage] = image
        elif image is None:
            assert name == "ARG", name
            key, _, default = value.partition("=")
            globals_.setdefault(key, default)
        else:
            HANDLERS[name](image, value, machine, context, arguments or {})
    return image


def instructions(dockerfile):
    """Pairs of an instruction and its text, continued lines joined, comments left out."""
    parser = DockerfileParser(fileobj=io.BytesIO(Path(dockerfile).read_bytes()))
    return [
        (part["instruction"], part["value"])
        for part in parser.structure
        if part["instruction"] != "COMMENT"
    ]


def expand(text, variables):
    """$NAME and ${NAME}, as Docker replaces them outside of RUN."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda m: variables[m.group(1) or m.group(2)], text)


def context_files(root):
    """The paths that Docker would see of the folder `root`, by its own Python client."""
    patterns = (Path(root) / ".dockerignore").read_text().splitlines()
    patterns = [line.strip() for line in patterns if line.strip() and not line.startswith("#")]
    # Docker itself reads this file, but no COPY does.
    found = docker.utils.exclude_paths(str(root), patterns) - {".dockerignore"}
    return sorted(path for path in found if (Path(root) / path).is_file())


def copy_context(root, target):
    """What `docker build` would send of the folder `root`."""
    for path in context_files(root):
        place = Path(target) / path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(root) / path, place)
    return Path(target)


def _run(image, value, machine, *_):
    flags, command = _flags(value)
    # A cache for downloads; without it the same happens, slower.
    assert set(flags) <= {"mount"} and flags.get("mount", "type=cache").startswith("type=cache")
    assert not command.startswith("["), "the exec form is not used in RUN"
    machine.run(image, command)


def _copy(image, value, machine, context, _):
    flags, text = _flags(value)
    *sources, target = expand(text, image.environment).split()
    assert set(flags) <= {"from", "chmod"}
    if "from" in flags:
        (source,) = sources
        machine.copy_from_stage(image, flags["from"], source, target)
        return
    place = machine.real(os.path.join(image.folder, target))
    for source in sources:
        matches = glob.glob(str(Path(context) / source))
        assert matches, f"COPY {source}: not in the context"
        for match in map(Path, matches):
            into = place / match.name if target.endswith("/") else place
            into.parent.mkdir(parents=True, exist_ok=True)
            if match.is_dir():
                shutil.copytree(match, into, dirs_exist_ok=True)
            else:
                shutil.copy(match, into)
                if "chmod" in flags:
                    into.chmod(int(flags["chmod"], 8))


def _environment(image, value, *_):
    known = {**image.arguments, **image.environment}
    for key, text in _pairs(value):
        image.environment[key] = expand(text, known)


def _argument(image, value, machine, context, given):
    key, _, default = value.partition("=")
    image.arguments[key] = given.get(key, default)


def _label(image, value, *_):
    known = {**image.arguments, **image.environment}
    image.labels.update((key, expand(text, known)) for key, text in _pairs(value))


def _folder(image, value, machine, *_):
    image.folder = os.path.join(image.folder, value)
    machine.real(image.folder).mkdir(parents=True, exist_ok=True)


def _health_check(image, value, *_):
    image.health_options, text = _flags(value)
    assert text.startswith("CMD ")
    image.health_check = json.loads(text[len("CMD ") :])


def _setting(name, read):
    def handle(image, value, *_):
        setattr(image, name, read(value))

    return handle


HANDLERS = {
    "RUN": _run,
    "COPY": _copy,
    "ENV": _environment,
    "ARG": _argument,
    "LABEL": _label,
    "WORKDIR": _folder,
    "HEALTHCHECK": _health_check,
    # The exec form alone: with the shell form, signals reach a shell.
    "ENTRYPOINT": _setting("entry_point", json.loads),
    "CMD": _setting("command", json.loads),
    "USER": _setting("user", str),
    "STOPSIGNAL": _setting("stop_signal", str),
    "EXPOSE": _setting("ports", str.split),
}


def _flags(value):
    flags = {}
    while (found := FLAG.match(value)) is not None:
        flags[found.group(1)] = found.group(2)
        value = value[found.end() :]
    return flags, value


def _pairs(value):
    return [(k, v.strip('"')) for k, v in re.findall(r'([\w.]+)=("[^"]*"|\S+)', value)]
