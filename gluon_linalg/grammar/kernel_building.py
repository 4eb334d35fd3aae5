"""From the description of a kernel to the kernel and its parameters."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Iterator, List, Optional, Sequence, Tuple

from pydantic import ValidationError

from ..blocks import kernels
from ..blocks.parameters import PositiveParameter
from .kernel import KernelExpression, Leaf, Scaled
from .kernel_inputs import InputNames, KernelInputs
from .messages import first_problem, shown_keys
from .section import Section

# The initial lengthscale of a kernel over that of the one before of the same columns.
FINER = 0.25


@dataclass
class Hyperparameter:
    """A parameter of a described kernel.

    path: where the description has it, such as 'kernel.sum.0.rbf.lengthscale'; given: the initial
    value of the description, None where it is open; typical: its size for a target with a mean
    square of 1; columns: the inputs that its kernel sees, None for those that it has unless told.
    """

    path: str
    parameter: PositiveParameter
    given: Any
    typical: Any
    is_fixed: bool
    columns: Optional[List[str]]


def read_kernel(description: Any, inputs: InputNames) -> KernelExpression:
    """The kernel of a plain description; ValueError in one line for the first thing wrong."""
    document = {"kernel": description}
    try:
        expression = _Document.model_validate(document).kernel
    except ValidationError as error:
        raise ValueError(first_problem(error, document)) from None
    except RecursionError:
        raise ValueError("kernel: nested too deeply") from None
    problem = kernel_problem(expression, inputs)
    if problem is not None:
        keys, message = problem
        raise ValueError(f"{shown_keys(keys, document)}: {message}")
    return expression


def kernel_problem(
    expression: KernelExpression, inputs: InputNames
) -> Optional[Tuple[Tuple[Any, ...], str]]:
    """What does not fit to the inputs, as (keys, message), or None."""
    for path, section in leaves(expression):
        problem = section.problem(inputs)
        if problem is not None:
            keys, message = problem
            return path + keys, message
    return None


def leaves(
    expression: KernelExpression, path: Tuple[Any, ...] = ("kernel",)
) -> Iterator[Tuple[Tuple[Any, ...], Leaf]]:
    """All kernels with parameters of their own, as (path, section)."""
    name, section = expression.chosen()
    if isinstance(section, list):
        for index, part in enumerate(section):
            yield from leaves(part, path + (name, index))
    elif isinstance(section, Scaled):
        yield from leaves(section.kernel, path + (name, "kernel"))
    else:
        yield path + (name,), section


def build_kernel(
    expression: KernelExpression, inputs: KernelInputs, path: str = "kernel"
) -> Tuple[kernels.Kernel, List[Hyperparameter]]:
    """The kernel and all its parameters, which have no initial values yet."""
    name, section = expression.chosen()
    path = f"{path}.{name}"
    if isinstance(section, list):
        built = [build_kernel(e, inputs, f"{path}.{index}") for index, e in enumerate(section)]
        combine = kernels.Sum if name == "sum" else kernels.Product
        return combine(*(kernel for kernel, _ in built)), [h for _, own in built for h in own]
    if isinstance(section, Scaled):
        inner, found = build_kernel(section.kernel, inputs, f"{path}.kernel")
        kernel = kernels.Scaled(inner)
        own = Hyperparameter(
            path=f"{path}.variance",
            parameter=kernel.variance,
            given=section.variance,
            typical=1.0,
            is_fixed="variance" in section.fixed,
            columns=None,
        )
        return kernel, [*found, own]
    columns = inputs.of(section.columns)
    kernel = section.build(columns)
    found = [
        Hyperparameter(
            path=f"{path}.{parameter}",
            parameter=getattr(kernel, parameter),
            given=section.given(parameter, columns),
            typical=typical,
            is_fixed=parameter in section.fixed,
            columns=section.columns,
        )
        for parameter, typical in section.typical(columns).items()
    ]
    return kernel, found


def spread_out(found: List[Hyperparameter], names: Sequence[str]) -> None:
    """Kernels of the same columns begin at lengths of their own, or they would never part.

    names: the columns of a kernel that names none.
    """
    before: Counter = Counter()
    for hyperparameter in found:
        if hyperparameter.path.endswith(".lengthscale") and hyperparameter.given is None:
            columns = tuple(hyperparameter.columns or names)
            hyperparameter.typical = hyperparameter.typical * FINER ** before[columns]
            before[columns] += 1


class _Document(Section):
    """What has a kernel."""

    kernel: KernelExpression
