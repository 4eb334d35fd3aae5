"""Rolling backtests of the forecasters against GluonTS's seasonal naive predictor and its DeepAR.

    pip install ".[cpu,jobs,forecast]" "numpy==1.23.5" statsmodels
    OMP_NUM_THREADS=1 python benchmarks/forecasting_backtests.py

Series of statsmodels, whose last windows are kept from training and forecast one after the other,
each from all that came before it, with the parameters kept. Everything that is trained sees the
same number of batches of 32 windows with the same learning rate, and is otherwise at its defaults
but for what the series ask for (`Data`, `models`).

Printed for each series and model: the mean weighted quantile loss over the deciles, MASE, and the
share of observations within 80 % intervals, as means over the seeds, with the range of the first.
"""

import argparse
import logging
import warnings
from collections import namedtuple

import mxnet as mx
import numpy as np
import pandas as pd
from gluonts.dataset.split import split
from gluonts.model.seasonal_naive import SeasonalNaivePredictor
from gluonts.mx.model.deepar import DeepAREstimator
from gluonts.mx.trainer import Trainer
from statsmodels.datasets import co2, elnino, macrodata, sunspots

from gluon_linalg.forecast import (
    BLRForecastEstimator,
    DeepStateSpaceEstimator,
    GaussianProcessEstimator,
    StructuralPredictor,
)
from gluon_linalg.jobs.forecast.backtest import COVERAGE, Window, judge

TRAINED = ("DeepAR", "DeepStateSpace", "GaussianProcess", "BLRForecast")
MODELS = ("seasonal naive", "Structural", *TRAINED)

# windows of `steps`; season: of the naive predictor and the MASE; periods, if it is not in the
# calendar; components of the StructuralPredictor other than its defaults; context of the windows.
Data = namedtuple("Data", "entries freq steps windows season context periods components")


def co2_weekly():
    series = co2.load_pandas().data["co2"]
    return Data(_entries([series], "W-SAT", series.index[0]), "W-SAT", 52, 4, 52, 208, None, None)


def sunspots_yearly():
    series = sunspots.load_pandas().data["SUNACTIVITY"]
    components = [{"level": {}}, {"cycle": {"period": 11.0}}]
    return Data(_entries([series], "Y", "1700"), "Y", 11, 4, 11, 66, [11.0], components)


def macrodata_quarterly():
    frame = macrodata.load_pandas().data
    names = ["realgdp", "realcons", "realinv", "realgovt", "realdpi", "cpi", "m1", "unemp"]
    series = [frame[name] for name in names]
    return Data(_entries(series, "Q", "1959Q1"), "Q", 8, 4, 4, 48, None, None)


def elnino_monthly():
    series = elnino.load_pandas().data.set_index("YEAR").stack()
    return Data(_entries([series], "M", "1950-01"), "M", 12, 15, 12, 96, None, None)


SOURCES = {
    "co2": co2_weekly,
    "sunspots": sunspots_yearly,
    "macrodata": macrodata_quarterly,
    "elnino": elnino_monthly,
}


def _entries(many, freq, start):
    start = pd.Period(start, freq)
    return [
        {
            "item_id": str(number),
            "start": start,
            "target": series.to_numpy("float64"),
            "feat_static_cat": [number],
        }
        for number, series in enumerate(many)
    ]


def models(data, trainer):
    """What makes a predictor of training data, for each name."""
    several = len(data.entries) > 1
    static = {"use_feat_static_cat": several, "cardinality": [len(data.entries)]}
    shared = {"freq": data.freq, "prediction_length": data.steps}
    ours = {**shared, **static, "seasonal_periods": data.periods}
    embedded = "embedded" if several else "shared"

    def training(kind, **options):
        return lambda known: kind(trainer=trainer(), **options).train(known)

    def structural(known):
        # Each window is a search of its own, from the same points.
        return StructuralPredictor(**shared, components=data.components)

    return {
        "seasonal naive": lambda known: SeasonalNaivePredictor(data.steps, data.season),
        "Structural": structural,
        "DeepAR": training(DeepAREstimator, **shared, **static),
        "DeepStateSpace": training(DeepStateSpaceEstimator, **ours, past_length=data.context),
        "GaussianProcess": training(
            GaussianProcessEstimator,
            **ours,
            context_length=data.context,
            hyperparameters=embedded,
        ),
        "BLRForecast": training(BLRForecastEstimator, **ours, context_length=data.context),
    }


def run(model, data, seed):
    """Mean weighted quantile loss, MASE, and coverage of 80 % intervals."""
    np.random.seed(seed)
    mx.random.seed(seed)
    known, template = split(data.entries, offset=-data.windows * data.steps)
    predictor = model(list(known))
    pairs = template.generate_instances(data.steps, windows=data.windows)
    windows = []
    for forecast, (before, after) in zip(predictor.predict(list(pairs.input)), pairs):
        values = np.concatenate([before["target"], after["target"]])
        series = pd.Series(values, pd.period_range(before["start"], periods=len(values)))
        windows.append(Window(before["item_id"], None, series, forecast))
    metrics, _ = judge(windows, data.season)
    return metrics["mean_wQuantileLoss"], metrics["MASE"], metrics[COVERAGE]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=list(SOURCES), choices=SOURCES)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--batches", type=int, default=500)
    parser.add_argument("--rate", type=float, default=5e-3)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.INFO)

    def trainer():
        return Trainer(
            epochs=10, num_batches_per_epoch=arguments.batches // 10, learning_rate=arguments.rate
        )

    print("| series | model | quantile loss | MASE | within 80 % |")
    print("|---|---|---|---|---|")
    for source in arguments.data:
        data = SOURCES[source]()
        for name in arguments.models:
            seeds = range(arguments.seeds if name in TRAINED else 1)
            rows = [run(models(data, trainer)[name], data, seed) for seed in seeds]
            loss, mase, inside = np.array(rows).T
            print(
                f"| {source} | {name} | {loss.mean():.4f} ({loss.min():.4f} – {loss.max():.4f}) | "
                f"{mase.mean():.2f} | {inside.mean():.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
