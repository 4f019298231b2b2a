"""labelme's JSON files beside images: flags of the image, and shapes, as labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swtformer.datasets.annotations.sidecars import Annotation, Kind, SidecarSettings, pair, read_sidecars
from swtformer.datasets.base import Reader
from swtformer.datasets.files import opened, read_start, some_files
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.datasets.rows import parse_json
from swtformer.errors import DataError
from swtformer.settings import READERS, DataSettings

_START_BYTES = 4096
_MOST_BYTES = 256 * 2**20
"""The files can hold their images as text."""

_IGNORED = "__ignore__"
"""labelme's own label of regions that do not count."""

_OUTLINES = frozenset({"polygon", "mask", "circle", "linestrip"})


@READERS.register("labelme")
class LabelmeReader(Reader):
    """labelme's files beside images."""

    expects = "images with JSON files of labelme"
    settings_type = SidecarSettings
    priority = 1  # a JSON file per image

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder with JSON files that begin as labelme's do."""
        files = some_files(path, {".json"}) if path.is_dir() else []
        return any(_begins_like_labelme(read_start(file, _START_BYTES)) for file in files)

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read a folder of images and JSON files of the same names.

        The labels of an image are the flags that are set in its file and the labels of its shapes; a file
        with neither means background. Images without a file have unknown labels, unless `without_file` says
        otherwise, since labelme writes none for images that were not looked at.

        Raises:
            DataError: see `read_sidecars`.
        """
        problems = Problems()
        pairs = pair(path, settings, ".json", problems)
        kind = Kind("labelme", "labelme JSON", _annotation, self.options.without_file)
        return read_sidecars(path, settings, split, kind, pairs=pairs, problems=problems)


def _begins_like_labelme(start: bytes) -> bool:
    return b'"shapes"' in start and (b'"flags"' in start or b'"imagePath"' in start or b'"version"' in start)


def _annotation(file: Path, problems: Problems) -> Annotation | None:
    """Labels in a file; None for another kind of JSON, or for a file that cannot be read, which is fatal."""
    try:
        with opened(file, most_bytes=_MOST_BYTES) as stream:
            content = parse_json(stream.read().decode("utf-8-sig"))
    except DataError as error:
        problems.fatal("annotation", str(error))
        return None
    except ValueError as error:
        problems.fatal("annotation", f"{file}: is incomplete or damaged JSON ({error}).")
        return None
    if not isinstance(content, dict) or "shapes" not in content:
        return None
    flags, shapes = content.get("flags") or {}, content["shapes"] or []
    try:
        set_flags = [_name(name) for name, is_set in flags.items() if is_set]
        labels = [_name(shape["label"]) for shape in shapes]
        outlined = any(shape.get("shape_type", "polygon") in _OUTLINES for shape in shapes)
    except (AttributeError, KeyError, TypeError, ValueError):
        message = f"{file}: expected flags as names with true or false, and shapes with a label each."
        problems.fatal("annotation", message)
        return None
    names = dict.fromkeys(name for name in (*set_flags, *labels) if name != _IGNORED)
    return Annotation(tuple(names), outlined, frozenset(set_flags).difference(labels))


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(value)
    return value.strip()
