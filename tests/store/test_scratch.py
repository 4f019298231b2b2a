from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from swtformer.store.scratch import LOCK, PREFIX, scratch_folder

HOLD = """
import sys
from swtformer.store.scratch import scratch_folder
with scratch_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"), scratch_folder() as folder:
        (folder / "missing" / "a").write_bytes(b"1")
    assert list(tmp_path.iterdir()) == []


def test_folders_of_killed_processes_are_removed_and_others_kept(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}foreign").mkdir()
    processes = [
        subprocess.Popen([sys.executable, "-c", HOLD], stdin=-1, stdout=-1, text=True, env=os.environ)
        for _ in range(2)
    ]
    killed, living = processes
    folders = [Path(each.stdout.readline().strip()) for each in processes]  # type: ignore[union-attr]
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert all(folder.is_dir() for folder in folders)
    with scratch_folder():
        assert [folder.is_dir() for folder in folders] == [False, True]
    assert (tmp_path / f"{PREFIX}foreign").is_dir()
    living.communicate("")
    assert not folders[1].is_dir()


def test_what_a_thread_still_writes_is_removed_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove_and_be_written_to(folder: Path, *, ignore_errors: bool) -> None:
        (folder / LOCK).unlink()
        (folder / "late").write_bytes(b"1")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", remove_and_be_written_to)
        with scratch_folder() as first:
            pass
    assert (first / "late").is_file()
    with scratch_folder():
        assert not first.exists()
