"""Which options of PSA and IRN shape the fit, and which the maps."""

from __future__ import annotations

from swtformer.refiners.walk_settings import WalkSettings
from swtformer.settings import shaping


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
