"""Scenes of drawn figures: a textured ground, clutter of no class, and objects with exact masks."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from swtformer.datasets.figures import FIGURES, Figure, blob, stroke

CLASSES: tuple[str, ...] = tuple(FIGURES)
"""Class names in the order of the mask values 1, 2, …"""

EMPTY_FRACTION = 0.05
"""Chance of a scene without any object."""

_OVER = 3  # Super-sampling. Odd, so that one sample lies on the pixel's centre and decides the mask.
_KEPT_VISIBLE = 0.5  # Part of an object that later ones must leave visible.
_SMALLEST_AREA_PX = 16
_CLUTTER_VIVID = 0.4  # Saturation of clutter relative to objects.
_TRIES = 8
_COATS = ("upright stripes", "level stripes", "spots", "patches", "plain")
_GROUNDS = ("moss", "grass", "ripples", "planks", "pebbles", "haze")
_GROUND_HUES = (0.07, 0.1, 0.13, 0.24, 0.33, 0.5, 0.57, 0.62, 0.92)


@dataclass(frozen=True)
class _Placed:
    """A figure at its place.

    Figure coordinates (a row) times `matrix` (2, 2) plus `offset` (2,) are pixels from the box's corner.

    Attributes:
        figure: what is drawn.
        value: mask value; 0 for clutter.
        box: left, top, right and bottom in pixels.
    """

    figure: Figure
    value: int
    box: tuple[int, int, int, int]
    matrix: np.ndarray
    offset: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        """The box as an index into (H, W) arrays."""
        x0, y0, x1, y1 = self.box
        return slice(y0, y1), slice(x0, x1)

    def raster(
        self, mode: str, background: int, polygons: Iterable[tuple[np.ndarray, int | tuple[int, ...]]]
    ) -> Image.Image:
        """Polygons in figure coordinates, drawn in order on the super-sampled grid of the box."""
        x0, y0, x1, y1 = self.box
        image = Image.new(mode, ((x1 - x0) * _OVER, (y1 - y0) * _OVER), background)
        draw = ImageDraw.Draw(image)
        # Pillow's whole numbers are the centres of its pixels, hence the half.
        matrix, offset = self.matrix * _OVER, self.offset * _OVER - 0.5
        for points, fill in polygons:
            draw.polygon((points @ matrix + offset).ravel().tolist(), fill=fill)
        return image

    @cached_property
    def silhouette(self) -> Image.Image:
        """The object on the super-sampled grid: 255 inside."""
        return self.raster("L", 0, ((part, 255) for part in self.figure.silhouette))

    @cached_property
    def mask(self) -> np.ndarray:
        """(h, w) bool, True where the figure covers the pixel's centre."""
        return np.asarray(self.silhouette)[_OVER // 2 :: _OVER, _OVER // 2 :: _OVER] > 0


def draw_scene(rng: np.random.Generator, *, size: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw one scene of 1-4 objects, or with chance `EMPTY_FRACTION` of none.

    Args:
        rng: decides everything; the same state gives the same scene.
        size: (height, width) in pixels, each 32 or more.

    Returns:
        Image (H, W, 3) uint8 RGB, and its mask (H, W) uint8: 0 background, k+1 for class index k.
    """
    height, width = size
    canvas = _ground(rng, height, width)
    light = rng.uniform(0, 2 * np.pi)
    for _ in range(int(rng.integers(1, 7))):
        _paint(canvas, _clutter(rng, height, width), rng, light)
    labels = np.zeros((height, width), dtype=np.uint8)
    if rng.random() >= EMPTY_FRACTION:
        for placed in _compose(rng, height, width):
            _paint(canvas, placed, rng, light)
            labels[placed.window][placed.mask] = placed.value
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(math.sin(light))
    across = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(math.cos(light))
    canvas *= (1 - 0.1 * (down + across))[..., None]
    canvas += rng.uniform(1, 5) * rng.standard_normal((height, width, 1), dtype=np.float32)
    return canvas.clip(0, 255).astype(np.uint8), labels


def _compose(rng: np.random.Generator, height: int, width: int) -> list[_Placed]:
    """One to four objects of one to three classes, each left at least half visible by the later ones."""
    kinds = int(rng.choice(3, p=(0.6, 0.3, 0.1))) + 1
    values = [int(value) + 1 for value in rng.permutation(len(CLASSES))[:kinds]]
    largest = (0.78, 0.6, 0.5)[kinds - 1]
    wanted = [(value, _log_uniform(rng, 0.32, largest)) for value in values]
    for _ in range(int(rng.choice(3, p=(0.5, 0.3, 0.2))) if kinds < 3 else int(rng.integers(2))):
        wanted.append((values[int(rng.integers(kinds))], _log_uniform(rng, 0.12, 0.35)))
    owner = np.zeros((height, width), dtype=np.int64)
    placed: list[_Placed] = []
    for value, scale in sorted(wanted, key=lambda item: -item[1]):
        figure = FIGURES[CLASSES[value - 1]](rng)
        extent = max(scale * min(height, width), 9.0)
        for _ in range(_TRIES):
            candidate = _place(rng, figure, value, height, width, extent)
            covered = owner.copy()
            covered[candidate.window][candidate.mask] = len(placed) + 1
            *visible, area = np.bincount(covered.ravel(), minlength=len(placed) + 2)[1:].tolist()
            if area >= _SMALLEST_AREA_PX and all(
                now >= _KEPT_VISIBLE * one.mask.sum() for now, one in zip(visible, placed, strict=True)
            ):
                placed.append(candidate)
                owner = covered
                break
    return placed


def _clutter(rng: np.random.Generator, height: int, width: int) -> _Placed:
    """A pebble, leaf or twig: coat and shading as the objects have, but no mark and no class."""
    kind = int(rng.integers(3))
    if kind == 0:
        angles = np.arange(7) * 2 * np.pi / 7
        reach = rng.uniform(0.6, 1.0, 7)
        pebble = blob(
            *zip(reach * np.cos(angles), reach * np.sin(angles) * rng.uniform(0.6, 1.0), strict=True)
        )
        figure = Figure((pebble,))
    elif kind == 1:
        wide = rng.uniform(0.2, 0.45)
        leaf = blob((-1, 0), (-0.4, -wide), (0.3, -0.8 * wide), (1, 0), (0.3, 0.8 * wide), (-0.4, wide))
        figure = Figure((leaf,), ((stroke((-0.9, 0, 0.03), (0, 0, 0.03), (0.9, 0, 0.01)), 0.7),))
    else:
        bend = rng.uniform(-0.4, 0.4)
        twig = stroke((-1, 0, 0.07), (-0.3, bend, 0.06), (0.3, -bend * 0.4, 0.05), (1, bend * 0.3, 0.03))
        figure = Figure((twig,))
    return _place(rng, figure, 0, height, width, _log_uniform(rng, 0.07, 0.34) * min(height, width))


def _place(
    rng: np.random.Generator, figure: Figure, value: int, height: int, width: int, extent: float
) -> _Placed:
    """Turn, flip and scale a figure to `extent` pixels and put it somewhere, nearly whole, in the image."""
    turn = math.radians(rng.uniform(-figure.turn, figure.turn))
    cos, sin = math.cos(turn), math.sin(turn)
    flip = -1 if rng.random() < 0.5 else 1
    matrix = np.array([(flip * cos, flip * sin), (-sin, cos)])
    points = np.concatenate(figure.silhouette) @ matrix
    low, high = points.min(0), points.max(0)
    zoom = extent / (high - low).max()
    half, room = (high - low) * zoom / 2, np.array([width, height])
    margin = np.minimum(0.8 * half, room / 2)
    centre = rng.uniform(margin, room - margin)
    x0, y0 = np.floor(np.maximum(centre - half, 0)).astype(int).tolist()
    x1, y1 = np.ceil(np.minimum(centre + half, room)).astype(int).tolist()
    offset = centre - (low + high) / 2 * zoom - (x0, y0)
    return _Placed(figure, value, (x0, y0, x1, y1), matrix * zoom, offset)


def _paint(canvas: np.ndarray, placed: _Placed, rng: np.random.Generator, light: float) -> None:
    """Paint shadow, coat, tones, shading and inks of one figure on the (H, W, 3) float32 canvas."""
    figure, extent = placed.figure, max(placed.mask.shape)
    covered = np.asarray(placed.silhouette.reduce(_OVER))
    coverage = Image.fromarray(covered)
    _cast_shadow(canvas, coverage, placed.box, light)
    ground = canvas[placed.window]
    paint = _coat(rng, placed, 1.0 if placed.value else _CLUTTER_VIVID)
    height = np.asarray(coverage.filter(ImageFilter.BoxBlur(max(extent * 0.05, 0.7))), dtype=np.float32) / 255
    shade = 0.62 + 0.42 * height
    shade[1:-1, 1:-1] += (
        (height[1:-1, 2:] - height[1:-1, :-2]) * math.cos(light)
        + (height[2:, 1:-1] - height[:-2, 1:-1]) * math.sin(light)
    ) * (extent * 0.03)
    if figure.tones:
        over = placed.raster("L", 100, ((part, round(tone * 100)) for part, tone in figure.tones))
        shade *= np.asarray(over.reduce(_OVER), dtype=np.float32) * 0.01
    paint *= shade[..., None]
    if figure.inks:
        over = placed.raster("RGBA", 0, ((part, (*colour, 255)) for part, colour in figure.inks))
        ink = np.asarray(over.reduce(_OVER), dtype=np.float32)
        paint += (ink[..., :3] - paint) * (ink[..., 3:] / 255)
    ground += (paint - ground) * (covered.astype(np.float32) / 255)[..., None]


def _cast_shadow(
    canvas: np.ndarray, coverage: Image.Image, box: tuple[int, int, int, int], light: float
) -> None:
    """Darken the canvas beside a figure, away from the light."""
    x0, y0, x1, y1 = box
    reach = max(max(coverage.size) * 0.06, 1.0)
    pad = math.ceil(reach * 2)
    shape = Image.new("L", (x1 - x0 + 2 * pad, y1 - y0 + 2 * pad))
    shape.paste(coverage, (pad + round(reach * math.cos(light)), pad + round(reach * math.sin(light))))
    dark = np.asarray(shape.filter(ImageFilter.BoxBlur(reach * 0.7)))
    target = canvas[max(y0 - pad, 0) : y1 + pad, max(x0 - pad, 0) : x1 + pad]
    left, top = max(pad - x0, 0), max(pad - y0, 0)
    dark = dark[top : top + target.shape[0], left : left + target.shape[1], None]
    target *= 1 - dark * np.float32(0.45 / 255)


def _coat(rng: np.random.Generator, placed: _Placed, vivid: float) -> np.ndarray:
    """(h, w, 3) float32 coat in one of the figure's hues, its saturation scaled by `vivid`."""
    # Figure coordinates of the pixel centres, over which the pattern lies.
    rows, columns = placed.mask.shape
    (ux, vx), (uy, vy) = np.linalg.inv(placed.matrix).tolist()
    x = np.arange(columns, dtype=np.float32) + float(0.5 - placed.offset[0])
    y = np.arange(rows, dtype=np.float32)[:, None] + float(0.5 - placed.offset[1])
    u, v = x * ux + y * uy, x * vx + y * vy
    hues = placed.figure.hues
    hue = hues[int(rng.integers(len(hues)))] + rng.uniform(-0.045, 0.045)
    saturation, value = rng.uniform(0.3, 0.6) * vivid, rng.uniform(0.6, 0.95)
    base = _rgb(hue, saturation, value)
    second = _rgb(hue + rng.uniform(-0.03, 0.03), saturation, value * rng.uniform(0.45, 0.7))
    if rng.random() < 0.35:
        second = _rgb(hue, saturation * 0.45, min(value * 1.2, 1.0))
    rate, phase = rng.uniform(8, 16), rng.uniform(0, 2 * np.pi)
    match _COATS[int(rng.integers(len(_COATS)))]:
        case "upright stripes":
            wave = np.sin(rate * u + phase + 0.8 * np.sin(3 * v + phase))
        case "level stripes":
            wave = np.sin(rate * v + phase + 0.8 * np.sin(3 * u + phase))
        case "spots":
            wave = 2 * np.sin(rate * u + phase) * np.sin(rate * v) - 0.9
        case "patches":
            wave = 2 * np.sin(5 * u + 2 * np.sin(4 * v + phase)) * np.sin(6 * v + 2 * np.sin(5 * u + phase))
        case _:
            wave = 0.4 * np.sin(2 * u + phase) - 0.6
    mix = (0.5 + 1.2 * wave).clip(0, 1)[..., None]
    return np.asarray(base + (second - base) * mix)


def _ground(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W, 3) float32 textured ground in two muted colours."""
    hue = _GROUND_HUES[int(rng.integers(len(_GROUND_HUES)))]
    dark, bright = (
        _rgb(hue + rng.uniform(-0.05, 0.05), rng.uniform(0.02, 0.16), rng.uniform(*values))
        for values in ((0.25, 0.6), (0.5, 0.9))
    )
    cells = rng.uniform(2, 5)
    coarse, fine = (_noise(rng, height, width, many, many) for many in (cells, 3 * cells))
    wide = 0.6 * coarse + 0.4 * fine
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    match _GROUNDS[int(rng.integers(len(_GROUNDS)))]:
        case "moss":
            mix = wide + 0.5 * _noise(rng, height, width, 24, 24)
        case "grass":
            mix = 0.5 * wide + 0.7 * _noise(rng, height, width, rng.uniform(6, 12), rng.uniform(40, 70))
        case "ripples":
            mix = 0.5 * np.sin(rng.uniform(20, 60) * down + 6 * wide) + 0.3 * wide
        case "planks":
            count, start = int(rng.integers(4, 9)), rng.uniform(0, 0.9)
            at = start + (count - start) * down
            tone = rng.uniform(-0.5, 0.5, count + 1).astype(np.float32)[at.astype(int)]
            mix = tone - 0.9 * (at % 1 < 0.06) + 0.5 * _noise(rng, height, width, 60, 4)
        case "pebbles":
            mix = 0.64 * np.tanh(5 * _noise(rng, height, width, 14, 14)) + 0.4 * wide
        case _:
            mix = 1.6 * down - 0.8 + 0.4 * wide
    mix = (0.5 + 0.5 * mix).clip(0, 1)[..., None]
    grain = _noise(rng, height, width, height / 2, width / 2)[..., None]
    return np.asarray(dark + (bright - dark) * mix + rng.uniform(4, 16) * grain, dtype=np.float32)


def _noise(rng: np.random.Generator, height: int, width: int, rows: float, columns: float) -> np.ndarray:
    """(H, W) float32 smooth noise, about [-1, 1], with this many cells over the image's height and width."""
    cells = 2 * rng.random((max(round(rows), 2), max(round(columns), 2)), dtype=np.float32) - 1
    return np.asarray(Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC))


def _rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), dtype=np.float32) * 255


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
