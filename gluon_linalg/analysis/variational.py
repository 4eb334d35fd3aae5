"""What a trained variational process says: of numbers, of counts and of classes."""

from typing import Any, Dict, Mapping, Optional, Sequence

import mxnet as mx
import numpy as np

from ..blocks.copying import frozen_copies
from ..blocks.inducing import seen_inputs
from ..blocks.likelihoods import Bernoulli, Categorical, Ordinal
from ..blocks.sparse_gp_predictor import latent_moments
from ..blocks.svgp import SVGPLikelihoodLayer
from ..plots.classes import draw_classes
from ..plots.style import Moments, drawn
from . import predictive
from .classes import calibration, class_probabilities, judged_classes
from .index import index_of
from .predictive import Latent
from .process import FunctionAnalysis
from .tables import LEVELS, figure, frame, text_table

LABELS = (Bernoulli, Categorical, Ordinal)


def analysis_of(layer: SVGPLikelihoodLayer, *arrays: Any, **keywords: Any) -> Any:
    """The analysis for the likelihood of a layer."""
    kind = ClassAnalysis if isinstance(layer.likelihood, LABELS) else VariationalAnalysis
    return kind(layer, *arrays, **keywords)


class LatentAnalysis(FunctionAnalysis):
    """What trained `SVGPLikelihoodLayer`s of any likelihood share; x (n, d), y (n,), mask (n,).

    A row is left out by taking its factor from the variational posterior, of which it is the
    normal distribution of precision 2 h_i that a natural step gives it; exact for normal noise at
    the optimum, and as good as the approximation itself elsewhere (Opper & Winther 2000; Vehtari
    et al. 2016).
    """

    def __init__(self, layer: SVGPLikelihoodLayer, *arrays: Any, **keywords: Any) -> None:
        super().__init__(layer, *arrays, **keywords)
        self.predictor = layer.predictor()
        (self.likelihood,) = frozen_copies("wide_", layer.likelihood)
        self.likelihood.cast("float64")
        self._cavity: Optional[Latent] = None

    @property
    def cavity(self) -> Latent:
        """The latent values of each row given all others."""
        if self._cavity is None:
            self._cavity = self._without_each()
        return self._cavity

    def latent(self, x: Any) -> Latent:
        """The latent values at new inputs (m, d) or (m,)."""
        rows = self._rows(np.asarray(x, "float64"))
        with mx.autograd.pause():
            mean, variance = self.predictor(rows)
        return Latent(*(_numbers(array) for array in (mean, variance, rows)))

    def _without_each(self) -> Latent:
        x, y, mask = (*self.data, None)[:3]
        layer, shape = self.layer, (0, 0, -1)
        with mx.autograd.pause():
            inputs = seen_inputs(mx.nd, x, mask)
            found = layer.projections(mx.nd, inputs)
            weights, roots = layer._variational(mx.nd, inputs)
            own, variance = latent_moments(mx.nd, found, weights, roots, True)
            mean = layer._shifted(mx.nd, inputs, own)
            slope, bend = layer._slopes(inputs, y, mask, mean, variance)
            scale = layer._scale(mx.nd, y, mask)
            scale = scale if isinstance(scale, float) else float(scale.asscalar())
            # Of what the inducing points leave open no row tells anything to another.
            rest = np.stack([_numbers(found[i % len(found)].rest) for i in range(len(roots))], -1)
            known, total, full = (_numbers(a.reshape(shape)) for a in (own, mean, variance))
        slope, precision = _numbers(slope) / scale, 2.0 * _numbers(bend) / scale
        rest = np.maximum(rest, 0.0)
        spread = np.maximum(full - rest, 0.0)
        left = 1.0 - precision * spread
        if not (left[self.seen] > 0.0).all():
            raise ValueError(
                "analyze: a row tells the variational posterior more than all of it knows, so it "
                "is not at its optimum; train it further, or call natural_step of the layer."
            )
        moved = total - known + (known - (precision * known - slope) * spread) / left
        both = (a[self.seen] for a in (moved, spread / left + rest))
        first, second = (a if len(roots) > 1 else a[:, 0] for a in both)
        return Latent(first, second, _numbers(inputs)[self.seen])

    def _moments(self, x: np.ndarray, include_noise: bool) -> Moments:
        latent = self.latent(x)
        if include_noise:
            return predictive.moments(self.likelihood, latent)
        first = (a if a.ndim == 1 else a[:, 0] for a in latent[:2])
        return tuple(first)  # type: ignore[return-value]


class VariationalAnalysis(LatentAnalysis):
    """Of numbers and counts; made by `gluon_linalg.analyze` of an `SVGPLikelihoodLayer`.

    Intervals are those of the predictive distribution, whatever its form: what is below and above
    them is equally probable, or as near to that as counts allow. The standardized residual of a
    row is Φ⁻¹(P(new observation <= y)).
    """

    def posterior(
        self, x: Any, levels: Sequence[float] = LEVELS, include_noise: bool = True
    ) -> Any:
        """Mean, std and intervals at new inputs (m, d) or (m,), a DataFrame with their index.

        include_noise: of an observation there, or of the latent value, the function itself or
        the logarithm of the rate of counts.
        """
        if not include_noise:
            return super().posterior(x, levels, include_noise)
        columns = predictive.intervals(self.likelihood, self.latent(x), levels)
        return frame(columns, index_of(x))

    def left_out(self) -> Moments:
        return predictive.moments(self.likelihood, self.cavity)

    def left_out_columns(self) -> Mapping[str, np.ndarray]:
        mean, variance = self.left_out()
        return {
            "observed": self.targets,
            "mean": mean,
            "std": np.sqrt(variance),
            "standardized_residual": predictive.residuals(
                self.likelihood, self.cavity, self.targets
            ),
            "log_density": predictive.log_density(self.likelihood, self.cavity, self.targets),
        }


class ClassAnalysis(LatentAnalysis):
    """Of classes; made by `gluon_linalg.analyze` of an `SVGPLikelihoodLayer`.

    classes: what they are called, of the labels 0, 1, ...
    """

    def __init__(
        self,
        layer: SVGPLikelihoodLayer,
        *arrays: Any,
        classes: Optional[Sequence[str]] = None,
        **keywords: Any,
    ) -> None:
        super().__init__(layer, *arrays, **keywords)
        found = self._probabilities(self.cavity)
        count = found.shape[1]
        self.classes = [str(k) for k in range(count)] if classes is None else [*map(str, classes)]
        if len(self.classes) != count:
            raise ValueError(f"analyze: {len(self.classes)} names for {count} classes.")
        self._left_out, self.labels = found, self.targets.astype(int)

    def posterior(self, x: Any, levels: Any = None, include_noise: bool = True) -> Any:
        """The probabilities of the classes at new inputs (m, d) or (m,), a DataFrame."""
        if levels is not None or not include_noise:
            raise TypeError("posterior: of classes there are probabilities, and no intervals.")
        return self._table(self._probabilities(self.latent(x)), index_of(x))

    def left_out_columns(self) -> Dict[str, Any]:
        names, found = np.array(self.classes, dtype=object), self._left_out
        own = found[np.arange(len(found)), self.labels]
        return {
            "observed": names[self.labels],
            "predicted": names[found.argmax(axis=1)],
            "probability": own,
            "log_density": np.log(np.maximum(own, 1e-300)),
        }

    def leave_one_out(self) -> Any:
        """Each row predicted from all others: a DataFrame.

        Columns observed, predicted, probability (of what was observed) and log_density.
        """
        return super().leave_one_out()

    def calibration(self, bins: int = 10) -> Any:  # type: ignore[override]
        """How sure and how often right, each row left out, by bins of probability: a DataFrame.

        Columns probability (mean of that of the most probable class), right (the share of rows
        that are of it) and rows.
        """
        said, right, counts = calibration(self._left_out, self.labels, bins)
        return frame({"probability": said, "right": right, "rows": counts})

    def confusion(self) -> Any:
        """How many of each class are taken for which, observed by predicted: a DataFrame."""
        counts = np.zeros((len(self.classes),) * 2, dtype=int)
        np.add.at(counts, (self.labels, self._left_out.argmax(axis=1)), 1)
        return self._table(counts, self.classes)

    def summary(self) -> str:
        """How well each row is told from all others, as text."""
        found = judged_classes(self._left_out, self.labels)
        rows = [
            ("rows in the right class", f"{found['accuracy']:.1%}"),
            ("mean log density", figure(-found["log_loss"])),
            ("calibration error", f"{found['calibration_error']:.3f}"),
        ]
        return "\n".join(text_table(("each row left out once", ""), rows)) + "\n"

    def plot_leave_one_out(self) -> Any:
        """How sure and how often right, and what is taken for what: a figure."""
        name, found = "each row left out once", self._left_out
        curves = [calibration(found, self.labels)]
        return drawn(draw_classes, self.name, self.classes, [(name, found, self.labels)], curves)

    plot_calibration = plot_leave_one_out

    def plot_posterior(self, name: str = "x", levels: Sequence[float] = (95,)) -> Any:
        """Refused: see `plot_leave_one_out`."""
        raise TypeError("plot_posterior: of classes there is plot_leave_one_out.")

    def _table(self, values: np.ndarray, index: Any) -> Any:
        return frame(dict(zip(self.classes, values.T)), index)

    def _probabilities(self, latent: Latent) -> np.ndarray:
        mean, variance = (mx.nd.array(a[None], dtype="float64") for a in latent[:2])
        with mx.autograd.pause():
            return _numbers(class_probabilities(mx.nd, self.likelihood, mean, variance))


def _numbers(array: mx.nd.NDArray) -> np.ndarray:
    """Of the only data set, in float64."""
    found: np.ndarray = array.asnumpy()[0].astype("float64")
    return found
