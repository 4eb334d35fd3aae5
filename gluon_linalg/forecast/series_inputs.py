"""The inputs of a kernel of `GaussianProcessEstimator`, and the kernel it has unless told."""

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from ..grammar.kernel import KernelExpression
from ..grammar.kernel_building import leaves
from ..typing import given

TIME, DYNAMIC = "time", "feat_dynamic_real"


class SeriesInputs:
    """The inputs of a kernel, by name, and what is a typical size of them.

    time, which a kernel sees unless told, then `names`, the features that every step has, then any
    number of dynamic features: feat_dynamic_real for all of them, feat_dynamic_real_0 for the
    first. window: the number of steps of a series that a model sees; seasons: after how many steps
    a series repeats itself.
    """

    noun, of_table = "the inputs", False

    def __init__(
        self, names: Sequence[str], dynamic: bool, window: int, seasons: Sequence[float]
    ) -> None:
        self._numbers = {TIME: 0, **{name: i + 1 for i, name in enumerate(names)}}
        self.dynamic, self.window, self.seasons = dynamic, float(window), list(seasons)

    def __contains__(self, name: Any) -> bool:
        return self._run(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter([*self._numbers, *([DYNAMIC, f"{DYNAMIC}_0"] if self.dynamic else [])])

    def most_values(self, names: Optional[Sequence[str]]) -> Optional[int]:
        """One for each of the inputs; None where the data tell how many they are."""
        names = [TIME] if names is None else names
        return None if DYNAMIC in names else len(names)

    def of(self, names: Optional[Sequence[str]]) -> "SeriesColumns":
        """Those of the inputs `names`; of None, time."""
        names = [TIME] if names is None else list(names)
        of_time = names == [TIME]
        return SeriesColumns(
            active_dims=[slice(*given(self._run(name))) for name in names],
            spread=np.array([self.window / 4.0 if of_time else 1.0]),
            mean_squares=np.array([self.window**2 if of_time else 1.0]),
            season=self.seasons[0] if self.seasons else self.window / 2.0,
        )

    def least_columns(self, expression: KernelExpression) -> int:
        """How many columns x has at least for a kernel."""
        names = [n for _, leaf in leaves(expression) for n in leaf.columns or [TIME]]
        return max(begin + 1 for begin, _ in (given(self._run(name)) for name in names))

    def _run(self, name) -> Optional[Tuple[int, Optional[int]]]:
        """Where the columns of an input begin and end, None at the last; None if it is unknown."""
        number = self._numbers.get(name) if isinstance(name, str) else None
        if number is None and self.dynamic and isinstance(name, str):
            first = len(self._numbers)
            if name == DYNAMIC:
                return first, None
            index = name[len(DYNAMIC) + 1 :]
            if name == f"{DYNAMIC}_{index}" and index.isdigit():
                number = first + int(index)
        return None if number is None else (number, number + 1)


@dataclass
class SeriesColumns:
    """The columns that a kernel sees; of other inputs than time the typical size is 1."""

    active_dims: List[slice]
    spread: np.ndarray
    mean_squares: np.ndarray
    season: float
    # A list has a value for each column: no name that it could have one for stands for several.
    widths: Sequence[int] = ()

    @property
    def centre(self) -> np.ndarray:
        """Kernels of series have no use for it."""
        raise NotImplementedError

    @property
    def offset(self) -> np.ndarray:
        """Kernels of series have no use for it."""
        raise NotImplementedError

    def labels(self) -> int:
        """Kernels of series have no use for it."""
        raise NotImplementedError

    def periods(self) -> np.ndarray:
        """The season of the series."""
        return np.array([self.season])


def default_kernel(inputs: SeriesInputs) -> Dict[str, Any]:
    """A smooth trend, seasons that change slowly, and a rough part; dynamic features linearly."""
    rough = min(inputs.seasons, default=inputs.window / 4.0) / 2.0
    parts: List[Dict[str, Any]] = [
        {"rbf": {"lengthscale": inputs.window / 2.0}},
        {"matern12": {"lengthscale": rough}},
    ]
    for season in inputs.seasons:
        shape = {"periodic": {"period": season, "fixed": ["period"]}}
        change = {"rbf": {"lengthscale": inputs.window, "fixed": ["variance"]}}
        parts.append({"product": [shape, change]})
    if inputs.dynamic:
        parts.append({"linear": {"columns": [DYNAMIC]}})
    return {"sum": parts}
