"""Label images on disk: palette PNGs in the VOC colours, and masks.json, the rule that made a run's masks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from swtformer.store.files import write_json, write_with
from swtformer.store.maps import Source
from swtformer.store.notes import read_notes
from swtformer.store.run import Run

Policy = Literal["argmax", "fixed", "label_free"]


@dataclass(frozen=True)
class MaskRule:
    """What turns maps into labels.

    Attributes:
        source: the maps used.
        policy: how the background is decided.
        threshold: the background's score (`functional.labels.labels_at`); None where the maps' own background
            channel competes.
    """

    source: Source
    policy: Policy
    threshold: float | None


def write_rule(run: Run, rule: MaskRule, *, images: int) -> None:
    """Write masks.json once all masks follow the rule."""
    write_json(run.masks_file, {**asdict(rule), "images": images})


def read_rule(run: Run) -> MaskRule | None:
    """The rule of a run's masks; None where it has none.

    Raises:
        SwtformerError: masks.json is damaged.
    """
    return read_notes(run.masks_file, MaskRule, remedy="Make the masks again with `swtformer mask`.")


@cache
def voc_palette() -> np.ndarray:
    """The colours of PASCAL VOC: bit i of a label's base-8 digits becomes a high bit of red, green and blue.

    Returns:
        (256, 3) uint8 RGB; 0 is black, 255 nearly white.
    """
    labels = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.uint8)
    for digit in range(8):
        for channel in range(3):
            bit = labels >> (3 * digit + channel) & 1
            colours[:, channel] |= (bit << (7 - digit)).astype(np.uint8)
    colours.setflags(write=False)
    return colours


def write_mask(path: Path, labels: np.ndarray) -> None:
    """Write a (H, W) uint8 label image atomically as palette PNG.

    Raises:
        SwtformerError: the file cannot be written.
    """
    image = Image.fromarray(labels)
    image.putpalette(voc_palette().tobytes())
    write_with(path, lambda stream: image.save(stream, format="PNG"))


def remove_other_masks(folder: Path, ids: Iterable[str]) -> None:
    """Remove the masks <id>.png of a folder that have none of these ids."""
    kept = {folder / f"{id}.png" for id in ids}
    for path in set(folder.rglob("*.png")) - kept:
        path.unlink()
