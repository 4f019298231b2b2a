"""Finds and opens the files of a data set: links stay inside it, and only regular files are opened."""

from __future__ import annotations

import itertools
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from swtformer.datasets.paths import is_folder, is_image_name
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError

LEFT_OUT = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "Thumbs.db", "desktop.ini"})
"""Files and folders that operating systems add; hidden ones are left out as well."""

BOMB_BYTES, BOMB_TIMES = 2**24, 100

ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError, ValueError)
"""What reading a zip file raises; RuntimeError for encryption and unknown compression."""

LOOKED_AT = 50_000
"""Entries of folders that `some_files` looks at."""


def image_files_below(base: Path) -> Iterator[Path]:
    """Files below a folder that are images by their extension, unsorted; links are followed once."""
    return (base / name for name, _ in _walk(base, lambda _: True) if is_image_name(name.rpartition("/")[2]))


def files_below(root: Path, problems: Problems) -> list[str]:
    """Files below a folder as relative paths with slashes, sorted by folder.

    Hidden ones are left out, and so are links that lead out of it. Pipes and devices are listed too: whoever
    opens a file has to refuse them (see `opened`).
    """
    real = os.path.realpath(root)
    found: list[str] = []
    links_out: list[str] = []
    for name, is_link in _walk(root, lambda folder: _is_inside(folder, real)):
        (links_out if is_link and not _is_inside(os.path.join(root, name), real) else found).append(name)
    if links_out:
        message = (
            f"{root}: {len(links_out)} links that lead out of the data set are left out; the first is "
            f"{min(links_out)!r}. Put the files themselves there."
        )
        problems.warn("link_out", message)
    return sorted(found, key=lambda name: name.split("/"))


def outside(names: Sequence[str], root: Path, folder: Path | None) -> list[str]:
    """The names, paths below `root`, of files that do not lie in a folder."""
    if folder is None or not folder.resolve().is_relative_to(root.resolve()):
        return list(names)
    prefix = folder.resolve().relative_to(root.resolve()).as_posix() + "/"
    return [name for name in names if not name.startswith(prefix)]


def some_files(root: Path, suffixes: Collection[str], *, most: int = 20) -> list[Path]:
    """The first regular files below a folder that have one of these suffixes (lower case).

    It answers quickly for folders of any size: it looks at `LOOKED_AT` entries and then gives up.
    """
    found: list[str] = []
    folders = [os.fspath(root)]
    left = LOOKED_AT
    while folders and left > 0 and len(found) < most:
        below: list[str] = []
        for folder in folders:
            try:
                with os.scandir(folder) as scan:
                    entries = list(itertools.islice(scan, left))
            except OSError:
                continue
            left -= len(entries)
            kept = [entry for entry in entries if not _is_left_out(entry.name)]
            below += sorted(entry.path for entry in kept if entry.is_dir(follow_symlinks=False))
            fitting = (entry.path for entry in kept if os.path.splitext(entry.name)[1].lower() in suffixes)
            found += filter(os.path.isfile, sorted(fitting))
            if left <= 0 or len(found) >= most:
                break
        folders = below
    return [Path(path) for path in found[:most]]


def require_unpacked_size(member: zipfile.ZipInfo, where: str, most_bytes: int) -> None:
    """Refuse a file of an archive that is too large, or that was packed to fill the memory.

    Label files shrink to a tenth or a thirtieth; deflate packs a file that was made for it a thousandfold.

    Raises:
        DataError: it unpacks to more than `most_bytes`, or to 16 MiB and 100 times its packed size.
    """
    size = member.file_size
    if size > most_bytes:
        raise DataError(f"{where} unpacks to {size:,} bytes; at most {most_bytes:,} are read.")
    if size > max(BOMB_BYTES, BOMB_TIMES * member.compress_size):
        raise DataError(
            f"{where} unpacks to {size:,} bytes, more than {BOMB_TIMES} times its packed size, as files do "
            "that were made to fill the memory."
        )


@contextmanager
def opened(path: Path, *, most_bytes: float = math.inf) -> Iterator[BufferedReader]:
    """Open a regular file, of limited size if asked.

    Raises:
        DataError: it is missing, larger, or a pipe, socket, device or folder, which would block or never end.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DataError(f"{path}: is not a regular file.")
        # Without blocking, in case the path has become a pipe since.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        stream = os.fdopen(os.open(path, flags), "rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    with stream:
        size = os.fstat(stream.fileno()).st_size
        if size > most_bytes:
            raise DataError(f"{path}: has {size:,} bytes; at most {most_bytes:,.0f} are read.")
        yield stream


def read_start(path: Path, count: int) -> bytes:
    """The first bytes of a file; none where it is not a regular file or cannot be read."""
    try:
        with opened(path) as stream:
            return stream.read(count)
    except (DataError, OSError):
        return b""


def _walk(base: Path, may_follow: Callable[[str], bool]) -> Iterator[tuple[str, bool]]:
    """Files below a folder, and links to folders that may not be followed; no folder is entered twice.

    Yields:
        The path below `base`, and whether it is a link.

    Raises:
        DataError: a folder cannot be read.
    """
    visited: set[tuple[int, int]] = set()
    pending = [""]
    while pending:
        prefix = pending.pop()
        folder = os.path.join(base, prefix)
        try:
            status = os.stat(folder)
            with os.scandir(folder) as scan:
                entries = [entry for entry in scan if not _is_left_out(entry.name)]
        except OSError as error:
            raise DataError(f"{folder}: cannot be read: {error.strerror}.") from None
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        for entry in entries:
            if is_folder(entry) and (not entry.is_symlink() or may_follow(entry.path)):
                pending.append(f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry.is_symlink()


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name in LEFT_OUT


def _is_inside(path: str, root: str) -> bool:
    real = os.path.realpath(path)
    return real == root or real.startswith(os.path.join(root, ""))
