"""Files in a bucket or on another machine, through fsspec: listed, fetched whole, put whole or not at all."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from swtformer.errors import SwtformerError
from swtformer.in_order import work_ahead
from swtformer.store.files import SUFFIX, digest, write_with
from swtformer.store.shard_names import is_shard

OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "hf"})
"""Protocols that show a file only when all of it is there; on others a file is renamed when it is whole."""
CHECKSUMS = ("ETag", "etag", "md5Hash", "content_md5", "checksum")
"""What file systems call a checksum of a file's content."""
TIMES = ("mtime", "LastModified", "last_modified", "updated", "created")
"""What they call the time of its last change, where there is no checksum."""
_WILD = frozenset("*?[")
THREADS = 8
"""Small files that are read at once."""


class DiskFullError(SwtformerError):
    """This machine's disk is full."""


@dataclass(frozen=True)
class RemoteFile:
    """A file that was found.

    Attributes:
        address: its address, or its path where it is on this machine.
        name: its path below the folder, or below the part of the pattern before the first wildcard; of a
            file that was named, its file name.
        stamp: equal while its size and its checksum (else its time of change) are what they were.
    """

    address: str
    name: str
    stamp: str

    def fetch(self, target: Path) -> None:
        """Copy it to this machine.

        Raises:
            SwtformerError: it is gone or cannot be read.
            DiskFullError: this disk is full.
        """
        with _answering(f"{self.address}: cannot be fetched", to=target):
            fs, path = _opened(self.address)
            fs.get_file(path, str(target))


def find_files(pattern: str) -> list[RemoteFile]:
    """The files that an address or a pattern (``*``, ``?``, ``[…]``, ``**``) names, or all below a folder,
    sorted.

    Raises:
        SwtformerError: there is none, or the place cannot be reached.
    """
    fs, path = _opened(pattern)
    with _answering(f"{pattern}: cannot be listed"):
        fs.invalidate_cache()  # shards may have come or changed since an earlier call
        base = _before_wildcard(path)
        # Over HTTP the question whether a file is a folder would read it.
        if not is_shard(path) and _WILD.isdisjoint(path) and fs.isdir(path):
            base = f"{path.rstrip('/')}/"
            found = fs.find(path, detail=True)
        else:
            found = fs.glob(path, detail=True)
    files = [
        RemoteFile(_address(fs, each), each.removeprefix(base), _stamp(info))
        for each, info in sorted(found.items())
        if info["type"] == "file"
    ]
    if not files:
        raise SwtformerError(f"{pattern}: no such file, or no file matches this pattern.")
    return files


class RemoteFolder:
    """A folder that results are put into.

    Attributes:
        address: as the user named it.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._fs, self._path = _opened(self.address)

    def file(self, name: str) -> str:
        """Address of a file in it."""
        return _address(self._fs, f"{self._path}/{name}")

    def sizes(self) -> dict[str, int]:
        """Bytes of all files in it, by name; empty where it does not exist."""
        with _answering(f"{self.address}: cannot be listed"):
            self._fs.invalidate_cache()  # other processes write there as well
            try:
                found = self._fs.find(self._path, detail=True)
            except FileNotFoundError:
                return {}
        return {each.removeprefix(f"{self._path}/"): int(info["size"]) for each, info in found.items()}

    def read(self, names: Sequence[str]) -> Iterator[bytes]:
        """The content of small files, in order."""

        def read_one(name: str) -> bytes:
            with _answering(f"{self.file(name)}: cannot be read"):
                content: bytes = self._fs.cat_file(f"{self._path}/{name}")
                return content

        return work_ahead(read_one, names, threads=THREADS)

    def put(self, file: Path, name: str) -> None:
        """Copy a file there. A file of that name is replaced, and never seen half written.

        Raises:
            SwtformerError: the place cannot be written to or reached.
        """
        target = f"{self._path}/{name}"
        with _answering(f"{self.file(name)}: cannot be written"):
            if _is_local(self._fs):
                with file.open("rb") as stream:
                    write_with(Path(target), lambda written: shutil.copyfileobj(stream, written))
            elif OBJECT_STORES.isdisjoint(_protocols(self._fs)):
                folder, _, base = target.rpartition("/")
                self._fs.makedirs(folder, exist_ok=True)
                temporary = f"{folder}/.{base}.{uuid4().hex[:8]}{SUFFIX}"
                try:
                    self._fs.put_file(str(file), temporary)
                    self._fs.mv(temporary, target)
                except BaseException:
                    with suppress(Exception):
                        self._fs.rm_file(temporary)
                    raise
            else:
                self._fs.put_file(str(file), target)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        path = f"{self._path}/{name}"
        with _answering(f"{self.file(name)}: cannot be removed"), suppress(FileNotFoundError):
            if self._fs.exists(path):
                self._fs.rm_file(path)


def _opened(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it.

    Raises:
        SwtformerError: nobody knows the protocol, or its library is not installed.
    """
    try:
        from fsspec.core import url_to_fs

        fs, path = url_to_fs(address)
    except ImportError as error:
        raise SwtformerError(
            f"{address}: needs a library that is not installed ({error}). Those for s3:// come with pip "
            "install 'swtformer[remote]'; other file systems have packages of their own."
        ) from None
    except Exception as error:
        raise SwtformerError(f"{address}: is not an address that can be opened: {_reason(error)}.") from error
    return fs, str(path)


@contextmanager
def _answering(failure: str, *, to: Path | None = None) -> Iterator[None]:
    """Turn what a file system raises into one message; its libraries raise errors of many types.

    Args:
        failure: what could not be done; starts the message.
        to: file on this disk that is written.

    Raises:
        SwtformerError: whatever went wrong.
    """
    try:
        yield
    except (SwtformerError, NameError, TypeError, AttributeError, MemoryError):
        raise
    except Exception as error:
        if to is not None and getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"{to.parent}: no space left. Set TMPDIR to a folder on a larger disk."
            ) from error
        raise SwtformerError(f"{failure}: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or next(iter(str(error).strip().splitlines()), "")
    return str(text or type(error).__name__).rstrip(".")


def _protocols(fs: Any) -> frozenset[str]:
    return frozenset([fs.protocol] if isinstance(fs.protocol, str) else fs.protocol)


def _is_local(fs: Any) -> bool:
    return "file" in _protocols(fs)


def _address(fs: Any, path: str) -> str:
    return path if _is_local(fs) else str(fs.unstrip_protocol(path))


def _before_wildcard(path: str) -> str:
    """The folders of a pattern before its first wildcard, with the last slash."""
    wild = [path.find(sign) for sign in _WILD if sign in path]
    return path[: path.rfind("/", 0, min(wild, default=len(path))) + 1]


def _stamp(info: dict[str, Any]) -> str:
    mark = next((info[key] for key in (*CHECKSUMS, *TIMES) if info.get(key)), "")
    # Some give a date in one answer and seconds in another.
    return digest(info["size"], mark.timestamp() if isinstance(mark, datetime) else mark)
