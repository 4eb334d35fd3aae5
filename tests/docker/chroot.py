"""The file system of the image: Debian bookworm by debootstrap, for tests that run as root.

Each container gets namespaces of its own (unshare), so that the entry point is process 1, as in
Docker, and may have a read-only root; nothing of it remains when it has ended.
"""

import os
import shutil
import subprocess
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gluon-linalg-tests"
PACKAGES = "python3.11,python3.11-venv,python3-distutils,python3-lib2to3,ca-certificates"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


def base_image():
    """The folder that stands for python:3.11-slim-bookworm; made once."""
    folder = CACHE / "bookworm"
    if not folder.exists():
        trial = CACHE / f"bookworm-{os.getpid()}"
        trial.parent.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", trial]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for name in ("python", "python3"):
            (trial / "usr/local/bin" / name).symlink_to("/usr/bin/python3.11")
        trial.rename(folder)
    return folder


def know_the_network(root):
    """How this machine reaches it."""
    for name in ("etc/resolv.conf", "etc/hosts", CERTIFICATES):
        shutil.copyfile(f"/{name}", Path(root) / name)


class Chroot:
    """The stages of a Dockerfile, each in a folder of its own below `folder`."""

    def __init__(self, folder):
        self.folder, self.environment = Path(folder), {"PATH": PATH}
        self.stages, self.root = {}, None
        self.executed = []

    def start_stage(self, base, name):
        tag, _, _ = base.partition("@")
        assert tag.startswith("python:3.11.") and tag.endswith("-slim-bookworm")
        self.root = self.folder / (name or "image")
        self.stages[name] = self.root
        subprocess.run(["cp", "-a", base_image(), self.root], check=True)
        know_the_network(self.root)

    def real(self, path):
        return self.root / path.lstrip("/")

    def run(self, image, command):
        if image.user == "root":
            enter = ["chroot", self.root]
        else:
            enter = ["chroot", f"--userspec={image.user}", self.root]
        subprocess.run(
            [*enter, *variables({**self.environment, **image.environment}),
             "/bin/sh", "-c", f"cd {image.folder} && {command}"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        self.executed.append((image.user, command))

    def copy_from_stage(self, image, stage, source, target):
        subprocess.run(
            ["cp", "-a", self.stages[stage] / source.lstrip("/"), self.real(target)], check=True
        )

    def start(self, image, arguments, mounts=(), **settings):
        """A container with a read-only root and /tmp; `mounts` are pairs of folder and place."""
        binds = "".join(
            f"mkdir -p {self.real(place)}; mount --bind {folder} {self.real(place)}; "
            for folder, place in mounts
        )
        root = self.root
        script = (
            f"mount --bind {root} {root}; mount -t proc proc {root}/proc; "
            f"mount -t tmpfs -o mode=1777 tmp {root}/tmp; "
            # Docker gives every container this one, too.
            f"mount -t tmpfs -o mode=1777 shm {root}/dev/shm; {binds} "
            f'mount -o remount,bind,ro {root}; exec "$@"'
        )
        command = [
            "unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-ec", script, "sh",
            "chroot", f"--userspec={image.user}", self.root,
            *variables({**image.environment, **settings}),
            "sh", "-c", f"cd {image.folder} && exec \"$@\"", "sh",
            *image.entry_point, *arguments,
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        return Container(self, image, process)


class Container:
    def __init__(self, machine, image, process):
        self.machine, self.image, self.process = machine, image, process

    @property
    def first(self):
        """The process that is number 1 inside."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None

    def stop(self, signal_number):
        """As `docker stop` begins."""
        os.kill(self.first, signal_number)

    def execute(self, command, user=None):
        """As `docker exec`, and as a health check is run; returns exit status and output."""
        enter = ["nsenter", "--target", str(self.first), "--mount", "--pid"]
        enter += ["chroot", f"--userspec={user or self.image.user}", self.machine.root]
        ended = subprocess.run(
            [*enter, *variables(self.image.environment), *command], capture_output=True, text=True
        )
        return ended.returncode, ended.stdout + ended.stderr

    def wait(self, timeout=180):
        """Exit status, stdout and stderr."""
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err

    def kill(self):
        self.process.kill()
        self.process.communicate()


def variables(settings):
    return ["env", "-i", *(f"{name}={value}" for name, value in settings.items())]
