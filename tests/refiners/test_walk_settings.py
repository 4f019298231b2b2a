"""Options that could only fail in the middle of a fit are refused when they are read."""

from __future__ import annotations

from typing import Any

import pytest

from swtformer.errors import SettingsError
from swtformer.refiners.walk_settings import WalkSettings
from swtformer.settings import Settings

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
