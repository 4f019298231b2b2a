from __future__ import annotations

import os

from swtformer.datasets.folders.same_pictures import equal_files


def test_files_of_equal_content(tmp_path):
    large = b"x" * 200_000
    contents = {
        "a": b"cat",
        "b": b"dog",
        "c": b"cat",
        "d": large + b"1" + large,
        "e": large + b"2" + large,
        "f": large + b"1" + large,
        "g": b"cat",
        "h": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe2")
    files = [tmp_path / name for name in ("g", *"abcdefh", "pipe", "pipe2", "gone")]
    found = {tuple(file.name for file in group) for group in equal_files(files, lambda file: file)}
    assert found == {("g", "a", "c"), ("d", "f")}
