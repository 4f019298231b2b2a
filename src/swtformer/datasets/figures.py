"""What the drawn set shows: five classes and some clutter, as outlines in figure coordinates.

Figure coordinates run over about [-1, 1] in both directions, x to the right and y downwards. Every coat is
worn by several classes. Each class also has a small mark in a vivid colour of its own (eyespots, eyes and a
bow, a face, a golden centre, eyes and a beak): enough for a classifier, but a small part of what a mask must
cover.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]
Tones = tuple[float, *tuple[np.ndarray, ...]]
Inks = tuple[Colour, *tuple[np.ndarray, ...]]

ROSE, TAN, TEAL, VIOLET = COAT_HUES = (0.97, 0.09, 0.48, 0.75)

NIGHT: Colour = (24, 20, 28)
SNOW: Colour = (250, 248, 240)
BLUE: Colour = (0, 130, 255)
GREEN: Colour = (30, 235, 50)
MAGENTA: Colour = (255, 20, 200)
YELLOW: Colour = (255, 220, 0)
ORANGE: Colour = (255, 80, 0)


@dataclass(frozen=True)
class Figure:
    """One kind of object; the layers of body and marks are painted in order.

    Attributes:
        body: per layer how bright the coat is on it, in (0, 2.5], and its outlines, (N, 2) each. The union of
            all outlines is the object.
        marks: per layer its colour, and its outlines on the body.
        hues: hues, in [0, 1), of the coats that it may wear.
        turn: largest rotation in degrees, to either side, that still looks natural.
    """

    body: tuple[Tones, ...]
    marks: tuple[Inks, ...] = ()
    hues: tuple[float, ...] = COAT_HUES
    turn: float = 180


def rotation(degrees: float) -> np.ndarray:
    """(2, 2) matrix that turns points, as rows, from x towards y."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array(((cos, sin), (-sin, cos)))


def ellipse(x: float, y: float, rx: float, ry: float, degrees: float = 0) -> np.ndarray:
    """(36, 2) outline of an ellipse around (x, y), its rx axis turned by `degrees`."""
    angles = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    around = np.stack((rx * np.cos(angles), ry * np.sin(angles)), axis=1)
    return np.asarray(around @ rotation(degrees) + (x, y))


def disc(x: float, y: float, radius: float) -> np.ndarray:
    """(36, 2) outline of a circle."""
    return ellipse(x, y, radius, radius)


def pair(*outlines: np.ndarray) -> tuple[np.ndarray, ...]:
    """Outlines of the right side, and their mirror images on the left."""
    return tuple(outline * (side, 1) for outline in outlines for side in (1, -1))


def eyes(x: float, y: float, radius: float, iris: Colour) -> tuple[Inks, ...]:
    """A pair of eyes, or of eyespots."""
    return (
        (NIGHT, *pair(disc(x, y, radius))),
        (iris, *pair(disc(x, y, 0.86 * radius))),
        (NIGHT, *pair(disc(x, y, 0.3 * radius))),
        (SNOW, *pair(disc(x - 0.2 * radius, y - 0.25 * radius, 0.16 * radius))),
    )


_BUTTERFLY = Figure(
    body=(
        (0.55, *pair(ellipse(0.52, -0.42, 0.6, 0.36, -35), ellipse(0.4, 0.4, 0.5, 0.32, 45))),
        (1.0, *pair(ellipse(0.54, -0.43, 0.5, 0.27, -35), ellipse(0.41, 0.42, 0.4, 0.23, 45))),
        (0.3, *pair(ellipse(0.12, -0.62, 0.035, 0.3, 22))),
        (0.3, ellipse(0, 0.05, 0.085, 0.5)),
    ),
    marks=(*eyes(0.64, -0.48, 0.23, BLUE), *eyes(0.48, 0.47, 0.18, BLUE)),
    hues=(VIOLET, ROSE),
)
_CAT = Figure(
    body=(
        (0.8, ellipse(0.62, 0.5, 0.13, 0.5, 15)),
        (1.0, ellipse(0, 0.4, 0.52, 0.6)),
        (1.25, *pair(ellipse(0.2, 0.9, 0.19, 0.12))),
        (0.9, *pair(np.array(((0.06, -0.7), (0.44, -1.08), (0.5, -0.4))))),
        (0.68, ellipse(0, -0.36, 0.5, 0.42)),
        (1.08, ellipse(0, -0.43, 0.5, 0.41)),
        (1.35, ellipse(0, -0.22, 0.2, 0.13)),
    ),
    marks=(
        *eyes(0.22, -0.48, 0.2, GREEN),
        (NIGHT, np.array(((-0.08, -0.3), (0.08, -0.3), (0, -0.2)))),
        (GREEN, *pair(np.array(((0, 0.08), (0.42, -0.16), (0.42, 0.32))))),
        ((20, 150, 40), disc(0, 0.08, 0.09)),
    ),
    hues=(ROSE, TAN),
    turn=25,
)
_FISH = Figure(
    body=(
        (0.72, np.array(((0.3, 0), (1.05, -0.55), (0.85, 0), (1.05, 0.55)))),
        (0.7, ellipse(-0.05, -0.34, 0.42, 0.24, 12), ellipse(0.1, 0.4, 0.24, 0.16, -20)),
        (1.0, ellipse(-0.2, 0, 0.8, 0.46)),
        (0.7, ellipse(0, 0.14, 0.18, 0.1, 20)),
    ),
    marks=(
        (MAGENTA, ellipse(-0.62, 0, 0.37, 0.37)),
        (NIGHT, disc(-0.68, -0.08, 0.15)),
        (SNOW, disc(-0.68, -0.08, 0.13)),
        (NIGHT, disc(-0.7, -0.08, 0.07), ellipse(-0.86, 0.14, 0.08, 0.02, 15)),
    ),
    hues=(ROSE, VIOLET),
    turn=40,
)
_FLOWER = Figure(
    body=(
        (1.0, disc(0, 0, 0.4)),
        (1.1, *(ellipse(0, -0.56, 0.24, 0.46) @ rotation(turn) for turn in (0, 120, 240))),
        (0.9, *(ellipse(0, -0.56, 0.24, 0.46) @ rotation(turn) for turn in (60, 180, 300))),
        (0.7, *(ellipse(0, -0.55, 0.03, 0.25) @ rotation(turn) for turn in range(0, 360, 60))),
    ),
    marks=(
        ((190, 110, 0), disc(0, 0, 0.33)),
        (YELLOW, disc(0, 0, 0.3)),
        ((150, 84, 20), *(disc(0, 0.06 * k**0.5, 0.035) @ rotation(137.5 * k) for k in range(14))),
    ),
    hues=(TEAL, VIOLET),
)
_FEATHER = np.array(((-0.1, 0), (0, 0.1), (0.1, 0)))
_OWL = Figure(
    body=(
        (0.8, *pair(np.array(((0.12, -0.8), (0.6, -1.06), (0.62, -0.3))))),
        (1.0, ellipse(0, 0.04, 0.65, 0.92)),
        (1.28, ellipse(0, 0.35, 0.42, 0.52)),
        (0.9, *(_FEATHER + np.array((x, y)) for y in (0.15, 0.4) for x in (-0.2, 0, 0.2))),
        (0.68, *pair(ellipse(0.58, 0.25, 0.16, 0.52, 5))),
    ),
    marks=(
        *eyes(0.25, -0.43, 0.24, ORANGE),
        (ORANGE, np.array(((-0.09, -0.33), (0, -0.38), (0.09, -0.33), (0, -0.12)))),
    ),
    hues=(TAN, TEAL),
    turn=25,
)

FIGURES = {"butterfly": _BUTTERFLY, "cat": _CAT, "fish": _FISH, "flower": _FLOWER, "owl": _OWL}
"""The figure of each class."""

CLUTTER = (
    Figure(body=((1.0, ellipse(0, 0, 0.9, 0.7)),)),
    Figure(body=((1.0, ellipse(0, 0, 1, 0.35)), (0.7, ellipse(0, 0, 0.9, 0.03)))),
    Figure(body=((0.9, ellipse(-0.4, 0, 0.6, 0.05, 20), ellipse(0.5, 0.1, 0.6, 0.04, -10)),)),
)
"""A pebble, a leaf and a twig, which belong to no class."""
