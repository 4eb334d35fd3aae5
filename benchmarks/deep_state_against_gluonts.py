"""DeepStateSpaceEstimator against GluonTS's DeepStateEstimator, at the latter's defaults.

    pip install ".[cpu,forecast]" "numpy==1.23.5" statsmodels
    OMP_NUM_THREADS=1 python benchmarks/deep_state_against_gluonts.py --epochs 2

Both are trained by GluonTS's Trainer on the same series for the same number of epochs of 50
batches of 32 windows, in turns, once for each seed. Printed are the seconds until the first batch
is done, the seconds of an epoch (50 times the median of the later batches), the mean weighted
quantile loss of the forecasts (GluonTS's Evaluator), and the batches that failed: NaN losses, and
errors, which end a training.

monthly: sea surface temperatures of El Niño, 1950-2010, and CO2 at Mauna Loa, 1960-2000, ten years
a series, the last of which is forecast; missing weeks of CO2 are left out of monthly means.
weekly: CO2, eight years a series, the last 26 weeks of which are forecast, some weeks missing.
synthetic: GluonTS's `ComplexSeasonalTimeSeries`, daily. All from statsmodels or GluonTS.
"""

import argparse
import logging
import statistics
import time
import warnings

import mxnet as mx
import numpy as np
import pandas as pd
from gluonts.dataset.artificial import ComplexSeasonalTimeSeries
from gluonts.evaluation import Evaluator, make_evaluation_predictions
from gluonts.mx.model.deepstate import DeepStateEstimator
from gluonts.mx.trainer import Trainer
from gluonts.mx.trainer.callback import Callback
from statsmodels.datasets import co2, elnino

import gluon_linalg  # noqa: F401
from gluon_linalg.forecast import DeepStateSpaceEstimator


def monthly():
    temperature = elnino.load_pandas().data.set_index("YEAR").stack().to_numpy()
    temperature = pd.Series(temperature, pd.period_range("1950-01", periods=732, freq="M"))
    carbon = co2.load_pandas().data["co2"]
    carbon = carbon.groupby(carbon.index.to_period("M")).mean()
    starts = [(temperature, str(year)) for year in range(1951, 2002, 10)]
    starts += [(carbon, str(year)) for year in range(1960, 1991, 10)]
    return "M", 12, [values[start:][:120] for values, start in starts]


def weekly():
    carbon = co2.load_pandas().data["co2"]
    carbon.index = carbon.index.to_period("W-SAT")
    return "W-SAT", 26, [carbon[begin:][:416] for begin in range(0, 1873, 208)]


def synthetic():
    dataset = ComplexSeasonalTimeSeries(num_series=20, freq_str="D", is_scale=True)
    series = []
    for entry in dataset.test:
        periods = pd.period_range(entry["start"], periods=len(entry["target"]), freq="D")
        series.append(pd.Series(entry["target"], periods))
    return "D", dataset.prediction_length, series


class Clock(Callback):
    """When each batch was done, in seconds since it was made."""

    def __init__(self):
        self.start, self.times = time.perf_counter(), []

    def on_train_batch_end(self, training_network):
        self.times.append(time.perf_counter() - self.start)
        return True


class Failures(logging.Handler):
    """Counts the batches that GluonTS's Trainer leaves out."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def emit(self, record):
        self.count += "gave NaN loss" in record.msg


def estimator(name, freq, steps, trainer):
    if name == "gluonts":
        return DeepStateEstimator(
            freq=freq,
            prediction_length=steps,
            cardinality=[1],
            use_feat_static_cat=False,
            trainer=trainer(hybridize=False),
        )
    return DeepStateSpaceEstimator(freq=freq, prediction_length=steps, trainer=trainer())


def run(name, data, epochs, batches, seed):
    """Seconds to the first batch, of an epoch; quantile loss; failed batches."""
    freq, steps, series = data
    full = [{"start": s.index[0], "target": s.to_numpy("float64")} for s in series]
    train = [{**entry, "target": entry["target"][:-steps]} for entry in full]
    np.random.seed(seed)
    mx.random.seed(seed)
    failures, clock = Failures(), Clock()
    logger = logging.getLogger("gluonts.trainer")
    logger.addHandler(failures)

    def trainer(**options):
        return Trainer(epochs=epochs, num_batches_per_epoch=batches, callbacks=[clock], **options)

    loss = float("nan")
    try:
        predictor = estimator(name, freq, steps, trainer).train(train)
        forecasts, truth = make_evaluation_predictions(full, predictor, num_samples=100)
        metrics, _ = Evaluator(num_workers=0)(truth, forecasts)
        loss = metrics["mean_wQuantileLoss"]
    except mx.base.MXNetError:
        failures.count += 1
    logger.removeHandler(failures)
    between = np.diff(clock.times)
    return (
        clock.times[0] if clock.times else float("nan"),
        50 * float(np.median(between)) if len(between) else float("nan"),
        loss,
        failures.count,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["monthly"])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batches", type=int, default=50, help="of an epoch")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=["gluonts", "ours"])
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    sources = {"monthly": monthly, "weekly": weekly, "synthetic": synthetic}
    print("| data | model | first batch, s | epoch, s | quantile loss | failed batches |")
    print("|---|---|---|---|---|---|")
    for source in arguments.data:
        data = sources[source]()
        results = {name: [] for name in arguments.models}
        for seed in range(arguments.seeds):
            for name in arguments.models:
                results[name].append(run(name, data, arguments.epochs, arguments.batches, seed))
        for name, rows in results.items():
            first, epoch, loss, failed = zip(*rows)
            print(
                f"| {source} | {name} | {statistics.median(first):.1f} | "
                f"{statistics.median(epoch):.1f} | {np.nanmean(loss):.5f} "
                f"({min(loss):.5f} – {max(loss):.5f}) | {sum(failed)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
