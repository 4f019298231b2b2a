"""Finds images that files of other tools name in their own way.

Such files name images by absolute paths of another machine, by addresses, or by names that an upload changed.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from swtformer.datasets.paths import (
    PROBED_NAMES,
    ImageFolder,
    composed_name,
    images_folder,
    is_absolute,
    is_image_name,
    is_in_other_case,
    listed_path,
    record_id,
    without_upload,
)
from swtformer.datasets.problems import Problems
from swtformer.safe_names import safe_name

MOST_FILES = 500_000
"""In a folder with more files than this, images are not looked for by their last part."""


@dataclass(frozen=True)
class Reference:
    """How a file names an image.

    Attributes:
        name: as it stands there.
        source: file and place, for messages.
        other: another name of the same image, tried where the first is not found.
    """

    name: str
    source: str
    other: str | None = None


@dataclass(frozen=True)
class Found:
    """Where the images of a file are.

    Attributes:
        images: for each reference the record id and the file (None where it is missing); None as a whole
            where the reference cannot be used, which is noted as a fatal problem.
        folder: where they were looked for.
    """

    images: list[tuple[str, Path | None] | None]
    folder: Path


def find_images(
    references: Sequence[Reference],
    *,
    root: Path,
    beside: Path,
    candidates: Sequence[Path],
    named: Path | None,
    problems: Problems,
) -> Found:
    """Find the image of each reference.

    A name is looked up as it is, and relative to the file that holds it. Absolute names, addresses and names
    of uploads are then tried without their leading folders, and without what the upload put before them; then
    by their last part alone, if one file below the data set has it. So are all others if none of the list is
    found as it is. What fits only in part is said in one warning. No name leads out of the data set, and no
    two names may mean one file.

    Args:
        references: in the order of the file.
        root: folder of the data set.
        beside: folder of the file that holds the references.
        candidates: folders that names may be relative to; the one that holds most of them is taken.
        named: the folder that the user gave, which is then taken, and searched alone.
        problems: collects what is wrong.

    Raises:
        DataError: the folder that the user gave does not exist.
    """
    names = [listed_path(reference.name) for reference in references]
    folder = images_folder(named, candidates, names)
    if not any(_literal(folder, name) for name in names[:PROBED_NAMES]):
        folder = images_folder(named, candidates, (without_upload(_base(name)) for name in names))
    are_literal = any(_literal(folder, name) for name in names)
    search = _Search(folder, root if named is None else named, beside, are_literal=are_literal)
    results = [search.find(reference, name) for reference, name in zip(references, names, strict=True)]
    loose = [result for result in results if result.is_loose]
    if loose:
        first = loose[0]
        problems.warn(
            "image_reference",
            f"{first.reference.source}: {first.reference.name!r} is taken to be {search.shown(first)}; of "
            f"{len(results)} names, {len(loose)} fit their files only in part.",
        )
    _refuse_shared(results, problems)
    refused = [result for result in results if result.fault or (result.is_elsewhere and not loose)]
    if refused:
        first = refused[0]
        reason = first.fault or (
            f"image name {first.reference.name!r} is absolute, and no image in {search.root} ends like it; "
            "name the folder of the images with data.images"
        )
        more = f" {len(refused)} of {len(results)} names cannot be used." if len(refused) > 1 else ""
        problems.fatal("image_reference", f"{first.reference.source}: {reason}.{more}")
    return Found([search.located(result) for result in results], folder.root)


@dataclass(frozen=True)
class _Result:
    """What was found for one reference.

    Attributes:
        reference: the reference.
        name: its plain name.
        file: the image; None where there is none.
        is_loose: the file has the name only in part.
        is_elsewhere: there is no file, and the name is an absolute path or an address.
        fault: why the name itself cannot be used.
    """

    reference: Reference
    name: str
    file: Path | None = None
    is_loose: bool = False
    is_elsewhere: bool = False
    fault: str | None = None


class _Search:
    """Looks names up in one folder of images, then below the whole data set."""

    def __init__(self, folder: ImageFolder, root: Path, beside: Path, *, are_literal: bool) -> None:
        self.root = root
        self._are_literal = are_literal
        self._folder = folder
        self._whole = ImageFolder(root)
        self._beside = os.path.relpath(beside, root).replace(os.sep, "/")
        self._by_base: dict[str, list[str]] | None = None

    def find(self, reference: Reference, name: str) -> _Result:
        """The file that a reference means."""
        found = _literal(self._folder, name)
        if len(found) > 1:
            shown = " and ".join(map(repr, found))
            return _Result(reference, name, fault=f"{name!r} fits {shown}; write the whole name")
        if found:
            in_part = is_in_other_case(name, found[0])
            return _Result(reference, name, self._folder.root / found[0], is_loose=in_part)
        if reference.other and len(found := _literal(self._folder, reference.other)) == 1:
            return _Result(reference, name, self._folder.root / found[0], is_loose=True)
        fault = _fault(name)
        is_elsewhere = fault is not None and is_absolute(name)
        if not is_elsewhere and not _is_upload(name):
            if fault is not None and len(inside := self._from_beside(name)) == 1:
                return _Result(reference, name, self.root / inside[0])
            if fault is not None or self._are_literal:
                return _Result(reference, name, fault=fault)
        fitting = self._fitting(name)
        if len(fitting) > 1:
            shown = " and ".join(map(repr, fitting[:2]))
            doubt = f"{name!r} may be {shown}; name the folder of the images with data.images"
            return _Result(reference, name, fault=doubt)
        if fitting:
            return _Result(reference, name, self.root / fitting[0], is_loose=True)
        return _Result(reference, name, is_elsewhere=is_elsewhere, fault=None if is_elsewhere else fault)

    def _from_beside(self, name: str) -> tuple[str, ...]:
        """Files of the data set that a name with ``..`` means if it is relative to the file that holds it."""
        return () if "\0" in name else _literal(self._whole, posixpath.normpath(f"{self._beside}/{name}"))

    def _fitting(self, name: str) -> list[str]:
        """Files whose paths end as a name does, relative to the root."""
        for reading in _readings(name):
            if len(found := _literal(self._folder, reading)) == 1:
                return [_relative(self._folder.root / found[0], self.root)]
        below = self._below(_base(name))
        ends = [_common_end(path, name) for path in below]
        return [path for path, end in zip(below, ends, strict=True) if end == max(ends)]

    def located(self, result: _Result) -> tuple[str, Path | None] | None:
        """Record id and file of what was found; None where the name cannot be used."""
        if result.file is not None:
            base = self._folder.root if result.file.is_relative_to(self._folder.root) else self.root
            return record_id(_relative(result.file, base)), result.file
        if result.fault is not None:
            return None
        return record_id(_base(result.name) if result.is_elsewhere else result.name), None

    def shown(self, result: _Result) -> str:
        """The file that was found, in the data set."""
        return _relative(result.file, self.root) if result.file else ""

    def _below(self, base: str) -> list[str]:
        """Images anywhere below the data set that have a base name, as relative POSIX paths."""
        if self._by_base is None:
            self._by_base = defaultdict(list)
            looked_at = 0
            for parent, folders, files in os.walk(self.root):  # does not follow links
                looked_at += len(files)
                if looked_at > MOST_FILES:
                    self._by_base.clear()  # a part of them cannot tell what is unique
                    break
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                prefix = os.path.relpath(parent, self.root).replace(os.sep, "/")
                for file in sorted(filter(is_image_name, files)):
                    path = posixpath.normpath(f"{prefix}/{file}")
                    for key in {composed_name(file), _as_uploaded(file), composed_name(file).lower()}:
                        self._by_base[key].append(path)
        plain = composed_name(without_upload(base))
        readings = (composed_name(base), plain, plain.lower())
        return next((found for key in readings if (found := self._by_base.get(key))), [])


def _literal(folder: ImageFolder, name: str) -> tuple[str, ...]:
    try:
        return folder.matches(safe_name(name))
    except ValueError:
        return ()


def _fault(name: str) -> str | None:
    try:
        safe_name(name)
    except ValueError as error:
        return str(error)
    return None


def _readings(name: str) -> Iterator[str]:
    """A name without ever more of its leading folders, then the same without the prefix of an upload."""
    *folders, base = [part for part in name.split("/") if part]
    while ".." in folders:
        folders = folders[folders.index("..") + 1 :]
    for last in dict.fromkeys((base, without_upload(base))):
        for start in range(len(folders) + 1):
            yield "/".join([*folders[start:], last])


def _is_upload(name: str) -> bool:
    return "upload" in name.split("/") and without_upload(_base(name)) != _base(name)


def _base(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def _common_end(path: str, name: str) -> int:
    """How many last parts two paths share."""
    pairs = zip(reversed(path.split("/")), reversed(name.split("/")), strict=False)
    return next((count for count, (one, other) in enumerate(pairs) if one != other), len(path.split("/")))


def _as_uploaded(name: str) -> str:
    """A file name as Label Studio's upload writes it: no blanks, and no signs but ``-_.``."""
    return re.sub(r"[^-\w.]", "", composed_name(name).strip().replace(" ", "_"))


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def _refuse_shared(results: Sequence[_Result], problems: Problems) -> None:
    """Two different names that mean one file are a fatal problem if either fits only in part."""
    first: dict[Path, _Result] = {}
    for result in results:
        if result.file is None:
            continue
        known = first.setdefault(result.file, result)
        one, other = known.reference, result.reference
        if one.name != other.name and (known.is_loose or result.is_loose):
            problems.fatal(
                "ambiguous_name",
                f"{other.source}: {other.name!r} and {one.name!r} ({one.source}) would both be "
                f"{result.file.name!r}; are images missing, or is data.images another folder?",
            )
            return
