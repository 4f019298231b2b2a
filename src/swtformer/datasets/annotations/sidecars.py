"""Images with an annotation file each: beside them, or in a folder of its own with the same name."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swtformer.datasets.assemble import Classes, Entry, Origin, assemble
from swtformer.datasets.background import is_background, is_nothing, warn_of_background
from swtformer.datasets.files import files_below, outside
from swtformer.datasets.folders.folder_names import usually_holds_masks
from swtformer.datasets.labels import declared_classes
from swtformer.datasets.paths import is_image_name, record_id
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.datasets.splits import ALL, choose_split, is_split
from swtformer.label_sources import categories_in
from swtformer.settings import DataSettings, Section

PLAIN_FOLDERS = frozenset(
    {"images", "image", "imgs", "img", "jpegimages", "data", "photos"}
    | {"labels", "label", "annotations", "annotation", "anns", "ann", "xmls", "xml", "jsons", "json"}
)
"""Folders (lower case) that hold either the images or their files, and do not tell images apart."""


MEANINGS = {
    "unknown": "their labels are not known",
    "background": "they count as background only",
    "leave_out": "they are left out",
}
"""What images without labels count as, in words, by the value of a reader's option."""


class SidecarSettings(Section):
    """Options of formats with a file per image."""

    without_file: Literal["unknown", "background", "leave_out"] = "unknown"
    """What images are that have no file of their own: of unknown labels, of background only, or left out."""


@dataclass(frozen=True)
class Annotation:
    """What the file of an image says.

    Attributes:
        labels: class names, in order and each once; empty for pure background.
        of_image: those that are said of the whole image, not of an object.
        outlined: whether any object has an outline or a mask.
    """

    labels: tuple[str, ...]
    outlined: bool = False
    of_image: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Kind:
    """A kind of annotation files.

    Attributes:
        name: of the reader.
        what: what the files are called in messages.
        read: reads a file; None for a file of another kind, or one with a problem, which it notes.
        without_file: see `SidecarSettings`.
        order: class names in the order that the format declares, if it does.
        is_default: whether `without_file` is the format's own and nobody's choice.
    """

    name: str
    what: str
    read: Callable[[Path, Problems], Annotation | None]
    without_file: str
    order: Sequence[str] = ()
    is_default: bool = False


@dataclass(frozen=True)
class Pairs:
    """Images and their files, as paths below the folder of images and the data set.

    Attributes:
        files: file of each image that has one.
        images: all images, sorted.
        left: files that belong to no image.
    """

    files: Mapping[str, str]
    images: tuple[str, ...]
    left: tuple[str, ...]

    def splits(self) -> dict[str, set[str]]:
        """Images of each split, by their folders; none unless every image lies in a folder of a split."""
        splits: dict[str, set[str]] = defaultdict(set)
        for image in self.images:
            folders = [part for part in image.split("/")[:-1] if part.lower() not in PLAIN_FOLDERS]
            if not folders or not is_split(folders[0]):
                return {}
            splits[folders[0]].add(image)
        return dict(splits)


def pair(root: Path, settings: DataSettings, suffix: str, problems: Problems) -> Pairs:
    """Find the images of a folder, and the file of each.

    A file has the name of its image, with or without the image's extension, and lies beside it or in a folder
    that differs in `PLAIN_FOLDERS` alone, as in images/train/a.jpg and labels/train/a.txt. If no file lies
    there, the only one of this name anywhere is taken.

    Args:
        root: the data set.
        settings: name the folder of the images, if it is not the data set, and that of the masks.
        suffix: extension of the files, in lower case.
        problems: gets a fatal problem for a file that fits several images, or the reverse.
    """
    names = files_below(root, problems)
    images = _images(root, settings, names, problems)
    files_by_key: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if name.lower().endswith(suffix):
            files_by_key[_key(name[: -len(suffix)])].append(name)
    images_by_key: dict[str, list[str]] = defaultdict(list)
    for image in images:
        images_by_key[_key(image)].append(image)
    files: dict[str, str] = {}
    for key in sorted(files_by_key.keys() & images_by_key.keys()):
        found, fitting = files_by_key[key], images_by_key[key]
        if len(found) > 1 or len(fitting) > 1:
            problems.fatal(
                "ambiguous_name",
                f"{root}: {', '.join(fitting)} and {', '.join(found)} have one name; keep one of each.",
            )
        files[fitting[0]] = found[0]
    files |= _by_name_alone(root, files_by_key, images_by_key, problems)
    taken = set(files.values())
    return Pairs(files, images, tuple(n for found in files_by_key.values() for n in found if n not in taken))


def _by_name_alone(
    root: Path, files: Mapping[str, list[str]], images: Mapping[str, list[str]], problems: Problems
) -> dict[str, str]:
    """Files of images that lie in different folders, where both names occur once in the whole data set."""
    names_of_files, names_of_images = Counter(map(_last, files)), Counter(map(_last, images))
    image_by_name = {_last(key): found[0] for key, found in images.items() if key not in files}
    found: dict[str, str] = {}
    for key in sorted(files.keys() - images.keys()):
        name = _last(key)
        if name in image_by_name and names_of_files[name] == names_of_images[name] == 1:
            found[image_by_name[name]] = files[key][0]
    if found:
        image, file = next(iter(found.items()))
        message = (
            f"{root}: {len(found)} images are paired with files by name alone, {image} with {file} first."
        )
        problems.warn("paired_by_name", message)
    return found


def _images(root: Path, settings: DataSettings, names: Sequence[str], problems: Problems) -> tuple[str, ...]:
    """Images below their folder, without those in folders of masks."""
    if settings.images is not None:
        names = files_below(settings.images, problems)
    images = [name for name in names if is_image_name(name.rpartition("/")[2])]
    if settings.images is not None:
        return tuple(images)
    photographs = [
        name
        for name in outside(images, root, settings.masks)
        if not any(map(usually_holds_masks, name.split("/")[:-1]))
    ]
    if photographs and len(photographs) < len(images):
        first = min(set(images) - set(photographs))
        message = (
            f"{root}: {len(images) - len(photographs)} images are taken for masks, {first} first; left out."
        )
        problems.warn("masks_left_out", message)
    return tuple(photographs or images)


def _key(name: str) -> str:
    """Path of an image or its file without extension and without the folders that differ between them."""
    *folders, base = record_id(name).split("/")
    return "/".join([*(folder for folder in folders if folder.lower() not in PLAIN_FOLDERS), base])


def _last(key: str) -> str:
    return key.rpartition("/")[2]


def read_sidecars(
    path: Path,
    settings: DataSettings,
    split: str | None,
    kind: Kind,
    *,
    pairs: Pairs,
    problems: Problems,
    splits: Mapping[str, Collection[str]] | None = None,
) -> ImageSet:
    """Make the image set of images with an annotation file each.

    "train" is read by default, or everything if it does not exist; "all" reads everything. The class list is
    that of all splits.

    Args:
        path: what was opened.
        settings: as for every reader.
        split: the split that was asked for.
        kind: of the files.
        pairs: images and files; see `pair`.
        problems: what was found so far.
        splits: images of each split; by default, top folders called train, val, test or the like are splits.

    Raises:
        DataError: every fatal problem.
    """
    folder = path if path.is_dir() else path.parent
    root = settings.images or folder
    found = {image: kind.read(folder / file, problems) for image, file in pairs.files.items()}
    known = {image: annotation for image, annotation in found.items() if annotation is not None}
    splits = pairs.splits() if splits is None else splits
    chosen = None if split == ALL and splits else choose_split(path, split, splits, default=("train",))
    wanted = [image for image in pairs.images if chosen is None or image in splits[chosen]]
    is_guess = kind.without_file == "background"
    if not known.keys() & set(wanted if is_guess else pairs.images) and wanted and not problems.has_fatal:
        where = f"{path}: no image{f' of {chosen}' if chosen else ''}"
        problems.fatal("no_annotations", f"{where} has a file of {kind.what}; expected one of the same name.")
    base = _base(wanted)
    without = [image for image in wanted if image not in known]
    _tell(path, without, len(wanted), pairs.left, kind, problems)
    if kind.without_file == "leave_out":
        wanted = [image for image in wanted if image in known]
    declared = None
    if settings.classes is not None or not kind.order:
        declared = declared_classes(folder, settings, problems)
    names = dict.fromkeys([*kind.order, *(name for item in known.values() for name in item.labels)])
    drawn = {name for item in known.values() for name in item.labels if name not in item.of_image}
    nothing = [
        name
        for name in names
        if (is_background(name) if name in drawn or name in kind.order else is_nothing(name, declared))
    ]
    warn_of_background(nothing, str(path), problems)
    classes = tuple(name for name in names if name not in nothing)
    entries = []
    for image in wanted:
        labels: tuple[str, ...] | None = () if is_guess else None
        if image in known:
            labels = tuple(label for label in known[image].labels if label not in nothing)
        source = str(folder / pairs.files.get(image, image))
        entries.append(Entry(record_id(os.path.relpath(image, base)), root / image, labels, source))
    declared = declared or (classes if kind.order else None)
    outlined = any(annotation.outlined for annotation in known.values())
    return assemble(
        entries,
        origin=Origin(kind.name, path, folder, chosen, root / base),
        classes=Classes(declared or tuple(sorted(classes)), declared=declared is not None),
        settings=settings,
        labels_from=categories_in(kind.what, outlined=outlined),
        problems=problems,
    )


def _base(images: Sequence[str]) -> str:
    """The deepest folder of all images, above any folder that tells them apart, such as a patient's."""
    common = os.path.commonpath([os.path.dirname(image) for image in images]) if images else ""
    kept: list[str] = []
    for part in common.split("/"):
        if part.lower() not in PLAIN_FOLDERS and not is_split(part):
            break
        kept.append(part)
    return "/".join(kept) or "."


def _tell(
    path: Path,
    without: Sequence[str],
    images: int,
    left: Sequence[str],
    kind: Kind,
    problems: Problems,
) -> None:
    """Say how many images have no file, and how many files no image.

    Most images being background by mere default is too much of a guess, so it is refused.
    """
    if without:
        is_doubtful = kind.is_default and kind.without_file == "background" and 2 * len(without) > images
        told = "set" if is_doubtful else f"{MEANINGS[kind.without_file]}. Set"
        (problems.fatal if is_doubtful else problems.warn)(
            "without_file",
            f"{path}: {len(without)} of {images} images have no file of {kind.what}, {without[0]} first; "
            f"{told} `reader.without_file` to unknown, background or leave_out.",
        )
    if left:
        problems.warn(
            "without_image", f"{path}: {len(left)} files of {kind.what} belong to no image, {left[0]} first."
        )
