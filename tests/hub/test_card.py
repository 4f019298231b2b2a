"""The model card says what the run knows, with the labels of its numbers, and nothing of the machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from swtformer.errors import CheckpointError, SwtformerError
from swtformer.methods import create_model
from swtformer.publishing.saved import find_model
from swtformer.store.files import read_json, write_json
from swtformer.store.run import Run


def card(run: Run, **options: str) -> str:
    """The card of the model that a run ended in."""
    model = find_model(run.path).load()
    return str(model.generate_model_card(name="anna/farm", run=run.path, **options))


def test_metadata_are_those_that_the_hub_reads(run: Run) -> None:
    text = card(run, license="cc-by-4.0")
    parsed = ModelCard(text).data.to_dict()
    assert parsed["license"] == "cc-by-4.0"
    assert parsed["library_name"] == "swtformer"
    assert parsed["pipeline_tag"] == "image-segmentation"
    assert yaml.safe_load(text.split("---")[1]) == parsed


def test_a_model_that_makes_maps(run: Run) -> None:
    text = card(run)
    assert "# farm\n" in text
    assert 'swtformer.from_pretrained("anna/farm")' in text
    assert "| 2 | dog\\|wolf |" in text
    assert "- fingerprint of the data: f1ngerpr1nt" in text
    assert "- supervision: image-level labels" in text
    assert "Split farm/val, 40 images; ground truth from the folder `truth`" in text
    assert "scales 0.5, 1, mirrored as well; training seeds: 1" in text
    assert "| cam | label_free | 0.31 | 45.67 | no |" in text
    assert "| cam | oracle | 0.28 | 47.00 | **yes** |" in text
    assert "mAP 90.00 % (mean over classes), – % (mean over images)" in text
    assert "None is stated for these weights" in text


def test_how_many_of_the_labels_were_scored(run: Run, tmp_path: Path) -> None:
    assert "mean over all 4 labels, background among them;" in card(run)
    copied = Run(Path(shutil.copytree(run.path, tmp_path / "farm")))
    facts = {**read_json(copied.scores_file), "scored_classes": ["background", "cow"]}
    write_json(copied.scores_file, facts)
    assert "mean over the 2 of 4 labels that occur there, background among them;" in card(copied)


def test_no_image_held_out_is_not_told(run: Run, tmp_path: Path) -> None:
    assert "- images held out: 13" in card(run)
    copied = Run(Path(shutil.copytree(run.path, tmp_path / "farm")))
    copied.update_environment(validation_images=0)
    assert "held out" not in card(copied)


METRICS = "epoch,loss,validation_map_per_class,validation_map_per_image\n"


@pytest.mark.parametrize(
    ("keep", "told"),
    [
        ("last", "mAP 70.00 % (mean over classes), 75.00 % (mean over images)."),
        (
            "best",
            "mAP 80.00 % (mean over classes), 85.00 % (mean over images); the epoch was chosen by them.",
        ),
    ],
)
def test_held_out_images_come_before_those_of_the_training(
    run: Run, tmp_path: Path, keep: str, told: str
) -> None:
    copied = Run(Path(shutil.copytree(run.path, tmp_path / "farm")))
    settings = copied.settings()
    train = settings.train.model_copy(update={"keep": keep})
    copied.write_settings(settings.model_copy(update={"train": train}))
    copied.metrics_file.write_text(METRICS + "1,0.5,nan,0.6\n2,0.4,0.8,0.85\n3,0.3,0.7,0.75\n")
    write_json(copied.scores_file, {**read_json(copied.scores_file), "split": "farm/train"})
    held_out = f"Classification of 13 **held-out** images: {told}\n"
    seen = "Classification over 40 images, **training images among them**: mAP 90.00 %"
    text = card(copied)
    assert "Split farm/train, 40 images, **training images among them**;" in text
    assert text.index(held_out) < text.index(seen)
    copied.scores_file.unlink()
    assert f"## Scores\n\n{held_out}\n## Limits" in card(copied)


def test_no_epoch_is_chosen_by_what_is_undefined(run: Run, tmp_path: Path) -> None:
    copied = Run(Path(shutil.copytree(run.path, tmp_path / "farm")))
    settings = copied.settings()
    train = settings.train.model_copy(update={"keep": "best"})
    copied.write_settings(settings.model_copy(update={"train": train}))
    copied.metrics_file.write_text(METRICS + "1,0.5,nan,0.6\n2,0.4,nan,0.85\n")
    assert "mAP – % (mean over classes), 85.00 % (mean over images).\n" in card(copied)


def test_a_split_that_was_not_trained_on_has_no_training_images(run: Run) -> None:
    assert "training images among them" not in card(run)


def test_without_ground_truth_none_is_spoken_of(run: Run, tmp_path: Path) -> None:
    copied = Run(Path(shutil.copytree(run.path, tmp_path / "farm")))
    scores = {**read_json(copied.scores_file), "ground_truth": "", "segmentation": []}
    write_json(copied.scores_file, scores)
    text = card(copied)
    assert (
        "## Scores\n\nClassification over 40 images of the split farm/val: mAP 90.00 % (mean over classes), "
        "– % (mean over images); scales 0.5, 1, mirrored as well; training seeds: 1.\n" in text
    )
    assert "ground truth" not in text
    assert "mean over 4 labels" not in text


def test_an_encoder_of_the_run_started_from_its_model(run_with_network: Run, tmp_path: Path) -> None:
    assert "- encoder's first weights: none\n" in card(run_with_network)
    copied = Run(Path(shutil.copytree(run_with_network.path, tmp_path / "farm")))
    trained = Run(copied.segmentation)
    settings = trained.settings()
    segment = settings.segment.model_copy(update={"encoder": "run", "weights": "pretrained"})
    trained.write_settings(settings.model_copy(update={"segment": segment}))
    text = card(copied)
    assert "- encoder's first weights: those of the run's own model, trained on image-level labels\n" in text
    assert "pretrained\n" not in text


def test_a_segmentation_network(run_with_network: Run) -> None:
    text = card(run_with_network)
    assert 'swtformer.load_network("anna/farm")' in text
    assert "masks = logits.argmax(1)" in text
    assert "to (B, 4, H, W)" in text
    assert "- supervision: pseudo-masks made from image-level labels; no drawn mask was used\n" in text
    assert "- image-level labels from: labels.csv\n" in text
    assert (
        "mIoU 61.00 % against 11 held-out masks of the kind that it was trained on (pseudo-masks, **not**"
        in text
    )
    assert "- fingerprint of the masks: m4sks" in text


def test_corrected_masks_are_told(run_with_network: Run, tmp_path: Path) -> None:
    copied = Run(Path(shutil.copytree(run_with_network.path, tmp_path / "farm")))
    trained = Run(copied.segmentation)
    corrections = {"base": "/home/anna/secret/pseudo_masks", "count": 7}
    trained.update_environment(supervision="corrected", corrections=corrections)
    write_json(trained.scores_file, {**read_json(trained.scores_file), "supervision": "corrected"})
    text = card(copied)
    assert "- supervision: pseudo-masks, some of them **corrected by hand**" in text
    assert "- masks corrected by hand: 7; the others as in `pseudo_masks`" in text
    assert "(pseudo-masks, some of them corrected by hand, **not** true masks)" in text
    assert "secret" not in text


FROM_MASKS = "Annotations boxes (3), SegmentationClass masks (9)"
OUTLINED = "categories of outlined objects in train.json"


@pytest.mark.parametrize(
    ("supervision", "labels_from", "told"),
    [
        ("pseudo_masks", FROM_MASKS, "made from image-level labels, which were **read from drawn masks**\n"),
        ("pseudo_masks", OUTLINED, "pseudo-masks made from image-level labels\n"),
        ("pseudo_masks", None, "pseudo-masks made from image-level labels\n"),
        ("corrected", FROM_MASKS, "pseudo-masks, some of them **corrected by hand**\n"),
        ("given", "labels.csv", "masks of a folder; whether they are drawn by hand is not recorded\n"),
        ("ground_truth", "labels.csv", "**true masks**: a supervised comparison, no weakly"),
    ],
)
def test_no_mask_is_denied_that_had_a_part(
    run_with_network: Run, tmp_path: Path, supervision: str, labels_from: str | None, told: str
) -> None:
    copied = Run(Path(shutil.copytree(run_with_network.path, tmp_path / "farm")))
    copied.update_environment(labels_from=labels_from)
    Run(copied.segmentation).update_environment(supervision=supervision)
    for folder in (copied.path, copied.segmentation):
        text = str(find_model(folder).load().generate_model_card(name="anna/farm", run=folder))
        assert told in text
        assert f"- image-level labels from: {labels_from or 'not recorded'}\n" in text
        assert "no drawn mask" not in text


def test_maps_of_labels_that_were_read_from_masks(run: Run, tmp_path: Path) -> None:
    assert "- supervision: image-level labels\n" in card(run)
    copied = Run(Path(shutil.copytree(run.path, tmp_path / "farm")))
    copied.update_environment(labels_from=FROM_MASKS)
    text = card(copied)
    assert "- supervision: image-level labels, which were **read from drawn masks**\n" in text
    assert f"- image-level labels from: {FROM_MASKS}\n" in text


def test_nothing_of_the_machine_is_told(run: Run, run_with_network: Run) -> None:
    assert "secret" not in card(run)
    assert "secret" not in card(run_with_network)


def test_a_model_without_its_run(run: Run, tmp_path: Path) -> None:
    for file in run.model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = str(find_model(tmp_path).load().generate_model_card())
    assert "# NAME\n" in text
    assert "the model was published without its run" in text
    assert "## Scores\n\nNone recorded." in text


def test_a_card_is_never_written_from_another_models_run(
    run: Run, run_with_network: Run, tmp_path: Path
) -> None:
    model = find_model(run.path).load()
    with pytest.raises(SwtformerError, match=r"is no run folder: it has no settings\.yaml"):
        model.generate_model_card(run=tmp_path)
    with pytest.raises(CheckpointError, match=r"trained another network .* its kind is 'segmentation'"):
        model.generate_model_card(run=run_with_network.segmentation)
    with pytest.raises(CheckpointError, match=r"\['cat', 'dog\|wolf', 'cow'\], not 'cam' with .*'sheep'"):
        create_model(run.settings().model, ("cat", "sheep")).generate_model_card(run=run.path)
