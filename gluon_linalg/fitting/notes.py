"""Why an estimate has no standard error, in sentences."""

from typing import Any, Dict, Iterator, List, Tuple

import numpy as np

from ..analysis.state_space import has_innovations
from ..analysis.tables import figure
from ..blocks.parameters import PositiveParameter
from ..errors import listing

# Of more elements a table is made without their information.
MOST_ELEMENTS = 100
# How far a logarithm is moved to see whether the loss rises there, and by how much it then does.
FAR, RISE = (4.0, 8.0, 16.0, 32.0, 64.0), 1e-2
# A standard deviation of a logarithm that says nothing of the size of a number.
OPEN = 10.0
# A variance below this share of the square of a series is none.
VANISHED = 1e-14


def find_notes(result: Any, loss: Any, at_limit: np.ndarray, information: str) -> List[str]:
    """Of a `FitResult` and its `Loss`; at_limit: whether each element is at one of its bounds."""
    notes, count = list(_of_constant_series(result, loss)), len(result.vector)
    if loss.auxiliary:
        sizes = [f"{n} ({loss.parameters[n].data().size})" for n in loss.auxiliary
                 if n in loss.parameters]  # fmt: skip
        if sizes:
            notes.append(f"{listing(sizes)}: numbers that make the bound tight, not in the table")
    if count > MOST_ELEMENTS:
        notes.append(
            f"no standard errors: they take 2 evaluations or more for each of {count} elements; "
            "estimates() and to_frame() compute them"
        )
        return notes
    deviation = np.sqrt(np.diag(result.covariance(information)))
    curvature = np.diag(result.information(information))
    least, names = result._least_curvature(), list(_stored_names(loss, result.vector))
    unexplained: Dict[str, None] = {}
    for place, (name, parameter) in enumerate(names):
        if name.split("[")[0] in loss.auxiliary:
            continue
        if at_limit[place]:
            ends = "at one of the bounds of the fit, where the others are told with it held there"
            notes.append(f"{name}: {ends}")
        elif np.isnan(deviation[place]) and curvature[place] <= least[place]:
            notes.append(f"{name}: {_flat(result, loss, place, parameter)}")
        elif np.isnan(deviation[place]):
            unexplained.setdefault(name.split("[")[0])
        elif isinstance(parameter, PositiveParameter) and deviation[place] > OPEN:
            notes.append(f"{name}: determined only together with others, such as a product")
    if unexplained:
        notes.append(
            f"{listing(list(unexplained), most=20)}: no standard error: the loss is flat along a "
            "combination of them, or this is no minimum"
        )
    loss.set_vector(result.vector)
    return notes


def _flat(result: Any, loss: Any, place: int, parameter: Any) -> str:
    if not isinstance(parameter, PositiveParameter):
        return "the loss does not depend on it"

    def rises(sign: float) -> bool:
        moved = (sign * far * (np.arange(len(result.vector)) == place) for far in FAR)
        return any(loss.at(result.vector + step)[0] - result.loss > RISE for step in moved)

    below, above = rises(-1.0), rises(1.0)
    if above and not below:
        end = getattr(parameter, "lower", 0.0)
        return f"not told from {figure(end if end > 1e-6 else 0.0)}, so it has no standard error"
    if below and not above:
        return "may be as large as any number, so it has no standard error"
    return "the data do not determine it"


def _of_constant_series(result: Any, loss: Any) -> Iterator[str]:
    """What is wrong with series that do not move: their likelihood grows without end."""
    # Jobs have warnings of their own for such columns.
    if not (loss.is_likelihood and has_innovations(getattr(loss, "layer", None))):
        return
    rules = [name for name, _ in loss.layer.arguments]
    given = dict(zip(rules, loss.arrays))
    y = given["y"].asnumpy().astype("float64")
    mask = given.get("mask")
    y = np.where(True if mask is None else mask.asnumpy() == 1, y, np.nan)
    rows = y.reshape(-1, 1) if y.ndim == 2 else y.reshape(-1, y.shape[2])
    gone = VANISHED * max(np.nanmax(np.square(y), initial=0.0), VANISHED)
    least = [np.min(v) for name, v in result.parameters.items() if name.endswith("variance")]
    if not least or min(least) > gone:
        return
    is_still = [np.ptp(own[np.isfinite(own)]) == 0 for own in rows.T if np.isfinite(own).any()]
    if any(is_still):
        which = "y" if len(is_still) == 1 else f"element {is_still.index(True)} of y"
        yield (
            f"{which} is constant: the likelihood grows without end as variances go to 0, and the "
            "fit stopped on the way; its numbers mean nothing"
        )


def _stored_names(loss: Any, vector: np.ndarray) -> Iterator[Tuple[str, Any]]:
    """The name of each stored element, and its parameter."""
    for name, (parameter, stored) in zip(loss.parameters, loss.pieces(vector)):
        for index in np.ndindex(np.shape(stored)):
            yield (name if np.size(stored) == 1 else f"{name}{list(index)}"), parameter
