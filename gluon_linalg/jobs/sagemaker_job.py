"""The job that SageMaker's hyperparameters and channels describe.

Hyperparameters are flat, and SageMaker makes text of their values: ``model.noise_variance: "0.1"``.
A value is read as YAML, so that ``{"data.inputs": "[x, z]"}`` is a list. The hyperparameter `job`
names a job file in a channel, or is the text of one; the others replace its keys.
"""

import os
from typing import TYPE_CHECKING, Any, Dict

import yaml

from .errors import JobError, suggestion
from .kinds import DEFAULT, NAMES, kind_of
from .reading import PlainLoader, with_key

if TYPE_CHECKING:
    from .sagemaker import Folders

HYPERPARAMETERS = "hyperparameters.json"
# SageMaker and its SDK add these for themselves.
FOREIGN = ("sagemaker_", "_")


def job_document(folders: "Folders") -> Dict[str, Any]:
    """The job as keys and values, with the path of its data made absolute."""
    given = folders.config(HYPERPARAMETERS)
    if given is None:
        raise JobError(f"{folders('input', 'config', HYPERPARAMETERS)}: there is no such file")
    files = channel_files(folders)
    document, job_file = _base(given.get("job"), files)
    for key, value in given.items():
        if key != "job" and not key.startswith(FOREIGN):
            try:
                document = with_key(document, key, _parse(key, value))
            except ValueError as error:
                raise JobError(f"hyperparameter {key}: {error}") from None
    data = document.setdefault("data", {})
    if isinstance(data, dict):
        task = document.get("task", DEFAULT)
        # What is no task is refused when the job is read.
        takes_folders = task in NAMES and kind_of(task).takes_folders
        data["path"] = _data_path(data.get("path"), files, job_file, folders, takes_folders)
    return document


def channel_files(folders: "Folders") -> Dict[str, str]:
    """All files of all channels: their paths by CHANNEL/NAME."""
    root = folders("input", "data")
    channels = folders.config("inputdataconfig.json")
    if channels is None:
        channels = {name: {} for name in _names(root) if os.path.isdir(os.path.join(root, name))}
    files = {}
    for channel, settings in sorted(channels.items()):
        if isinstance(settings, dict) and settings.get("TrainingInputMode") == "Pipe":
            raise JobError(f"channel {channel}: its input mode is Pipe; use File or FastFile")
        folder = os.path.join(root, channel)
        if not os.path.isdir(folder):
            raise JobError(f"channel {channel}: there is no folder {folder}")
        for parent, _, names in sorted(os.walk(folder)):
            for name in sorted(names):
                path = os.path.join(parent, name)
                files[os.path.relpath(path, root)] = path
    return files


def _base(job, files):
    """The document that the hyperparameter `job` names or is, and the file it came from."""
    if job is None:
        return {}, None
    path, document = None, _parse("job", job)
    if isinstance(document, str):
        path = _find("hyperparameter job", document, files)
        try:
            with open(path, encoding="utf-8-sig") as file:
                document = _parse(path, file.read())
        except (OSError, UnicodeDecodeError) as error:
            raise JobError(f"{path}: cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise JobError(f"{path or 'hyperparameter job'}: expected keys and values, or a file name")
    return document, path


def _parse(key, value):
    if not isinstance(value, str):
        return value
    try:
        return yaml.load(value, Loader=PlainLoader)  # noqa: S506 - a subclass of BaseLoader
    except (yaml.YAMLError, RecursionError) as error:
        problem = getattr(error, "problem", None) or "nested too deeply"
        raise JobError(f"{key}: not YAML: {problem}; put text in quotes") from None


def _data_path(given, files, job_file, folders, takes_folders):
    """The table: as named, the only file of a folder, or of all beside the job file."""
    if given is None:
        rest = [path for path in files.values() if path != job_file]
        if len(rest) == 1:
            return rest[0]
        channels = {os.path.dirname(path) for path in rest}
        if takes_folders and len(channels) == 1:
            return channels.pop()
        what = f"one of {', '.join(files)}" if rest else "a file, and no channel has one"
        raise JobError(f"data.path: expected {what}")
    given, root = str(given), folders("input", "data")
    beside = root if job_file is None else os.path.dirname(job_file)
    for place in (beside, root):
        path = os.path.normpath(os.path.join(place, given))
        if os.path.isdir(path):
            return path if takes_folders else _only_file(given, path, files, job_file)
        if place != root and os.path.exists(path):
            return path
    return given if os.path.isabs(given) else _find("data.path", given, files)


def _only_file(given, folder, files, job_file):
    """That of a channel's folder, but for the job file and hidden ones."""
    rest = {
        key: path
        for key, path in files.items()
        if path.startswith(folder + os.sep)
        and path != job_file
        and not os.path.basename(path).startswith(".")
    }
    if len(rest) == 1:
        return next(iter(rest.values()))
    what = f"name one of them: {', '.join(rest)}" if rest else "put a table there"
    raise JobError(f"data.path: the folder '{given}' has {len(rest)} files, expected one; {what}")


def _find(what, name, files):
    """The file CHANNEL/NAME, or the only one of that NAME."""
    found = [path for key, path in files.items() if name in (key, os.path.basename(key))]
    if len(found) == 1:
        return found[0]
    if found:
        raise JobError(f"{what}: '{name}' is in several channels; write CHANNEL/{name}")
    raise JobError(f"{what}: no channel has the file '{name}'; {suggestion(name, files)}")


def _names(folder):
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
