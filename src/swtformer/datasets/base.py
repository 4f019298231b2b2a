"""The contract of a reader: what lies at a path becomes an ImageSet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from swtformer.datasets.records import ImageSet
from swtformer.settings import DataSettings, NoSettings, Section


class Reader(ABC):
    """Reads data sets of one format.

    Attributes:
        name: the name that it was registered under.
        settings_type: the reader's own options: section `reader` of the settings.
        priority: readers are tried from high to low until one recognises the path; in a tie, ours first.
        expects: what it recognises, in words, for the message that nothing was recognised.
        options: an instance of `settings_type`.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[Section]] = NoSettings
    priority: ClassVar[int] = 0
    expects: ClassVar[str] = ""

    def __init__(self, options: Section | None = None) -> None:
        self.options: Any = self.settings_type() if options is None else options

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether an existing file or folder looks like this format, by names and beginnings of files.

        Raises:
            DataError: it looks like data that only a message can help with, such as two files for one.
        """

    @abstractmethod
    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read one split: the split named, else the format's default.

        A format without splits refuses every name, as `choose_split` does with no known ones.

        Args:
            path: what `recognises` knows or, where the user named the format, any file or folder.
            settings: classes, folders of images and masks.
            split: name that the user gave; None for the default.

        Raises:
            DataError: the data set cannot be used; the message lists every fatal problem at once.
        """
