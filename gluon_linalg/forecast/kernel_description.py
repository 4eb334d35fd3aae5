"""Descriptions of kernels: plain JSON, with the keys that the kernels of a job file have.

{"rbf": {"lengthscale": 10}}
{"sum": [{"matern32": {}}, {"product": [{"periodic": {"period": 12}}, {"rbf": {}}]}]}
{"linear": {"columns": ["feat_dynamic_real"]}}

Without `columns` a kernel sees the time, in steps.
"""

import math
from functools import reduce
from operator import add, mul

from ..errors import suggestion
from .series_kernels import (
    RBF,
    Constant,
    Linear,
    Matern12,
    Matern32,
    Matern52,
    Periodic,
    RationalQuadratic,
)

TIME, DYNAMIC = "time", "feat_dynamic_real"

LEAVES = {
    "rbf": RBF,
    "matern12": Matern12,
    "matern32": Matern32,
    "matern52": Matern52,
    "rational_quadratic": RationalQuadratic,
    "periodic": Periodic,
    "linear": Linear,
    "constant": Constant,
}
COMBINATIONS = {"sum": add, "product": mul}


class Inputs:
    """The inputs of a kernel, by name, and what is a typical size of them.

    time, then `names`, the features that every step has, then any number of dynamic features:
    feat_dynamic_real for all of them, feat_dynamic_real_0 for the first. window: the number of
    steps of a series that a model sees; seasons: after how many steps a series repeats itself.
    """

    def __init__(self, names, dynamic, window, seasons):
        self._numbers = {TIME: 0, **{name: i + 1 for i, name in enumerate(names)}}
        self.dynamic, self.window, self.seasons = dynamic, float(window), list(seasons)

    def columns(self, name):
        """Where the columns of an input begin and end, None at the last; None if it is unknown."""
        number = self._numbers.get(name)
        if number is None and self.dynamic and isinstance(name, str):
            first = len(self._numbers)
            if name == DYNAMIC:
                return first, None
            index = name[len(DYNAMIC) + 1 :]
            if name == f"{DYNAMIC}_{index}" and index.isdigit():
                number = first + int(index)
        return None if number is None else (number, number + 1)

    def names(self):
        """What can be written for an input."""
        return list(self._numbers) + ([DYNAMIC, f"{DYNAMIC}_0"] if self.dynamic else [])

    def default(self, value, names):
        """The default of a hyperparameter for a kernel of these inputs."""
        of_time = names == [TIME]
        named = {
            "distance": self.window / 4.0 if of_time else 1.0,
            "slope": 1.0 / self.window**2 if of_time else 1.0,
            "season": self.seasons[0] if self.seasons else self.window / 2.0,
        }
        return named.get(value, value)


def build_kernels(description, inputs):
    """The `SeriesKernel`s of a description, in the order they appear in it. Raises ValueError."""
    found = []
    _collect(description, inputs, "kernel", found)
    return found


def combined(description, matrices):
    """The matrix of a description from those of its kernels, an iterator in their order."""
    name, inner = _only_item(description, "kernel")
    if name in COMBINATIONS:
        return reduce(COMBINATIONS[name], [combined(part, matrices) for part in inner])
    return next(matrices)


def default_kernel(inputs):
    """A smooth trend, seasons that change slowly, and a rough part; dynamic features linearly."""
    rough = min(inputs.seasons, default=inputs.window / 4.0) / 2.0
    parts = [{"rbf": {"lengthscale": inputs.window / 2.0}}, {"matern12": {"lengthscale": rough}}]
    for season in inputs.seasons:
        shape = {"periodic": {"period": season, "fixed": ["period"]}}
        change = {"rbf": {"lengthscale": inputs.window, "fixed": ["variance"]}}
        parts.append({"product": [shape, change]})
    if inputs.dynamic:
        parts.append({"linear": {"columns": [DYNAMIC]}})
    return {"sum": parts}


def _collect(description, inputs, path, found):
    name, inner = _only_item(description, path)
    path = f"{path}.{name}"
    if name in COMBINATIONS:
        if not isinstance(inner, (list, tuple)) or not inner:
            raise ValueError(f"{path} is {inner!r}, expected a list of one kernel or more.")
        for index, part in enumerate(inner):
            _collect(part, inputs, f"{path}.{index}", found)
    elif name in LEAVES:
        found.append(_leaf(name, inner, inputs, path))
    else:
        raise ValueError(f"{path}: unknown kernel; {suggestion(name, [*LEAVES, *COMBINATIONS])}")


def _leaf(name, section, inputs, path):
    cls = LEAVES[name]
    if not isinstance(section, dict):
        raise ValueError(f"{path} is {section!r}, expected a mapping such as {{}}.")
    for key in section:
        if key not in (*cls.defaults, "columns", "fixed"):
            choices = [*cls.defaults, "columns", "fixed"]
            raise ValueError(f"{path}.{key}: unknown key; {suggestion(key, choices)}")
    names = section.get("columns", [TIME])
    if not isinstance(names, (list, tuple)) or not names:
        raise ValueError(f"{path}.columns is {names!r}, expected a list of one input or more.")
    columns = [inputs.columns(name) for name in names]
    if None in columns:
        wrong = names[columns.index(None)]
        raise ValueError(f"{path}.columns: no input {wrong!r}; {suggestion(wrong, inputs.names())}")
    fixed = list(section.get("fixed", ()))
    for key in fixed:
        if key not in cls.defaults:
            raise ValueError(f"{path}.fixed: {suggestion(key, list(cls.defaults))}")
    # How many columns "all dynamic features" are is only known with the data.
    count = 1 if any(end is None for _, end in columns) else len(columns)
    initial = {
        key: _positive(
            section.get(key, inputs.default(default, list(names))),
            count if key in cls.by_column else 1,
            f"{path}.{key}",
        )
        for key, default in cls.defaults.items()
    }
    return cls(name, columns, initial, fixed)


def _positive(value, columns, path):
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    good = [
        isinstance(v, (int, float)) and not isinstance(v, bool) and 1e-12 < v < math.inf
        for v in values
    ]
    if not values or not all(good) or len(values) not in (1, columns):
        many = "" if columns == 1 else f", or a list of {columns}, one for each column"
        raise ValueError(f"{path} is {value!r}, expected a positive number{many}.")
    return tuple(float(v) for v in values)


def _only_item(description, path):
    if not isinstance(description, dict) or len(description) != 1:
        raise ValueError(
            f"{path} is {description!r}, expected a mapping of one key, such as "
            "{'rbf': {}} or {'sum': [{'rbf': {}}, {'periodic': {}}]}."
        )
    return next(iter(description.items()))
