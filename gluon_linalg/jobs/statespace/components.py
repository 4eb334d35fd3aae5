"""The list of components: their part of the job file, and the blocks they stand for."""

from typing import ClassVar, Optional

from pydantic import Field

from ...grammar.section import OneOf
from ..errors import suggestion
from .component_sections import (
    MOST_STATES,
    Autoregression,
    Cycle,
    DampedTrend,
    Level,
    Part,
    Regression,
    Seasonal,
    Trend,
)


class Component(OneOf):
    """A component: exactly one of these keys."""

    noun: ClassVar[str] = "component"
    advice: ClassVar[str] = "write each as an item of the list: - level: {}"

    level: Optional[Level] = Field(None, description="A random walk.")
    trend: Optional[Trend] = Field(None, description="A level with a slope.")
    damped_trend: Optional[DampedTrend] = Field(
        None, description="A level with a slope that dies out."
    )
    seasonal: Optional[Seasonal] = Field(None, description="A pattern of known period.")
    cycle: Optional[Cycle] = Field(None, description="A damped wave of unknown period.")
    ar: Optional[Autoregression] = Field(None, description="A stationary autoregression.")
    regression: Optional[Regression] = Field(None, description="The effect of covariates.")


def components_problem(components, covariates, categorical=()):
    """What does not fit together in the list, as (keys, message), or None.

    categorical: the covariates that are columns of names.
    """
    parts = [component.chosen() for component in components]
    levels = [name for name, part in parts if part.is_level]
    if len(levels) > 1:
        return (), f"{' and '.join(levels)} cannot be told apart; keep one of them"
    states = sum(_width(part, covariates) for _, part in parts)
    if states > MOST_STATES:
        return (), f"{states} states; at most {MOST_STATES} are possible"
    unused = list(covariates)
    for index, (name, part) in enumerate(parts):
        if isinstance(part, Regression):
            problem = _regression_problem(part, covariates, unused, categorical)
            if problem is not None:
                keys, message = problem
                return (index, name, *keys), message
    if unused:
        return (), f"no component uses the covariate '{unused[0]}'; add - regression: {{}}"
    return None


def used_columns(components, covariates):
    """The columns of each regression, in the order of the components."""
    return [
        list(part.columns or covariates)
        for part in (component.chosen()[1] for component in components)
        if isinstance(part, Regression)
    ]


def build_components(components, variance, squares, parameters):
    """The blocks; their parameters are added to the dict `parameters` by path.

    variance: the initial value of those that are null; squares: the mean squares of the columns of
    each regression.
    """
    blocks, squares = [], iter(squares)
    for index, component in enumerate(components):
        name, part = component.chosen()
        own = next(squares) if isinstance(part, Regression) else None
        block = part.build(name, variance, own)
        for key, parameter in part.trained(block).items():
            if key in part.fixed:
                parameter.grad_req = "null"
            parameters[f"components.{index}.{name}.{key}"] = parameter
        blocks.append(block)
    return blocks


def _width(part: Part, covariates):
    is_open = isinstance(part, Regression) and part.columns is None
    return len(covariates) if is_open else part.state_size()


def _regression_problem(part, covariates, unused, categorical):
    """Takes the columns of `part` from `unused`."""
    if not covariates:
        return (), "data.covariates is empty; name the columns there"
    for index, name in enumerate(part.columns or covariates):
        keys = ("columns", index) if part.columns else ()
        if name not in covariates:
            advice = suggestion(name, covariates)
            return keys, f"'{name}' is not one of data.covariates; {advice}"
        if name not in unused:
            return keys, f"'{name}' has an effect already; name each column once"
        unused.remove(name)
    given, count = len(part.coefficient_variance or [1]), len(part.columns or covariates)
    if given > 1 and set(part.columns or covariates) & set(categorical):
        return ("coefficient_variance",), "one for all levels of a column of names; give 1"
    if given not in (1, count):
        return ("coefficient_variance",), f"{given} values for {count} columns; give 1 or {count}"
    return None
