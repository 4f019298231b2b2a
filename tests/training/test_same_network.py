"""What a run holds against what is asked for, on files of facts alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swtformer.errors import SettingsError
from swtformer.settings import Settings
from swtformer.store.files import write_json
from swtformer.store.notes import update_training_notes
from swtformer.store.run import Run
from swtformer.training.same_network import require_same_network, settings_of_masks


@pytest.fixture
def trained(tmp_path: Path) -> Run:
    """A run by default settings with a network that was trained on its pseudo-masks."""
    run, network, settings = Run(tmp_path), Run(tmp_path / "segmentation"), Settings()
    network.write_settings(settings)
    network.model.mkdir()
    note(run)
    return run


def note(run: Run, **changes: dict[str, Any]) -> None:
    """What the training says of its masks: made with default settings, but for the changes."""
    settings = Settings.model_validate(changes)
    update_training_notes(Run(run.segmentation), masks_made_with=settings_of_masks(settings))


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"segment": {"workers": 7}},
        {"refine": {"workers": 4, "batch_size": 2, "accelerator": "cpu"}},
        {"pseudo_label": {"margin": 0.3, "low": 0.1}},
        {"localize": {"class_threshold": 0.9, "batch_size": 4}},
        {"predict": {"flip": False}},
        # What `auto` means for a V2, said by hand; R-CAMs bring their own background.
        {"refine": {"source": "rcam", "background_power": 2.0}},
        {"pseudo_label": {"source": "refined"}},
    ],
)
def test_what_does_not_change_the_network_is_free(trained: Run, same: dict[str, Any]) -> None:
    require_same_network(trained, Settings.model_validate(same))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 3}, "seed"),
        ({"segment": {"decoder": "fpn"}}, "segment.decoder"),
        (
            {"refine": {"method": "irn"}, "refiner": {"background": 0.2}},
            "refine.method",
        ),
        ({"refiner": {"dilations": [1, 2]}}, "refiner.dilations"),
        ({"refine": {"source": "cam", "background_power": 2.0}}, "refine.source"),
        # Both were missing in a list that was kept by hand: `run` refused only after it had made all masks
        # again.
        ({"localize": {"precision": "fp32"}}, "localize.precision"),
        (
            {"localize": {"scales": [1.0], "classes": "predicted"}},
            "localize.scales, localize.classes",
        ),
        ({"pseudo_label": {"rule": "thresholds"}}, "pseudo_label.rule"),
    ],
)
def test_what_changes_the_network_is_refused(trained: Run, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=rf"other settings: {named}\. Remove this folder, or move it"):
        require_same_network(trained, Settings.model_validate(changes))


def test_stages_that_the_masks_do_not_come_from_are_free(trained: Run) -> None:
    note(trained, pseudo_label={"source": "maps"})
    settings = Settings.model_validate({"refine": {"method": "psa"}, "pseudo_label": {"source": "maps"}})
    require_same_network(trained, settings)
    given = Settings.model_validate({"refine": {"method": "psa"}, "segment": {"masks": "given"}})
    Run(trained.segmentation).write_settings(given)
    require_same_network(trained, given)


def test_settings_of_newer_maps_do_not_count(trained: Run) -> None:
    other = Settings.model_validate({"refine": {"method": "dense_crf"}})
    write_json(trained.refined_file, {"settings": other.shaping("refine", "refiner")})
    require_same_network(trained, Settings())
    with pytest.raises(SettingsError, match=r"other settings: refine\.method"):
        require_same_network(trained, other)


def test_the_crf_that_confirms_labels_counts_where_it_is_used(trained: Run) -> None:
    psa = {"refine": {"method": "psa"}}
    note(trained, **psa, refiner={"fit_labels": "dense_crf"})
    changed = {"fit_labels": "dense_crf", "crf_iterations": 3}
    with pytest.raises(SettingsError, match=r"other settings: refiner\.crf_iterations\."):
        require_same_network(trained, Settings.model_validate({**psa, "refiner": changed}))
    note(trained, **psa)
    require_same_network(trained, Settings.model_validate({**psa, "refiner": {"crf_iterations": 3}}))


def test_masks_of_maps_that_were_not_refined_are_others(trained: Run) -> None:
    note(trained, pseudo_label={"source": "maps"})
    with pytest.raises(SettingsError, match=r"other settings: pseudo_label\.source"):
        require_same_network(trained, Settings())


def test_a_network_of_given_masks_is_bound_by_its_own_settings_alone(trained: Run) -> None:
    update_training_notes(Run(trained.segmentation), masks_made_with=None)
    require_same_network(trained, Settings.model_validate({"refine": {"method": "psa"}}))


def test_without_a_network_everything_is_free(trained: Run) -> None:
    Run(trained.segmentation).model.rmdir()
    require_same_network(trained, Settings(seed=4))
