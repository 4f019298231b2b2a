"""Read folders and zip files of unknown origin. Nothing is unpacked, and no name can point outside.

Each file is read up to a limit that its reader sets, so a zip bomb costs no memory.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swtformer.datasets.files import ZIP_DAMAGE, require_unpacked_size
from swtformer.errors import DataError
from swtformer.safe_names import safe_name

TEXT_BYTES = 64 * 2**20
"""Largest list or table that is read."""


class Folder:
    """The files in a folder; a link to a file outside is refused when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = tuple(
            sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
        )

    def read(self, name: str, limit: int) -> bytes:
        """Content of one file.

        Raises:
            DataError: it has more than `limit` bytes, cannot be read, or is a link to a file outside.
        """
        file = self.path / name
        if not file.resolve().is_relative_to(self.path.resolve()):
            raise DataError(f"{file}: is a link to a file outside {self.path}; put the file itself there.")
        try:
            size = file.stat().st_size
            if size > limit:
                raise DataError(f"{file}: has {size:,} bytes; at most {limit:,} are read.")
            return file.read_bytes()
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror}.") from error

    def start(self, name: str, count: int) -> bytes:
        """The first bytes of one file; none of a link to a file outside.

        Raises:
            DataError: it cannot be read.
        """
        file = self.path / name
        if not file.resolve().is_relative_to(self.path.resolve()):
            return b""
        try:
            with file.open("rb") as stream:
                return stream.read(count)
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror}.") from error


class Zip:
    """The files in a zip archive."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        names = [name for name in archive.namelist() if not name.endswith("/")]
        for name in names:
            try:
                is_safe = safe_name(name) == name
            except ValueError as error:
                raise DataError(f"{path}: {error}. The archive is refused.") from None
            if not is_safe:
                raise DataError(
                    f"{path}: holds the file name {name!r}, not a plain path. The archive is refused."
                )
        if len(set(names)) < len(names):
            raise DataError(f"{path}: holds two files of the same name. The archive is refused.")
        self.names = tuple(sorted(names))

    def read(self, name: str, limit: int) -> bytes:
        """Content of one file.

        Raises:
            DataError: it has more than `limit` bytes, was packed to fill the memory, is damaged or encrypted.
        """
        require_unpacked_size(self._archive.getinfo(name), f"{self.path}: {name}", limit)
        try:
            # zipfile stops at the size that was just checked, whatever the stream holds.
            return self._archive.read(name)
        except ZIP_DAMAGE as error:
            raise DataError(f"{self.path}: {name} cannot be read ({error}).") from error

    def start(self, name: str, count: int) -> bytes:
        """The first bytes of one file.

        Raises:
            DataError: it is damaged or encrypted.
        """
        try:
            with self._archive.open(name) as stream:
                return stream.read(count)
        except ZIP_DAMAGE as error:
            raise DataError(f"{self.path}: {name} cannot be read ({error}).") from error


Tree = Folder | Zip


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """Open a folder or a zip file for reading.

    Raises:
        DataError: it is neither, is damaged, or holds names that are absolute, duplicate or point outside.
    """
    if path.is_dir():
        yield Folder(path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except ZIP_DAMAGE as error:
        raise DataError(f"{path}: is not a complete zip file ({error}).") from error
    with archive:
        yield Zip(path, archive)


def read_text(tree: Tree, name: str, limit: int = TEXT_BYTES) -> str:
    """UTF-8 text of one file, without byte-order mark.

    Raises:
        DataError: it is not UTF-8, or has more than `limit` bytes.
    """
    try:
        return tree.read(name, limit).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{tree.path}: {name} is not UTF-8 text.") from None


def root_of(tree: Tree, folder: str) -> str:
    """The path that leads to a folder of this name: "" or "top/".

    Zipping a folder instead of its content adds a level, so the shallowest place counts.

    Raises:
        DataError: there is none.
    """
    all_parts = (name.split("/")[:-1] for name in tree.names)
    places = [parts[: parts.index(folder)] for parts in all_parts if folder in parts]
    if not places:
        raise DataError(f"{tree.path}: holds no folder {folder}.")
    return "".join(f"{part}/" for part in min(places, key=len))


def roots_of(tree: Tree, folder: str) -> list[str]:
    """The paths that lead to the shallowest folders of this name, such as "train/" and "valid/".

    Raises:
        DataError: there is none.
    """
    depth = root_of(tree, folder).count("/")
    all_parts = (name.split("/")[:-1] for name in tree.names)
    places = {tuple(parts[:depth]) for parts in all_parts if parts[depth : depth + 1] == [folder]}
    return ["".join(f"{part}/" for part in place) for place in sorted(places)]


def has_folder(path: Path, folder: str) -> bool:
    """Whether a folder or zip file holds a folder of this name; False if it cannot be opened."""
    if path.is_file() and not zipfile.is_zipfile(path):
        return False
    try:
        with open_tree(path) as tree:
            root_of(tree, folder)
    except (DataError, OSError):
        return False
    return True


def relative_files(tree: Tree, prefix: str, suffix: str) -> dict[str, str]:
    """Files with a suffix in a folder of a tree, by their path relative to it without the suffix."""
    return {
        name[len(prefix) : -len(suffix)]: name
        for name in tree.names
        if name.startswith(prefix) and name.lower().endswith(suffix) and not _is_hidden(name)
    }


def _is_hidden(name: str) -> bool:
    """Files that macOS adds: ``__MACOSX/…`` and ``._x``."""
    return name.startswith("__MACOSX/") or os.path.basename(name).startswith(".")
