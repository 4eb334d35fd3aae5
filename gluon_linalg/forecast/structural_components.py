"""Structural components by name, as constructor arguments that can be stored."""

from ..blocks import structural
from .frequency import main_seasons, period_of

KINDS = {
    "level": structural.LocalLevel,
    "trend": structural.LocalLinearTrend,
    "damped_trend": structural.DampedTrend,
    "seasonal": structural.Seasonal,
    "cycle": structural.Cycle,
    "ar": structural.AutoRegression,
}
# Longer seasons are smooth: a few harmonics in place of a state for each step.
LONGEST_DUMMY, HARMONICS = 12, 6
LEVEL = [{"level": {}}]


def default_components(freq):
    """A trend, and the main season of the frequency if it has one."""
    period_of(freq)
    components = [{"trend": {}}]
    for period in main_seasons(freq):
        options = {"period": period}
        if period > LONGEST_DUMMY or period != int(period):
            options.update(form="trigonometric", harmonics=min(HARMONICS, int(period // 2)))
        components.append({"seasonal": options})
    return components


def build_components(components, features):
    """The blocks, and a regression on so many features if there are any."""
    if not components:
        raise ValueError("StructuralPredictor: components is empty, expected at least one.")
    blocks = []
    for component in components:
        if not (isinstance(component, dict) and len(component) == 1):
            raise ValueError(
                f"StructuralPredictor: {component!r} in components; expected a name with its "
                "options, such as {'seasonal': {'period': 12}}."
            )
        ((kind, options),) = component.items()
        if kind not in KINDS:
            raise ValueError(
                f"StructuralPredictor: component {kind!r}, expected one of {', '.join(KINDS)}."
            )
        try:
            blocks.append(KINDS[kind](**(options or {})))
        except TypeError as error:
            raise ValueError(f"StructuralPredictor: component {kind!r}: {error}.") from None
    if features:
        blocks.append(structural.Regression(features))
    return blocks
