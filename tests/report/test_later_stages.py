from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from swtformer.errors import SwtformerError
from swtformer.report.later_stages import REVIEWS_SHOWN, LaterStages, read_later_stages
from swtformer.settings import Settings
from swtformer.store.files import write_json
from swtformer.store.review_queue import Review, write_reviews
from swtformer.store.run import RefinedRun, Run

REVIEW = Review("0", confidence=0.5, certainty=0.5, agreement=None, undecided=0.25)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


def test_a_run_without_later_stages(run: Run) -> None:
    nothing = LaterStages({}, (), "", {}, None, (), None, {}, None, None)
    assert read_later_stages(run) == nothing
    assert not run.path.exists()


def test_only_the_scores_of_refined_maps_are_shown(run: Run) -> None:
    entries = [{"source": source, "policy": "argmax", "miou": 0.5} for source in ("cam", "refined")]
    sheet = {"split": "val", "images": 12, "classes": ["cat"], "scored_classes": ["cat"]}
    write_json(RefinedRun(run.path).scores_file, {**sheet, "segmentation": entries})
    write_json(run.refined_file, {"method": "par"})
    found = read_later_stages(run)
    assert [(item.source, item.miou) for item in found.refined_scores] == [("refined", 0.5)]
    assert found.scored == "val, 12 images"
    assert found.refinement == {"method": "par"}


def test_the_first_rows_are_shown_and_all_are_averaged(run: Run) -> None:
    count = REVIEWS_SHOWN + 2
    reviews = [replace(REVIEW, id=str(i), confidence=i / 100) for i in range(count)]
    write_reviews(run, reviews)
    write_json(run.pseudo_masks_file, {"images": count})
    found = read_later_stages(run)
    assert found.reviews == tuple(reviews[:REVIEWS_SHOWN])
    assert found.confidence == pytest.approx((count - 1) / 2 / 100)
    assert found.pseudo_masks == {"images": count}


def test_a_queue_of_masks_that_are_not_all_made_is_not_shown(run: Run) -> None:
    write_reviews(run, [REVIEW])
    found = read_later_stages(run)
    assert (found.reviews, found.confidence) == ((), None)
    write_json(run.pseudo_masks_file, {})
    write_reviews(run, [])
    assert read_later_stages(run).confidence is None


def test_the_network_s_settings_scores_and_course(run: Run) -> None:
    trained = Run(run.segmentation)
    write_json(trained.scores_file, {"validation_miou": 0.75})
    assert read_later_stages(run).network == {}  # scores of a training that nobody began
    trained.write_settings(Settings.model_validate({"segment": {"decoder": "fpn", "epochs": 7}}))
    trained.metrics_file.write_text("epoch,loss\n1,0.5\n")
    found = read_later_stages(run)
    assert (found.network["decoder"], found.network["epochs"]) == ("fpn", 7)
    assert found.network["validation_miou"] == 0.75
    assert found.history is not None
    assert found.history.rows == ({"epoch": 1.0, "loss": 0.5},)


def test_scores_against_the_truth_say_what_was_trained_on(run: Run) -> None:
    trained = Run(run.segmentation)
    trained.write_settings(Settings())
    write_json(trained.scores_file, {"supervision": "corrected"})
    sheet = {"split": "all", "images": 9, "classes": ["cat"], "scored_classes": ["cat"], "trained_on": 8}
    given = {"source": "folder", "policy": "given", "miou": 0.25}
    decided = {"source": "folder", "policy": "decided", "miou": 0.5, "coverage": 0.75}
    write_json(run.pseudo_mask_scores_file, {**sheet, "segmentation": [given, decided]})
    assert read_later_stages(run).note == ""
    write_json(Run(trained.predictions).scores_file, {**sheet, "segmentation": [given]})
    found = read_later_stages(run)
    assert found.pseudo_mask_scores is not None
    assert [(item.miou, item.coverage) for item in found.pseudo_mask_scores.segmentation] == [
        (0.25, 1.0),
        (0.5, 0.75),
    ]
    assert found.network_scores is not None
    assert found.network_scores.segmentation[0].miou == 0.25
    assert (
        "8 of the 9 were in the training of the segmentation network, with their corrected masks"
        in found.note
    )
    write_json(Run(trained.predictions).scores_file, {**sheet, "trained_on": None, "segmentation": [given]})
    assert "it is not known how many of the 9 were in the training" in read_later_stages(run).note


@pytest.mark.parametrize(
    ("scores", "caution"),
    [
        ({"supervision": "pseudo_masks"}, ""),
        ({"supervision": "corrected"}, "masks that people corrected had a part in it"),
        ({"supervision": "given"}, "masks of a given folder had a part in it; if people drew any of them"),
        ({}, ""),
    ],
)
def test_drawn_masks_are_a_caution(run: Run, scores: dict[str, str], caution: str) -> None:
    trained = Run(run.segmentation)
    trained.write_settings(Settings())
    write_json(trained.scores_file, scores)
    found = read_later_stages(run).caution
    assert found.startswith(caution)
    assert bool(found) == bool(caution)


def test_scores_of_a_training_that_noted_nothing_are_a_caution(run: Run) -> None:
    trained = Run(run.segmentation)
    trained.write_settings(Settings())
    sheet = {"split": "all", "images": 9, "classes": ["cat"], "scored_classes": ["cat"]}
    write_json(Run(trained.predictions).scores_file, sheet)
    assert read_later_stages(run).caution.startswith("masks of a given folder had a part in it")


@pytest.mark.parametrize("name", ["refined_file", "pseudo_masks_file", "review_file"])
def test_damaged_files_are_named(run: Run, name: str) -> None:
    write_json(run.pseudo_masks_file, {})
    path: Path = getattr(run, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"half": True})[:-1])
    with pytest.raises(SwtformerError, match=rf"^{path}: "):
        read_later_stages(run)
