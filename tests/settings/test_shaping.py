"""Which settings shape a result; every field says it once."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from swtformer.settings import (
    AFTER_FIT,
    CHOSEN_BY,
    NEUTRAL,
    REGISTRIES,
    OnlyWith,
    Section,
    Settings,
    differing,
    shaping,
)


class Sieve(Section):
    rule: str = "size"
    size: Annotated[int, OnlyWith("rule", "size")] = 3
    weight: Annotated[float, OnlyWith("rule", "weight")] = 0.5
    speed: Annotated[int, NEUTRAL] = 1
    shake: Annotated[int, AFTER_FIT] = 2


def test_only_what_shapes_the_result_counts() -> None:
    assert shaping(Sieve(speed=9), "sieve") == {"sieve.rule": "size", "sieve.size": 3, "sieve.shake": 2}
    by_weight = shaping(Sieve(rule="weight"), "sieve", fit=True)
    assert by_weight == {"sieve.rule": "weight", "sieve.weight": 0.5}


def test_differences_are_named_by_what_causes_them() -> None:
    before = shaping(Sieve(), "sieve")
    assert differing(before, shaping(Sieve(speed=4), "sieve")) == []
    assert differing(before, shaping(Sieve(size=4, shake=0), "sieve")) == ["sieve.size", "sieve.shake"]
    assert differing(before, shaping(Sieve(rule="weight", weight=0.1), "sieve")) == ["sieve.rule"]
    assert differing({"a.b": 1}, {}) == ["a.b"]


SECTIONS = [name for name in Settings.model_fields if name not in REGISTRIES and name != "seed"]


@pytest.mark.parametrize("name", SECTIONS)
def test_every_field_either_shapes_or_says_that_it_does_not(name: str) -> None:
    """Resources, places and what else is written never shape a result; everything else does."""
    section = getattr(Settings(), name)
    shaped = {key.partition(".")[2] for key in shaping(section, name)}
    free = set(type(section).model_fields) - shaped
    resources = {"workers", "accelerator", "batch_size", "tensorboard", "resume_anyway", "strict"}
    places = {"format", "images", "masks", "palette"}
    later = {"background"}  # shapes maps, whose fingerprint names it, and not what `train` makes
    outputs = {"overlays", "probabilities"}
    other_rules = {"class_threshold", "background_power", "high", "low", "margin"}
    assert free <= resources | places | later | outputs | other_rules
    assert not shaped & {"workers", "accelerator", "tensorboard", "resume_anyway"}


@pytest.mark.parametrize("name", ["train", "segment"])
def test_the_batch_size_of_a_training_shapes_its_weights(name: str) -> None:
    assert f"{name}.batch_size" in shaping(getattr(Settings(), name), name)


@pytest.mark.parametrize("section", ["method", "refiner"])
def test_options_of_every_plugin_shape_its_result(section: str) -> None:
    owner, field = CHOSEN_BY[section]
    for name in REGISTRIES[section]:
        settings = Settings.model_validate({owner: {field: name}})
        options: Any = settings.plugin_options(section)
        shaped = settings.shaping(section)
        conditional = {key for key in type(options).model_fields if f"{section}.{key}" not in shaped}
        assert all(key.startswith("crf_") for key in conditional), conditional
