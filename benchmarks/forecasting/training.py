"""An epoch of training by GluonTS's Trainer, and GluonTS's own model in it; float32."""

import logging
import time
import warnings

import mxnet as mx
import numpy as np
from gluonts.evaluation import Evaluator, make_evaluation_predictions
from gluonts.mx.trainer import Trainer
from gluonts.mx.trainer.callback import Callback

from .series import entries

# Batches of an epoch, of which a run may train fewer.
EPOCH = 50


class Clock(Callback):
    """When each batch was done, in seconds since it was made."""

    def __init__(self):
        self._start, self.times = time.perf_counter(), []

    def on_train_batch_end(self, training_network):
        self.times.append(time.perf_counter() - self._start)
        return True


class Failures(logging.Handler):
    """Counts the batches that the Trainer leaves out since their loss is NaN."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def emit(self, record):
        self.count += "gave NaN loss" in record.msg


class Training:
    """Each run trains a new model, of the next seed, and judges its forecasts of the last steps.

    Seconds are those of an epoch: 50 times the median of the batches after the first. The loss is
    the mean weighted quantile loss, which approximates the CRPS.
    """

    def __init__(self, arrays, freq, steps, batches):
        warnings.filterwarnings("ignore")
        self._full = entries(arrays, freq)
        self._train = [{**one, "target": one["target"][:-steps]} for one in self._full]
        self._freq, self._steps, self._batches = freq, steps, batches
        self._losses, self._firsts, self._failures = [], [], Failures()
        logging.getLogger("gluonts.trainer").addHandler(self._failures)

    def estimator(self, trainer):
        raise NotImplementedError

    def run(self):
        seed = len(self._losses)
        np.random.seed(seed)
        mx.random.seed(seed)
        clock = Clock()

        def trainer(**options):
            return Trainer(
                epochs=1, num_batches_per_epoch=self._batches, callbacks=[clock], **options
            )

        predictor = self.estimator(trainer).train(self._train)
        forecasts, truth = make_evaluation_predictions(self._full, predictor, num_samples=100)
        metrics, _ = Evaluator(num_workers=0)(truth, forecasts)
        self._losses.append(metrics["mean_wQuantileLoss"])
        self._firsts.append(clock.times[0])
        return EPOCH * float(np.median(np.diff(clock.times)))

    def results(self):
        return {"loss": np.array(self._losses[-1:], dtype="float64")}

    def figures(self):
        return {
            "loss": np.mean(self._losses),
            "lowest loss": min(self._losses),
            "highest loss": max(self._losses),
            "first batch, s": np.median(self._firsts),
            "failed batches": self._failures.count,
        }


class DeepState(Training):
    """GluonTS's `DeepStateEstimator`, at its defaults."""

    def estimator(self, trainer):
        from gluonts.mx.model.deepstate import DeepStateEstimator

        return DeepStateEstimator(
            freq=self._freq,
            prediction_length=self._steps,
            cardinality=[1],
            use_feat_static_cat=False,
            trainer=trainer(hybridize=False),
        )
