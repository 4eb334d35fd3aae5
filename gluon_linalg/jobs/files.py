"""Files that are written whole or not at all."""

import contextlib
import csv
import glob
import json
import os
import shutil
import tempfile
from typing import Any, Iterable, Iterator, Mapping

import mxnet as mx
import yaml

from .errors import JobError, reason

UNFINISHED = ".writing-"
# What `gluon_linalg.export` names the folder of its trial files.
UNFINISHED_EXPORT = ".export-"


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
    """The name of a scratch file beside `path`, which becomes `path` when the block succeeds.

    A process that is killed leaves the old file, or none, and perhaps a scratch file.
    """
    folder, name = os.path.split(os.path.abspath(path))
    scratch = None
    try:
        # A folder of its own: libraries look at the ending of a name, or add files beside it.
        scratch = tempfile.mkdtemp(dir=folder, prefix=UNFINISHED)
        trial = os.path.join(scratch, name)
        yield trial
        _flush_to_disk(trial)
        os.replace(trial, path)
    except (OSError, mx.base.MXNetError) as error:
        raise JobError(f"{path}: cannot be written: {reason(error)}") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def write_json(path: str, value: Any) -> None:
    with replacing(path) as trial, open(trial, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, allow_nan=False)
        file.write("\n")


def read_json(path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise JobError(f"{path}: cannot be read: {reason(error)}") from None


def read_bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise JobError(f"{path}: cannot be read: {reason(error)}") from None


def write_yaml(path: str, value: Any) -> None:
    with replacing(path) as trial, open(trial, "w", encoding="utf-8") as file:
        yaml.safe_dump(value, file, sort_keys=False, allow_unicode=True)


def write_text(path: str, text: str) -> None:
    with replacing(path) as trial, open(trial, "w", encoding="utf-8") as file:
        file.write(text)


def write_csv(path: str, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Numbers are written with all their digits."""
    with replacing(path) as trial, open(trial, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_arrays(path: str, arrays: Mapping[str, mx.nd.NDArray]) -> None:
    """A dict of NDArrays as a .params file."""
    with replacing(path) as trial:
        mx.nd.save(trial, arrays)
        # MXNet does not report a full disk when it closes the file; reading it back does.
        mx.nd.load(trial)


def remove_unfinished(folder: str) -> None:
    """Removes the scratch files that a killed process has left in `folder`."""
    for prefix in (UNFINISHED, UNFINISHED_EXPORT):
        for path in glob.glob(os.path.join(glob.escape(folder), prefix + "*")):
            shutil.rmtree(path, ignore_errors=True)


def _flush_to_disk(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
