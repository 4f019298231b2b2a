from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swtformer.datasets.records import ImageSet, Problem, Record
from swtformer.errors import DataError

RECORDS = (
    Record("a", Path("images/a.jpg"), (0, 2), source="labels.csv:2"),
    Record("b/c", Path("images/b/c.png"), ()),
    Record("d", Path("images/d.jpg"), None, mask=Path("masks/d.png")),
    Record("e", Path("images/e.jpg"), (1,)),
)
LEFT_OUT = Problem("missing_image", False, "labels.csv:5: image 'x' is missing.", "x")
DATA = ImageSet(
    "pets/train", "table", Path("pets"), ("cat", "dog", "owl"), RECORDS, (LEFT_OUT,), split="train"
)


def with_record(position, **changes):
    records = list(RECORDS)
    records[position] = replace(records[position], **changes)
    return replace(DATA, records=tuple(records))


def test_labels_tell_background_from_unknown():
    labels = DATA.labels()
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, [[1, 0, 1], [0, 0, 0], [np.nan] * 3, [0, 1, 0]])


def test_labels_of_nothing():
    assert replace(DATA, records=()).labels().shape == (0, 3)
    assert replace(DATA, classes=(), records=RECORDS[1:3]).labels().shape == (2, 0)


def test_the_fingerprint_is_a_digest_of_classes_ids_and_labels():
    """Runs keep it, so its bytes may not change from one version to the next."""
    told = b"cat\x1fdog\x1fowl\x1ea\x1f(0, 2)\x1eb/c\x1f()\x1ed\x1fNone\x1ee\x1f(1,)"
    assert DATA.fingerprint() == hashlib.sha256(told).hexdigest()


@pytest.mark.parametrize(
    "same",
    [
        replace(DATA, name="other", format="voc", root=Path("elsewhere"), problems=(), split=None),
        with_record(0, image=Path("moved/a.png"), source="list.txt:9"),
        with_record(0, mask=Path("masks/a.png")),
    ],
)
def test_equal_tasks_have_one_fingerprint(same):
    assert same.fingerprint() == DATA.fingerprint()


@pytest.mark.parametrize(
    "other",
    [
        replace(DATA, classes=("dog", "cat", "owl")),
        replace(DATA, classes=(*DATA.classes, "cow")),
        replace(DATA, records=RECORDS[:3]),
        replace(DATA, records=RECORDS[::-1]),
        with_record(0, id="A"),
        with_record(0, present=(0, 1)),
        with_record(1, present=None),
        with_record(2, present=()),
    ],
)
def test_other_tasks_have_other_fingerprints(other):
    assert other.fingerprint() != DATA.fingerprint()


def test_a_subset_keeps_all_but_the_records():
    part = DATA.subset([3, 0])
    assert len(part) == 2
    assert part == replace(DATA, records=(RECORDS[3], RECORDS[0]))
    assert DATA.subset([], name="none") == replace(DATA, records=(), name="none")
    assert len(DATA) == 4


def test_class_index_counts_from_0():
    assert [DATA.class_index(name) for name in DATA.classes] == [0, 1, 2]
    with pytest.raises(DataError, match=r"^Unknown class 'own' in pets/train\. .*'owl'"):
        DATA.class_index("own")
    with pytest.raises(DataError, match=r"class 'zebra' .* Known: cat, dog, owl\."):
        DATA.class_index("zebra")
