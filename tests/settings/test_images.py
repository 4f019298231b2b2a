"""Range and bands: what is taken, and what is refused before any file is read."""

from __future__ import annotations

import pytest

from swtformer.errors import SettingsError
from swtformer.settings import DataSettings, ImageSettings, Settings, dump_settings, validate


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("auto", "auto"),
        (["full"], "full"),
        (("percentiles",), "percentiles"),
        ([0, 4095], (0.0, 4095.0)),
        (["-1024", "3071"], (-1024.0, 3071.0)),
        ([0, 1, 0, 2], (0.0, 1.0, 0.0, 2.0)),
    ],
)
def test_ranges(given: object, kept: object) -> None:
    assert validate(ImageSettings, {"range": given}, where="here").range == kept


@pytest.mark.parametrize(
    "given", ["ful", [5], [1, 2, 3], [4095, 0], [0, 0], [0, float("nan")], ["auto", 1], [0, 10**400], []]
)
def test_other_ranges_are_refused(given: object) -> None:
    with pytest.raises(SettingsError, match=r"data\.range: expected auto, full, percent"):
        validate(DataSettings, {"range": given}, where="here", section="data")


@pytest.mark.parametrize("given", [[], [1, 1], [4, 3, 4]])
def test_bands_differ(given: list[int]) -> None:
    with pytest.raises(SettingsError, match="expected different bands, counted from 1"):
        validate(DataSettings, {"bands": given}, where="here", section="data")


def test_bands_count_from_1() -> None:
    with pytest.raises(SettingsError, match=r"data\.bands .item 1.: .*greater than or equal to 1"):
        validate(DataSettings, {"bands": [0, 1, 2]}, where="here", section="data")


def test_decisions_survive_the_settings_file() -> None:
    import yaml

    settings = Settings.model_validate({"data": {"range": [0, 4095], "bands": [4, 3, 2]}})
    assert Settings.model_validate(yaml.safe_load(dump_settings(settings))) == settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (ImageSettings(), ""),
        (
            ImageSettings(range="full"),
            "values of more than 8 bits: all that the type can hold becomes 0 to 1",
        ),
        (ImageSettings(range=(0, 4095)), "values of more than 8 bits: 0 to 4095 become 0 to 1, clipped"),
        (
            ImageSettings(bands=(4, 3), range=(0, 1, 5, 9)),
            "bands 4, 3 of the file, counted from 1, in this order; values of more than 8 bits: 0 to 1; "
            "5 to 9 of each band in turn become 0 to 1, clipped",
        ),
    ],
)
def test_what_other_programs_must_do(settings: ImageSettings, words: str) -> None:
    assert settings.in_words() == words


def test_a_model_keeps_the_images_settings_alone() -> None:
    data = DataSettings(range=(0, 9), bands=(3, 2, 1), exif="apply", strict=True)
    assert data.images_alone() == ImageSettings(range=(0, 9), bands=(3, 2, 1), exif="apply")
    assert type(data.images_alone()) is ImageSettings
