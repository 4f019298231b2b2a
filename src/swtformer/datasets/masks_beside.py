"""Ground-truth masks as people lay them: in a folder, under the image's name or with a suffix."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from swtformer.datasets.paths import (
    ImageFolder,
    composed_name,
    is_absolute,
    is_in_other_case,
    listed_path,
    without_root,
)
from swtformer.datasets.problems import Problems
from swtformer.safe_names import safe_name

SUFFIXES = (
    "",
    "_mask",
    "_seg",
    "_label",
    "_labels",
    "_gt",
    "_segmentation",
    "_annotation",
    "_labelIds",
    "_L",
)
"""What may stand between the name of an image and the extension of its mask, the usual first."""

PREFIXES = ("mask_", "seg_", "gt_", "label_")

EXTENSIONS = (".png", ".tif", ".tiff", ".bmp", ".gif", ".webp")
"""Extensions of masks, the usual first."""

LOSSY = (".jpg", ".jpeg", ".JPG", ".JPEG")


def find_masks(folder: Path, images: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    """Masks by the ids of their images, by the way of naming them that finds most.

    Args:
        folder: holds the masks.
        images: id and file of each image.

    Returns:
        The masks that are there; no file is the mask of two images, or an image itself.
    """
    known = ImageFolder(folder)
    files = {image for _, image in images}
    best: dict[str, Path] = {}
    for named in _ways([id for id, _ in images]):
        found = {id: mask for id, image in images if (mask := _mask_file(known, named(id, image)))}
        found = {id: mask for id, mask in found.items() if mask not in files}
        if len(found) > len(best) and len(set(found.values())) == len(found):
            best = found
        if len(best) == len(images):
            break
    return best


def lossy_mask(folder: Path, images: Sequence[tuple[str, Path]]) -> Path | None:
    """A JPEG file that would be the mask of one of the images."""
    known = ImageFolder(folder)
    files = {image for _, image in images}
    stems = [named(id, image) for id, image in images for named in _ways([id])]
    found = (folder / name for stem in stems for mark in LOSSY for name in known.matches(stem + mark))
    return next((file for file in found if file.suffix in LOSSY and file not in files), None)


def named_in_other_case(id: str, mask: Path) -> bool:
    """Whether a mask holds the name of its image by leaving case aside; its extension may be in any."""
    base, stem = (composed_name(text) for text in (id.rpartition("/")[2], mask.stem))
    return base not in stem and base.casefold() in stem.casefold()


def _ways(ids: Sequence[str]) -> list[Callable[[str, Path], str]]:
    """Ways to name masks: in fewer, or more, of the folders of an image, and with a suffix or prefix."""
    depth = max((id.count("/") for id in ids), default=0)

    def way(folders: int | None, prefix: str, suffix: str) -> Callable[[str, Path], str]:
        def named(id: str, image: Path) -> str:
            *own, base = id.split("/")
            if folders is not None:
                own = [*image.parts[:-1]][len(image.parts) - 1 - folders :]
            return "/".join([*own, f"{prefix}{base}{suffix}"])

        return named

    affixes = [*(("", suffix) for suffix in SUFFIXES), *((prefix, "") for prefix in PREFIXES)]
    counts = [None, *range(depth - 1, -1, -1), depth + 1, depth + 2]
    beside = [_in_place_of_images(way(depth, *affix)) for affix in affixes] if depth else []
    return [*(way(folders, *affix) for folders in counts for affix in affixes), *beside]


def _in_place_of_images(named: Callable[[str, Path], str]) -> Callable[[str, Path], str]:
    """A way to name masks whose folder ``masks`` lies where the images' folder ``images`` does."""

    def swapped(id: str, image: Path) -> str:
        return re.sub(r"(^|/)(images|imgs?|JPEGImages)(?=/)", r"\1masks", named(id, image))

    return swapped


def _mask_file(folder: ImageFolder, stem: str) -> Path | None:
    for extension in EXTENSIONS:
        for mark in (extension, extension.upper()):
            found = folder.matches(stem + mark)
            if len(found) == 1 and PurePosixPath(found[0]).suffix.lower() in EXTENSIONS:
                return folder.root / found[0]
    return None


def column_mask(name: str, source: str, folders: Sequence[ImageFolder], problems: Problems) -> Path | None:
    """The mask that a table names: in one of some folders, with or without the folders of its name."""
    listed = listed_path(name)
    try:
        safe = safe_name(without_root(listed))
    except ValueError as error:
        problems.fatal("unsafe_name", f"{source}: mask: {error}.")
        return None
    parts = safe.split("/")
    for start in range(len(parts)):
        for folder in folders:
            if len(found := folder.matches("/".join(parts[start:]))) == 1:
                if is_in_other_case(safe, found[0]):
                    problems.warn("other_case", f"{source}: mask {name!r} is taken to be {found[0]!r}.")
                return folder.root / found[0]
    if is_absolute(listed):
        safe = parts[-1]
    looked = folders[0].root / safe
    problems.warn(
        "missing_mask", f"{source}: mask {name!r} is missing (looked for {looked}); the image is not scored."
    )
    return None
