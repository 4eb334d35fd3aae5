"""Predictions of an exported model for the rows of a CSV file."""

import os

import numpy as np

from .._runtime import import_mxnet
from ..export import load
from . import output as names
from .blr.predict import Predictor as LinearRegressionPredictor
from .context import find_context
from .errors import JobError
from .files import read_json
from .gp.predict import Predictor as GaussianProcessPredictor
from .pca.predict import Predictor as PrincipalComponentsPredictor
from .predictions import write_columns
from .statespace.predict import Predictor as StateSpacePredictor

mx = import_mxnet()

# What reads the rows and asks the graph, by the key `task`.
PREDICTORS = {
    "gp": GaussianProcessPredictor,
    "blr": LinearRegressionPredictor,
    "statespace": StateSpacePredictor,
    "pca": PrincipalComponentsPredictor,
}


def predict_file(folder, data_path, output_path=None, context="auto"):
    """Writes what the model says of new rows; returns path, row count and what the rows are."""
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
    columns = predictor.predict(rows, model, context)
    numbers = [values for _, values in columns if isinstance(values, np.ndarray)]
    if not all(np.isfinite(values).all() for values in numbers):
        raise JobError(f"{data_path}: {predictor.not_finite}")
    output_path = output_path or os.path.join(folder, names.PREDICTIONS)
    write_columns(output_path, columns)
    return output_path, len(numbers[0]), predictor.what


def _load(path, context):
    try:
        return load(path, ctx=context)
    except (FileNotFoundError, mx.base.MXNetError, ValueError, AssertionError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise JobError(
            f"{path}: the model cannot be loaded ({first_line}); train again with --overwrite"
        ) from None
