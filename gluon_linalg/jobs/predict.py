"""Predictions of an exported model for the rows of a CSV file."""

import os
import sys

import mxnet as mx
import numpy as np

from ..export import load
from . import output as names
from .blr.predict import Predictor as LinearRegressionPredictor
from .context import find_context
from .errors import JobError, one_line
from .files import read_json
from .forecast.predict import Predictor as ForecastPredictor
from .forecast.predict import load_predictor
from .gp.predict import Predictor as GaussianProcessPredictor
from .pca.predict import Predictor as PrincipalComponentsPredictor
from .predictions import print_columns, write_columns
from .statespace.predict import Predictor as StateSpacePredictor

# What a command line calls the output that another program reads.
STDOUT = "-"
# What reads the rows and asks the graph, by the key `task`.
PREDICTORS = {
    "gp": GaussianProcessPredictor,
    "blr": LinearRegressionPredictor,
    "statespace": StateSpacePredictor,
    "pca": PrincipalComponentsPredictor,
    "forecast": ForecastPredictor,
}


def predict_file(folder, data_path, output_path=None, context="auto"):
    """Writes what the model says of new rows; returns path, row count and what the rows are.

    output_path: `STDOUT` for no file.
    """
    model = TrainedModel(folder, context)
    columns = model.predict(model.read(data_path))
    output_path = output_path or os.path.join(folder, names.PREDICTIONS)
    if output_path == STDOUT:
        print_columns(sys.stdout, columns)
    else:
        write_columns(output_path, columns)
    return output_path, len(columns[-1][1]), model.predictor.what


class TrainedModel:
    """The exported model of a finished job, and what reads its rows and knows its units.

    folder: the output of the job; context: cpu, gpu or auto. JobError where the job is not finished
    or a file is damaged.
    """

    def __init__(self, folder, context="auto"):
        self.context = find_context(context)
        if not os.path.exists(os.path.join(folder, names.METRICS)):
            raise JobError(
                f"{folder}: there is no finished job here; name the output folder of one"
            )
        path = os.path.join(folder, names.MODEL_IO)
        self.folder = folder
        try:
            self.description = read_json(path)
            self.predictor = PREDICTORS[self.description["task"]](self.description)
        except (KeyError, TypeError, JobError) as error:
            raise damaged(path, error) from None
        self.block = self._load()

    def read(self, source):
        """The rows of a CSV file, by its path, or of `TableRows`; JobError for what is wrong."""
        return self.predictor.read(source)

    def predict(self, rows):
        """The columns of predictions for what `read` returned: pairs of a name and its values."""
        columns = self.predictor.predict(rows, self.block, self.context)
        numbers = [values for _, values in columns if isinstance(values, np.ndarray)]
        if not all(np.isfinite(values).all() for values in numbers):
            raise JobError(f"{rows.path}: {self.predictor.not_finite}")
        return columns

    def _load(self):
        """The graph, or the predictor of GluonTS."""
        if self.description["task"] == "forecast":
            return load_predictor(self.folder, self.description, self.context)
        return _load(os.path.join(self.folder, names.MODEL), self.context)


def _load(path, context):
    try:
        return load(path, ctx=context)
    except (OSError, mx.base.MXNetError, ValueError, AssertionError) as error:
        raise damaged(path, error) from None


def damaged(path, error):
    """The JobError for a file, or files, of a model that are not what they were."""
    why = f"there is no {error}" if isinstance(error, KeyError) else one_line(error)
    why = why.replace(f"{path}: ", "")
    return JobError(f"{path}: the model is damaged ({why}); train again with --overwrite")
