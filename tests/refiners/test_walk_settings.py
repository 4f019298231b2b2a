"""Options of PSA and IRN: which shape the fit and which the maps, and those that are refused when read."""

from __future__ import annotations

from typing import Any

import pytest

from swtformer.errors import SettingsError
from swtformer.refiners.walk_settings import WalkSettings
from swtformer.settings import Settings, shaping

CONFIRMED = {"fit_labels": "dense_crf"}


@pytest.mark.parametrize("method", ["psa", "irn"])
@pytest.mark.parametrize("name", ["crf_gaussian_px", "crf_bilateral_px", "crf_bilateral_rgb"])
def test_deviations_that_the_dense_crf_cannot_count_are_refused(method: str, name: str) -> None:
    def options(**values: Any) -> object:
        settings = Settings.model_validate({"refine": {"method": method}, "refiner": values})
        return settings.plugin_options("refiner")

    with pytest.raises(SettingsError, match="deviations are too small; raise crf_"):
        options(**CONFIRMED, **{name: 1e-5})
    options(**{name: 1e-5})  # no dense CRF
    options(**CONFIRMED, **{name: 1e-5}, crf_gaussian_weight=0, crf_bilateral_weight=0)


def test_distances_are_those_of_the_grid() -> None:
    terms = WalkSettings(crf_gaussian_px=8, crf_bilateral_px=20).pairwise_terms(stride=4)
    assert (terms.gaussian_px, terms.bilateral_px, terms.bilateral_rgb) == (2, 5, 5)


def names(options: WalkSettings, *, fit: bool) -> set[str]:
    return {name.partition(".")[2] for name in shaping(options, "refiner", fit=fit)}


def test_the_walk_shapes_maps_and_not_the_fit() -> None:
    options = WalkSettings()
    walk = {"walk_radius", "walk_beta", "walk_steps"}
    assert names(options, fit=False) - names(options, fit=True) == walk


def test_the_crf_counts_only_where_it_confirms_labels() -> None:
    plain, confirmed = (names(WalkSettings(fit_labels=kind), fit=True) for kind in ("maps", "dense_crf"))
    assert not any(name.startswith("crf_") for name in plain)
    assert confirmed - plain == {name for name in WalkSettings.model_fields if name.startswith("crf_")}
