"""The lines of the summary of a fit."""

import math
from typing import TYPE_CHECKING, Any, List, Tuple

import numpy as np

from ..analysis.tables import figure

if TYPE_CHECKING:
    from .result import Estimate, FitResult

HEADINGS = ("parameter", "estimate", "std. error", "z", "P>|z|", "lower", "upper")
# Of a fixed parameter.
MOST_SHOWN = 6


def facts(result: "FitResult", loss: Any) -> List[Tuple[str, str]]:
    """Pairs of a name and a text that a summary begins with; loss: what was minimized."""
    found = [("model", loss.title), ("loss", f"{result.loss:.6f}")]
    if loss.is_bound:
        found += [("lower bound", f"{-result.loss:.6f}")]
        found += [("AIC, BIC", "none: they are of a likelihood, and this is a bound on one")]
        found += [("observations", str(result.observations))] * bool(result.observations)
    if loss.is_likelihood:
        found += [("log likelihood", f"{result.log_likelihood:.6f}"), ("AIC", f"{result.aic:.3f}")]
    if loss.is_likelihood and result.observations:
        found += [("BIC", f"{result.bic:.3f}"), ("observations", str(result.observations))]
    for name, values in loss.fixed.items():
        shown = ", ".join(figure(value) for value in np.ravel(values)[:MOST_SHOWN])
        dots = ", ..." if np.size(values) > MOST_SHOWN else ""
        found.append(("fixed", f"{name} = {shown}{dots}"))
    found += [("iterations", str(result.iterations)), ("evaluations", str(result.evaluations))]
    return [*found, ("converged", f"{'yes' if result.converged else 'no'}: {result.message}")]


def row(estimate: "Estimate") -> Tuple[str, ...]:
    """The texts of an estimate, below `HEADINGS`."""
    numbers = (figure(number) for number in estimate[1:3])
    return (
        estimate.name,
        *numbers,
        "" if math.isnan(estimate.z) else f"{estimate.z:.2f}",
        "" if math.isnan(estimate.p) else f"{estimate.p:.3f}",
        *(figure(number) for number in estimate[5:]),
    )
