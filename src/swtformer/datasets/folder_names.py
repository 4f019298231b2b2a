"""What the names of folders usually say about what lies in them."""

from __future__ import annotations

import re

_IMAGES = re.compile(
    r"((train|val|valid|test|jpeg|png|raw|original|all)[ _-]?)?"
    r"(images?|imgs?|pictures?|pics?|photos?|photographs?|frames|tiles|patches|crops)([ _-]?\d+)?"
    r"|data(sets?)?|files|samples|inputs?|originals?|raw|rgb|jpe?gs?|pngs?|tiff?|all|media|uploads?|unlabell?ed"
)
_MASKS = re.compile(
    r"masks?|labels?|annotations?|gts?|ground[ _-]?truths?|seg(mentations?)?"
    r"|segmentation(class|object|classaug)|trimaps?|targets?"
)


def usually_holds_images(folder: str) -> bool:
    """Whether a folder of this name usually holds the images of all classes."""
    return _IMAGES.fullmatch(folder.lower()) is not None


def usually_holds_masks(folder: str) -> bool:
    """Whether a folder of this name usually holds masks, where it holds images at all."""
    return _MASKS.fullmatch(folder.lower()) is not None
