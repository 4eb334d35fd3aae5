"""What StructuralPredictor is told of its components, and the blocks of one series."""

import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
from pydantic import ValidationError

from ..blocks import structural
from ..grammar.component import Regression
from ..grammar.messages import first_problem, shown_keys
from ..grammar.structural import StructuralDescription
from .frequency import main_seasons, period_of

# Longer seasons are smooth: a few harmonics in place of a state for each step.
LONGEST_DUMMY, HARMONICS = 12, 6
DYNAMIC = "feat_dynamic_real"


def default_components(freq: str) -> List[Dict[str, Dict[str, Any]]]:
    """A trend, and the main season of the frequency if it has one."""
    period_of(freq)
    components: List[Dict[str, Dict[str, Any]]] = [{"trend": {}}]
    for period in main_seasons(freq):
        options: Dict[str, Any] = {"period": period}
        if period > LONGEST_DUMMY or period != int(period):
            options.update(form="trigonometric", harmonics=min(HARMONICS, int(period // 2)))
        components.append({"seasonal": options})
    return components


class Units(NamedTuple):
    """A series is (y - location) / scale where it is modelled."""

    location: float
    scale: float


def described(
    components: Sequence[Dict[str, Any]],
    noise_variance: Optional[float],
    fixed: Sequence[str],
    with_features: bool,
    noise: str = "gaussian",
    degrees_of_freedom: Optional[float] = None,
) -> StructuralDescription:
    """The description of the arguments of StructuralPredictor; ValueError."""
    document: Dict[str, Any] = {
        "components": list(components),
        "noise_variance": noise_variance,
        "fixed": fixed,
        "noise": noise,
        "degrees_of_freedom": degrees_of_freedom,
    }
    try:
        description = StructuralDescription.model_validate(document)
    except ValidationError as error:
        first = first_problem(error, document, "the arguments")
        raise ValueError(f"StructuralPredictor: {first}.") from None
    if with_features and not description.regressions:
        document["components"].append({"regression": {}})
        description = StructuralDescription.model_validate(document)
    covariates = _named_columns(description) or [DYNAMIC] if with_features else []
    where = f"the rows of {DYNAMIC}, such as {DYNAMIC}_0" if with_features else DYNAMIC
    problem = description.problem(covariates, where=where)
    if description.regressions and not with_features:
        index = next(i for i, c in enumerate(description.components) if c.regression is not None)
        problem = (
            ("components", index, "regression"),
            "use_feat_dynamic_real is False, there are no covariates; set it to True",
        )
    if problem is None and noise != "gaussian" and description.has_known_priors:
        problem = ("noise",), "student_t has no components with numbers for prior; leave these out"
    if problem is not None:
        keys, message = problem
        raise ValueError(f"StructuralPredictor: {shown_keys(keys, document)}: {message}.")
    return description


def level_alone(description: StructuralDescription) -> StructuralDescription:
    """The same noise around nothing but a level: what a short series can bear."""
    document = description.model_dump()
    document["components"] = [{"level": {}}]
    return StructuralDescription.model_validate(document)


def used_rows(description: StructuralDescription) -> Optional[List[int]]:
    """The rows of feat_dynamic_real that the regressions take, in their order; None for all."""
    names = _named_columns(description)
    return [int(name[len(DYNAMIC) + 1 :]) for name in names] or None


def build_components(
    description: StructuralDescription, features: int, units: Units
) -> List[structural.Component]:
    """The blocks for a series, priors in its units; features: what a regression on all rows has."""
    blocks = []
    for part in description.parts:
        if isinstance(part.prior, list):
            part = part.model_copy(update={"prior": _prior_in_units(part, units)})
        if isinstance(part, Regression) and part.columns is None:
            blocks.append(part.build(squares=[1.0] * features))
        else:
            blocks.append(part.build())
    return blocks


def _named_columns(description):
    """The names of rows of feat_dynamic_real, in the order of the regressions."""
    columns = [name for part in description.regressions for name in part.columns or []]
    return [name for name in columns if re.fullmatch(rf"{DYNAMIC}_(0|[1-9]\d*)", name)]


def _prior_in_units(part, units):
    mean, deviations = (np.divide(values, units.scale) for values in part.prior)
    if part.is_level:
        mean = np.broadcast_to(mean, (part.state_size,)).copy()
        mean[0] -= units.location / units.scale
    return [mean.tolist(), deviations.tolist()]
