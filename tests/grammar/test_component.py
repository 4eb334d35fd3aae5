"""A component described is the component in Python: the same options, and what it has learned."""

import inspect

import pytest

from gluon_linalg import structural
from gluon_linalg.grammar.component import Component

# What each needs to be one at all.
NEEDED = {"seasonal": {"period": 4}, "cycle": {"period": 9.5}}
# Names of regressors take the place of their number.
OTHERWISE = {"columns": "features"}


def part_of(name, **options):
    return Component.model_validate({name: {**NEEDED.get(name, {}), **options}}).chosen()[1]


@pytest.mark.parametrize("name", Component.model_fields)
def test_a_description_has_the_options_of_its_block(name):
    part = part_of(name)
    arguments = inspect.signature(part.component_class.__init__).parameters
    fields = {OTHERWISE.get(field, field) for field in type(part).model_fields}
    assert fields - {"fixed", "label"} == set(arguments) - {"self", "kwargs"}
    block = part.build("own")
    assert block.label == "own" and part_of(name, label="given").build("own").label == "given"
    assert (part.state_size, part.is_deterministic) == (block.state_size, block.noise_size == 0)
    # All that it learns has a name, by which it can be fixed.
    learned = set(block.collect_params().values())
    assert set(part.trained(block).values()) == learned and set(part.parameters) >= set(
        part.trained(block)
    )


def test_every_component_can_be_described():
    described = {part_of(name).component_class for name in Component.model_fields}
    public = {getattr(structural, name) for name in structural.__all__}
    components = {
        one for one in public if isinstance(one, type) and issubclass(one, structural.Component)
    }
    assert described == components - {structural.Component, structural.Sum}


@pytest.mark.parametrize(
    "name, options",
    [
        ("level", {"prior": [3, 2]}),
        ("trend", {"prior": ([1.0, 2.0], 3.0), "level_variance": 0.0}),
        (
            "ar",
            {"order": 2, "coefficients": [0.5, 0.1], "prior": "diffuse", "fixed": ["coefficients"]},
        ),
        ("cycle", {"damping": None, "cycle_variance": 0}),
        ("regression", {"drifting": True, "coefficient_variance": [1, 2], "columns": ["a", "b"]}),
    ],
)
def test_what_is_resolved_is_read_again(name, options):
    first = Component.model_validate({name: {**NEEDED.get(name, {}), **options}})
    again = Component.model_validate(first.model_dump())
    assert again == first and again.chosen()[1].state_size == first.chosen()[1].state_size
