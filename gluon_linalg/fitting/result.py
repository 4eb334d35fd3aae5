"""What a fit has found, as statisticians expect it."""

import html
import math
from typing import TYPE_CHECKING, Any, List, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..blocks.parameters import PositiveParameter
from .information import jacobian, natural, observed_information, slopes

if TYPE_CHECKING:
    from .loss import Loss

HEADINGS = ("parameter", "estimate", "std. error", "z", "P>|z|", "lower", "upper")


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
    when it is asked for first, with 2 evaluations or more for each element.
    """

    def __init__(
        self,
        layer: mx.gluon.Block,
        loss: "Loss",
        vector: np.ndarray,
        value: float,
        start_loss: float,
        curve: Sequence[float],
        converged: bool,
        message: str,
    ) -> None:
        self.layer, self.loss, self.start_loss = layer, value, start_loss
        self.curve, self.converged, self.message = list(curve), converged, message
        self.vector, self.evaluations = vector, loss.evaluations
        self._of = loss
        self._information: Optional[np.ndarray] = None

    @property
    def iterations(self) -> int:
        """How many steps the search took."""
        return len(self.curve) - 1

    @property
    def parameters(self) -> Any:
        """{name: natural values} of what was fitted."""
        return {
            name: natural(parameter, values)
            for (name, parameter), (_, values) in zip(
                self._of.parameters.items(), self._of.pieces(self.vector)
            )
        }

    @property
    def observations(self) -> Optional[int]:
        """The numbers that were observed, if the layer calls them y: without what is masked."""
        rules = [name for name, _ in getattr(self.layer, "arguments", ())]
        given = dict(zip(rules, self._of.arrays))
        if given.get("y") is None:
            return None
        mask = given.get("mask")
        return int(given["y"].size if mask is None else mask.sum().asscalar())

    @property
    def log_likelihood(self) -> float:
        """-loss; NaN where the loss is an objective of the user's, or that of a batch."""
        return -self.loss if self._of.is_likelihood else math.nan

    @property
    def aic(self) -> float:
        """2 k - 2 log L with k elements fitted (Akaike 1974)."""
        return 2.0 * len(self.vector) - 2.0 * self.log_likelihood

    @property
    def bic(self) -> float:
        """k log n - 2 log L of n observations (Schwarz 1978); NaN where n is not known."""
        if not self.observations:
            return math.nan
        return len(self.vector) * math.log(self.observations) - 2.0 * self.log_likelihood

    def information(self) -> np.ndarray:
        """The observed information of the stored parameters, (k, k)."""
        if self._information is None:
            dtypes = {np.dtype(p.dtype).name for p in self._of.parameters.values()}
            is_double = dtypes == {"float64"}
            self._information = observed_information(self._of, self.vector, is_double)
            self._of.set_vector(self.vector)
        return self._information

    def covariance(self) -> np.ndarray:
        """Of the estimates of the stored parameters, (k, k); NaN where the data leave them open.

        Left open is a direction without curvature, such as the logarithm of a variance that is 0.
        """
        information = self.information()
        known = np.diag(information) > self._least_curvature()
        covariance = np.full(information.shape, np.nan)
        inner = np.ix_(known, known)
        try:
            np.linalg.cholesky(information[inner])
            covariance[inner] = np.linalg.inv(information[inner])
        except np.linalg.LinAlgError:
            # Not a minimum, or one in a valley: nothing can be told.
            pass
        return covariance

    def estimates(self, level: float = 0.95) -> List[Estimate]:
        """An `Estimate` of each element, with intervals of that level."""
        if not 0.0 < level < 1.0:
            raise ValueError(f"estimates: level is {level!r}, expected a number between 0 and 1.")
        covariance, begin = self.covariance(), 0
        errors = np.sqrt(np.diag(covariance))
        quantile = _normal_quantile(0.5 + 0.5 * level)
        width = quantile * errors
        rows: List[Estimate] = []
        parts = (
            [values for _, values in self._of.pieces(vector)]
            for vector in (self.vector, errors, self.vector - width, self.vector + width)
        )
        for name, parameter, *arrays in zip(
            self._of.parameters, self._of.parameters.values(), *parts
        ):
            stored, error, *ends = arrays
            value = natural(parameter, stored)
            own, begin = slice(begin, begin + value.size), begin + value.size
            may_be_zero = not isinstance(parameter, PositiveParameter)
            if getattr(parameter, "mixes", False):
                turn, may_be_zero = jacobian(parameter, stored), True
                error = np.sqrt(np.diag(turn @ covariance[own, own] @ turn.T)).reshape(value.shape)
                lower, upper = value - quantile * error, value + quantile * error
            else:
                error = error * np.abs(slopes(parameter, stored))
                lower, upper = (natural(parameter, end) for end in ends)
            for index in np.ndindex(value.shape):
                z = value[index] / error[index] if may_be_zero and error[index] > 0 else math.nan
                rows.append(
                    Estimate(
                        name if value.size == 1 else f"{name}{list(index)}",
                        float(value[index]),
                        float(error[index]),
                        float(z),
                        math.erfc(abs(z) / math.sqrt(2.0)),
                        float(lower[index]),
                        float(upper[index]),
                    )
                )
        return rows

    def summary(self, level: float = 0.95) -> str:
        """All of it as text."""
        table = [HEADINGS, *(_row(estimate) for estimate in self.estimates(level))]
        widths = [max(len(row[k]) for row in table) for k in range(len(HEADINGS))]
        lines = [f"{name + ':':<20}{text}" for name, text in self._facts()]
        lines += ["", *("  ".join(map(_padded, row, widths)).rstrip() for row in table)]
        lines.insert(-len(table) + 1, "-" * (sum(widths) + 2 * len(widths) - 2))
        lines += ["", f"lower, upper: {100 * level:g} % intervals"]
        return "\n".join(lines) + "\n"

    def to_frame(self, level: float = 0.95) -> Any:
        """The estimates as a pandas DataFrame with a row for each element."""
        import pandas

        return pandas.DataFrame(self.estimates(level)).set_index("name")

    def _repr_html_(self) -> str:
        facts = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in self._facts()
        )
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in _row(e)) + "</tr>"
            for e in self.estimates()
        )
        head = "".join(f"<th>{html.escape(text)}</th>" for text in HEADINGS)
        return f"<table>{facts}</table><table><tr>{head}</tr>{rows}</table>"

    def __repr__(self) -> str:
        state = "converged" if self.converged else "not converged"
        return f"FitResult(loss={self.loss:.6g}, {state}, iterations={self.iterations})"

    def _least_curvature(self) -> np.ndarray:
        """Of stored numbers that are logarithms, which a standard deviation of 1000 leaves open."""
        least = [
            np.full(p.shape, 1e-6 if isinstance(p, PositiveParameter) else 0.0).reshape(-1)
            for p in self._of.parameters.values()
        ]
        return np.concatenate(least)

    def _facts(self) -> List[Tuple[str, str]]:
        facts = [("model", type(self.layer).__name__), ("loss", f"{self.loss:.6f}")]
        if self._of.is_likelihood:
            facts += [("log likelihood", f"{self.log_likelihood:.6f}"), ("AIC", f"{self.aic:.3f}")]
        if self._of.is_likelihood and self.observations:
            facts += [("BIC", f"{self.bic:.3f}"), ("observations", str(self.observations))]
        facts += [("iterations", str(self.iterations)), ("evaluations", str(self.evaluations))]
        return [*facts, ("converged", f"{'yes' if self.converged else 'no'}: {self.message}")]


def compare(**results: FitResult) -> Any:
    """Several fits in one pandas DataFrame, a row for each name, the lowest AIC first.

    >>> y = np.cumsum(np.random.RandomState(0).randn(30))
    >>> level = gl.StructuralModel(gl.structural.LocalLevel())
    >>> trend = gl.StructuralModel(gl.structural.LocalLinearTrend())
    >>> level.initialize()
    >>> trend.initialize()
    >>> table = gl.compare(level=gl.fit(level, y), trend=gl.fit(trend, y))
    >>> sorted(table.index)
    ['level', 'trend']
    """
    import pandas

    rows = {
        name: {
            "log likelihood": result.log_likelihood,
            "parameters": len(result.vector),
            "observations": result.observations,
            "AIC": result.aic,
            "BIC": result.bic,
            "converged": result.converged,
        }
        for name, result in results.items()
    }
    return pandas.DataFrame.from_dict(rows, orient="index").sort_values("AIC")


def _row(estimate: Estimate) -> Tuple[str, ...]:
    numbers = (_number(number) for number in estimate[1:3])
    return (
        estimate.name,
        *numbers,
        "" if math.isnan(estimate.z) else f"{estimate.z:.2f}",
        "" if math.isnan(estimate.p) else f"{estimate.p:.3f}",
        *(_number(number) for number in estimate[5:]),
    )


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.5g}"


def _padded(text: str, width: int) -> str:
    return f"{text:<{width}}" if text and text[0].isalpha() else f"{text:>{width}}"


def _normal_quantile(probability: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(probability))
