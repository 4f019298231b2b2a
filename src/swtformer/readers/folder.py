"""Folders of images: labelled by one sub-folder per class or by file names, or unlabelled."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from swtformer.datasets.assemble import Classes, Entry, Origin, assemble
from swtformer.datasets.background import is_background, warn_of_background
from swtformer.datasets.base import Reader
from swtformer.datasets.files import files_below, image_files_below, outside
from swtformer.datasets.folders.class_folders import doubts, image_folders
from swtformer.datasets.folders.folder_names import are_numbered_parts, masks_among
from swtformer.datasets.folders.foreign_files import foreign_file
from swtformer.datasets.folders.name_patterns import NamePattern, are_vectors
from swtformer.datasets.folders.same_pictures import equal_files
from swtformer.datasets.labels import CLASS_FILES, declared_classes
from swtformer.datasets.paths import is_image_name, record_id
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.datasets.splits import ALL, choose_split, is_split
from swtformer.errors import DataError, nearest, some
from swtformer.settings import READERS, DataSettings, Section

_SHOWN = 3


class FolderSettings(Section):
    """Options of folders."""

    separator: str | None = None
    """What stands between the labels that the group `labels` of `data.pattern` finds; by default any of
    ; | , + & blank _ - that is there."""
    nothing: tuple[str, ...] = ()
    """Class folders, or labels in file names, of images that show no class, such as good or normal, besides
    background and none."""


@READERS.register("folder")
class FolderReader(Reader):
    """A folder per class, or labels in file names."""

    expects = "a folder of images, one sub-folder per class"
    settings_type = FolderSettings
    priority = -10  # any folder with an image in it

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder with an image anywhere in it.

        Raises:
            DataError: it also has a file that looks as if it held the labels.
        """
        if not path.is_dir() or not any(True for _ in image_files_below(path)):
            return False
        files = files_below(path, Problems())
        images = [file for file in files if is_image_name(file.rpartition("/")[2])]
        found = foreign_file(path, files, folders=image_folders(images))
        if found is None:
            return True
        file, what = found
        raise DataError(
            f"{path}: holds {len(images)} images and {file}, which looks like "
            f"{what}, but no reader knows this layout. If it holds the labels, give the path of the file "
            "itself, or convert it into a file labels.csv with the columns image,labels. If the names of the "
            "folders are the labels, set `data.format` to folder."
        )

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read a folder whose sub-folders are named after the class of all images in them.

        A sub-folder called background, _background_ or none, or named by the option `nothing`, holds images
        without any class. A picture that
        lies in several class folders, byte for byte, is one image with all their labels. Images that lie in
        the folder itself, with no sub-folder beside them, are unlabelled. With `settings.pattern`, the labels
        come from the names of the images alone.

        If all top folders with images are called train, val, test or the like, they are splits: "train" is
        read by default, or everything if it does not exist; "all" reads everything. The class list is that
        of all splits.

        Raises:
            DataError: every fatal problem.
        """
        problems = Problems()
        root = settings.images or path
        files = files_below(root, problems)
        names = [file for file in files if is_image_name(file.rpartition("/")[2])]
        names = _without_masks(outside(names, root, settings.masks), root, problems)
        splits = _splits(names)
        inside = [file for file in files if not splits or file.partition("/")[0] in splits]
        _warn_of_others(root, inside, problems)
        declared = declared_classes(path, settings, problems)
        images = [_Image(name, *_divided(name, splits)) for name in names]
        if settings.pattern is None:
            sure = {*(declared or ()), *self.options.nothing}
            for message in doubts([image.name for image in images], sure):
                problems.fatal("class_folder", f"{root}: {message}")
            if not splits:
                problems.raise_fatal(path.name)
            labels = _by_folder(images, self.options.nothing, problems)
            if declared is None and are_numbered_parts(
                folders := {item[0] for item in labels.values() if item}
            ):
                message = (
                    f"{root}: the folders {', '.join(sorted(folders)[:_SHOWN])}, … differ in a number alone. "
                    "Each is a class, unless you add a table labels.csv with the columns image,labels."
                )
                problems.warn("numbered_folders", message)
            labels_from = "folder names"
        else:
            pattern = NamePattern(settings.pattern, declared, self.options.separator)
            labels = _by_name(images, pattern, self.options.nothing, problems)
            found_numbers = " as numbers of the classes from 0" if pattern.found_numbers else ""
            labels_from = f"file names by the pattern {settings.pattern}{found_numbers}"
        chosen = None
        if not (split == ALL and splits):
            chosen = choose_split(path, split, splits, default=("train",))
        wanted = [image for image in images if chosen in (None, image.split)]
        if settings.pattern is None:
            wanted = _merged(wanted, root, labels, problems)
        base = root / chosen if chosen else root
        found = sorted({label for item in labels.values() for label in item or ()})
        return assemble(
            [
                Entry(
                    record_id(image.name if chosen else image.path),
                    root / image.path,
                    labels[image.path],
                    image.path,
                )
                for image in wanted
            ],
            origin=Origin("folder", path, path, chosen, base),
            classes=Classes(tuple(found) if declared is None else declared, declared=declared is not None),
            settings=settings,
            labels_from=labels_from,
            problems=problems,
        )


@dataclass(frozen=True)
class _Image:
    """An image: path below the data set; split, if it has one; name below the folder of the split."""

    path: str
    split: str | None
    name: str


def _splits(names: Sequence[str]) -> list[str]:
    """The top folders, if all of them are called like splits and no image lies beside them."""
    tops = image_folders(names)
    return tops if all(map(is_split, tops)) and all("/" in name for name in names) else []


def _divided(path: str, splits: Sequence[str]) -> tuple[str | None, str]:
    """Split and name of an image."""
    split, _, name = path.partition("/")
    return (split, name) if split in splits else (None, path)


def _without_masks(names: Sequence[str], root: Path, problems: Problems) -> list[str]:
    masks = masks_among(names)
    if masks:
        message = f"{root}: {len(masks)} images are taken for masks of others, {min(masks)} first; left out."
        problems.warn("masks_left_out", message)
    return [name for name in names if name not in masks]


def _warn_of_others(root: Path, files: Sequence[str], problems: Problems) -> None:
    bases = (file.rpartition("/")[2] for file in files)
    others = [base for base in bases if not is_image_name(base) and base not in CLASS_FILES]
    if others:
        message = (
            f"{root}: {len(others)} files are ignored, because their extension is not that of an image; "
            f"the first is {others[0]!r}."
        )
        problems.warn("ignored_file", message)


def _by_folder(
    images: Sequence[_Image], nothing: Sequence[str], problems: Problems
) -> dict[str, tuple[str, ...] | None]:
    """Labels by path: the folder, unless the images of the split lie in none."""
    labels: dict[str, tuple[str, ...] | None] = {}
    labelled = {image.split for image in images if "/" in image.name}
    for image in images:
        folder, slash, _ = image.name.partition("/")
        if slash:
            labels[image.path] = () if is_background(folder) or folder in nothing else (folder,)
            continue
        labels[image.path] = None
        if image.split in labelled:
            message = f"{image.path}: lies beside the class folders; move it into one, or into 'background'."
            problems.fatal("image_without_folder", message)
    _refuse_unknown(
        nothing, {image.name.partition("/")[0] for image in images if "/" in image.name}, problems
    )
    deeper = [image.path for image in images if image.name.count("/") > 1]
    if deeper:
        message = (
            f"{len(deeper)} images lie in folders within the class folders, {deeper[0]} first; their class "
            "is the upper folder."
        )
        problems.warn("deeper_folders", message)
    return labels


def _refuse_unknown(nothing: Sequence[str], found: Collection[str], problems: Problems) -> None:
    for name in nothing:
        if name not in found:
            message = f"no label is called {name!r} (reader.nothing). {nearest(name, sorted(found))}"
            problems.fatal("nothing", message)


def _by_name(
    images: Sequence[_Image], pattern: NamePattern, nothing: Sequence[str], problems: Problems
) -> dict[str, tuple[str, ...] | None]:
    """Labels by path, read from the names of the images."""
    labels: dict[str, tuple[str, ...] | None] = {}
    background: dict[str, None] = {}
    names: set[str] = set()
    for image in images:
        labels[image.path] = None
        try:
            found = pattern.labels(image.name)
        except ValueError as error:
            problems.fatal("name_pattern", f"{image.path}: {error}.")
            continue
        if found is not None:
            names.update(found)
            labels[image.path] = tuple(
                label for label in found if not is_background(label) and label not in nothing
            )
            background.update(dict.fromkeys(filter(is_background, found)))
    warn_of_background(background, "file names", problems)
    if not problems.has_fatal:
        _refuse_unknown(nothing, names, problems)
    without = [path for path, found in labels.items() if found is None]
    if without and not problems.has_fatal:
        shown = some(map(repr, without), most=_SHOWN)
        message = f"the pattern {pattern.text!r} fits {len(images) - len(without)} of {len(images)} images"
        if 2 * len(without) > len(images):
            problems.fatal(
                "name_pattern", f"{message}; it does not fit {shown}. Set `data.pattern` to one that does."
            )
        else:
            problems.warn("name_pattern", f"{message}; the labels of the others are not known: {shown}.")
    found_labels = {label for item in labels.values() for label in item or ()}
    if found_labels and are_vectors(found_labels):
        message = (
            f"the labels in the file names are {', '.join(sorted(found_labels)[:_SHOWN])}, … If that is a 0 "
            "or 1 for each class, name the group (?P<labels>…) and list the classes in `data.classes`."
        )
        problems.fatal("name_pattern", message)
    return labels


def _merged(
    images: Sequence[_Image],
    root: Path,
    labels: dict[str, tuple[str, ...] | None],
    problems: Problems,
) -> list[_Image]:
    """The images, each picture that lies in several class folders once; `labels` gets all its labels."""
    known = [image.path for image in images if labels[image.path] is not None]
    dropped: set[str] = set()
    merged: list[str] = []
    for paths in equal_files(known, lambda path: root / path):
        sets = {frozenset(labels[path] or ()) for path in paths}
        if len(sets) == 1:
            continue
        if frozenset() in sets:
            problems.fatal(
                "conflicting_labels", f"{' and '.join(paths)}: are the same picture; keep one of them."
            )
            continue
        labels[paths[0]] = tuple(sorted(frozenset().union(*sets)))
        dropped.update(paths[1:])
        merged.append(" = ".join(paths))
    if merged:
        message = (
            f"{len(merged)} pictures lie in several class folders, byte for byte; each is one image with all "
            f"of these labels. The first is {merged[0]}."
        )
        problems.warn("same_picture", message)
    return [image for image in images if image.path not in dropped]
