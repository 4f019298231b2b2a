"""The model card says what the run knows, with the labels of its numbers, and nothing of the machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from swtformer.errors import CheckpointError
from swtformer.hub.access import find_model
from swtformer.hub.card import card_text
from swtformer.methods import create_model
from swtformer.segmentation.pretrained import load_model
from swtformer.store.files import read_json, write_json
from swtformer.store.notes import update_training_notes
from swtformer.store.run import Run

NO_SCORES = "## Scores\n\nNone recorded.\n\n## Limits"


def card(run: Run, **options: Any) -> str:
    """The card of a run's model, or of its segmentation network if it has one."""
    return card_text(load_model(find_model(run)), run=run, **options)


@pytest.fixture
def copied(run: Run, tmp_path: Path) -> Run:
    """A copy of the run, to change."""
    return Run(Path(shutil.copytree(run.path, tmp_path / "farm")))


@pytest.fixture
def copied_with_network(run_with_network: Run, tmp_path: Path) -> Run:
    """A copy of the run with a segmentation network, to change."""
    return Run(Path(shutil.copytree(run_with_network.path, tmp_path / "farm")))


def change(run: Run, section: str, **values: object) -> None:
    """Change settings of a run."""
    settings = run.settings()
    changed = getattr(settings, section).model_copy(update=values)
    run.write_settings(settings.model_copy(update={section: changed}))


def change_scores(run: Run, **values: object) -> None:
    write_json(run.scores_file, {**read_json(run.scores_file), **values})


def test_a_model_that_makes_maps(run: Run) -> None:
    text = card(run, name="anna/farm", license="cc-by-4.0")
    metadata = yaml.safe_load(text.split("---")[1])
    assert metadata["license"] == "cc-by-4.0"
    assert metadata["pipeline_tag"] == "image-segmentation"
    for line in (
        "# farm",
        'model = swtformer.from_pretrained("anna/farm")',
        "| 2 | dog\\|wolf |",
        "- fingerprint of the data: f1ngerpr1nt",
        "- supervision: image-level labels",
        "- images held out: 13",
        "Split farm/val, 40 images. The maps were made at the scales 0.5, 1.0, mirrored as well; "
        "training seeds: 1.",
        "The ground truth is the folder `truth`. The mean is over all 4 labels, background among them.",
        "| CAM | Label-free threshold | 0.31 | 45.67 | no |",
        "| CAM | Oracle threshold | 0.28 | 47.00 | **yes** |",
        "Classification of 40 images: mAP 90.00 % (mean over classes), – % (mean over images).",
        "Weights: cc-by-4.0. The package swtformer is Apache-2.0.",
    ):
        assert f"\n{line}\n" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("flip", "said"),
    [("in_turn", "0.5, 1.0, every second one mirrored; training"), (False, "0.5, 1.0; training")],
)
def test_how_views_were_mirrored(copied: Run, flip: object, said: str) -> None:
    change_scores(copied, flip=flip)
    assert said in card(copied, name="anna/farm", license="cc-by-4.0")


def test_a_segmentation_network(run_with_network: Run) -> None:
    text = card(run_with_network, name="anna/farm")
    for line in (
        'network = swtformer.load_network("anna/farm")',
        "masks = logits.argmax(1)  # (B, H, W), values as below",
        "- supervision: pseudo-masks made from image-level labels; no drawn mask was used",
        "- image-level labels from: labels.csv",
        "- encoder's first weights: none",
        "- fingerprint of the masks: m4sks",
        "mIoU 61.00 % against 11 held-out masks of the kind that it was trained on "
        "(pseudo-masks, **not** true masks).",
        "None is stated for these weights: ask the publisher. The package swtformer is Apache-2.0.",
    ):
        assert f"\n{line}\n" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("network", "expected"),
    [("cam", {"probabilities": (2, 3), "cam": (2, 3, 8, 10)}), ("segmentation", {"masks": (2, 32, 40)})],
)
def test_the_code_of_the_card_runs(
    run_with_network: Run, network: Any, expected: dict[str, tuple[int, ...]]
) -> None:
    text = card_text(load_model(find_model(run_with_network, network)), name=str(run_with_network.path))
    names: dict[str, Any] = {"images": torch.zeros(2, 3, 32, 40, dtype=torch.uint8)}
    exec(text.split("```python\n")[1].split("```")[0], names)
    made = vars(names["maps"]) if network == "cam" else names
    assert {name: tuple(made[name].shape) for name in expected} == expected


def test_what_is_missing_is_left_out(copied: Run) -> None:
    update_training_notes(copied, validation_images=0)
    change_scores(copied, scored_classes=["background", "cow"])
    text = card(copied)
    assert "held out" not in text
    assert "is over the 2 of 4 labels that occur there, background" in text
    change_scores(copied, ground_truth="", segmentation=[])
    text = card(copied)
    assert "Classification of 40 images" in text
    assert "truth" not in text
    copied.scores_file.unlink()
    assert NO_SCORES in card(copied)


def test_a_network_that_held_out_no_image(copied_with_network: Run) -> None:
    change_scores(Run(copied_with_network.segmentation), validation_miou=None, validation_images=0)
    assert NO_SCORES in card(copied_with_network)


METRICS = "epoch,loss,validation_map_per_class,validation_map_per_image\n1,0.5,nan,0.6\n"


@pytest.mark.parametrize(
    ("keep", "rows", "expected"),
    [
        (
            "last",
            "2,0.4,0.8,0.85\n3,0.3,0.7,0.75\n",
            "70.00 % (mean over classes), 75.00 % (mean over images).",
        ),
        (
            "best",
            "2,0.4,0.8,0.85\n3,0.3,0.7,0.75\n",
            "80.00 % (mean over classes), 85.00 % (mean over images); the epoch was chosen by them.",
        ),
        ("best", "2,0.4,nan,0.85\n", "– % (mean over classes), 85.00 % (mean over images)."),
    ],
)
def test_held_out_images_come_before_those_of_the_training(
    copied: Run, keep: str, rows: str, expected: str
) -> None:
    change(copied, "train", keep=keep)
    copied.metrics_file.write_text(METRICS + rows)
    change_scores(copied, split="farm/train")
    text = card(copied)
    held_out = f"Classification of 13 **held-out** images: mAP {expected}\n"
    assert "Split farm/train, 40 images, **training images among them**." in text
    assert text.index(held_out) < text.index("Classification of 40 images, **training images among them**")


def test_an_encoder_of_the_run_started_from_its_model(copied_with_network: Run) -> None:
    change(Run(copied_with_network.segmentation), "segment", encoder="run", weights="pretrained")
    text = card(copied_with_network)
    assert "- encoder's first weights: those of the run's own model, trained" in text
    assert "pretrained\n" not in text


FROM_MASKS = "Annotations boxes (3), SegmentationClass masks (9)"
OUTLINED = "categories of outlined objects in train.json"


@pytest.mark.parametrize(
    ("supervision", "labels_from", "expected"),
    [
        ("pseudo_masks", FROM_MASKS, "image-level labels, which were **read from drawn masks**"),
        ("pseudo_masks", OUTLINED, "pseudo-masks made from image-level labels"),
        ("pseudo_masks", "", "pseudo-masks made from image-level labels"),
        ("corrected", FROM_MASKS, "pseudo-masks, some of them **corrected by hand**"),
        ("given", "labels.csv", "masks of a folder; whether they were drawn by hand is not recorded"),
        ("ground_truth", "labels.csv", "**true masks**: a supervised comparison, not a weakly"),
    ],
)
def test_drawn_masks_that_were_used_are_not_denied(
    copied_with_network: Run, supervision: str, labels_from: str, expected: str
) -> None:
    update_training_notes(copied_with_network, labels_from=labels_from)
    update_training_notes(Run(copied_with_network.segmentation), supervision=supervision)
    text = card(copied_with_network)
    assert expected in text
    assert f"- image-level labels from: {labels_from or 'not recorded'}\n" in text
    assert "no drawn mask" not in text


def test_maps_of_labels_that_were_read_from_masks(copied: Run) -> None:
    update_training_notes(copied, labels_from=FROM_MASKS)
    assert "- supervision: image-level labels, which were **read from drawn masks**\n" in card(copied)


def test_corrected_masks_are_reported(copied_with_network: Run) -> None:
    trained = Run(copied_with_network.segmentation)
    corrections = {"base": "/home/anna/secret/pseudo_masks", "count": 7}
    update_training_notes(trained, supervision="corrected", corrections=corrections)
    change_scores(trained, supervision="corrected")
    text = card(copied_with_network)
    assert "- masks corrected by hand: 7; the others as in `pseudo_masks`\n" in text
    assert "(pseudo-masks, some of them corrected by hand, **not** true masks)" in text
    assert "secret" not in text


def test_a_model_without_its_run(run: Run) -> None:
    text = card_text(load_model(find_model(run)))
    assert "# NAME\n" in text
    assert "the model was published without its run" in text
    assert NO_SCORES in text


def test_a_card_is_never_written_from_another_models_run(
    run: Run, run_with_network: Run, tmp_path: Path
) -> None:
    model = load_model(find_model(run))
    shutil.copytree(run.model, tmp_path / "alone")
    with pytest.raises(CheckpointError, match="a model without its run"):
        card_text(model, run=tmp_path / "alone")
    with pytest.raises(CheckpointError, match="holds a segmentation network"):
        card_text(model, run=run_with_network.segmentation)
    with pytest.raises(CheckpointError, match=r"Its classes are .*'cow'\], not .*'sheep'\]"):
        card_text(create_model(run.settings().model, ("cat", "sheep")), run=run)
