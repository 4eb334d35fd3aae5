"""What a description of a kernel has to know of the inputs: names and typical sizes."""

from typing import Any, Iterator, Optional, Sequence

import numpy as np
from typing_extensions import Protocol


class InputNames(Protocol):
    """The names that can be written under `columns`; iterated, those that a message suggests."""

    # What they are called in messages.
    noun: str
    # Whether they are the columns of a table, whose numbers are at hand, or those of series.
    of_table: bool

    def __contains__(self, name: Any) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...

    def most_values(self, names: Optional[Sequence[str]]) -> Optional[int]:
        """How many values a list has with one for each; None where only the data tell."""


class SeenColumns(Protocol):
    """The columns that one kernel sees. Sizes: one for each, or one for all, (k,)."""

    @property
    def active_dims(self) -> Any:
        """As kernels take them."""

    @property
    def widths(self) -> Sequence[int]:
        """How many columns each of the names stands for, where it can be several."""

    @property
    def spread(self) -> np.ndarray:
        """The distance over which the inputs differ."""

    @property
    def mean_squares(self) -> np.ndarray:
        """The mean square of the inputs about x = 0."""

    @property
    def centre(self) -> np.ndarray:
        """The mean of the inputs; of tables alone."""

    @property
    def offset(self) -> np.ndarray:
        """What was taken off the columns of the table; of tables alone."""

    def periods(self) -> np.ndarray:
        """After what the target repeats itself."""

    def labels(self) -> int:
        """How many labels the one column has; of tables alone."""


class KernelInputs(Protocol):
    """The inputs of a kernel."""

    def of(self, names: Optional[Sequence[str]]) -> SeenColumns:
        """Those of the inputs `names`, in their order; None for those of one that names none."""


class FeatureNames:
    """What a network gives has no names."""

    noun, of_table = "what the network gives, which has no names", True

    def __contains__(self, name: Any) -> bool:
        return False

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def most_values(self, names: Optional[Sequence[str]]) -> Optional[int]:
        return None


FEATURES = FeatureNames()


class FeatureInputs:
    """The `count` values of a network, which are of the size of 1."""

    active_dims = None
    widths: Sequence[int] = ()
    spread, mean_squares, centre = np.ones(1), np.ones(1), np.zeros(1)
    offset = np.zeros(1)

    def __init__(self, count: int) -> None:
        self._count = count

    def of(self, names: Optional[Sequence[str]]) -> "FeatureInputs":
        return self

    def periods(self) -> np.ndarray:
        return np.ones(1)

    def labels(self) -> int:
        return 1
