"""What a run holds against what is asked for, on files of facts alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swtformer.errors import SettingsError
from swtformer.settings import Settings
from swtformer.stages.kept import changed_rule, require_same_network
from swtformer.store.files import write_json
from swtformer.store.run import Run


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
    made_with = {
        name: getattr(Settings(), name).model_dump(mode="json")
        for name in ("localize", "refine", "pseudo_label")
    }
    made_with["refine"] |= {"source": "refined", "background_power": None, "walk_steps": 32}
    made_with["pseudo_label"] |= {"source": "refined"}
    for name, changed in changes.items():
        made_with[name] |= changed
    Run(run.segmentation).update_environment(masks_made_with=made_with)


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"segment": {"workers": 7}},
        {"refine": {"background_power": 4.0}},  # of CAMs; these started from R-CAMs
        {"refine": {"crf_iterations": 3, "fit_epochs": 9, "workers": 4}},
        {"pseudo_label": {"keep": 0.3, "low": 0.1, "source": "refined"}},
        {"localize": {"class_threshold": 0.9, "batch_size": 4}},
        {"predict": {"flip": False}},
    ],
)
def test_what_does_not_change_the_network_is_free(trained: Run, same: dict[str, Any]) -> None:
    require_same_network(trained, Settings.model_validate(same))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 3}, "seed"),
        ({"segment": {"decoder": "fpn"}}, "segment.decoder"),
        ({"refine": {"method": "irn", "irn_background": 0.2}}, "refine.method, refine.irn_background"),
        ({"refine": {"par_dilations": [1, 2]}}, "refine.par_dilations"),
        ({"refine": {"source": "cam", "background_power": 2.0}}, "refine.source"),
        ({"localize": {"scales": [1.0], "classes": "predicted"}}, "localize.scales, localize.classes"),
        ({"pseudo_label": {"rule": "thresholds"}}, "pseudo_label.rule"),
    ],
)
def test_what_changes_the_network_is_refused(trained: Run, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=rf"other settings: {named}\. Remove this folder"):
        require_same_network(trained, Settings.model_validate(changes))


def test_stages_that_the_masks_do_not_come_from_are_free(trained: Run) -> None:
    note(trained, pseudo_label={"source": "maps"})
    settings = Settings.model_validate({"refine": {"method": "psa"}, "pseudo_label": {"source": "maps"}})
    require_same_network(trained, settings)
    given = Settings.model_validate({"refine": {"method": "psa"}, "segment": {"masks": "given"}})
    Run(trained.segmentation).write_settings(given)
    require_same_network(trained, given)


def test_what_was_made_anew_since_does_not_count(trained: Run) -> None:
    other = Settings.model_validate({"refine": {"method": "dense_crf"}})
    write_json(trained.refined_file, other.refine.model_dump(mode="json") | {"source": "refined"})
    require_same_network(trained, Settings())
    with pytest.raises(SettingsError, match=r"other settings: refine\.method\. Remove this folder"):
        require_same_network(trained, other)


def test_only_what_a_stage_settles_may_be_left_open(trained: Run) -> None:
    note(trained, refine={"method": "irn", "walk_beta": 3.0, "irn_background": 0.25, "fit_crop_px": 64})
    with pytest.raises(
        SettingsError, match=r"refine\.fit_crop_px, refine\.walk_beta, refine\.irn_background\. Remove"
    ):
        require_same_network(trained, Settings.model_validate({"refine": {"method": "irn"}}))


def test_masks_of_maps_that_were_not_refined_are_others(trained: Run) -> None:
    note(trained, pseudo_label={"source": "maps"})
    with pytest.raises(SettingsError, match=r"other settings: pseudo_label\.source\. Remove this folder"):
        require_same_network(trained, Settings())


def test_a_network_of_given_masks_is_bound_by_its_own_settings_alone(trained: Run) -> None:
    Run(trained.segmentation).update_environment(masks_made_with=None)
    require_same_network(trained, Settings.model_validate({"refine": {"method": "psa"}}))


def test_without_a_network_everything_is_free(trained: Run) -> None:
    Run(trained.segmentation).model.rmdir()
    require_same_network(trained, Settings(seed=4))


def test_only_settings_of_the_rule_change_it(trained: Run) -> None:
    facts = Settings().pseudo_label.model_dump(mode="json") | {"source": "refined"}
    write_json(trained.pseudo_masks_file, facts)
    changed = Settings.model_validate({"pseudo_label": {"margin": 0.5, "high": 0.9}}).pseudo_label
    assert changed_rule(trained, changed) == ["pseudo_label.margin"]
