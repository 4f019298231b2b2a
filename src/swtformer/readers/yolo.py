"""YOLO's detection and segmentation folders: the classes in the label file of an image are its labels."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

from swtformer.datasets.annotations.sidecars import Annotation, Kind, SidecarSettings, pair, read_sidecars
from swtformer.datasets.annotations.yolo_layout import (
    Layout,
    find_yaml,
    folders_with_yaml,
    layout_without_yaml,
    read_layout,
)
from swtformer.datasets.base import Reader
from swtformer.datasets.files import files_below, opened, read_start, some_files
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError
from swtformer.settings import READERS, DataSettings

_LINES = re.compile(rb"(\d+(\.0+)?([ \t]+[-+.\de]+){4,}[ \t]*(\r?\n|$)\s*)+")
_START_BYTES = 2000
_MOST_BYTES = 64 * 2**20
_MOST_LOOKED_INTO = 200
_FEWEST_NUMBERS = 4
_MOST_OF_A_FRACTION = 2
"""Boxes may reach over the edge of the image; a larger number is not a fraction of its size."""


class YoloSettings(SidecarSettings):
    """Options of YOLO's folders."""

    without_file: Literal["unknown", "background", "leave_out"] = "background"
    """What images are that have no label file: of unknown labels, of background only, or left out. Where
    that is most of the images, it has to be said."""


@READERS.register("yolo")
class YoloReader(Reader):
    """YOLO's folders, as Ultralytics, Roboflow, Label Studio, CVAT and LabelImg write them."""

    expects = "a YOLO data set (data.yaml, images, labels)"
    settings_type = YoloSettings
    priority = 1  # results and lists beside it may look like tables

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A YAML file with class names and splits, a folder with one, or a folder with YOLO's label files."""
        if find_yaml(path) is not None:
            return True
        files = some_files(path, {".txt"}, most=_MOST_LOOKED_INTO) if path.is_dir() else []
        return any(_LINES.match(read_start(file, _START_BYTES)) for file in files)

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read a folder of images with label files.

        The labels of an image are the classes of the boxes and outlines in its file. An empty file means
        background, and so does a missing one unless `without_file` says otherwise; if most are missing, it
        has to. The file lies beside the image, or in labels where the image lies in images. Class names come
        from data.yaml, else from a file such as classes.txt or obj.names, else from `data.classes`.

        Splits are those of data.yaml (folders or lists of images), else lists called train.txt and the like,
        else folders of such names. Paths in data.yaml are looked for below its folder, without their first
        folders if need be, as they are often those of another machine.

        Raises:
            DataError: every fatal problem, with file and line.
        """
        problems = Problems()
        file = find_yaml(path)
        if file is not None and file.parent != path:
            path = file
        folder = path if path.is_dir() else path.parent
        pairs = pair(folder, settings, ".txt", problems)
        if file is not None:
            layout: Layout | None = read_layout(file, pairs.images, problems)
        else:
            layout = layout_without_yaml(folder, files_below(folder, Problems()), pairs.images, problems)
        if layout is None and settings.classes is not None:
            layout = Layout(Path("data.classes"), dict(enumerate(settings.classes)))
        if layout is None:
            if below := ", ".join(folders_with_yaml(path)):
                raise DataError(f"{path}: has YOLO data sets below it; give the path of one: {below}.")
            raise DataError(
                f"{path}: its label files number the classes, and nothing names them. Add data.yaml, or "
                "classes.txt with a name per line in the order of the numbers, or set `data.classes`."
            )
        problems.raise_fatal(str(path))
        if layout.splits:
            kept = set().union(*layout.splits.values())
            pairs = replace(pairs, images=tuple(image for image in pairs.images if image in kept))
        left = tuple(name for name in pairs.left if _LINES.match(read_start(folder / name, _START_BYTES)))
        scored: list[str] = []
        kind = Kind(
            "yolo",
            f"YOLO labels ({layout.source.name})",
            lambda file, problems: _annotation(file, layout, scored, problems),
            self.options.without_file,
            tuple(layout.names.values()),
            is_default="without_file" not in self.options.model_fields_set,
        )
        return read_sidecars(
            path,
            settings,
            split,
            kind,
            pairs=replace(pairs, left=left),
            problems=problems,
            splits=layout.splits or None,
        )


def _annotation(file: Path, layout: Layout, scored: list[str], problems: Problems) -> Annotation | None:
    """Classes in a label file; None for a file with a line that is not of YOLO, which is a fatal problem.

    Args:
        file: the label file.
        layout: names the classes.
        scored: gets the lines with a sixth number.
        problems: gets what is wrong; what is scored is said once.
    """
    before = len(scored)
    try:
        with opened(file, most_bytes=_MOST_BYTES) as stream:
            text = stream.read().decode("utf-8-sig")
    except (DataError, UnicodeDecodeError) as error:
        problems.fatal("yolo_labels", str(error) if isinstance(error, DataError) else f"{file}: is not text.")
        return None
    labels: dict[str, None] = {}
    outlined = False
    for line, content in enumerate(text.splitlines(), start=1):
        if not content.strip():
            continue
        try:
            number, values = _parsed(content)
            labels[_named(number, layout)] = None
        except ValueError as error:
            problems.fatal("yolo_labels", f"{file}:{line}: {error}.")
            return None
        if values == _FEWEST_NUMBERS + 1:
            scored.append(f"{file}:{line}")
        outlined = outlined or (values > _FEWEST_NUMBERS + 1 and values % 2 == 0)
    if scored and not before:
        message = (
            f"{scored[0]}: has a sixth number, such as the confidence of a prediction. Such boxes count like "
            "drawn ones, whatever it is."
        )
        problems.warn("scored_boxes", message)
    return Annotation(tuple(labels), outlined)


def _parsed(line: str) -> tuple[int, int]:
    """Class number of a line, and how many numbers follow it."""
    words = line.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) <= _FEWEST_NUMBERS or not numbers[0].is_integer() or not all(map(math.isfinite, numbers)):
        raise ValueError(
            f"expected a class number and fractions of the image's size, got {line.strip()!r:.60}"
        )
    if max(map(abs, numbers[1:])) > _MOST_OF_A_FRACTION:
        raise ValueError(
            f"expected fractions of the image's size after the class number, got {line.strip()!r:.60}"
        )
    return int(numbers[0]), len(numbers) - 1


def _named(number: int, layout: Layout) -> str:
    if number not in layout.names:
        known = f"{min(layout.names)} to {max(layout.names)}"
        raise ValueError(f"class number {number} has no name; {layout.source.name} names {known}")
    return layout.names[number]
