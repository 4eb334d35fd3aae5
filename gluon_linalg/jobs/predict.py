"""Predictions of an exported model for the rows of a CSV file."""

import os

import numpy as np

from .._runtime import import_mxnet
from ..export import load
from . import output as names
from .context import find_context
from .errors import JobError
from .files import read_json
from .gp.predict import Predictor as GaussianProcessPredictor
from .predictions import write_predictions
from .statespace.predict import Predictor as StateSpacePredictor

mx = import_mxnet()

# What reads the rows and asks the graph, by the key `task`.
PREDICTORS = {"gp": GaussianProcessPredictor, "statespace": StateSpacePredictor}


def predict_file(folder, data_path, output_path=None, context="auto"):
    """Writes mean, std and 95 % band of new observations; returns path, row count and target."""
    context = find_context(context)
    if not os.path.exists(os.path.join(folder, names.METRICS)):
        raise JobError(f"{folder}: there is no finished job here; name the output folder of one")
    description_path = os.path.join(folder, names.MODEL_IO)
    description = read_json(description_path)
    try:
        predictor = PREDICTORS[description["task"]](description)
    except (KeyError, TypeError):
        raise JobError(f"{description_path}: is damaged; train again with --overwrite") from None
    rows = predictor.read(data_path)
    model = _load(os.path.join(folder, names.MODEL), context)
    labels, mean, variance = predictor.predict(rows, model, context)
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        raise JobError(f"{data_path}: {predictor.not_finite}")
    output_path = output_path or os.path.join(folder, names.PREDICTIONS)
    write_predictions(output_path, labels, mean, variance)
    return output_path, len(mean), predictor.target


def _load(path, context):
    try:
        return load(path, ctx=context)
    except (FileNotFoundError, mx.base.MXNetError, ValueError, AssertionError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise JobError(
            f"{path}: the model cannot be loaded ({first_line}); train again with --overwrite"
        ) from None
