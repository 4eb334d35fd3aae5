"""The kernel of a job with the initial values of its parameters."""

import math
from typing import Dict, Iterator, Tuple

from ...blocks.kernels import Kernel
from ...grammar.kernel import KernelExpression, Wrapper
from ...grammar.kernel_building import build_kernel, spread_out
from ..regression.learned import Learned, learn
from .inputs import Inputs


def initial_kernel(
    expression: KernelExpression, inputs: Inputs, square: float
) -> Tuple[Kernel, Dict[str, Learned]]:
    """The kernel and its parameters, by path in the job file.

    square: the mean square of the target, in units of which the kernel computes.
    """
    kernel, found = build_kernel(expression, inputs)
    spread_out(found, inputs.names)
    sized = set(sized_variances(expression))
    learned = {}
    for h in found:
        unit = square if h.path in sized else 1.0
        if h.path.endswith(".factor") and h.path.replace(".factor", ".variance") in sized:
            unit = math.sqrt(square)
        learned[h.path] = learn(h.parameter, h.given, h.typical, unit, h.is_fixed, h.offset)
    return kernel, learned


def sized_variances(expression: KernelExpression, path: str = "kernel") -> Iterator[str]:
    """The paths of the variances that are those of the target; others are mere numbers."""
    name, section = expression.chosen()
    path = f"{path}.{name}"
    if isinstance(section, Wrapper) and not hasattr(section, "variance"):
        for part in section.parts:
            yield from sized_variances(getattr(section, part), f"{path}.{part}")
        return
    if not isinstance(section, list):
        yield f"{path}.variance"
        return
    sized = section if name == "sum" else [_sized(section)]
    for index, part in enumerate(section):
        if any(part is one for one in sized):
            yield from sized_variances(part, f"{path}.{index}")


def _sized(parts):
    """The factor of a product whose variance is that of the target; others have mere numbers.

    One with a variance that is given and trained, or else that is trained, or the first.
    """
    for is_known in (lambda section: section.variance is not None, lambda section: True):
        for part in parts:
            for section in _with_variance(part):
                if "variance" not in section.fixed and is_known(section):
                    return part
    return parts[0]


def _with_variance(expression):
    """The sections of an expression that have a variance."""
    _, section = expression.chosen()
    parts = section if isinstance(section, list) else []
    if isinstance(section, Wrapper):
        parts = [getattr(section, part) for part in section.parts]
    found = [section] if hasattr(section, "variance") else []
    return found + [inner for part in parts for inner in _with_variance(part)]
