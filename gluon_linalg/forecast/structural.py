"""Structural time series models as a GluonTS predictor that needs no training."""

from itertools import islice
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple, Type

import mxnet as mx
import numpy as np
from gluonts.core.component import validated
from gluonts.exceptions import GluonTSDataError
from gluonts.model.forecast import Forecast, SampleForecast
from gluonts.model.predictor import RepresentablePredictor
from gluonts.mx.distribution import Gaussian
from gluonts.mx.model.forecast import DistributionForecast

from .. import functional as fn
from .entry import Entry
from .structural_components import (
    Units,
    build_components,
    default_components,
    described,
    level_alone,
    used_rows,
)
from .structural_fit import SeriesBatch
from .structural_series import read_series

FORECASTS = ("samples", "distribution")
# Whether all components, and the number of features.
LEVEL_ALONE = (False, 0)


class StructuralPredictor(RepresentablePredictor):
    """Fits a structural time series model to each series when it is asked for its forecast.

    y_t = Σ_i H_t^i x_t^i + ε_t: components plus noise, with parameters of maximum (diffuse)
    likelihood (`StructuralModel`), found for up to `batch_size` series at once, in float64.

    freq: of the series, for the default components; prediction_length: h, in steps. components: a
    list such as ``[{"trend": {}}, {"seasonal": {"period": 12}}]``, with the keys of a job file
    (`grammar.component`) and numbers in units of the series: those given are where the search
    begins, or stay where they are `fixed`, and a variance of 0 is left out; None: a trend, and the
    main season of `freq` if it has one. use_feat_dynamic_real: whether the series have covariates,
    which reach h steps further than the target: a `regression` is on all rows of that field, or on
    its columns feat_dynamic_real_0, ..., and is added if there is none. forecast: 'samples' for
    SampleForecast with paths that are joint over time, drawn by MXNet's generator
    (`mx.random.seed`); 'distribution' for DistributionForecast with the exact Gaussian marginals,
    in float32 as GluonTS wants them. max_iterations: at most so many evaluations of the likelihood
    in each stage of the search after those of the initial values. dtype: of the paths; what is
    computed is float64. noise_variance: None for one that is learned, a number to begin at, 0 for
    no noise; fixed: ``["noise_variance"]`` to keep it. noise: 'gaussian', or 'student_t' for
    observations among which there are outliers (`structural.RobustStructuralModel`), with
    `degrees_of_freedom`, which begin at 4 unless given; the log likelihood is then a lower bound,
    and forecasts have the variance of that noise.

    A series with fewer observations than two for each initial value of the components is forecast
    by a level alone, as is one whose observations leave open what the forecast hangs on (a month
    of the season that was never seen). Missing targets are NaN. Each forecast's `info` has the log
    likelihood and the parameters, in the units of the series, beside the info of the entry. Durbin
    & Koopman 2012, chapters 3 and 7.

    Raises ValueError for arguments, GluonTSDataError, which names the item, for series.
    """

    @validated()
    def __init__(
        self,
        freq: str,
        prediction_length: int,
        components: Optional[List[Dict[str, Any]]] = None,
        use_feat_dynamic_real: bool = False,
        forecast: str = "samples",
        batch_size: int = 16,
        max_iterations: int = 100,
        dtype: Type = np.float64,
        noise_variance: Optional[float] = None,
        fixed: Optional[List[str]] = None,
        noise: str = "gaussian",
        degrees_of_freedom: Optional[float] = None,
    ) -> None:
        if prediction_length < 1 or batch_size < 1:
            raise ValueError(
                f"StructuralPredictor: prediction_length is {prediction_length} and batch_size "
                f"{batch_size}, expected 1 or more."
            )
        super().__init__(prediction_length=prediction_length)
        if forecast not in FORECASTS:
            raise ValueError(
                f"StructuralPredictor: forecast is {forecast!r}, expected one of {FORECASTS}."
            )
        self.freq = freq
        self.components = default_components(freq) if components is None else components
        self.noise_variance, self.fixed = noise_variance, fixed
        self.noise, self.degrees_of_freedom = noise, degrees_of_freedom
        self.use_feat_dynamic_real = use_feat_dynamic_real
        self.forecast = forecast
        self.batch_size = batch_size
        self.max_iterations = max_iterations
        self.dtype = np.dtype(dtype).type
        description = described(
            self.components,
            noise_variance,
            fixed or [],
            use_feat_dynamic_real,
            noise,
            degrees_of_freedom,
        )
        self._descriptions = {True: description, False: level_alone(description)}
        self._rows = used_rows(description)
        # Initial values of all components, by the number of features.
        self._diffuse: Dict[int, int] = {}
        self._batches: Dict[Tuple[bool, int, int], SeriesBatch] = {}

    def predict(
        self, dataset: Iterable[Entry], num_samples: Optional[int] = None, **kwargs: Any
    ) -> Iterator[Forecast]:
        """The forecasts of a dataset, in its order; num_samples: of the paths, default 100."""
        num_samples = 100 if num_samples is None else num_samples
        series = (
            read_series(
                entry,
                index,
                self.freq,
                self.prediction_length,
                self.use_feat_dynamic_real,
                self._rows,
                self.noise != "gaussian",
            )
            for index, entry in enumerate(dataset)
        )
        while True:
            chunk = list(islice(series, self.batch_size))
            if not chunk:
                return
            found = self._found([(self._model_of(one), one) for one in chunk], num_samples)
            left = [one for one in chunk if found[id(one)] is None]
            if left:
                found.update(self._found([(LEVEL_ALONE, one) for one in left], num_samples))
            yield from (found[id(one)] for one in chunk)

    def _found(self, pairs, num_samples):
        """Forecasts by the id of their series, from pairs of a model and a series."""
        groups, found = {}, {}
        for model, one in pairs:
            groups.setdefault(model, []).append(one)
        for model, members in groups.items():
            found.update(zip(map(id, members), self._forecasts(model, members, num_samples)))
        return found

    def _model_of(self, series):
        """(whether all components, number of features) of the model that a series can bear."""
        features = 0 if series.covariates is None else series.covariates.shape[1]
        if series.count < 2 * self._initial_values(features):
            return LEVEL_ALONE
        return True, features

    def _initial_values(self, features):
        if features not in self._diffuse:
            blocks = build_components(self._descriptions[True], features, Units(0.0, 1.0))
            self._diffuse[features] = sum(sum(block.diffuse) for block in blocks)
        return self._diffuse[features]

    def _forecasts(self, model, members, num_samples):
        units = [Units(one.location, one.scale) for one in members]
        batch = self._batch(model, units)
        arrays = _padded(members, batch.has_covariates)
        losses = batch.fit(arrays, np.array([own.scale for own in units]), self.max_iterations)
        for one, loss in zip(members, losses):
            if not np.isfinite(loss):
                raise GluonTSDataError(
                    f"{one.name}: the likelihood of its model is not a finite number; use fewer or "
                    "other components."
                )
        steps, covariates = self.prediction_length, None
        if batch.has_covariates:
            covariates = np.array([one.covariates[-1 - steps :] for one in members])
            covariates = mx.nd.array(covariates, dtype="float64")
        ends = [len(one.target) for one in members]
        system, is_known = batch.after(arrays, ends, covariates, steps)
        if self.forecast == "samples":
            drawn = fn.drawn_observations(mx.nd, system, num_samples).asnumpy()
            values = drawn[:, :, 1:, 0].transpose(1, 0, 2)
        else:
            mean, covariance = (m.asnumpy() for m in fn.observation_marginals(mx.nd, system))
            values = zip(mean[:, 1:, 0], np.sqrt(covariance[:, 1:, 0, 0]))
        for index, (one, value) in enumerate(zip(members, values)):
            info = self._info(batch, index, one, losses[index])
            yield self._forecast(one, value, info) if is_known[index] else None

    def _forecast(self, series, value, info):
        labels = {"start_date": series.start, "item_id": series.item_id, "info": info}
        if self.forecast == "samples":
            samples = (series.location + series.scale * value).astype(self.dtype)
            return SampleForecast(samples, **labels)
        mean, deviation = value
        mean, deviation = (
            mx.nd.array(array, dtype="float32")
            for array in (series.location + series.scale * mean, series.scale * deviation)
        )
        return DistributionForecast(Gaussian(mean, deviation), **labels)

    def _info(self, batch, index, series, loss):
        diffuse = sum(batch.components.diffuse)
        scaled = max(series.count - diffuse, 0)
        given = {} if series.info is None else {"info": series.info}
        return {
            **(series.info if isinstance(series.info, dict) else given),
            "log_likelihood": float(-loss - scaled * np.log(series.scale)),
            "parameters": batch.parameter_values(index, series.scale),
        }

    def _batch(self, model, units):
        """The compiled models of so many series."""
        is_full, features = model
        description, key = self._descriptions[is_full], (*model, len(units))
        if key not in self._batches:
            self._batches[key] = SeriesBatch(description, features, units)
        self._batches[key].set_units(units)
        return self._batches[key]


def _padded(members, has_covariates):
    """y (B, T), covariates (B, T, k) if there are any, and mask (B, T), T being the longest."""
    longest = max(len(one.target) for one in members)
    fields = [[one.target for one in members]]
    if has_covariates:
        fields.append([one.covariates[: len(one.target)] for one in members])
    fields.append([one.observed for one in members])
    arrays = []
    for field in fields:
        array = np.zeros((len(field), longest) + field[0].shape[1:])
        for row, values in zip(array, field):
            row[: len(values)] = values
        arrays.append(mx.nd.array(array, dtype="float64"))
    return arrays
