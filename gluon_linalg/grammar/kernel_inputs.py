"""What a description of a kernel has to know of the inputs: names and typical sizes."""

from typing import Any, Iterator, Optional, Sequence

import numpy as np
from typing_extensions import Protocol


class InputNames(Protocol):
    """The names that can be written under `columns`; iterated, those that a message suggests."""

    # What they are called in messages.
    noun: str

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

    def periods(self) -> np.ndarray:
        """After what the target repeats itself."""


class KernelInputs(Protocol):
    """The inputs of a kernel."""

    def of(self, names: Optional[Sequence[str]]) -> SeenColumns:
        """Those of the inputs `names`, in their order; None for those of one that names none."""
