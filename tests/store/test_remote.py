"""On fsspec's memory file system, on this machine, and against a local server of the S3 protocol."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.buckets import s3_bucket as s3_bucket
from swtformer.errors import SwtformerError
from swtformer.store.remote import DiskFullError, RemoteFolder, find_files

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def memory() -> Iterator[Any]:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


@pytest.fixture(params=["memory", "local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty folder."""
    if request.param == "local":
        return str(tmp_path / "place")
    if request.param == "memory":
        request.getfixturevalue("memory")
        return "memory://place"
    return str(request.getfixturevalue("s3_bucket"))


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "content"
    path.write_bytes(content)
    return path


def test_what_is_put_is_found_read_and_fetched(place: str, tmp_path: Path) -> None:
    folder = RemoteFolder(f"{place}/out/")
    assert folder.sizes() == {}
    for name, content in (("a-1.tar", b"one"), ("deep/a-2.tar", b"twice"), ("note.json", b"{}")):
        folder.put(_file(tmp_path, content), name)
    assert folder.sizes() == {"a-1.tar": 3, "deep/a-2.tar": 5, "note.json": 2}
    assert list(folder.read(["note.json", "a-1.tar"])) == [b"{}", b"one"]
    found = find_files(f"{place}/out/**/*.tar")
    assert [file.name for file in found] == ["a-1.tar", "deep/a-2.tar"]
    assert found[0].address == folder.file("a-1.tar")
    found[1].fetch(tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == b"twice"
    folder.remove("note.json")
    assert "note.json" not in folder.sizes()


def test_one_file_is_called_by_its_name(place: str, tmp_path: Path) -> None:
    RemoteFolder(place).put(_file(tmp_path, b"one"), "deep/a.tar")
    assert [file.name for file in find_files(f"{place}/deep/a.tar")] == ["a.tar"]
    assert [file.name for file in find_files(f"{place}/d*/a.tar")] == ["deep/a.tar"]


def test_the_stamp_follows_the_content(place: str, tmp_path: Path) -> None:
    folder = RemoteFolder(place)
    folder.put(_file(tmp_path, b"one"), "a")
    (first,) = find_files(f"{place}/a")
    assert find_files(f"{place}/*") == [first]
    folder.put(_file(tmp_path, b"other"), "a")
    assert find_files(f"{place}/a")[0].stamp != first.stamp


def test_a_folder_stands_for_all_below_it(place: str, tmp_path: Path) -> None:
    for name in ("a.jpg", "b/c.jpg"):
        RemoteFolder(f"{place}/photos").put(_file(tmp_path, b"one"), name)
    for folder in (f"{place}/photos", f"{place}/photos/"):
        assert [file.name for file in find_files(folder)] == ["a.jpg", "b/c.jpg"]


def test_a_full_disk_is_told(memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RemoteFolder("memory://place").put(_file(tmp_path, b"one"), "a.tar")
    (file,) = find_files("memory://place/a.tar")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(memory), "get_file", full)
    with pytest.raises(DiskFullError, match=r"no space left\. Set TMPDIR"):
        file.fetch(tmp_path / "a.tar")


def test_nothing_partial_under_a_final_name(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RemoteFolder("memory://place")
    folder.put(_file(tmp_path, b"before"), "a.tar")

    def put_half(_: str, path: str, **__: Any) -> None:
        memory.pipe_file(path, b"ha")
        raise OSError("connection reset")

    monkeypatch.setattr(type(memory), "put_file", lambda _, *args, **options: put_half(*args, **options))
    with pytest.raises(SwtformerError, match=r"a\.tar: cannot be written: connection reset"):
        folder.put(_file(tmp_path, b"after"), "a.tar")
    assert memory.cat_file("/place/a.tar") == b"before"


def test_nothing_partial_stays_where_a_copy_fails(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("connection lost")

    monkeypatch.setattr(type(memory), "mv", broken)
    with pytest.raises(SwtformerError, match=r"out/a\.tar: cannot be written: .*connection lost"):
        RemoteFolder("memory://place/out").put(_file(tmp_path, b"1"), "a.tar")
    assert memory.find("/place") == []


def test_what_is_missing_is_named(place: str, tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match=r"\*\.tar: no such file"):
        find_files(f"{place}/*.tar")
    folder = RemoteFolder(place)
    folder.put(_file(tmp_path, b"one"), "a")
    (file,) = find_files(f"{place}/a")
    folder.remove("a")
    with pytest.raises(SwtformerError, match="a: cannot be fetched"):
        file.fetch(tmp_path / "fetched")
    with pytest.raises(SwtformerError, match="cannot be read"):
        list(folder.read(["a"]))


def test_a_bucket_is_never_made_for_a_slip(s3_bucket: str, tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match=r"s3://no-such-bucket/out/a: cannot be written.*not exist"):
        RemoteFolder("s3://no-such-bucket/out").put(_file(tmp_path, b"one"), "a")


def test_unknown_protocols_and_missing_libraries_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SwtformerError, match=r"is not an address that can be opened: .*nope"):
        find_files("nope://bucket/a")
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(SwtformerError, match=r"pip install 'swtformer\[remote\]'"):
        find_files("s3://bucket/a")
