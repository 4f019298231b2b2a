"""A run with a trained-looking model, scores and a segmentation network, as the stages leave it."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.segmentation import create_network
from swtformer.settings import Settings, validate
from swtformer.store.files import write_json
from swtformer.store.notes import update_training_notes
from swtformer.store.run import Run
from swtformer.store.scores import (
    ClassificationScore,
    HeldOutScores,
    Scores,
    SegmentationScore,
    write_held_out_scores,
    write_scores,
)

CLASSES = ("cat", "dog|wolf", "cow")
SETTINGS = {
    "seed": 7,
    "model": {"method": "swtformer_v1", "backbone": "mobilenetv2_035", "weights": "none", "drop_path": 0},
    "segment": {"encoder": "test_resnet", "decoder": "fpn", "weights": "none", "long_side_px": None},
}


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A V1 run with scores; tests must not change it."""
    torch.manual_seed(0)
    settings = validate(Settings, SETTINGS, where="test")
    run = Run(tmp_path_factory.mktemp("runs") / "farm")
    run.write_settings(settings)
    write_json(run.classes_file, CLASSES)
    update_training_notes(
        run,
        data="/home/anna/secret/farm",
        data_name="farm/train",
        data_fingerprint="f1ngerpr1nt",
        labels_from="labels.csv",
        training_images=120,
        validation_images=13,
        seed=7,
        commands=["swtformer train /home/anna/secret/farm --out runs/farm"],
    )
    save_pretrained(create_model(settings.model, CLASSES), run.model)
    cam = SegmentationScore("cam", "label_free", 0.31, False, 0.4567, iou={}, absent=0)
    write_scores(
        run.scores_file,
        Scores(
            split="farm/val",
            images=40,
            ground_truth="/home/anna/secret/truth",
            labels_from="labels.csv",
            predictions="/home/anna/secret/maps",
            classes=("background", *CLASSES),
            scored_classes=("background", *CLASSES),
            scales=(0.5, 1.0),
            flip=True,
            segmentation=(
                cam,
                replace(cam, policy="oracle", threshold=0.28, uses_ground_truth=True, miou=0.47),
            ),
            classification=ClassificationScore(0.9, None, ap={}, images=40),
            per_image=(),
            skipped=0,
            missing=0,
        ),
    )
    return run


@pytest.fixture(scope="session")
def run_with_network(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy of the run, with a segmentation network."""
    torch.manual_seed(0)
    copied = Run(tmp_path_factory.mktemp("runs") / "farm")
    shutil.copytree(run.path, copied.path)
    trained = Run(copied.segmentation)
    settings = copied.settings()
    trained.write_settings(settings)
    update_training_notes(
        trained,
        data_name="farm/train",
        masks="/home/anna/secret/masks",
        masks_fingerprint="m4sks",
        supervision="pseudo_masks",
    )
    create_network(settings.segment, CLASSES).write(trained.model)
    write_held_out_scores(trained, HeldOutScores(0.61, "/home/anna/secret", "pseudo_masks", 109, 11))
    return copied
