"""scores.json is written and read back by one schema."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.scores import scores_of
from swtformer.errors import SwtformerError
from swtformer.store.files import read_json, write_json
from swtformer.store.run import Run
from swtformer.store.scores import (
    ClassificationScore,
    HeldOutScores,
    ImageScore,
    Scores,
    read_held_out_scores,
    read_scores,
    write_held_out_scores,
    write_scores,
)

WHOLE = replace(
    scores_of(("cam", "label_free"), ("rcam", "oracle")),
    scales=(0.5, 1.0),
    flip=True,
    classification=ClassificationScore(0.5, None, {"cat": 0.5, "dog": None}, images=3),
    per_image=(ImageScore("a", 0.5),),
    trained_on=2,
    supervision="corrected",
)


def quoted(*entries: tuple[str, str]) -> list[tuple[str, str]]:
    return [(entry.source, entry.policy) for entry in scores_of(*entries).quoted()]


@pytest.mark.parametrize("scores", [WHOLE, scores_of()])
def test_everything_is_read_back(tmp_path: Path, scores: Scores) -> None:
    write_scores(tmp_path / "scores.json", scores)
    assert read_scores(tmp_path / "scores.json") == scores
    text = (tmp_path / "scores.json").read_text(encoding="utf-8")
    json.loads(text, parse_constant=pytest.fail)  # nan and infinity are not JSON


def test_a_score_names_its_source_and_policy() -> None:
    cam, rcam = WHOLE.segmentation
    assert (cam.source_name, cam.policy_name) == ("CAM", "Label-free threshold")
    assert (rcam.source_name, rcam.policy_name) == ("R-CAM", "Oracle threshold")


def test_each_source_is_quoted_by_its_own_policy() -> None:
    policies = ("oracle", "fixed", "argmax", "label_free")
    entries = [(source, policy) for source in ("cam", "rcam", "refined") for policy in policies]
    assert quoted(*entries) == [("cam", "label_free"), ("rcam", "argmax"), ("refined", "argmax")]


def test_the_oracle_is_quoted_only_alone() -> None:
    assert quoted(("cam", "oracle"), ("cam", "fixed")) == [("cam", "fixed")]
    assert quoted(("cam", "oracle")) == [("cam", "oracle")]


def test_masks_from_elsewhere_are_quoted_with_all_their_pixels() -> None:
    assert quoted(("folder", "decided"), ("folder", "given")) == [("folder", "given")]


def test_held_out_scores_are_read_back(tmp_path: Path) -> None:
    assert read_held_out_scores(Run(tmp_path)) is None
    for miou in (0.5, None):
        scores = HeldOutScores(miou, "masks", "pseudo_masks", training_images=9, validation_images=1)
        write_held_out_scores(Run(tmp_path), scores)
        assert read_held_out_scores(Run(tmp_path)) == scores


def test_no_file_no_scores(tmp_path: Path) -> None:
    assert read_scores(tmp_path / "scores.json") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [({"images": "many"}, "images: "), ({"per_image": [{"id": "a"}]}, "per_image.0.miou: ")],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "scores.json"
    write_scores(path, WHOLE)
    write_json(path, read_json(path) | change)
    with pytest.raises(SwtformerError, match=f"{message}.* `swtformer evaluate`"):
        read_scores(path)
    path.write_text('{"split": ', encoding="utf-8")
    with pytest.raises(SwtformerError, match="cannot be read as JSON"):
        read_scores(path)
    path.rename(Run(tmp_path).scores_file)
    write_json(Run(tmp_path).scores_file, {})
    with pytest.raises(SwtformerError, match=r"validation_miou: .* `swtformer segment`"):
        read_held_out_scores(Run(tmp_path))
