"""All sections together; the sections themselves: test_base, test_stage_one, test_later_stages."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from support.setting_values import require_limit
from swtformer.settings import Section, Settings

DEFAULTS = Settings()
SECTIONS = {name: value for name, value in DEFAULTS if isinstance(value, Section)}


def test_everything_but_the_seed_lies_in_a_section() -> None:
    plugins = ["reader", "method", "refiner", "exporter"]
    assert [name for name, _ in DEFAULTS if name not in SECTIONS] == ["seed", *plugins]


def test_settings_cannot_be_changed_in_place() -> None:
    for section in (DEFAULTS, *SECTIONS.values()):
        name = next(iter(type(section).model_fields))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, name, getattr(section, name))


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_refuses_what_it_does_not_know(name: str) -> None:
    with pytest.raises(ValidationError, match=rf"{name}\.nothing\n.*not permitted"):
        Settings.model_validate({name: {"nothing": 1}})


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_that_is_not_spoken_of_has_its_own_defaults(name: str) -> None:
    assert SECTIONS[name] == type(SECTIONS[name])()


@pytest.mark.parametrize(("allowed", "refused"), [(0, -1), (2**63 - 1, 2**63)])
def test_seeds_are_what_a_generator_takes(allowed: Any, refused: Any) -> None:
    require_limit("seed", allowed, refused, match="greater than or equal|less than")
