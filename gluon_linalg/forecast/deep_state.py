"""Deep state space models, with the constructor of GluonTS's own."""

from typing import List, Optional, Type

import mxnet as mx
from gluonts.core.component import validated
from gluonts.mx.distribution.lds import ParameterBounds
from gluonts.mx.trainer import Trainer
from gluonts.time_feature import TimeFeature

from . import frequency
from .deep_state_network import DeepStatePredictionNetwork, DeepStateTrainingNetwork
from .estimator import WindowEstimator
from .state_space_emitter import CELLS, StateSpaceEmitter, feature_network

PREFIX = "deep_state_"
MOST_HARMONICS = 4


class DeepStateSpaceEstimator(WindowEstimator):
    """A network emits the parameters of a structural model per series and time.

    Level, trend if add_trend, and seasons, as in `StateSpaceEmitter` (Rangapuram et al. 2018),
    trained by the exact likelihood of the Kalman filter; forecasts are draws of joint paths, or
    the Gaussian moments.

    Arguments as in GluonTS's DeepStateEstimator where they have its names. past_length: the steps
    of a window, default num_periods_to_train of the longest cycle of the frequency.
    seasonal_periods: in steps, default those of the frequency that a window shows twice, [] for
    none; harmonics: of each, default half of the period and at most 4. num_layers, num_cells,
    cell_type ('lstm', 'gru' or 'mlp'), dropout_rate: the network. noise_std_bounds and
    innovation_bounds: of standard deviations, prior_cov_bounds: of the variances of the prior, in
    units of the scaled target (its mean absolute deviation is 1). Other arguments: as in
    `WindowEstimator`.
    """

    fields = ("static_categories", "static_reals", "features", "phases", "target", "observed")

    @validated()
    def __init__(
        self,
        freq: str,
        prediction_length: int,
        cardinality: Optional[List[int]] = None,
        add_trend: bool = False,
        past_length: Optional[int] = None,
        num_periods_to_train: int = 4,
        trainer: Trainer = Trainer(),  # noqa: B008
        num_layers: int = 2,
        num_cells: int = 40,
        cell_type: str = "lstm",
        num_parallel_samples: int = 100,
        dropout_rate: float = 0.1,
        use_feat_dynamic_real: bool = False,
        use_feat_static_cat: Optional[bool] = None,
        use_feat_static_real: bool = False,
        embedding_dimension: Optional[List[int]] = None,
        seasonal_periods: Optional[List[float]] = None,
        harmonics: Optional[List[int]] = None,
        scaling: bool = True,
        time_features: Optional[List[TimeFeature]] = None,
        noise_std_bounds: ParameterBounds = ParameterBounds(1e-3, 100.0),  # noqa: B008
        prior_cov_bounds: ParameterBounds = ParameterBounds(1e-4, 1e3),  # noqa: B008
        innovation_bounds: ParameterBounds = ParameterBounds(1e-4, 10.0),  # noqa: B008
        forecast: str = "samples",
        batch_size: int = 32,
        dtype: Optional[Type] = None,
    ) -> None:
        if past_length is None:
            past_length = num_periods_to_train * frequency.cycle_length(freq)
        super().__init__(
            freq=freq,
            prediction_length=prediction_length,
            context_length=past_length,
            trainer=trainer,
            cardinality=cardinality,
            use_feat_static_cat=use_feat_static_cat,
            use_feat_static_real=use_feat_static_real,
            use_feat_dynamic_real=use_feat_dynamic_real,
            time_features=time_features,
            seasonal_periods=seasonal_periods,
            scaling=scaling,
            num_parallel_samples=num_parallel_samples,
            forecast=forecast,
            batch_size=batch_size,
            dtype=dtype,
        )
        self.add_trend = add_trend
        self.harmonics = _harmonics(harmonics, self.seasonal_periods)
        self.num_layers = num_layers
        self.num_cells = num_cells
        self.cell_type = cell_type
        self.dropout_rate = dropout_rate
        self.embeddings = _embeddings(self.cardinality, embedding_dimension)
        self.bounds = {
            "noise": _bounds("noise_std_bounds", noise_std_bounds),
            "innovation": _bounds("innovation_bounds", innovation_bounds),
            "prior": _bounds("prior_cov_bounds", prior_cov_bounds),
        }
        for name, value in (("num_layers", num_layers), ("num_cells", num_cells)):
            if value < 1:
                raise ValueError(f"{name} is {value}, expected an integer from 1 on.")
        if not 0.0 <= dropout_rate < 1.0:
            raise ValueError(f"dropout_rate is {dropout_rate}, expected 0 or more, and below 1.")
        if cell_type not in CELLS:
            raise ValueError(f"cell_type is {cell_type!r}, expected one of {CELLS}.")

    def create_training_network(self) -> mx.gluon.HybridBlock:
        network = feature_network(
            self.cell_type,
            self.num_layers,
            self.num_cells,
            self.dropout_rate,
            prefix=f"{PREFIX}network_",
        )
        emitter = StateSpaceEmitter(
            network, self.harmonics, self.add_trend, self.embeddings, self.bounds, prefix=PREFIX
        )
        return DeepStateTrainingNetwork(emitter, prefix=PREFIX)

    def create_prediction_network(
        self, trained_network: mx.gluon.HybridBlock
    ) -> mx.gluon.HybridBlock:
        return DeepStatePredictionNetwork(
            trained_network.emitter, self.context_length, self.prediction_length, prefix=PREFIX
        )

    @property
    def noise_size(self) -> int:
        emitter = self.create_training_network().emitter
        return DeepStatePredictionNetwork.noise_size(emitter, self.prediction_length)


def _harmonics(given, periods):
    """The harmonics of each season; ValueError where a season does not have them."""
    for period in periods:
        if not 2 <= period < float("inf"):
            raise ValueError(f"seasonal_periods has {period}, expected numbers of steps from 2 on.")
    most = [int(period // 2) for period in periods]
    if given is None:
        return [min(count, MOST_HARMONICS) for count in most]
    if len(given) != len(most) or not all(1 <= j <= top for j, top in zip(given, most)):
        raise ValueError(
            f"harmonics is {given}, expected one number for each of the seasons {periods}, from 1 "
            "to half of its period."
        )
    return given


def _embeddings(cardinality, dimension):
    """(cardinality, size) of each static category; without any, of one that all series share."""
    cardinality = cardinality or [1]
    if dimension is None:
        dimension = [min(50, (count + 1) // 2) for count in cardinality]
    if len(dimension) != len(cardinality) or min(dimension) < 1:
        raise ValueError(
            f"embedding_dimension is {dimension}, expected a size for each of the "
            f"{len(cardinality)} static categories."
        )
    return list(zip(cardinality, dimension))


def _bounds(name, bounds):
    if not 0.0 < bounds.lower < bounds.upper < float("inf"):
        raise ValueError(
            f"{name} is ({bounds.lower}, {bounds.upper}), expected positive, finite numbers, the "
            "lower one first."
        )
    return bounds.lower, bounds.upper
