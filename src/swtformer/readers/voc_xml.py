"""Pascal VOC's XML files beside images, as LabelImg and Roboflow write them, or in a folder of their own."""

from __future__ import annotations

from pathlib import Path

from swtformer.datasets.annotations.sidecars import Annotation, Kind, SidecarSettings, pair, read_sidecars
from swtformer.datasets.annotations.voc_objects import read_objects
from swtformer.datasets.base import Reader
from swtformer.datasets.files import read_start, some_files
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.settings import READERS, DataSettings

_START_BYTES = 2000


@READERS.register("voc-xml")
class VocXmlReader(Reader):
    """XML files of Pascal VOC beside images."""

    expects = "images with XML files of Pascal VOC or LabelImg"
    settings_type = SidecarSettings
    priority = -1  # a VOC folder has such files too

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder with XML files that hold an <annotation> each."""
        files = some_files(path, {".xml"}) if path.is_dir() else []
        return any(
            b"<annotation" in read_start(file, _START_BYTES).replace(b"<annotations", b"") for file in files
        )

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read a folder of images and XML files of the same names.

        The labels of an image are the names of the objects in its file, difficult and truncated ones
        included; a file without objects means background. Images without a file have unknown labels, unless
        `without_file` says otherwise, since LabelImg writes none for images that were not looked at.

        Raises:
            DataError: see `read_sidecars`.
        """
        problems = Problems()
        pairs = pair(path, settings, ".xml", problems)
        kind = Kind("voc-xml", "VOC XML", _annotation, self.options.without_file)
        return read_sidecars(path, settings, split, kind, pairs=pairs, problems=problems)


def _annotation(file: Path, problems: Problems) -> Annotation | None:
    names = read_objects(file, problems)
    return None if names is None else Annotation(names)
