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
from swtformer.run import Run, read_json, write_json


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


def test_a_segmentation_network(run_with_network: Run) -> None:
    text = card(run_with_network)
    assert 'SegmentationNetwork.from_pretrained("anna/farm")' in text
    assert "to (B, 4, H, W)" in text
    assert "pseudo-masks made from image-level labels; no drawn mask was used" in text
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
