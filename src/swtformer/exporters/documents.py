"""Finds the documents of a format that has one file for many images: alone, in a folder or in a zip file."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from swtformer.datasets import rows
from swtformer.errors import DataError
from swtformer.exporters.archive import Tree, open_tree, read_text, relative_files
from swtformer.exporters.fingerprints import FILE

DOCUMENT_BYTES = 2**30
"""Largest document in a folder or zip file that is read."""

_START_BYTES = 4096


@dataclass(frozen=True)
class Document:
    """One document.

    Attributes:
        path: the file, folder or zip file that the user named.
        name: of the document in it; empty if `path` is the document.
    """

    path: Path
    name: str
    _tree: Tree | None

    @property
    def source(self) -> str:
        """The document, for messages."""
        return f"{self.path}: {self.name}" if self.name else str(self.path)

    def json(self) -> Any:
        """Content of a JSON document.

        Raises:
            DataError: it is damaged or too long.
        """
        if self._tree is None:
            text = rows.read_text(self.path)
        else:
            text = read_text(self._tree, self.name, DOCUMENT_BYTES)
        try:
            return rows.parse_json(text)
        except ValueError as error:
            raise DataError(f"{self.source}: is not complete JSON ({error}).") from None

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """The document as a stream.

        Raises:
            DataError: it cannot be read or is too long.
        """
        if self._tree is not None:
            yield io.BytesIO(self._tree.read(self.name, DOCUMENT_BYTES))
            return
        try:
            with self.path.open("rb") as stream:
                yield stream
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror}.") from error


@contextmanager
def documents(path: Path, suffix: str, start: str) -> Iterator[list[Document]]:
    """The documents of a format.

    Args:
        path: a document, whatever it begins with, or a folder or zip file that holds some.
        suffix: of their names, such as ".json".
        start: regular expression that matches their text from the first character.

    Raises:
        DataError: there is none.
    """
    if path.is_file() and path.suffix.lower() == suffix:
        yield [Document(path, "", None)]
        return
    with open_tree(path) as tree:
        names = _names(tree, suffix, start)
        if not names:
            raise DataError(f"{path}: holds no {suffix} file of this format.")
        yield [Document(path, name, tree) for name in names]


def has_document(path: Path, suffix: str, start: str) -> bool:
    """Whether a file, or one in a folder or zip file, looks like a document of a format."""
    try:
        if path.is_file() and path.suffix.lower() == suffix:
            with path.open("rb") as stream:
                return _starts(stream.read(_START_BYTES), start)
        if path.is_file() and path.suffix.lower() != ".zip":
            return False
        with open_tree(path) as tree:
            return bool(_names(tree, suffix, start))
    except (DataError, OSError):
        return False


def _names(tree: Tree, suffix: str, start: str) -> list[str]:
    names = sorted(relative_files(tree, "", suffix).values())
    return [
        name
        for name in names
        if name.rpartition("/")[2] != FILE and _starts(tree.start(name, _START_BYTES), start)
    ]


def _starts(content: bytes, start: str) -> bool:
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").lstrip()
    return re.match(start, text, re.DOTALL) is not None
