import json

import pytest

from swtformer.errors import SwtformerError
from swtformer.scoring.sheet import ScoreSheet, SegmentationScore, read_scores
from swtformer.store.run import Run

BARE = {"split": "train", "images": 2, "classes": ["background", "cat"], "scored_classes": ["background"]}


def sheet(*entries):
    made = [
        SegmentationScore(source=source, policy=policy, uses_ground_truth=policy == "oracle", miou=0.5)
        for source, policy in entries
    ]
    return ScoreSheet(**BARE, segmentation=made)


def quoted(*entries):
    return [(entry.source, entry.policy) for entry in sheet(*entries).quoted()]


def test_each_source_is_quoted_by_its_own_policy():
    policies = ("oracle", "fixed", "argmax", "label_free")
    entries = [(source, policy) for source in ("cam", "refined") for policy in policies]
    assert quoted(*entries) == [("cam", "label_free"), ("refined", "argmax")]


def test_the_oracle_is_quoted_only_alone():
    assert quoted(("cam", "oracle"), ("cam", "fixed")) == [("cam", "fixed")]
    assert quoted(("cam", "oracle")) == [("cam", "oracle")]


def test_masks_from_elsewhere_are_quoted():
    assert quoted(("folder", "oracle"), ("folder", "given")) == [("folder", "given")]


def test_nan_reads_as_nothing(tmp_path):
    run = Run(tmp_path)
    values = {**BARE, "per_image": [{"id": "a", "miou": float("nan")}]}
    run.scores_file.write_text(json.dumps(values))
    assert read_scores(run).per_image[0].miou is None


def test_no_file_no_scores(tmp_path):
    assert read_scores(Run(tmp_path)) is None


def test_a_file_of_something_else_is_refused(tmp_path):
    run = Run(tmp_path)
    run.scores_file.write_text(json.dumps({**BARE, "images": "many"}))
    with pytest.raises(SwtformerError, match=r"scores.json: images: .* again with `swtformer evaluate`"):
        read_scores(run)


def test_a_truncated_file_is_refused(tmp_path):
    run = Run(tmp_path)
    run.scores_file.write_text('{"split": ')
    with pytest.raises(SwtformerError, match="cannot be read as JSON"):
        read_scores(run)
