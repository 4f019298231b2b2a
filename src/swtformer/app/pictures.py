"""Masks over photographs, in the colours of the mask files, and their legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from swtformer.label_values import BACKGROUND, IGNORED
from swtformer.report.pictures import outline
from swtformer.store.masks import voc_palette

STRIPES_PX = 12
"""Distance of the stripes over pixels without a label; each is 2 px of light beside 2 px of dark."""

_PAPER, _INK = 250, 40


def laid_over(photograph: np.ndarray, labels: np.ndarray, opacity: float) -> np.ndarray:
    """Lay a label image over a photograph.

    Classes have the colours of the mask file (`voc_palette`), many of which are dark, and a light outline;
    the background is left as it is; pixels without a label (255) are striped.

    Args:
        photograph: (h, w, 3) uint8 RGB.
        labels: (h, w) uint8.
        opacity: of the colours, in [0, 1]; 0 shows the photograph alone.

    Returns:
        (h, w, 3) uint8.
    """
    if opacity <= 0:
        return photograph
    height, width = labels.shape
    colours = voc_palette().astype(np.float32)[labels]
    weights = np.where(labels == 0, 0.0, min(opacity, 1.0)).astype(np.float32)
    unsure = labels == IGNORED
    edges = outline(labels) & ~unsure
    colours[edges] = (colours[edges] + 3 * 255) / 4
    weights[edges] = max(0.8, min(opacity, 1.0))
    rows, columns = np.ogrid[:height, :width]
    phase = (rows + columns) % STRIPES_PX
    colours[unsure] = np.where(phase < 2, _PAPER, _INK)[unsure][:, None]
    weights[unsure & (phase >= 4)] = 0
    mixed: np.ndarray = photograph + weights[..., None] * (colours - photograph)
    return mixed.round().astype(np.uint8)


@dataclass(frozen=True)
class LegendRow:
    """One line of a legend: a mask value, its part of the pixels, and what the classifier says of it."""

    label: int
    name: str
    area: float
    probability: float | None = None


def legend_rows(
    labels: np.ndarray, classes: Sequence[str], probabilities: dict[int, float] | None = None
) -> list[LegendRow]:
    """Legend of a label image: background first, then the classes by falling area, 255 last.

    Args:
        labels: (h, w) uint8.
        classes: class names; a label is index + 1.
        probabilities: by label; these classes are listed even where they have no pixel.
    """
    areas = np.bincount(labels.ravel(), minlength=256) / labels.size
    known = probabilities or {}
    named = {label for label in np.flatnonzero(areas).tolist() if 0 < label < IGNORED} | set(known)
    rows = [LegendRow(0, BACKGROUND, float(areas[0]))]
    for label in sorted(named, key=lambda label: (-areas[label], label)):
        name = classes[label - 1] if label <= len(classes) else f"label {label}"
        rows.append(LegendRow(label, name, float(areas[label]), known.get(label)))
    if areas[IGNORED]:
        rows.append(LegendRow(IGNORED, "undecided", float(areas[IGNORED])))
    return rows


def legend(rows: Sequence[LegendRow]) -> str:
    """The legend as an HTML list."""
    colours = voc_palette()
    lines = []
    for row in rows:
        red, green, blue = colours[row.label].tolist()
        kind = {0: " bare", IGNORED: " striped"}.get(row.label, "")
        found = "" if row.probability is None else f", probability {row.probability:.2f}"
        lines.append(
            f'<li><span class="swatch{kind}" style="--swatch: rgb({red} {green} {blue})"></span>'
            f"{escape(row.name)} <small>{_percent(row.area)} of the picture{found}</small></li>"
        )
    return f'<ul class="legend">{"".join(lines)}</ul>'


def described(rows: Sequence[LegendRow]) -> str:
    """The legend in words, for readers who cannot see the picture."""
    return ", ".join(f"{row.name} {_percent(row.area)}" for row in rows)


def _percent(area: float) -> str:
    return f"{100 * area:.1f} %"
