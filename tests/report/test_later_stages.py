from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from support.scores import score_of, scores_of
from swtformer.errors import SwtformerError
from swtformer.report.later_stages import REVIEWS_SHOWN, LaterStages, Network, read_later_stages
from swtformer.report.rounds import Rounds
from swtformer.settings import Settings
from swtformer.store.files import write_json
from swtformer.store.notes import PseudoMaskNotes, RefinedNotes
from swtformer.store.review_queue import Review, write_reviews
from swtformer.store.run import RefinedRun, Run
from swtformer.store.scores import HeldOutScores, write_held_out_scores, write_scores

REVIEW = Review("0", confidence=0.5, certainty=0.5, agreement=None, undecided=0.25)


def held_out(supervision: str) -> HeldOutScores:
    return HeldOutScores(0.75, "masks", supervision, training_images=9, validation_images=1)


def network_of(run: Run) -> Network:
    network = read_later_stages(run).network
    assert network is not None
    return network


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


def test_a_run_without_later_stages(run: Run) -> None:
    assert read_later_stages(run) == LaterStages(None, None, None, None, (), None, None, Rounds())
    assert not run.path.exists()


def test_refined_maps_and_their_scores(run: Run) -> None:
    scores = scores_of(("cam", "argmax"), ("refined", "argmax"))
    write_scores(RefinedRun(run.path).scores_file, scores)
    notes = RefinedNotes(made_by="refiner", method="par", source="rcam")
    write_json(run.refined_file, notes.model_dump(mode="json"))
    found = read_later_stages(run)
    assert (found.refinement, found.refined_scores) == (notes, scores)


def test_the_first_rows_are_shown_and_all_are_averaged(run: Run) -> None:
    count = REVIEWS_SHOWN + 2
    reviews = [replace(REVIEW, id=str(i), confidence=i / 100) for i in range(count)]
    write_reviews(run, reviews)
    write_json(run.pseudo_masks_file, {"images": count})
    found = read_later_stages(run)
    assert found.reviews == tuple(reviews[:REVIEWS_SHOWN])
    assert found.confidence == pytest.approx((count - 1) / 2 / 100)
    assert found.pseudo_masks == PseudoMaskNotes(images=count)


def test_a_queue_of_masks_that_are_not_all_made_is_not_shown(run: Run) -> None:
    write_reviews(run, [REVIEW])
    found = read_later_stages(run)
    assert (found.reviews, found.confidence) == ((), None)
    write_json(run.pseudo_masks_file, {})
    write_reviews(run, [])
    assert read_later_stages(run).confidence is None


def test_the_network_s_settings_scores_and_course(run: Run) -> None:
    trained = Run(run.segmentation)
    write_held_out_scores(trained, held_out("pseudo_masks"))
    assert read_later_stages(run).network is None  # scores without a training
    trained.write_settings(Settings.model_validate({"segment": {"decoder": "fpn", "epochs": 7}}))
    trained.metrics_file.write_text("epoch,loss\n1,0.5\n")
    network = network_of(run)
    assert network.folder == "segmentation"
    assert (network.settings.decoder, network.settings.epochs) == ("fpn", 7)
    assert network.held_out == held_out("pseudo_masks")
    assert network.history is not None
    assert network.history.rows == ({"epoch": 1.0, "loss": 0.5},)


def test_scores_against_the_truth_say_what_was_trained_on(run: Run) -> None:
    trained = Run(run.segmentation)
    trained.write_settings(Settings())
    write_held_out_scores(trained, held_out("corrected"))
    scores = scores_of(score_of("folder", "given", 0.25), score_of("folder", "decided", coverage=0.75))
    write_scores(run.pseudo_mask_scores_file, scores)
    assert network_of(run).note == ""
    write_scores(Run(trained.predictions).scores_file, replace(scores, images=9, trained_on=8))
    assert read_later_stages(run).pseudo_mask_scores == scores
    assert network_of(run).scores == replace(scores, images=9, trained_on=8)
    assert "was trained on 8 of the 9, with their corrected masks" in network_of(run).note


@pytest.mark.parametrize(
    ("supervision", "words"),
    [
        ("pseudo_masks", ""),
        ("corrected", "some of the masks it was trained on were corrected by hand"),
        ("given", "it was trained on masks of a given folder"),
        (None, ""),
    ],
)
def test_hand_drawn_masks_are_a_caution(run: Run, supervision: str | None, words: str) -> None:
    trained = Run(run.segmentation)
    trained.write_settings(Settings())
    if supervision is not None:
        write_held_out_scores(trained, held_out(supervision))
    found = network_of(run).caution
    assert found.startswith(words)
    assert bool(found) == bool(words)


def test_scores_of_a_network_of_unknown_masks_are_a_caution(run: Run) -> None:
    trained = Run(run.segmentation)
    trained.write_settings(Settings())
    write_scores(Run(trained.predictions).scores_file, scores_of(("folder", "given")))
    assert network_of(run).caution.startswith("it was trained on masks of a given folder")


@pytest.mark.parametrize("name", ["refined_file", "pseudo_masks_file", "review_file"])
def test_damaged_files_are_named(run: Run, name: str) -> None:
    write_json(run.pseudo_masks_file, {})
    path: Path = getattr(run, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"half": True})[:-1])
    with pytest.raises(SwtformerError, match=rf"^{path}: "):
        read_later_stages(run)
