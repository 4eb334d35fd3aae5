"""Predictions of an exported model for the rows of a CSV file."""

import os

import numpy as np

from .._runtime import import_mxnet
from ..export import load
from . import output as names
from .context import find_context
from .data import read_table
from .dataset import Units
from .errors import JobError
from .files import read_json, write_csv
from .gaussian_process import predict
from .metrics import BAND

mx = import_mxnet()


def predict_file(folder, data_path, output_path=None, context="auto"):
    """Writes inputs, mean, std and 95 % band of new observations; returns path and row count."""
    context = find_context(context)
    if not os.path.exists(os.path.join(folder, names.METRICS)):
        raise JobError(f"{folder}: there is no finished job here; name the output folder of one")
    description_path = os.path.join(folder, names.MODEL_IO)
    description = read_json(description_path)
    try:
        inputs, target = description["inputs"], description["target"]
        units = Units(*(description[k] for k in Units.__dataclass_fields__))
        noise_variance, dates = description["noise_variance"], description["date_inputs"]
    except (KeyError, TypeError):
        raise JobError(f"{description_path}: is damaged; train again with --overwrite") from None
    table = read_table(data_path, inputs, dates)
    model = _load(os.path.join(folder, names.MODEL), context)
    mean, variance = predict(model, units, noise_variance, table.array(inputs), context)
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        raise JobError(f"{data_path}: the inputs are too far away to predict there")
    std = np.sqrt(variance)
    columns = [table.texts[name] for name in inputs]
    columns += [array.tolist() for array in (mean, std, mean - BAND * std, mean + BAND * std)]
    output_path = output_path or os.path.join(folder, names.PREDICTIONS)
    header = [*inputs, "mean", "std", "lower_95", "upper_95"]
    write_csv(output_path, header, zip(*columns))
    return output_path, len(table.lines), target


def _load(path, context):
    try:
        return load(path, ctx=context)
    except (FileNotFoundError, mx.base.MXNetError, ValueError, AssertionError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise JobError(
            f"{path}: the model cannot be loaded ({first_line}); train again with --overwrite"
        ) from None
