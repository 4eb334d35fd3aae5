"""What a forecast job is to the commands."""

from typing import Any, Dict, Iterator

from .. import output as names
from ..summary import training
from ..task_kind import TaskKind
from .config import ForecastJob
from .files import BACKTEST, BACKTEST_FORECASTS, PREDICTOR
from .predict import ForecastPredictor, load_predictor
from .task import Forecasting


def summary(metrics: Dict[str, Any]) -> Iterator[str]:
    """The lines that tell how a job went."""
    yield f"{metrics['series']} series, {metrics['rows']} observations to train on"
    if "loss" in metrics:
        yield f"loss {metrics['loss']['initial']:.4f} -> {metrics['loss']['trained']:.4f}"
        yield training(metrics["training"])
    backtest = metrics["backtest"]
    if backtest is not None:
        naive = backtest["seasonal_naive"]
        yield (
            f"backtest of {backtest['windows']} windows: "
            f"CRPS {_figure(backtest['mean_wQuantileLoss'])} "
            f"(seasonal naive {_figure(naive['mean_wQuantileLoss'])}), "
            f"MASE {_figure(backtest['MASE'])} ({_figure(naive['MASE'])}), "
            + ", ".join(_coverages(backtest))
        )


def _coverages(backtest):
    for name, share in backtest.items():
        if name.startswith("coverage_"):
            yield f"{_figure(share, '.1%')} inside the {name.split('_')[1]} % band"


def _figure(value, style=".4g"):
    return "unknown" if value is None else format(value, style)


KIND = TaskKind(
    name="forecast",
    title="an estimator of many series",
    sections=ForecastJob,
    task=Forecasting,
    summary=summary,
    predictor=ForecastPredictor,
    predicts="Series like those of the job, as CSV or JSON lines; what follows each is forecast, "
    "with the quantiles 0.1, 0.5 and 0.9, and the bands of the levels of the job.",
    load=load_predictor,
    files=(names.MODEL_IO, names.FORECAST, BACKTEST, BACKTEST_FORECASTS, names.PLOT),
    folders=(PREDICTOR,),
    takes_folders=True,
)
