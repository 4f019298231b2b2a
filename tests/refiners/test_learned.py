"""What every learned refiner has."""

from __future__ import annotations

import pytest

from support.toy_refiners import Texture
from swtformer.backbones import create_backbone
from swtformer.refiners import FitSettings, LearnedRefiner


def test_the_options_say_how_it_is_fitted() -> None:
    assert issubclass(Texture.settings_type, FitSettings)
    assert Texture().options.fit_epochs == FitSettings().fit_epochs


def test_all_parameters_are_trained_at_one_rate_unless_it_says_otherwise() -> None:
    refiner = Texture()
    refiner.build(create_backbone("swin_nano", weights="none"))
    (group,) = refiner.parameter_groups().values()
    assert {id(item) for item in group} == {id(item) for item in refiner.network.parameters()}
    assert refiner.learning_rate_multipliers == {}


def test_a_subclass_must_say_what_it_learns() -> None:
    class Lazy(LearnedRefiner):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Lazy()  # type: ignore[abstract]
