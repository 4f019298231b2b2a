from __future__ import annotations

from pathlib import Path

import pytest

from support.shards import write_parquet, write_tar
from swtformer.datasets.shards import sources
from swtformer.datasets.shards.samples import Sample
from swtformer.datasets.shards.sources import Archive, Group, find_sources
from swtformer.errors import DataError, SwtformerError

pytest.importorskip("fsspec")


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def test_archives_are_read_by_their_endings(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    write_tar(tmp_path / "in" / "a.tar", {"a.jpg": b"1"})
    write_parquet(tmp_path / "in" / "b.parquet", {"image": [b"2"]})
    _touch(tmp_path / "in", "README.md")
    first, second = find_sources(str(tmp_path / "in"), results="/out")
    assert isinstance(first, Archive)
    assert (first.name, second.name) == ("a.tar", "b.parquet")
    for source, sample in (
        (first, Sample("a", "a.jpg", b"1")),
        (second, Sample("000000", "row 0, 000000", b"2")),
    ):
        source.fetch(tmp_path / "fetched")
        assert list(source.samples(tmp_path / "fetched", labelled=False)) == [sample]


def test_images_of_a_folder_come_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "GROUPED", 2)
    folder = tmp_path / "photos"
    _touch(folder, "c.PNG", "a.jpg", "sub/b.1.jpg", "notes.txt", ".hidden.jpg")
    first, second = find_sources(f"{folder}/**", results="/out")
    assert isinstance(first, Group)
    assert (first.name, second.name) == ("photos-000000.tar", "photos-000001.tar")
    first.fetch(tmp_path / "fetched")
    assert list(first.samples(tmp_path / "fetched", labelled=True)) == [
        Sample("a", "a.jpg", b"a.jpg"),
        Sample("c", "c.PNG", b"c.PNG"),
    ]
    assert [sample.key for sample in _fetched(second, tmp_path)] == ["sub/b.1"]
    before = first.stamp, second.stamp
    (folder / "sub/b.1.jpg").write_bytes(b"other content")
    first, second = find_sources(f"{folder}/**", results="/out")
    assert (first.stamp == before[0], second.stamp == before[1]) == (True, False)


def _fetched(source: sources.Source, folder: Path) -> list[Sample]:
    source.fetch(folder / "second")
    return list(source.samples(folder / "second", labelled=False))


def test_an_image_that_is_gone_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    _touch(folder, "a.jpg", "b.jpg")
    (group,) = find_sources(str(folder), results="/out")
    (folder / "a.jpg").unlink()
    gone, there = _fetched(group, tmp_path)
    assert gone.image is None
    assert "a.jpg: cannot be fetched" in gone.fault
    assert there.image == b"b.jpg"


def test_a_mixture_and_nothing_are_refused(tmp_path: Path) -> None:
    _touch(tmp_path, "mixed/a.tar", "mixed/b.jpg", "other/notes.txt")
    with pytest.raises(DataError, match=r"a\.tar is a shard and .*b\.jpg an image"):
        find_sources(str(tmp_path / "mixed"), results="/out")
    with pytest.raises(DataError, match=r"notes\.txt is neither a shard"):
        find_sources(str(tmp_path / "other"), results="/out")
    with pytest.raises(SwtformerError, match="no such file"):
        find_sources(str(tmp_path / "missing"), results="/out")


def test_results_below_the_folder_are_left_out(tmp_path: Path) -> None:
    _touch(tmp_path, "photos/a.jpg", "photos/masks/photos-000000.tar", "shards/a.tar", "shards/masks/a.tar")
    (group,) = find_sources(str(tmp_path / "photos"), results=str(tmp_path / "photos" / "masks"))
    assert [file.name for file in group.files] == ["a.jpg"]
    pattern, below = f"{tmp_path}/shards/**/*.tar", f"{tmp_path}/shards/masks/"
    assert [each.name for each in find_sources(pattern, results=below)] == ["a.tar"]
    # That these would be overwritten is for the caller to say.
    assert [each.name for each in find_sources(f"{tmp_path}/shards/*.tar", results=f"{tmp_path}/shards")] == [
        "a.tar"
    ]
    with pytest.raises(DataError, match="nothing but results"):
        find_sources(f"{tmp_path}/shards/masks*/*.tar", results=below)
