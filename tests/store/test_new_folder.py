"""Folders that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swtformer.errors import SwtformerError
from swtformer.store.files import new_folder


def test_the_current_folder_and_its_parents_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "around" / "here"
    place.mkdir(parents=True)
    (tmp_path / "link").symlink_to(place)
    monkeypatch.chdir(place)
    for out in (Path("."), Path(".."), place, tmp_path / "link", Path("/")):
        refused = pytest.raises(SwtformerError, match="is the current folder or a parent of it")
        with refused, new_folder(out, replaces=lambda _: True):
            pass
    for out, folder in ((Path("inner/../new"), place / "new"), (Path("../beside"), place / "../beside")):
        with new_folder(out):
            pass
        assert folder.is_dir()


def test_a_folder_takes_its_name_when_its_block_ends(tmp_path: Path) -> None:
    out = tmp_path / "not there yet" / "out"
    with new_folder(out) as folder:
        (folder / "a.txt").write_text("a")
        assert folder.parent == out.parent
        assert not out.exists()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == [
        "not there yet",
        "not there yet/out",
        "not there yet/out/a.txt",
    ]


def test_what_an_earlier_stop_left_is_not_taken_over(tmp_path: Path) -> None:
    left = tmp_path / ".out.partial"
    left.mkdir()
    (left / "half.png").touch()
    with new_folder(tmp_path / "out") as folder:
        (folder / "whole.png").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "whole.png"]


def test_a_block_that_fails_leaves_nothing_and_its_own_error(tmp_path: Path) -> None:
    def fail_halfway() -> None:
        with new_folder(tmp_path / "out") as folder:
            (folder / "a.txt").touch()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail_halfway()
    assert list(tmp_path.iterdir()) == []


def test_what_lies_at_the_place_is_kept(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    for name in ("full", "file", "link"):
        refused = pytest.raises(SwtformerError, match=f"{name}: already holds something")
        with refused, new_folder(tmp_path / name, replaces=lambda folder: folder.name != "full"):
            pass
    assert sorted(tmp_path.rglob("*")) == before


def test_what_may_be_replaced_stays_until_the_new_folder_is_complete(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old.txt").touch()
    with new_folder(out, replaces=lambda folder: (folder / "old.txt").is_file()) as folder:
        (folder / "new.txt").touch()
        assert os.listdir(out) == ["old.txt"]
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["out", "out/new.txt"]


def test_a_folder_that_was_set_aside_is_put_back(tmp_path: Path) -> None:
    """As if the process had been killed between the last two steps."""
    (tmp_path / ".out.old").mkdir()
    (tmp_path / ".out.old" / "mine.txt").touch()
    refused = pytest.raises(SwtformerError, match="out: already holds something")
    with refused, new_folder(tmp_path / "out"):
        pass
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(tmp_path / "out") == ["mine.txt"]


@pytest.mark.parametrize(
    ("name", "reason"), [("a file/out", "Not a directory"), ("x" * 300, "File name too long")]
)
def test_a_place_that_cannot_be_written_is_named(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    refused = pytest.raises(SwtformerError, match=f"{name}: cannot be written: {reason}")
    with refused, new_folder(tmp_path / name):
        pass
