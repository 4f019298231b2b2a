from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.datasets.shards.samples import Sample, Unpacked, unpack
from swtformer.errors import DataError


def _unpack(samples: list[Sample], folder: Path, *, labelled: bool = True) -> Unpacked:
    return unpack(samples, folder / "new", shown="s3://b/a.tar", classes=("cat", "dog"), labelled=labelled)


def test_images_lie_in_the_folder_under_numbers(tmp_path: Path) -> None:
    samples = [Sample("sub/ä", "sub/ä.JPG", b"1", "dog"), Sample("b" * 300, "row 1", b"2", [])]
    unpacked = _unpack(samples, tmp_path)
    first, second = unpacked.images.records
    assert (first.id, first.image.name, first.image.read_bytes()) == ("000000000", "000000000.jpg", b"1")
    assert (second.id, second.image.name) == ("000000001", "000000001")
    assert (first.present, second.present) == ((1,), ())
    assert unpacked.keys == {"000000000": "sub/ä", "000000001": "b" * 300}
    assert unpacked.names["000000000"] == "sub/ä.JPG"
    assert (unpacked.images.name, unpacked.images.classes) == ("s3://b/a.tar", ("cat", "dog"))
    assert unpacked.faults == ()


def test_samples_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    samples = [
        Sample("a", "a.jpg", b"1", "cow"),
        Sample("b", "b.jpg", b"2"),
        Sample("c", "c", None, "cat"),
        Sample("d", "d.jpg", b"4", fault="d.jpg: is odd"),
        Sample("../../e", "../../e.jpg", b"5", "cat"),
        Sample("/f", "/f.jpg", b"6", "cat"),
        Sample("g", "g.jpg", b"7", "cat"),
    ]
    unpacked = _unpack(samples, tmp_path)
    assert [record.image.name for record in unpacked.images.records] == ["000000006.jpg"]
    keys, reasons = zip(*unpacked.faults, strict=True)
    assert keys == ("a", "b", "c", "d", "../../e", "/f")
    words = ("unknown class", "has no labels", "has no image", "is odd", "leaves the images", "absolute path")
    assert all(word in reason for word, reason in zip(words, reasons, strict=True))
    assert [path.name for path in tmp_path.rglob("*.jpg")] == ["000000006.jpg"]


def test_labels_that_are_not_wanted_are_not_looked_at(tmp_path: Path) -> None:
    unpacked = _unpack([Sample("a", "a.jpg", b"1", "cow")], tmp_path, labelled=False)
    assert [record.present for record in unpacked.images.records] == [None]


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        ([], "holds no images"),
        (
            [Sample("a", "a.jpg", b"1"), Sample("b", "b.jpg", b"1")],
            "holds no labels.*localize.classes predicted",
        ),
        ([Sample("a/b", "a/b.jpg", b"1", "cat"), Sample("a//b", "a//b.jpg", b"1", "cat")], "'a/b' twice"),
    ],
)
def test_shards_that_cannot_be_used_are_refused(samples: list[Sample], match: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=match):
        _unpack(samples, tmp_path)
