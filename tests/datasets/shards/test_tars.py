from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import pytest

from support.shards import write_tar
from swtformer.datasets.shards import tars
from swtformer.datasets.shards.samples import Sample
from swtformer.datasets.shards.tars import read_tar
from swtformer.errors import DataError


def _read(path: Path, *, labelled: bool = True) -> list[Sample]:
    return list(read_tar(path, "s3://b/a.tar", labelled=labelled))


def test_members_of_one_key_are_one_sample(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "a.tar",
        {
            "./one.jpg": b"1",
            "./one.cls": b"2\n",
            "sub/two.JSON": b'{"labels": ["cat"]}',
            "sub/two.seg.png": b"mask",
            "sub/two.PNG": b"2",
            "sub/._two.png": b"of a Mac",
            "three.input.jpg": b"3",
            "__meta__.json": b"{}",
        },
    )
    assert _read(path) == [
        Sample("one", "./one.jpg", b"1", [2]),
        Sample("sub/two", "sub/two.PNG", b"2", {"labels": ["cat"]}),
        Sample("three", "three.input.jpg", b"3"),
    ]
    assert [sample.labels for sample in _read(path, labelled=False)] == [None, None, None]


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ([("a.jpg", b"1"), ("a.png", b"2")], "a: has 2 images, 'jpg' and 'png'"),
        ([("a.jpg", b"1"), ("a.JPG", b"2")], "a: has 2 files of one ending"),
        ([("a.jpg", b"1"), ("a.json", b"{")], r"a\.json: "),
        ([("a.jpg", b"1"), ("a.cls", b"\xff")], r"a\.cls: "),
        ([("a.jpg", b"1"), ("a.cls", b"0" * 99)], r"a\.cls: has 99 bytes; at most 20"),
    ],
)
def test_samples_that_cannot_be_used(
    members: list[tuple[str, bytes]], fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tars, "MOST_LABEL_BYTES", 20)
    found = _read(write_tar(tmp_path / "a.tar", [*members, ("b.jpg", b"3"), ("b.cls", b"1")]))
    assert found[0].image is None
    assert re.search(fault, found[0].fault)
    assert found[1:] == [Sample("b", "b.jpg", b"3", [1])]


def test_links_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("a.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (sample,) = _read(path)
    assert sample.image is None
    assert "is a link" in sample.fault


def test_a_key_without_an_image(tmp_path: Path) -> None:
    (sample,) = _read(write_tar(tmp_path / "a.tar", {"a.cls": b"0"}))
    assert (sample.image, sample.fault) == (None, "")


@pytest.mark.parametrize("kept", [300, 512, 700, 1024, 1536 + 100])
def test_truncated_tars_are_refused(kept: int, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"1" * 600, "b.jpg": b"2"})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"s3://b/a\.tar: is damaged, or not an uncompressed tar"):
        _read(path)


def test_a_damaged_header_is_not_the_end(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"1", "b.jpg": b"2", "c.jpg": b"3"})
    content = bytearray(path.read_bytes())
    content[1024 + 3] ^= 1  # in the name of the second member
    path.write_bytes(content)
    with pytest.raises(DataError, match="byte 1,024 begins neither a file nor the end"):
        _read(path)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b" * 600, b"<html>" * 200])
def test_what_is_no_tar_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged, or not an uncompressed tar"):
        _read(path)


def test_compressed_tars_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"), io.BytesIO())
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="uncompressed"):
        _read(tmp_path / "a.tar")
