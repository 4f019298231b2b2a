from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from swtformer.datasets import open_dataset
from swtformer.datasets.shapes import draw_shapes
from swtformer.errors import DataError, SwtformerError
from swtformer.settings import DataSettings

AUTO = DataSettings()


@pytest.fixture
def shapes(tmp_path, write_images, write_mask):
    """A folder as the drawn set leaves it: two images of train, one of val."""
    write_images(tmp_path / "images", ["0.png", "1.png", "2.png"])
    for name in "012":
        write_mask(tmp_path / "masks" / f"{name}.png", 1)
    (tmp_path / "labels.csv").write_text("image,labels\n0.png,star\n1.png,\n2.png,disc\n")
    about = {"classes": ["star", "disc", "ring"], "splits": {"train": ["0", "1"], "val": ["2"]}}
    (tmp_path / "shapes.json").write_text(json.dumps(about))
    return tmp_path


def test_splits_classes_and_masks(shapes):
    train, val = open_dataset(shapes, AUTO), open_dataset(shapes, AUTO, split="val")
    assert (train.format, train.split, train.name) == ("shapes", "train", f"{shapes.name}/train")
    assert train.classes == ("star", "disc", "ring")
    assert [(record.id, record.present) for record in train.records] == [("0", (0,)), ("1", ())]
    assert [(record.id, record.mask) for record in val.records] == [("2", shapes / "masks" / "2.png")]
    assert len(open_dataset(shapes, AUTO, split="all")) == 3


def test_a_drawn_set(tmp_path):
    draw_shapes(tmp_path / "drawn", count=6, size=(32, 40), seed=3)
    train, val = (open_dataset(tmp_path / "drawn", AUTO, split=split) for split in ("train", "val"))
    assert len(train) + len(val) == 6
    assert {p.kind for p in (*train.problems, *val.problems)} <= {"class_without_images"}
    for record in (*train.records, *val.records):
        values = set(np.unique(np.asarray(Image.open(record.mask))).tolist()) - {0}
        assert values == {index + 1 for index in record.present}


def test_masks_can_be_missing(shapes):
    for file in (shapes / "masks").iterdir():
        file.unlink()
    (shapes / "masks").rmdir()
    assert open_dataset(shapes, AUTO).records[0].mask is None


def test_a_split_without_images_is_refused(shapes):
    (shapes / "shapes.json").write_text('{"classes": ["star", "disc"], "splits": {"train": ["7"]}}')
    with pytest.raises(DataError, match=r"in the split 'train' of shapes\.json"):
        open_dataset(shapes, AUTO)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "expected .* Draw the set again"),
        ('{"classes": ["star", 1.5]}', r"classes\.1: expected a valid string"),
        ('{"classes": ["star"], "splits": {"train": 3}}', r"splits\.train: expected a valid tuple"),
    ],
)
def test_a_damaged_description_is_refused(shapes, text, message):
    (shapes / "shapes.json").write_text(text)
    with pytest.raises(SwtformerError, match=message):
        open_dataset(shapes, AUTO)
