from __future__ import annotations

import os
import socket

import pytest

from swtformer.datasets import files as files_module
from swtformer.datasets.files import files_below, image_files_below, opened, read_start, some_files
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError


@pytest.fixture
def odd(tmp_path):
    """A folder with one ordinary file, and everything else that can lie in a folder."""
    root = tmp_path / "data"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "a.jpg").write_bytes(b"a")
    os.mkfifo(root / "pipe.jpg")
    (root / "loop.jpg").symlink_to("loop.jpg")
    (root / "gone.jpg").symlink_to("nowhere.jpg")
    (root / "deep" / "up").symlink_to(root)
    (root / "alias.jpg").symlink_to(root / "deep" / "a.jpg")
    (root / "device.jpg").symlink_to("/dev/zero")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b.jpg").write_bytes(b"b")
    (root / "far").symlink_to(outside)
    (root / "b.jpg").symlink_to(outside / "b.jpg")
    server = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(root)  # names of sockets are short
    server.bind("socket.jpg")
    os.chdir(here)
    server.close()
    return root


def test_links_stay_inside_and_loops_end(odd):
    problems = Problems()
    assert files_below(odd, problems) == [
        "alias.jpg",
        "deep/a.jpg",
        "gone.jpg",
        "loop.jpg",
        "pipe.jpg",
        "socket.jpg",
    ]
    (warning,) = problems.warnings
    assert "3 links that lead out" in warning.message
    assert "'b.jpg'" in warning.message


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    (tmp_path / "secret").mkdir()
    scandir = os.scandir

    def refuse(folder):
        if "secret" in os.fspath(folder):
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="secret/: cannot be read: Permission denied"):
        files_below(tmp_path, Problems())


def test_photographs_may_be_linked_from_anywhere(odd):
    names = {file.relative_to(odd).as_posix() for file in image_files_below(odd)}
    assert {"far/b.jpg", "b.jpg", "deep/a.jpg", "pipe.jpg"} <= names


def test_some_files_are_regular_ones(odd, monkeypatch):
    assert [file.name for file in some_files(odd, {".jpg"})] == ["alias.jpg", "b.jpg", "a.jpg"]
    assert len(some_files(odd, {".jpg"}, most=1)) == 1
    monkeypatch.setattr(files_module, "LOOKED_AT", 3)
    assert "a.jpg" not in [file.name for file in some_files(odd, {".jpg"})]


@pytest.mark.parametrize("name", ["pipe.jpg", "socket.jpg", "device.jpg", "deep"])
def test_only_regular_files_are_opened(odd, name):
    with pytest.raises(DataError, match=f"{name}: is not a regular file"), opened(odd / name):
        pass
    assert read_start(odd / name, 10) == b""


@pytest.mark.parametrize("name", ["loop.jpg", "gone.jpg"])
def test_links_to_nowhere_cannot_be_read(odd, name):
    with pytest.raises(DataError, match=f"{name}: cannot be read"), opened(odd / name):
        pass


def test_large_files_are_refused(tmp_path):
    (tmp_path / "a.xml").write_bytes(b"12345")
    assert read_start(tmp_path / "a.xml", 2) == b"12"
    with pytest.raises(DataError, match="has 5 bytes; at most 4"), opened(tmp_path / "a.xml", most_bytes=4):
        pass
