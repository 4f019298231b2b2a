"""CVAT's "CVAT for images 1.1": tags and shapes of one XML file as labels of the images."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from swtformer.datasets.annotations.sidecars import MEANINGS
from swtformer.datasets.annotations.xml_files import Element, xml_elements
from swtformer.datasets.assemble import Classes, Entry, Origin, assemble
from swtformer.datasets.background import is_background, is_nothing, warn_of_background
from swtformer.datasets.base import Reader
from swtformer.datasets.files import ZIP_DAMAGE, opened, read_start, require_unpacked_size, some_files
from swtformer.datasets.labels import declared_classes
from swtformer.datasets.paths import ImageFolder, images_folder, is_image_name, locate
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.datasets.splits import ALL, choose_split
from swtformer.errors import DataError
from swtformer.label_sources import categories_in
from swtformer.safe_names import safe_name
from swtformer.settings import READERS, DataSettings, Section

IMAGE_FOLDERS = ("", "images", "data", "img", "imgs", "JPEGImages")

_OUTLINES = frozenset({"polygon", "mask", "ellipse"})
_START_BYTES = 2000
_MOST_BYTES = 2 * 2**30


class CvatSettings(Section):
    """Options of the CVAT reader."""

    empty: Literal["unknown", "background", "leave_out"] = "unknown"
    """What images are that have neither tag nor shape: of unknown labels, as nobody may have looked at them,
    of background only, or left out."""


@READERS.register("cvat")
class CvatReader(Reader):
    """CVAT's XML file of an image task or a project."""

    settings_type = CvatSettings
    expects = "CVAT for images 1.1 (.xml, .zip, or a folder with it)"
    priority = 1  # beside images of a VOC folder, say

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """An XML file whose root is <annotations>, a zip file with one, or a folder with one."""
        return bool(_sources(path))

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read one XML file.

        The labels of an image are those of its tags and shapes; of an image with neither they are unknown, or
        as the option `empty` says, with a warning that counts them. Classes are the labels of the task in
        their order. Splits are CVAT's subsets: "train" is read by default, or everything if it does not
        exist; "all" reads everything. A zip file is not unpacked, so the images lie in `settings.images` or
        beside it.

        Raises:
            DataError: every fatal problem, with file and line.
        """
        problems = Problems()
        sources = _sources(path)
        if len(sources) != 1:
            found = f"has several: {', '.join(sources)}; give the path of one" if sources else "holds none"
            raise DataError(f"{path}: expected one file of CVAT for images 1.1, but it {found}.")
        folder = path if path.is_dir() else path.parent
        document = _read(path, sources[0])
        declared = declared_classes(folder, settings, problems)
        nothing = document.nothing(declared)
        subsets = {image.subset for image in document.images} - {"", "default", "Default"}
        chosen = None if split == ALL and subsets else choose_split(path, split, subsets, default=("train",))
        wanted = [image for image in document.images if chosen in (None, image.subset)]
        _tell(path, wanted, self.options.empty, problems)
        if self.options.empty == "leave_out":
            wanted = [image for image in wanted if image.labels]
        candidates = [folder / name for name in (*IMAGE_FOLDERS, path.stem)]
        named = [name for image in wanted for name in (image.name, f"{image.subset}/{image.name}")]
        images = images_folder(settings.images, candidates, named)
        entries = []
        for image in wanted:
            in_subset = f"{image.subset}/{image.name}"
            name = in_subset if _is_there(images, in_subset) else image.name
            located = locate(images, name, image.source, problems)
            if located is not None:
                labels = tuple(label for label in image.labels if label not in nothing)
                is_known = bool(image.labels) or self.options.empty == "background"
                entries.append(Entry(*located, labels if is_known else None, image.source))
        if document.holds_images and not any(entry.image for entry in entries):
            raise DataError(
                f"{path}: the images are in the zip file, which is not unpacked here. Unpack it and give the "
                "path of its folder, or name the folder of the images in `data.images`."
            )
        warn_of_background(nothing, str(path), problems)
        classes = tuple(name for name in document.labels() if name not in nothing)
        declared = declared or (classes if document.names else None)
        return assemble(
            entries,
            origin=Origin("cvat", path, folder, chosen, images.root),
            classes=Classes(declared or tuple(sorted(classes)), declared=declared is not None),
            settings=settings,
            labels_from=categories_in(Path(sources[0]).name, outlined=document.outlined),
            problems=problems,
        )


@dataclass(frozen=True)
class _Image:
    """An image of the file: its name, subset and labels, and file:line."""

    name: str
    subset: str
    labels: tuple[str, ...]
    source: str


@dataclass
class _Document:
    """Content of a file.

    Attributes:
        names: labels that the task declares, in order.
        images: in the order of the file.
        drawn: labels of shapes.
        outlined: whether any object has an outline or a mask.
        holds_images: whether the zip file holds images as well.
    """

    names: list[str] = field(default_factory=list)
    images: list[_Image] = field(default_factory=list)
    drawn: set[str] = field(default_factory=set)
    outlined: bool = False
    holds_images: bool = False

    def labels(self) -> dict[str, None]:
        """All labels: those of the task in their order, then others."""
        return dict.fromkeys([*self.names, *(label for image in self.images for label in image.labels)])

    def nothing(self, declared: Sequence[str] | None) -> list[str]:
        """Labels that mean that no class is there; shapes may well be called "normal"."""
        return [
            label
            for label in self.labels()
            if (is_background(label) if label in self.drawn else is_nothing(label, declared))
        ]


def _sources(path: Path) -> list[str]:
    """CVAT's XML files: below a folder, in a zip file, or the file itself; relative to `path`."""
    if path.is_dir():
        files = some_files(path, {".xml"})
        return [
            file.relative_to(path).as_posix() for file in files if _is_cvat(read_start(file, _START_BYTES))
        ]
    if path.suffix.lower() == ".xml":
        return [path.name] if _is_cvat(read_start(path, _START_BYTES)) else []
    if path.suffix.lower() != ".zip":
        return []
    try:
        with opened(path) as stream, zipfile.ZipFile(stream) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".xml")]
            return [name for name in names[:20] if _is_cvat(_start(archive, name))]
    except (DataError, *ZIP_DAMAGE):
        return []


def _is_cvat(start: bytes) -> bool:
    return b"<annotations" in start


def _start(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as stream:
        return stream.read(_START_BYTES)


@contextmanager
def _stream(path: Path, source: str) -> Iterator[tuple[IO[bytes], list[str]]]:
    """The XML file, and the names of the images in its zip file."""
    if path.suffix.lower() != ".zip" or path.is_dir():
        with opened(path / source if path.is_dir() else path, most_bytes=_MOST_BYTES) as stream:
            yield stream, []
        return
    try:
        with opened(path) as whole, zipfile.ZipFile(whole) as archive:
            require_unpacked_size(archive.getinfo(source), f"{path}: {source}", _MOST_BYTES)
            with archive.open(source) as member:
                yield member, [name for name in archive.namelist() if is_image_name(Path(name).name)]
    except ZIP_DAMAGE as error:
        raise DataError(f"{path}: {source} cannot be read ({error}).") from error


def _read(path: Path, source: str) -> _Document:
    document = _Document()
    where = str(path / source) if path.is_dir() else f"{path}" if path.name == source else f"{path}: {source}"
    labels: dict[str, None] = {}
    with _stream(path, source) as (stream, images):
        document.holds_images = bool(images)
        for element in xml_elements(stream, where):
            _add(element, labels, document, where)
    if not document.images:
        raise DataError(f"{where}: names no images; export the task as CVAT for images 1.1.")
    return document


def _add(element: Element, labels: dict[str, None], document: _Document, where: str) -> None:
    """Take what an element says; `labels` are those of the image that has not ended yet."""
    path = element.path
    source = f"{where}:{element.line}"
    if path[1:2] == ("track",):
        raise DataError(
            f"{source}: holds tracks of a video; export the task as CVAT for images 1.1, with its images."
        )
    if path[1:2] == ("meta",):
        if path[-3:] == ("labels", "label", "name"):
            document.names.append(element.text)
        elif path[-3:] == ("labels", "label", "parent") and document.names:
            document.names.pop()  # part of a skeleton
    elif path[1:2] == ("image",) and len(path) == 3:
        if label := element.attributes.get("label", "").strip():
            labels[label] = None
            if path[2] != "tag":
                document.drawn.add(label)
            document.outlined = document.outlined or path[2] in _OUTLINES
    elif path[1:] == ("image",):
        name = element.attributes.get("name", "")
        document.images.append(_Image(name, element.attributes.get("subset", ""), tuple(labels), source))
        labels.clear()


def _is_there(images: ImageFolder, name: str) -> bool:
    """Whether a name is that of an image; projects keep the images of each subset in a folder of its own."""
    try:
        return bool(images.matches(safe_name(name)))
    except ValueError:
        return False


def _tell(path: Path, images: Sequence[_Image], empty: str, problems: Problems) -> None:
    """Say how many images have neither tags nor shapes, and what they count as."""
    without = [image for image in images if not image.labels]
    if without and len(without) == len(images):
        problems.fatal("no_annotations", f"{path}: none of its {len(images)} images has a tag or a shape.")
    elif without:
        message = (
            f"{path}: {len(without)} of {len(images)} images have neither tags nor shapes, {without[0].name} "
            f"first; {MEANINGS[empty]} (reader.empty)."
        )
        problems.warn("without_labels", message)
