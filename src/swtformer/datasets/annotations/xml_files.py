"""Reads XML of unknown origin as a stream: no document type, so no entities, and limited depth and size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO
from xml.parsers import expat

from swtformer.errors import DataError

_CHUNK_BYTES = 1 << 16
_MOST_LEVELS = 50


@dataclass(frozen=True)
class Element:
    """One element of a document, given when it ends, so after the elements in it.

    Attributes:
        path: tags from the root to this element.
        attributes: by name.
        text: its own text, without blanks around it.
        line: where it starts, from 1.
    """

    path: tuple[str, ...]
    attributes: Mapping[str, str]
    text: str
    line: int


@dataclass
class _Open:
    path: tuple[str, ...]
    attributes: Mapping[str, str]
    line: int
    text: list[str]


def xml_elements(stream: IO[bytes], where: str) -> Iterator[Element]:
    """Elements of an XML document in the order in which they end.

    Args:
        stream: of the document.
        where: file name for messages.

    Raises:
        DataError: the document is damaged, is nested too deeply or has a document type.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    stack: list[_Open] = []
    done: list[Element] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(stack) == _MOST_LEVELS:
            raise DataError(f"{where}:{parser.CurrentLineNumber}: is nested too deeply for annotations.")
        path = (*stack[-1].path, tag) if stack else (tag,)
        stack.append(_Open(path, attributes, parser.CurrentLineNumber, []))

    def end(_tag: str) -> None:
        element = stack.pop()
        done.append(Element(element.path, element.attributes, "".join(element.text).strip(), element.line))

    def text(characters: str) -> None:
        stack[-1].text.append(characters)

    def refuse_type(*_: object) -> None:
        raise DataError(
            f"{where}:{parser.CurrentLineNumber}: has a document type (DOCTYPE), which can define entities; "
            "take the line out."
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse_type
    is_last = False
    while not is_last:
        chunk = stream.read(_CHUNK_BYTES)
        is_last = not chunk
        try:
            parser.Parse(chunk, is_last)
        except (expat.ExpatError, LookupError, ValueError) as error:
            line = getattr(error, "lineno", parser.CurrentLineNumber)
            raise DataError(f"{where}:{line}: is incomplete or damaged XML ({error}).") from None
        yield from done
        done.clear()
