"""Files that are whole or not there: atomic writes, JSON, digests that tell whether a file is what it was."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from swtformer.errors import SwtformerError

Contents = TypeVar("Contents")

SUFFIX = ".swtformer.tmp"
"""Of temporary files; those of killed processes are removed by the next one that writes into the folder."""


@contextmanager
def atomic_file(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` that takes its name only when it is whole and on disk.

    Raises:
        SwtformerError: the file cannot be written (read-only, disk full); `path` keeps what it had.
    """
    try:
        make_folder(path.parent)
        _remove_abandoned_once(path.parent)
        handle, temporary = _locked_temporary(path)
    except OSError as error:
        raise SwtformerError(f"{path}: cannot be written: {error.strerror or error}.") from error
    try:
        # Names that are not UTF-8 are escaped, which JSON reads back as they were.
        encoding, errors = (None, None) if "b" in mode else ("utf-8", "backslashreplace")
        with os.fdopen(handle, mode, encoding=encoding, errors=errors) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            temporary.chmod(0o644)
            os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise SwtformerError(f"{path}: cannot be written: {error.strerror or error}.") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they do not exist.

    Raises:
        SwtformerError: one of them is a link to a place that does not exist.
        OSError: it cannot be made for another reason.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        for folder in (path, *path.parents):
            if folder.is_symlink() and not folder.exists():
                raise SwtformerError(
                    f"{folder} is a link to {os.readlink(folder)}, which does not exist. Is its disk mounted?"
                ) from None
        raise


def _locked_temporary(path: Path) -> tuple[int, Path]:
    """A new temporary file beside `path`, locked while its process lives."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:50]}.", suffix=SUFFIX, dir=path.parent)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # taken for abandoned before it was locked


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files of a folder whose processes were killed."""
    for file in folder.glob(f".*{SUFFIX}"):
        with suppress(OSError):  # somebody else's, or gone by now
            handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.unlink()
            finally:
                os.close(handle)


_remove_abandoned_once = cache(remove_abandoned)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def new_folder(out: Path, *, replaces: Callable[[Path], bool] = lambda _: False) -> Iterator[Path]:
    """A folder beside `out` to write to. It takes the name when the block ends without an error.

    Args:
        out: folder to make.
        replaces: whether a folder that is not empty may be replaced; it stays until the new one is complete.

    Raises:
        SwtformerError: `out` is something that must not be replaced, is the current folder or a parent of
            it, or cannot be written.
    """
    if Path.cwd().is_relative_to(out.resolve()):
        raise SwtformerError(f"{out}: is the current folder or a parent of it; name a new folder.")
    out = Path(os.path.abspath(out))
    partial, old = (out.with_name(f".{out.name}.{ending}") for ending in ("partial", "old"))
    try:
        if old.is_dir() and not out.exists():  # an earlier process was killed between the last two steps
            old.replace(out)
        is_free = not out.exists() or (out.is_dir() and (not any(out.iterdir()) or replaces(out)))
        if out.is_symlink() or not is_free:
            raise SwtformerError(f"{out}: already holds something else; name a new folder.")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
            out.replace(old)
        partial.replace(out)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise SwtformerError(f"{out}: cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_with(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a binary stream that becomes `path` when it is whole."""
    with atomic_file(path) as stream:
        write(stream)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_file(path, "w") as stream:
        stream.write(text)


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a CSV file with a header atomically; None becomes an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=columns)
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_rows(path: Path) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Columns and rows of a CSV file with a header.

    Raises:
        SwtformerError: it cannot be read, or has an incomplete row, with file and line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = tuple(reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SwtformerError(f"{path}: cannot be read: {error}.") from None
    for line, row in rows:
        # DictReader fills a short line with None, and keeps the surplus of a long one under the key None.
        if None in row or None in row.values():
            raise SwtformerError(f"{path}, line {line}: expected {len(columns)} values.")
    return columns, [row for _, row in rows]


def exact_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file that must have exactly these columns.

    Raises:
        SwtformerError: it cannot be read, or has other columns or incomplete rows, with file and line.
    """
    found, rows = read_rows(path)
    if found != tuple(columns):
        raise SwtformerError(f"{path}: expected the columns {', '.join(columns)}, got {', '.join(found)}.")
    return rows


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, readable and with stable key order."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """JSON, readable and with stable key order."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        SwtformerError: the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SwtformerError(f"{path}: does not exist.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SwtformerError(f"{path}: cannot be read as JSON: {error}") from None


def read_json_as(
    path: Path, kind: type[Contents], *, remedy: str = "Make it again, or remove it."
) -> Contents:
    """Read a JSON file whose contents are of a known type.

    Args:
        path: the file.
        kind: the type, as pydantic checks it.
        remedy: what to do about a damaged file.

    Raises:
        SwtformerError: the file is missing, not JSON, or holds something else.
    """
    return checked(read_json(path), kind, where=str(path), remedy=remedy)


def checked(value: object, kind: type[Contents], *, where: str, remedy: str) -> Contents:
    """A value of a file of ours as the type that it should be.

    Raises:
        SwtformerError: it is something else.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "its content"
        expected = first["msg"].replace("Input should be", "expected").partition(" or instance of")[0]
        raise SwtformerError(f"{where}: {place}: {expected}. {remedy}") from None


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(*facts: object) -> str:
    """32 hex digits that are equal while the facts, as they print, are."""
    return hashlib.sha256(" ".join(map(str, facts)).encode(errors="backslashreplace")).hexdigest()[:32]


def file_stamp(path: Path) -> str:
    """Equal while a file is what it was, as far as its place, size and time of change tell."""
    try:
        facts = path.stat()
    except OSError:
        return "missing"
    return f"{path.resolve()} {facts.st_size} {facts.st_mtime_ns}"
