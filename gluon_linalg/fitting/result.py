"""What a fit has found, as statisticians expect it."""

import html
import math
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..analysis import analyze
from ..analysis.state_space import (
    has_innovations,
    prediction_moments,
    residual_tests_of,
    tests_text,
)
from ..analysis.tables import html_table, normal_width, text_table
from ..blocks.parameters import PositiveParameter
from .information import expected_information, jacobian, observed_information, profiled
from .notes import MOST_ELEMENTS, find_notes
from .report import HEADINGS, facts, row

KINDS = ("observed", "expected")
Limits = Optional[Sequence[Tuple[Optional[float], Optional[float]]]]


class Progress(NamedTuple):
    """How far a search has come: what callbacks are told."""

    iteration: int
    loss: float
    lowest: float


class Estimate(NamedTuple):
    """One element of a parameter in natural units; NaN for what there is not.

    lower, upper: the ends of the interval, from the scale on which the parameter is stored, so
    that the interval of a positive parameter is positive. z and p: of the hypothesis that it is 0,
    only for parameters that may be 0.
    """

    name: str
    value: float
    standard_error: float
    z: float
    p: float
    lower: float
    upper: float


class FitResult:
    """The parameters that a fit has left in its layer, and how sure they are.

    loss, start_loss: the lowest and the first; curve: the loss after each iteration; converged,
    message: how it ended; evaluations: how often the loss was computed; parameters: {name: array}
    in natural units. The rest takes the loss for a negative log likelihood: the covariance of the
    estimates is the inverse of the observed information, the Hessian of the loss in the stored
    parameters by central differences of its gradient (Efron & Hinkley 1978), which is computed
    when it is asked for first, with 2 evaluations or more for each element. Made by `fit`, of its
    `Loss`.
    """

    def __init__(
        self,
        layer: mx.gluon.Block,
        loss: Any,
        vector: np.ndarray,
        value: float,
        start_loss: float,
        curve: Sequence[float],
        converged: bool,
        message: str,
        limits: Limits = None,
    ) -> None:
        self.layer, self.loss, self.start_loss = layer, value, start_loss
        self.curve, self.converged, self.message = list(curve), converged, message
        self.vector, self.evaluations = vector, loss.evaluations
        self._of, self._limits = loss, limits
        self._information: Dict[str, np.ndarray] = {}

    @property
    def iterations(self) -> int:
        """How many steps the search took."""
        return len(self.curve) - 1

    @property
    def parameters(self) -> Any:
        """{name: natural values} of what was fitted."""
        return self._of.values(self.vector)

    @property
    def observations(self) -> Optional[int]:
        """The numbers that were observed, if the layer calls them y: without what is masked."""
        return self._of.observations

    @property
    def auxiliary(self) -> Sequence[str]:
        """The names of what only makes a bound on the likelihood tight."""
        return tuple(self._of.auxiliary)

    @property
    def log_likelihood(self) -> float:
        """-loss; NaN where the loss is a bound, an objective of the user's, or that of a batch."""
        return -self.loss if self._of.is_likelihood else math.nan

    @property
    def aic(self) -> float:
        """2 k - 2 log L with k elements fitted (Akaike 1974); NaN without a likelihood."""
        return 2.0 * len(self.vector) - 2.0 * self.log_likelihood

    @property
    def bic(self) -> float:
        """k log n - 2 log L of n observations (Schwarz 1978); NaN where n is not known."""
        if not self.observations:
            return math.nan
        return len(self.vector) * math.log(self.observations) - 2.0 * self.log_likelihood

    def information(self, kind: str = "observed") -> np.ndarray:
        """The information of the stored parameters, (k, k).

        kind: 'observed', the Hessian of the loss; or for state space models 'expected', Harvey's
        (1989, equation 3.4.69) with first derivatives alone, which statsmodels calls 'oim'.
        """
        if kind not in KINDS:
            raise ValueError(f"information is {kind!r}, expected 'observed' or 'expected'.")
        if kind not in self._information:
            if kind == "observed":
                dtypes = {np.dtype(p.dtype).name for p in self._of.parameters.values()}
                is_double = dtypes == {"float64"}
                found = observed_information(self._of, self.vector, is_double)
            else:
                found = expected_information(self._moments, self.vector)
            self._of.set_vector(self.vector)
            self._information[kind] = found
        return self._information[kind]

    def covariance(self, information: str = "observed") -> np.ndarray:
        """Of the estimates of the stored parameters, (k, k); NaN where the data leave them open.

        Left open is a direction without curvature, such as the logarithm of a variance that is 0.
        An element at one of its `bounds` stays there, and has none either. `notes` says which. Of
        a bound on the likelihood it is that of its maximum over what is `auxiliary`.
        """
        found = self.information(information)
        if self.auxiliary:
            # The bound is at its largest in these, whatever the others are.
            found = profiled(found, self._is_auxiliary())
        known = (np.diag(found) > self._least_curvature()) & ~self._at_limit()
        covariance = np.full(found.shape, np.nan)
        inner = np.ix_(known, known)
        try:
            np.linalg.cholesky(found[inner])
            covariance[inner] = np.linalg.inv(found[inner])
        except np.linalg.LinAlgError:
            # Not a minimum, or one in a valley: nothing can be told.
            pass
        return covariance

    def estimates(self, level: float = 0.95, information: str = "observed") -> List[Estimate]:
        """An `Estimate` of each element, with intervals of that level."""
        if not 0.0 < level < 1.0:
            raise ValueError(f"estimates: level is {level!r}, expected a number between 0 and 1.")
        return self._estimates(level, self.covariance(information))

    def notes(self, information: str = "observed") -> List[str]:
        """Why what has no standard error has none: sentences, which `summary` ends with."""
        return find_notes(self, self._of, self._at_limit(), information)

    def _estimates(self, level: float, covariance: np.ndarray) -> List[Estimate]:
        quantile = normal_width(100.0 * level)
        width = quantile * np.sqrt(np.diag(covariance))
        turn = jacobian(self._natural, self.vector)
        value = self._natural(self.vector)
        # Where one is not known, others are still told, and no model is asked about NaN.
        known = np.nan_to_num(width)
        lower, upper = (self._natural(self.vector + sign * known) for sign in (-1.0, 1.0))
        rows: List[Estimate] = []
        for place, (name, may_be_zero) in enumerate(self._names()):
            own = np.flatnonzero(turn[place])
            slope, block = turn[place, own], covariance[np.ix_(own, own)]
            error = float(np.sqrt(slope @ block @ slope)) if len(own) else math.nan
            ends = sorted([lower[place], upper[place]])
            if not np.isfinite(width[own]).all():
                ends = [math.nan, math.nan]
            elif len(own) != 1:
                # Made of several that are stored: there is no scale of its own.
                ends = [value[place] - quantile * error, value[place] + quantile * error]
            z = float(value[place]) / error if may_be_zero and error > 0 else math.nan
            p = math.erfc(abs(z) / math.sqrt(2.0))
            rows.append(Estimate(name, float(value[place]), error, z, p, *map(float, ends)))
        self._of.set_vector(self.vector)
        return rows

    def analyze(self) -> Any:
        """What the fitted model says of its data: `gluon_linalg.analyze` of the layer and these."""
        return analyze(self.layer, *self._of.given, **self._of.keywords)

    def summary(self, level: float = 0.95, information: str = "observed") -> str:
        """All of it as text, with the tests of the residuals of one series."""
        rows = self._shown_rows(level, information)
        lines = [f"{name + ':':<20}{text}" for name, text in facts(self, self._of)]
        lines += ["", *text_table(HEADINGS, rows), "", f"lower, upper: {100 * level:g} % intervals"]
        lines += self.notes(information)
        return "\n".join([*lines, *self._of_residuals()]) + "\n"

    def to_frame(self, level: float = 0.95, information: str = "observed") -> Any:
        """The estimates as a pandas DataFrame with a row for each element."""
        import pandas

        return pandas.DataFrame(self.estimates(level, information)).set_index("name")

    def _repr_html_(self) -> str:
        head = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in facts(self, self._of)
        )
        rows = html_table(HEADINGS, self._shown_rows(0.95, "observed"))
        notes = "".join(f"<p>{html.escape(text)}</p>" for text in self.notes())
        return f"<table>{head}</table>{rows}{notes}"

    def __repr__(self) -> str:
        state = "converged" if self.converged else "not converged"
        return f"FitResult(loss={self.loss:.6g}, {state}, iterations={self.iterations})"

    def _natural(self, vector: np.ndarray) -> np.ndarray:
        """All elements in natural units, (m,)."""
        return np.concatenate([np.ravel(own) for own in self._of.values(vector).values()])

    def _names(self) -> Iterator[Tuple[str, bool]]:
        """The name of each element, and whether it may be 0."""
        for name, values in self._of.values(self.vector).items():
            parameter = self._of.parameters[name]
            is_positive = isinstance(parameter, PositiveParameter)
            may_be_zero = not is_positive or bool(getattr(parameter, "mixes", False))
            for index in np.ndindex(np.shape(values)):
                yield (name if np.size(values) == 1 else f"{name}{list(index)}"), may_be_zero

    def _shown_rows(self, level: float, information: str) -> List[Tuple[str, ...]]:
        """What tables of all have: of too many elements without what takes long to compute."""
        if len(self.vector) > MOST_ELEMENTS:
            if not 0.0 < level < 1.0:
                raise ValueError(f"summary: level is {level!r}, expected one between 0 and 1.")
            estimates = self._estimates(level, np.full((len(self.vector),) * 2, np.nan))
        else:
            estimates = self.estimates(level, information)
        return [row(e) for e in estimates if e.name.split("[")[0] not in self.auxiliary]

    def _is_auxiliary(self) -> np.ndarray:
        """Whether each element is of what is auxiliary."""
        pieces = zip(self._of.parameters, self._of.pieces(self.vector))
        own = [np.full(np.size(v), name in self.auxiliary) for name, (_, v) in pieces]
        return np.concatenate(own)

    def _at_limit(self) -> np.ndarray:
        """Whether each element is at one of the `bounds` of the fit."""
        found = np.zeros(len(self.vector), dtype=bool)
        for place, ends in enumerate(self._limits or ()):
            near = 1e-8 * max(1.0, abs(self.vector[place]))
            found[place] = any(
                end is not None and abs(self.vector[place] - end) <= near for end in ends
            )
        return found

    def _moments(self, vector: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        # Those of a model of counts are of what is made of them.
        if not has_innovations(self.layer) or hasattr(self.layer, "likelihood"):
            raise ValueError(
                f"information='expected' is that of a filter's predictions, which "
                f"{type(self.layer).__name__} has none of; leave it out for the observed one."
            )
        self._of.set_vector(vector)
        return prediction_moments(self.layer, self._of.arrays)

    def _of_residuals(self) -> List[str]:
        """The lines of their tests, if there is one series to test."""
        if not (self._of.arrays and self._of.is_likelihood and has_innovations(self.layer)):
            return []
        if self._of.arrays[0].shape[0] != 1:
            return []
        return ["", *tests_text(residual_tests_of(self.layer, self._of.arrays)).splitlines()]

    def _least_curvature(self) -> np.ndarray:
        """Of stored numbers that are logarithms, which a standard deviation of 10 leaves open."""
        least = [
            np.full(p.shape, 1e-2 if isinstance(p, PositiveParameter) else 0.0).reshape(-1)
            for p in self._of.parameters.values()
        ]
        return np.concatenate(least)
