"""From the description of a kernel to the kernel and its parameters."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Iterator, List, Optional, Sequence, Tuple, Union

from pydantic import ValidationError

from ..blocks import kernels
from ..blocks.given import GivenParameter
from ..blocks.parameters import PositiveParameter
from .kernel import KernelExpression, Leaf, Wrapper
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
    square of 1; columns: the inputs that its kernel sees, None for those that it has unless told;
    offset: what the values of the description have that those of the model do without.
    """

    path: str
    parameter: Union[PositiveParameter, GivenParameter]
    given: Any
    typical: Any
    is_fixed: bool
    columns: Optional[List[str]]
    offset: float = 0.0


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
    return _problem(expression, inputs, ("kernel",))


def leaves(
    expression: KernelExpression, path: Tuple[Any, ...] = ("kernel",)
) -> Iterator[Tuple[Tuple[Any, ...], Leaf]]:
    """All kernels with parameters of their own, as (path, section)."""
    name, section = expression.chosen()
    if isinstance(section, list):
        for index, part in enumerate(section):
            yield from leaves(part, path + (name, index))
    elif isinstance(section, Wrapper):
        for part in section.parts:
            yield from leaves(getattr(section, part), path + (name, part))
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
    if isinstance(section, Wrapper):
        inner = section.inner_inputs(inputs)
        parts = [build_kernel(getattr(section, p), inner, f"{path}.{p}") for p in section.parts]
        kernel = section.build([kernel for kernel, _ in parts], inputs)
        found = [h for _, own in parts for h in own]
        if inner is not inputs:
            # They see what no other kernel sees.
            found = [replace(h, columns=[path]) for h in found]
        own = [
            Hyperparameter(
                path=f"{path}.{parameter}",
                parameter=getattr(kernel, parameter),
                given=getattr(section, parameter),
                typical=typical,
                is_fixed=parameter in section.fixed,
                columns=None,
                offset=section.offset(parameter, inputs),
            )
            for parameter, typical in section.typical(inputs).items()
        ]
        return kernel, [*found, *own]
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


def _problem(
    expression: KernelExpression, inputs: InputNames, path: Tuple[Any, ...]
) -> Optional[Tuple[Tuple[Any, ...], str]]:
    name, section = expression.chosen()
    path = (*path, name)
    if isinstance(section, list):
        found = [_problem(part, inputs, (*path, index)) for index, part in enumerate(section)]
        return next((problem for problem in found if problem is not None), None)
    problem = section.problem(inputs)
    if problem is not None:
        keys, message = problem
        return path + keys, message
    if isinstance(section, Wrapper):
        inner = section.inner_names(inputs)
        found = [_problem(getattr(section, part), inner, (*path, part)) for part in section.parts]
        return next((problem for problem in found if problem is not None), None)
    return None


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
