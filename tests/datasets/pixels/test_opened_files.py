"""What is refused before or while a decoder runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swtformer.datasets.pixels.opened_files import (
    MAX_PIXELS,
    UnclearPixels,
    opened,
    read_file,
    refuse_other_format,
    refusing,
    require_size,
)
from swtformer.errors import DataError, ImageError


def test_a_regular_file_is_read_and_others_are_not(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"content")
    assert read_file(file) == b"content"
    with pytest.raises(ImageError, match="is a folder"):
        read_file(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(ImageError, match="is empty"):
        read_file(tmp_path / "empty")
    with pytest.raises(ImageError, match="has 7 bytes; at most 6"), opened(file, max_bytes=6):
        pass
    with opened(file, max_bytes=None) as stream:
        assert stream.read(3) == b"con"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageError, match="is a pipe"):
        read_file(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (FileNotFoundError(), ImageError, "a.png: does not exist"),
        (UnclearPixels("has 5 bands"), ImageError, "a.png: has 5 bands."),
        (PermissionError(13, "Permission denied"), ImageError, "cannot be read: Permission denied"),
        (SyntaxError("broken"), ImageError, "cannot be decoded: broken. Replace the file"),
        (KeyError(), ImageError, "cannot be decoded: KeyError"),
        (DataError("of a table"), DataError, "^of a table$"),
        (NameError("ours"), NameError, "ours"),
    ],
)
def test_what_decoders_raise(error: Exception, expected: type[Exception], message: str) -> None:
    with pytest.raises(expected, match=message), refusing(Path("a.png")):
        raise error


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (MAX_PIXELS, 2)])
def test_sizes_that_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="its header claims"):
        require_size(*size)
    require_size(1, MAX_PIXELS)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (bytes(128) + b"DICM", "is DICOM. Save its slices"),
        (b"%PDF-1.7", "is PDF"),
        (b"\xef\xbb\xbf \n<svg xmlns", "is SVG"),
        (b"<!doctype html>", "is a web page or XML"),
        (b"\0\0\0\x20ftypisom", "is a video"),
        (b"version https://git-lfs.github.com/spec/v1", "pointer of Git LFS"),
        (b"nothing known", "expected JPEG, PNG.* begins with b'nothing known'"),
    ],
)
def test_other_formats_are_named(start: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        refuse_other_format(Path("a.png"), start)


def test_a_damaged_header_of_our_own_formats() -> None:
    with pytest.raises(ValueError, match="its header is damaged"):
        refuse_other_format(Path("a.png"), b"\x89PNG broken")
