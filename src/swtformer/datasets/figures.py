"""The figures that the procedural set is made of: outlines and marks of each class, in figure coordinates.

Figure coordinates run over about [-1, 1] in both directions, x to the right and y downwards. Each class has a
mark of its own in one vivid colour (eyespots, eyes and a bow, a face, a golden centre, eye discs) on a larger
body whose coat, hue and pattern, other classes wear as well: the mark is what a classifier needs, the body is
what a mask must cover as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Colour = tuple[int, int, int]
Point = tuple[float, float]
_Paint = TypeVar("_Paint", float, Colour)

_STEPS = np.arange(6)[:, None] / 6
_CATMULL_ROM = 0.5 * np.concatenate(
    [
        -_STEPS + 2 * _STEPS**2 - _STEPS**3,
        2 - 5 * _STEPS**2 + 3 * _STEPS**3,
        _STEPS + 4 * _STEPS**2 - 3 * _STEPS**3,
        _STEPS**3 - _STEPS**2,
    ],
    axis=1,
)
_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 36, endpoint=False)) for f in (np.cos, np.sin)], 1)

_NIGHT: Colour = (24, 20, 28)
_SNOW: Colour = (250, 248, 240)
_BLUE: Colour = (0, 130, 255)
_GREEN: Colour = (30, 235, 50)
_MAGENTA: Colour = (255, 20, 200)
_PLUM: Colour = (150, 0, 110)
_YELLOW: Colour = (255, 220, 0)
_ORANGE: Colour = (255, 80, 0)
_ROSE, _TAN, _TEAL, _VIOLET = COAT_HUES = (0.97, 0.09, 0.48, 0.75)


@dataclass(frozen=True)
class Figure:
    """One drawn object before it is placed.

    Attributes:
        silhouette: polygons, (N, 2) float64 each, whose union is the object; its mask is decided by them.
        tones: polygons that make the coat brighter (above 1) or darker, painted in order.
        inks: polygons of a fixed colour, painted in order over the coat.
        turn: largest rotation in degrees to either side that still looks natural.
        hues: families of coats, in [0, 1), of which each instance gets one; every family is shared.
    """

    silhouette: tuple[np.ndarray, ...]
    tones: tuple[tuple[np.ndarray, float], ...] = ()
    inks: tuple[tuple[np.ndarray, Colour], ...] = ()
    turn: float = 180
    hues: tuple[float, ...] = COAT_HUES


def ellipse(x: float, y: float, rx: float, ry: float, degrees: float = 0.0) -> np.ndarray:
    """(36, 2) outline of an ellipse around (x, y), its rx axis turned by `degrees`."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.asarray(_CIRCLE @ ((rx * cos, rx * sin), (-ry * sin, ry * cos)) + (x, y))


def blob(*points: Point) -> np.ndarray:
    """(6N, 2) closed smooth outline (Catmull-Rom spline) through N points."""
    line = np.array((points[-1], *points, points[0], points[1]))
    count = len(points)
    corners = np.stack([line[k : k + count] for k in range(4)], axis=1)
    return np.asarray((_CATMULL_ROM @ corners).reshape(-1, 2))


def stroke(*points: tuple[float, float, float]) -> np.ndarray:
    """Closed smooth outline of a line through points (x, y, half width)."""
    left, right = [], []
    for k, (x, y, half) in enumerate(points):
        before, after = points[max(k - 1, 0)], points[min(k + 1, len(points) - 1)]
        along = (after[0] - before[0], after[1] - before[1])
        reach = half / math.hypot(*along)
        left.append((x - along[1] * reach, y + along[0] * reach))
        right.append((x + along[1] * reach, y - along[0] * reach))
    return blob(*left, *reversed(right))


def symmetric(*points: Point) -> np.ndarray:
    """`blob` through the points of its right half, of which the first and the last lie on x = 0."""
    return blob(*points, *((-x, y) for x, y in reversed(points[1:-1])))


def both(*outlines: np.ndarray) -> tuple[np.ndarray, ...]:
    """Each outline, followed by itself with left and right exchanged."""
    return tuple(side for outline in outlines for side in (outline, outline * (-1.0, 1.0)))


def _in(paint: _Paint, *outlines: np.ndarray) -> list[tuple[np.ndarray, _Paint]]:
    return [(outline, paint) for outline in outlines]


def _discs(x: float, y: float, *discs: tuple[Colour, float, float, float]) -> list[tuple[np.ndarray, Colour]]:
    """Discs at (x, y), painted in order: colour, radius, and the shift of the centre in x and y."""
    return [(ellipse(x + right, y + down, r, r), colour) for colour, r, right, down in discs]


def _butterfly(rng: np.random.Generator) -> Figure:
    span, drop = rng.uniform(0.9, 1.05), rng.uniform(0.85, 1.1)
    upper = blob((0.04, 0.1), (0.2, -0.45), (0.7, -0.85), (1.0, -0.7), (0.88, -0.2), (0.5, 0.12)) * (span, 1)
    lower = blob((0.04, 0.0), (0.55, 0.06), (0.78, 0.4), (0.55, 0.82), (0.2, 0.6)) * (span, drop)
    inner = [wing * 0.8 + wing.mean(0) * 0.17 for wing in (upper, lower)]
    feeler = stroke((0.03, -0.3, 0.03), (0.1, -0.62, 0.025), (0.27, -0.86, 0.045))
    trunk = ellipse(0, 0.05, 0.085, 0.45)
    spots: list[tuple[np.ndarray, Colour]] = []
    for x, y, size in ((0.6 * span, -0.42, 0.95), (0.45 * span, 0.38 * drop, 0.72)):
        rings = [
            (colour, r * size, 0.0, 0.0) for colour, r in ((_NIGHT, 0.22), (_BLUE, 0.19), (_NIGHT, 0.06))
        ]
        for side in (-1, 1):
            spots += _discs(side * x, y, *rings, (_SNOW, 0.035 * size, -0.03 * size, -0.03 * size))
    return Figure(
        silhouette=(*both(upper, lower), trunk, *both(feeler)),
        tones=(*_in(0.55, *both(upper, lower)), *_in(1.0, *both(*inner))),
        inks=(*spots, *_in((48, 34, 30), *both(feeler), trunk)),
        hues=(_VIOLET, _ROSE),
    )


def _cat(rng: np.random.Generator) -> Figure:
    wide = rng.uniform(0.9, 1.12)
    body = symmetric((0, -0.3), (0.34, -0.1), (0.55, 0.4), (0.52, 0.86), (0, 0.98)) * (wide, 1)
    reach = rng.uniform(0.75, 1.0)
    tail = stroke((0.35, 0.84, 0.09), (0.7, 0.8, 0.1), (0.86 * reach, 0.45, 0.09), (0.78 * reach, 0.1, 0.07))
    head = symmetric((0, -0.86), (0.34, -0.76), (0.5, -0.42), (0.32, -0.12), (0, -0.04))
    chin = head + np.array((0, 0.07))
    ear = np.array([(0.1, -0.8), (0.44, -1.08), (0.49, -0.45)])
    inner_ear = ear * 0.62 + np.array([(0.345, -0.755)]) * 0.38
    paw = ellipse(0.2, 0.88, 0.17, 0.11)
    leg = stroke((0.13, 0.25, 0.015), (0.1, 0.55, 0.02), (0.06, 0.9, 0.02))
    eyes: list[tuple[np.ndarray, Colour]] = []
    for x, turn in ((-0.2, 12), (0.2, -12)):
        eyes += _in(_NIGHT, ellipse(x, -0.46, 0.165, 0.14, turn))
        eyes += _in(_GREEN, ellipse(x, -0.46, 0.145, 0.12, turn))
        eyes += _in(_NIGHT, ellipse(x, -0.46, 0.03, 0.09))
        eyes += _in(_SNOW, ellipse(x - 0.035, -0.5, 0.022, 0.022))
    bow = blob((0.0, 0.06), (0.2, -0.08), (0.32, 0.08), (0.2, 0.24))
    scarf = stroke((-0.3, -0.12, 0.06), (0, 0.02, 0.09), (0.3, -0.12, 0.06))
    muzzle, knot = ellipse(0, -0.22, 0.2, 0.12), ellipse(0, 0.07, 0.075, 0.075)
    nose = np.array([(-0.075, -0.3), (0.075, -0.3), (0, -0.215)])
    smile = stroke((0, -0.23, 0.016), (0.06, -0.16, 0.016), (0.14, -0.18, 0.012))
    return Figure(
        silhouette=(tail, body, head, *both(ear)),
        tones=(
            (tail, 0.82),
            (body, 1.0),
            *_in(0.6, *both(leg)),
            *_in(1.2, *both(paw)),
            (chin, 0.68),
            *_in(0.9, *both(ear)),
            (head, 1.08),
            *_in(0.66, *both(inner_ear)),
            (muzzle, 1.35),
        ),
        inks=(
            *eyes,
            (nose, (120, 70, 70)),
            *_in(_GREEN, scarf, *both(bow)),
            (knot, (20, 150, 40)),
            *_in(_NIGHT, *both(smile)),
        ),
        turn=25,
        hues=(_ROSE, _TAN),
    )


def _fish(rng: np.random.Generator) -> Figure:
    deep = rng.uniform(0.8, 1.3)
    upper = ((-1, 0.04), (-0.72, -0.3), (-0.2, -0.44), (0.3, -0.28), (0.66, -0.07))
    body = blob(*upper, (0.66, 0.07), (0.3, 0.28), (-0.2, 0.44), (-0.72, 0.32)) * (1, deep)
    lobe = ((0.78, -0.28), (1.05, -0.5), (0.95, -0.2))
    tail = blob((0.52, 0), *lobe, (0.88, 0), *((x, -y) for x, y in reversed(lobe)))
    back = blob((-0.5, -0.3), (-0.3, -0.62), (0.1, -0.68), (0.42, -0.5), (0.38, -0.18)) * (1, deep)
    belly = blob((-0.15, 0.34), (0.05, 0.64), (0.3, 0.58), (0.3, 0.2)) * (1, deep)
    breast = blob((-0.3, 0.08), (-0.05, 0.02), (0.12, 0.18), (0.02, 0.28), (-0.2, 0.22))
    brow = ((-1, 0.04), (-0.74, -0.28), (-0.5, -0.37), (-0.36, -0.2))
    face = blob(*brow, (-0.3, 0.03), (-0.36, 0.24), (-0.5, 0.38), (-0.74, 0.3)) * (1, deep)
    gill = stroke((-0.46, -0.26, 0.01), (-0.37, -0.1, 0.022), (-0.37, 0.14, 0.022), (-0.46, 0.3, 0.01))
    mouth = stroke((-0.98, 0.1 * deep, 0.02), (-0.88, 0.13 * deep, 0.035), (-0.8, 0.1 * deep, 0.02))
    pupil = ((_NIGHT, 0.065, -0.02, 0.0), (_SNOW, 0.025, -0.045, -0.03))
    eye = _discs(-0.7, -0.1 * deep, (_NIGHT, 0.135, 0.0, 0.0), (_SNOW, 0.115, 0.0, 0.0), *pupil)
    return Figure(
        silhouette=(back, belly, tail, body),
        tones=((back, 0.7), (belly, 0.7), (tail, 0.78), (body, 1.0), (breast, 0.72)),
        inks=((face, _MAGENTA), (gill * (1, deep), _PLUM), *eye, (mouth, _PLUM)),
        turn=40,
        hues=(_ROSE, _VIOLET),
    )


def _flower(rng: np.random.Generator) -> Figure:
    count = int(rng.integers(5, 9))
    width = rng.uniform(0.9, 1.15) * 1.35 / count
    tip = rng.uniform(0.0, 0.12)
    petal = symmetric((0, 0), (width * 0.8, -0.4), (width, -0.72), (width * 0.5, -0.97), (0, -1 - tip))
    vein = stroke((0, -0.25, 0.03), (0, -0.5, 0.025), (0, -0.8, 0.005))
    petals: list[np.ndarray] = []
    tones: list[tuple[np.ndarray, float]] = []
    for index, angle in enumerate(np.arange(count) * 2 * np.pi / count):
        turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
        petals.append(petal @ turn)
        tones += [(petals[-1], 1.1 if index % 2 else 0.86), (vein @ turn, 0.68)]
    seeds = [
        ellipse(r * np.cos(a), r * np.sin(a), 0.035, 0.035)
        for a, r in zip(np.arange(14) * 2.4, 0.23 * np.sqrt(np.arange(14) / 14), strict=True)
    ]
    centre = _discs(0, 0, ((190, 110, 0), 0.33, 0, 0), (_YELLOW, 0.3, 0, 0))
    return Figure(
        silhouette=tuple(petals),
        tones=(*tones, (ellipse(0, 0, 0.4, 0.4), 0.7)),
        inks=(*centre, *_in((150, 84, 20), *seeds)),
        hues=(_TEAL, _VIOLET),
    )


def _owl(rng: np.random.Generator) -> Figure:
    stretch = (rng.uniform(0.9, 1.1), 1)
    right = ((0.44, -0.78), (0.62, -0.4), (0.62, 0.2), (0.42, 0.78))
    body = symmetric((0, -0.86), *right, (0, 0.95)) * stretch
    tuft = np.array([(0.18, -0.8), (0.6, -1.06), (0.6, -0.4)]) * stretch
    wing = blob((0.48, -0.3), (0.74, 0.05), (0.68, 0.5), (0.44, 0.84), (0.38, 0.3)) * stretch
    scallops = [
        blob((x - 0.1, y), (x, y + 0.11), (x + 0.1, y), (x, y + 0.045))
        for y, xs in ((0.12, (-0.22, 0.0, 0.22)), (0.33, (-0.11, 0.11)), (0.54, (-0.2, 0.0, 0.2)))
        for x in xs
    ]
    eyes: list[tuple[np.ndarray, Colour]] = []
    for side in (-1, 1):
        eyes += _in((255, 190, 130), ellipse(side * 0.26, -0.44, 0.26, 0.27))
        eyes += _in(_ORANGE, ellipse(side * 0.24, -0.43, 0.19, 0.19))
        eyes += _discs(side * 0.23, -0.43, (_NIGHT, 0.1, 0, 0), (_SNOW, 0.035, -0.045, -0.045))
    beak = np.array([(-0.085, -0.33), (0, -0.38), (0.085, -0.33), (0, -0.13)])
    chest = ellipse(0, 0.35, 0.42, 0.52) * stretch
    return Figure(
        silhouette=(body, *both(tuft, wing)),
        tones=(*_in(0.8, *both(tuft)), (chest, 1.28), *_in(0.85, *scallops), *_in(0.68, *both(wing))),
        inks=(*eyes, (beak, _ORANGE)),
        turn=25,
        hues=(_TAN, _TEAL),
    )


FIGURES: Mapping[str, Callable[[np.random.Generator], Figure]] = {
    "butterfly": _butterfly,
    "cat": _cat,
    "fish": _fish,
    "flower": _flower,
    "owl": _owl,
}
"""Class name to the function that draws one figure of it, proportions varied by the generator."""
