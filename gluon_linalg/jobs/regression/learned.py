"""The positive parameters of a regression, between the units of the job and those of its layer."""

from dataclasses import dataclass
from typing import Any, Sequence, Union

import numpy as np

from ...blocks.given import GivenParameter
from ...blocks.parameters import PositiveParameter
from ..errors import JobError

# How far below its initial value a parameter may go at least.
ROOM = 1e-3


@dataclass
class Learned:
    """A parameter with its unit: a value of the job is `unit` times that of the layer + `offset`.

    The unit is a number, or an array that broadcasts against the parameter.
    typical: its size in the layer for the data at hand; is_open: whether the job leaves the initial
    value to the data.
    """

    parameter: Union[PositiveParameter, GivenParameter]
    unit: Any
    typical: np.ndarray
    is_open: bool
    offset: float = 0.0

    def value(self) -> np.ndarray:
        """In units of the job, (k,)."""
        return self.unit * self.parameter.value() + self.offset


def learn(
    parameter: Union[PositiveParameter, GivenParameter],
    given: Union[None, float, Sequence[float]],
    typical: Union[float, np.ndarray],
    unit: Any = 1.0,
    is_fixed: bool = False,
    offset: float = 0.0,
) -> Learned:
    """`Learned`, at its initial value: `given` in units of the job, or None for the typical one.

    Its lower bound is in proportion to its size.
    """
    if np.size(typical) > np.prod(parameter.shape):
        # One number for columns of many sizes.
        typical = np.exp(np.mean(np.log(typical)))
    typical = np.broadcast_to(typical, parameter.shape)
    initial = (
        typical if given is None else ((np.broadcast_to(given, parameter.shape) - offset) / unit)
    )
    if isinstance(parameter, GivenParameter):
        # It may have any sign.
        parameter.set_value(initial)
        parameter.grad_req = "null" if is_fixed else parameter.grad_req
        return Learned(parameter, unit, typical, given is None and not is_fixed, offset)
    if not (np.isfinite(initial).all() and (initial > 0).all()):
        if given is None:
            raise JobError("the numbers in the file are too large for initial values; rescale them")
        raise JobError(
            f"model: {np.ravel(given).tolist()} is out of proportion to the numbers in the file; "
            "give initial values in the units of the data"
        )
    parameter.lower = min(parameter.lower * float(typical.min()), ROOM * float(initial.min()))
    parameter.set_value(initial)
    if is_fixed:
        parameter.grad_req = "null"
    return Learned(parameter, unit, typical, given is None and not is_fixed)
