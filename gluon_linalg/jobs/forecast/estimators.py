"""The estimator of a job, and the errors of GluonTS in one line."""

import contextlib
import inspect
import logging
from typing import Any, Iterator, List

import numpy as np

from ..._runtime import install_command
from ...errors import LinearAlgebraError
from ...typing import Device
from ..errors import JobError, suggestion
from .config import STRUCTURAL, ForecastJob

# The names in `gluon_linalg.forecast`.
CLASSES = {
    "deep_state": "DeepStateSpaceEstimator",
    "gaussian_process": "GaussianProcessEstimator",
    "blr": "BLRForecastEstimator",
    "ppca": "PPCAForecastEstimator",
    STRUCTURAL: "StructuralPredictor",
}
# Arguments that are keys of the job file, and the one that is no plain value.
KEYS = {
    "freq": "data.freq",
    "prediction_length": "model.prediction_length",
    "context_length": "model.context_length",
    "past_length": "model.context_length",
    "batch_size": "training.batch_size",
    "dtype": "model.dtype",
    "trainer": "training",
}
NOT_PLAIN = ("self", "time_features", "num_periods_to_train")


def require_gluonts() -> None:
    """JobError where GluonTS is not installed."""
    try:
        import gluonts.mx  # noqa: F401
    except ImportError as error:
        raise JobError(
            f"task: forecast: needs GluonTS with its MXNet part ({error}); "
            f"{install_command('forecast')}"
        ) from None
    # GluonTS tells at this level what it does, which is not what the command prints.
    logging.getLogger("gluonts").setLevel(logging.ERROR)


def build_estimator(job: ForecastJob, device: Device) -> Any:
    """The estimator, or for structural the predictor, of a job; JobError for its options."""
    require_gluonts()
    from gluonts.mx.trainer import Trainer

    from ... import forecast
    from .times import period_frequency

    freq = period_frequency(job.data.freq)
    check_frequency(freq)
    model = job.model
    cls = getattr(forecast, CLASSES[model.estimator])
    arguments = {"freq": freq, "prediction_length": model.prediction_length}
    if job.has_steps():
        arguments["batch_size"] = job.training.batch_size
        length = "past_length" if model.estimator == "deep_state" else "context_length"
        if model.context_length is not None:
            arguments[length] = model.context_length
        # The paths of a network in float32, too, are of float64.
        arguments["dtype"] = np.float64 if model.dtype == "float64" else None
        arguments["trainer"] = Trainer(ctx=device, hybridize=False)
    arguments.update(_checked_options(cls, model))
    try:
        return cls(**arguments)
    except (ValueError, TypeError, AssertionError, LinearAlgebraError) as error:
        raise JobError(f"model.options: {model.estimator} refuses them: {_first(error)}") from None


def features_of(estimator: Any) -> List[str]:
    """The features that entries must have for an estimator, or a predictor that needs no other."""
    used = {
        "feat_static_cat": getattr(estimator, "cardinality", None) is not None,
        "feat_static_real": getattr(estimator, "use_feat_static_real", False),
        "feat_dynamic_real": estimator.use_feat_dynamic_real,
    }
    return [name for name, is_used in used.items() if is_used]


def check_frequency(freq: str) -> None:
    """JobError unless pandas has periods of this frequency."""
    from ...forecast.frequency import period_of

    try:
        period_of(freq)
    except (ValueError, AttributeError, KeyError, OverflowError):
        raise JobError(
            f"data.freq: '{freq}': unknown frequency; expected one of pandas: h, D, B, W, M, Q, "
            "Y, 15min, ...; M is also for the first of each month"
        ) from None


@contextlib.contextmanager
def explained(path: Any) -> Iterator[None]:
    """Errors of GluonTS and of this package about the data at `path`, as JobError."""
    from gluonts.exceptions import GluonTSDataError

    try:
        yield
    except (GluonTSDataError, LinearAlgebraError) as error:
        raise JobError(f"{path}: {error}") from None


def _checked_options(cls, model):
    from gluonts.mx.distribution.lds import ParameterBounds

    signature = inspect.signature(cls.__init__).parameters
    # Without training, how many series are fitted at once is an option like all others.
    keys = {n: key for n, key in KEYS.items() if n != "batch_size" or "trainer" in signature}
    known = [name for name in signature if name not in keys and name not in NOT_PLAIN]
    options = {}
    for name, value in model.options.items():
        where = f"model.options.{name}"
        if name in keys and name in signature:
            raise JobError(f"{where}: is a key of the job; write it as {keys[name]}")
        if name not in known:
            raise JobError(
                f"{where}: {model.estimator} has no such argument; {suggestion(name, known)}"
            )
        if signature[name].annotation is ParameterBounds:
            value = _bounds(where, value, ParameterBounds)
        options[name] = value
    return options


def _bounds(where, value, cls):
    is_number = [isinstance(v, (int, float)) for v in (value if isinstance(value, list) else [])]
    if len(is_number) != 2 or not all(is_number):
        raise JobError(f"{where}: expected two numbers, [lower, upper]")
    try:
        return cls(*value)
    except AssertionError:
        raise JobError(f"{where}: expected the lower number first") from None


def _first(error):
    """The first of the errors that pydantic has found, or the error itself."""
    if not callable(getattr(error, "errors", None)):
        return error
    detail = error.errors()[0]
    return f"{'.'.join(str(key) for key in detail['loc'])}: {detail['msg']}"
