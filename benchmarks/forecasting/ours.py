"""The estimator and the predictor of this package."""

import numpy as np

from gluon_linalg.forecast import DeepStateSpaceEstimator, StructuralPredictor

from ..backend import use
from .series import entries
from .training import Training


class DeepStateSpace(Training):
    """`DeepStateSpaceEstimator`, at its defaults, which are those of GluonTS."""

    def __init__(self, arrays, backend, **options):
        use(backend)
        super().__init__(arrays, **options)

    def estimator(self, trainer):
        return DeepStateSpaceEstimator(
            freq=self._freq, prediction_length=self._steps, trainer=trainer()
        )


class Structural:
    """`StructuralPredictor`: the fit of all series at once, and their forecasts."""

    def __init__(self, arrays, backend):
        use(backend)
        self._entries = entries(arrays, "M")

    def run(self):
        predictor = StructuralPredictor(
            "M", 12, [{"trend": {}}, {"seasonal": {"period": 12}}], forecast="distribution"
        )
        self._forecasts = list(predictor.predict(self._entries))

    def results(self):
        likelihoods = [forecast.info["log_likelihood"] for forecast in self._forecasts]
        return {"log_likelihood": np.array(likelihoods)}
