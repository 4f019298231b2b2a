"""Docstrings under fields, also under inherited and overridden ones."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from swtformer.settings import REGISTRIES, Registry, Section, SegmentSettings, Settings, TrainSettings
from swtformer.settings.field_help import describe, describe_fields


class Base(BaseModel):
    """What the sections of this module are."""


class Optimiser(Base):
    rate: float = 1.0
    """Speed of learning,
    relative."""
    steps: int = 1
    silent: int = 2


class Adam(Optimiser):
    """One with its own word on a field."""

    steps: Annotated[int, Field(ge=1)] = 5
    """Steps of Adam."""


def test_docstrings_become_descriptions() -> None:
    describe_fields(Base)
    described = {
        section: {name: field.description for name, field in section.model_fields.items()}
        for section in (Optimiser, Adam)
    }
    assert described == {
        Optimiser: {"rate": "Speed of learning,\nrelative.", "steps": None, "silent": None},
        Adam: {"rate": "Speed of learning,\nrelative.", "steps": "Steps of Adam.", "silent": None},
    }


SECTIONS = [name for name in Settings.model_fields if name != "seed" and name not in REGISTRIES]


@pytest.mark.parametrize(
    ("registry", "name"), [(registry, name) for registry in REGISTRIES.values() for name in registry]
)
def test_every_option_of_every_plugin_has_help(registry: Registry, name: str) -> None:
    section = registry[name].settings_type
    describe(section)
    assert [
        key for key, field in section.model_fields.items() if not (field.description or "").endswith(".")
    ] == []


@pytest.mark.parametrize("name", SECTIONS)
def test_every_setting_has_help(name: str) -> None:
    section = Settings.model_fields[name].annotation
    assert isinstance(section, type)
    assert issubclass(section, Section)
    for field in section.model_fields.values():
        assert (field.description or "").endswith("."), field


def test_what_two_sections_share_has_the_same_help() -> None:
    first, second = (owner.model_fields["clip_norm"] for owner in (TrainSettings, SegmentSettings))
    assert first.description == second.description
    assert first.description is not None
