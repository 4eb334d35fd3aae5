"""What the estimators share whose model of a window is one joint Gaussian."""

from typing import Sequence

from .estimator import WindowEstimator


class JointGaussianEstimator(WindowEstimator):
    """Trained on the likelihood of context and prediction together; a path takes h normal numbers.

    A subclass implements `create_training_network`, whose `fields` are the arrays of a window,
    and `create_prediction_network`.
    """

    @property
    def fields(self) -> Sequence[str]:  # type: ignore[override]
        """The arrays of a window, in the order of the arguments of the networks."""
        return tuple(self.create_training_network().fields)

    @property
    def window_length(self) -> int:
        """The steps of a training window: the context and the prediction."""
        return self.context_length + self.prediction_length

    @property
    def noise_size(self) -> int:
        """The standard normal numbers of a path: one for each of its steps."""
        return self.prediction_length
