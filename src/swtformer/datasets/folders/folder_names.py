"""What the names of folders usually say about what lies in them."""

from __future__ import annotations

import re
from collections.abc import Collection

_IMAGES = re.compile(
    r"((train|val|valid|test|jpeg|png|raw|original|all)[ _-]?)?"
    r"(images?|imgs?|pictures?|pics?|photos?|photographs?|frames|tiles|patches|crops)([ _-]?\d+)?"
    r"|data(sets?)?|files|samples|inputs?|originals?|raw|rgb|jpe?gs?|pngs?|tiff?|all|media|uploads?|unlabell?ed"
)
_MASKS = re.compile(
    r"masks?|labels?|annotations?|gts?|ground[ _-]?truths?|seg(mentations?)?"
    r"|segmentation(class|object|classaug)|trimaps?|targets?"
)
_PARTS = re.compile(
    r"(patient|case|subject|slide|tile|patch|series|study|scan|session|seq(uence)?|video|clip|visit|batch|part)s?"
    r"[ _-]?\d[\d _-]*|(19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d"
    r"|(19|20)\d\d|b(and)?[ _-]?\d\d?a?"  # years; bands of Sentinel-2 and Landsat
    r"|rgb|nir|swir|ir|infrared|thermal|visible|depth|dsm|dem|ndvi|sar|s1|s2|left|right"
)
_NUMBERED = re.compile(r"([a-z]{2,})[ _-]?\d+")
_NUMBERED_CLASSES = ("class", "cls", "type", "grade", "stage", "level", "category", "cat", "cluster", "label")

_MASK_ENDING = re.compile(
    r"[ _-](masks?|seg|segmentation|gt|groundtruth|labels?|anno|annotations?)([ _-]?\d+)?$", re.IGNORECASE
)


def usually_holds_images(folder: str) -> bool:
    """Whether a folder of this name usually holds the images of all classes."""
    return _IMAGES.fullmatch(folder.lower()) is not None


def usually_is_part(folder: str) -> bool:
    """Whether a folder of this name is usually a patient, a date, a band or another part of a data set."""
    return _PARTS.fullmatch(folder.lower()) is not None


def are_numbered_parts(folders: Collection[str]) -> bool:
    """Whether folders differ in a number alone (kos01, kos02), and are not called class, grade or so."""
    found = {match and match[1] for match in map(_NUMBERED.fullmatch, map(str.lower, folders))}
    return len(folders) > 1 and len(found) == 1 and not found & {None, *_NUMBERED_CLASSES}


def usually_holds_masks(folder: str) -> bool:
    """Whether a folder of this name usually holds masks, where it holds images at all."""
    return _MASKS.fullmatch(folder.lower()) is not None


def masks_among(names: Collection[str]) -> set[str]:
    """Images named like masks of others: a_mask.png beside a.png, or x/masks/a.png and x/images/a.png.

    Args:
        names: paths with slashes. A top folder is never taken for one of masks.
    """
    found = set()
    places = {
        (name.split("/")[0] if "/" in name else "", _stem(name)) for name in names if not _in_masks(name)
    }
    beside = {(name.rpartition("/")[0], _stem(name)) for name in names}
    for name in names:
        stem = _stem(name)
        base = _MASK_ENDING.sub("", stem)
        ends_so = base != stem and (name.rpartition("/")[0], base) in beside
        if ends_so or (_in_masks(name) and {(name.split("/")[0], stem), (name.split("/")[0], base)} & places):
            found.add(name)
    return found


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def _in_masks(name: str) -> bool:
    """Whether a folder below the top one usually holds masks."""
    return any(map(usually_holds_masks, name.split("/")[1:-1]))
