"""What a segmentation network's training notes; `test_segment` has the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.settings import SegmentSettings
from swtformer.store.files import read_json, write_text
from swtformer.store.notes import update_training_notes
from swtformer.store.run import Run
from swtformer.store.scores import HeldOutScores, write_held_out_scores
from swtformer.training.network_notes import kept_score, write_validation_score


@pytest.mark.parametrize(("keep", "score"), [("last", 0.25), ("best", 0.5)])
def test_the_score_is_that_of_the_weights_that_are_kept(keep: str, score: float, tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_text(run.metrics_file, "epoch,validation_miou\n1,0.5\n2,0.25\n3,\n")
    assert kept_score(run, SegmentSettings.model_validate({"keep": keep})) == score


def test_without_a_curve_the_score_is_the_one_that_was_written(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert kept_score(run, SegmentSettings()) is None
    write_held_out_scores(run, HeldOutScores(0.75, "masks", "pseudo_masks", 3, 1))
    assert kept_score(run, SegmentSettings()) == 0.75
    write_text(run.metrics_file, "epoch,validation_miou\n1,\n")  # none was held out
    assert kept_score(run, SegmentSettings()) is None


def test_scores_stand_beside_what_they_are_of(tmp_path: Path) -> None:
    run = Run(tmp_path)
    facts = {"masks": "m", "supervision": "corrected", "training_images": 3, "validation_images": 1}
    update_training_notes(run, **facts)
    write_validation_score(run, 0.5)
    against = "held-out masks of the same folder"
    assert read_json(run.scores_file) == {"validation_miou": 0.5, "against": against, **facts}
