"""What the colours of masks mean: a palette file of the user's, or the palette of PASCAL VOC."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swtformer.datasets.background import is_background
from swtformer.datasets.rows import parse_json
from swtformer.errors import DataError, nearest
from swtformer.label_values import IGNORED
from swtformer.store.masks import voc_palette

IGNORED_NAMES = frozenset(
    {"ignored", "ignore", "void", "undefined", "unlabeled", "unlabelled", "unsure", "boundary"}
)
VOC_CLASSES = 20
MAX_BYTES = 2**20
NAMED = 4

_HEX = re.compile(r"#?([0-9a-fA-F]{6})")
_NUMBERS = r"\W?(?P<red>\d{1,3})[\s,;]+(?P<green>\d{1,3})[\s,;]+(?P<blue>\d{1,3})\W*"
_LINES = (
    re.compile(r"(?P<name>.*?)[\s,;:=]+" + _NUMBERS),
    re.compile(_NUMBERS + r"[\s,;:=]+(?P<name>.*?)"),
    re.compile(r"(?P<name>.*?)[\s,;:=]+#?(?P<hex>[0-9a-fA-F]{6})"),
)
_NUMBERED = re.compile(r"\d+[\s,;:]+")


@dataclass(frozen=True)
class MaskColours:
    """Label values by colour.

    Attributes:
        values: label value by 0xRRGGBB.
        source: where they come from, for messages.
    """

    values: Mapping[int, int]
    source: str

    @property
    def known(self) -> tuple[int, int, int]:
        """A colour that has a value."""
        packed = next(iter(self.values))
        return packed >> 16, packed >> 8 & 255, packed & 255

    def labels(self, pixels: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Label values of (H, W, 3) uint8 colours, and the first few colours that have none, as text."""
        packed = pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
        known = np.array(sorted(self.values), np.uint32)
        meant = np.array([self.values[colour] for colour in known.tolist()], np.uint8)
        places = np.searchsorted(known, packed).clip(max=len(known) - 1)
        strays = np.unique(packed[known[places] != packed])[:NAMED].tolist()
        return meant[places], [f"({c >> 16}, {c >> 8 & 255}, {c & 255})" for c in strays]


def _voc() -> MaskColours:
    """The colours of labels 0 to 20 and 255."""
    palette = voc_palette().astype(int)
    labels = [*range(VOC_CLASSES + 1), IGNORED]
    packed = {int(palette[k] @ (65536, 256, 1)): k for k in labels}
    return MaskColours(packed, "PASCAL VOC's palette")


VOC = _voc()


def read_colours(path: Path, classes: Sequence[str]) -> MaskColours:
    """Read a palette file.

    - Text or CSV: a line per class, its name before or after red, green and blue, or before a #rrggbb; also
      CVAT's and VOC's labelmap.txt. Lines that begin with # and a first line of column names are passed over.
    - JSON: {"name": [r, g, b]} or {"name": "#rrggbb"}, or a list of objects with a name and a color.

    Background is 0, ignored or void 255. A background that is not listed is black.

    Args:
        path: the file.
        classes: class names in order.

    Raises:
        DataError: the file cannot be read, names an unknown class, or leaves one out.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: has more than {MAX_BYTES:,} bytes; expected a line per class.")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: the palette cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text.") from None
    listed = _of_json(path, text) if text.lstrip().startswith(("{", "[")) else _of_lines(path, text)
    values: dict[int, int] = {}
    unknown: list[str] = []
    for name, colour in listed:
        value = _value(name, classes)
        if value is None:
            unknown.append(name)
        elif values.setdefault(colour, value) != value:
            raise DataError(f"{path}: gives the colour #{colour:06x} to two classes, the second is {name!r}.")
    if unknown:
        raise DataError(f"{path}: unknown class {unknown[0]!r}. {nearest(unknown[0], classes)}")
    if 0 not in values.values():
        values.setdefault(0, 0)
    without = [name for k, name in enumerate(classes) if k + 1 not in values.values()]
    if without:
        raise DataError(f"{path}: gives no colour to {', '.join(map(repr, without[:NAMED]))}.")
    return MaskColours(values, str(path))


def _value(name: str, classes: Sequence[str]) -> int | None:
    """Label of a class name, which may have a number and a comma in front."""
    if name not in classes:
        name = _NUMBERED.sub("", name, count=1)
    if name in classes:
        return classes.index(name) + 1
    if is_background(name):
        return 0
    return IGNORED if name.lower() in IGNORED_NAMES else None


def _of_lines(path: Path, text: str) -> list[tuple[str, int]]:
    listed = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.replace('"', "").strip()
        if not line or line.startswith(("# ", "#\t")):
            continue
        found = _of_line(line.rstrip(":"))
        if found is not None:
            listed.append(found)
        elif number > 1 and not line.startswith("#"):
            raise DataError(
                f"{path}, line {number}: expected a class and its red, green, blue, got {line!r}."
            )
    if not listed:
        raise DataError(f"{path}: holds no line with a class and its red, green and blue.")
    return listed


def _of_line(line: str) -> tuple[str, int] | None:
    for match in filter(None, (pattern.fullmatch(line) for pattern in _LINES)):
        found = match.groupdict()
        name = found["name"].strip(" \t\"',;:")
        if name and "hex" in found:
            return name, int(found["hex"], 16)
        channels = [int(found[channel]) for channel in ("red", "green", "blue") if channel in found]
        if name and channels and max(channels) <= 255:
            return name, channels[0] << 16 | channels[1] << 8 | channels[2]
    return None


def _of_json(path: Path, text: str) -> list[tuple[str, int]]:
    try:
        content = parse_json(text)
    except ValueError as error:
        raise DataError(f"{path}: is not valid JSON: {error}.") from None
    pairs: list[tuple[Any, Any]] = []
    if isinstance(content, dict):
        pairs = list(content.items())
    else:
        for item in content:
            if isinstance(item, dict):
                name = next((item[key] for key in ("name", "class", "label") if key in item), None)
                colour = next((item[key] for key in ("color", "colour", "rgb") if key in item), None)
                pairs.append((name, colour))
    listed = [(str(name), number) for name, colour in pairs if (number := _packed(colour)) is not None]
    if len(listed) < len(pairs) or not listed:
        raise DataError(f'{path}: expected {{"class": [red, green, blue]}} or {{"class": "#rrggbb"}}.')
    return listed


def _packed(colour: Any) -> int | None:
    if isinstance(colour, str) and (match := _HEX.fullmatch(colour.strip())):
        return int(match[1], 16)
    if isinstance(colour, str) and len(parts := re.findall(r"\d+", colour)) == 3:
        colour = [int(part) for part in parts]
    if (
        isinstance(colour, list)
        and len(colour) == 3
        and all(type(c) is int and 0 <= c <= 255 for c in colour)
    ):
        return int(colour[0] << 16 | colour[1] << 8 | colour[2])
    return None
