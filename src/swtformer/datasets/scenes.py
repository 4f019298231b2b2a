"""Scenes of drawn figures: a textured ground, clutter of no class, and objects with exact masks."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from swtformer.datasets.figures import CLUTTER, FIGURES, Figure, rotation

_OVER = 3  # Super-sampling. Odd, so that one sample lies on the pixel's centre and decides the mask.
_CLUTTER_SATURATION = 0.4  # Relative to objects.
_LARGEST_OVERLAP = 0.25  # Part of an object that may lie on earlier ones.
_TRIES = 8


def draw_scene(
    rng: np.random.Generator, *, height: int, width: int, background_fraction: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one scene of 1-4 objects, or with chance `background_fraction` of none.

    Args:
        rng: decides everything; the same state gives the same scene.
        height: pixels, 32 or more.
        width: pixels, 32 or more.
        background_fraction: chance of a scene without any object.

    Returns:
        The image, (H, W, 3) uint8 RGB, and its mask, (H, W) uint8; 0 background, k+1 for the k-th class of
        `figures.FIGURES`.
    """
    size = min(height, width)
    edge = math.ceil(size / 2)  # Room for the parts of figures that lie outside the image.
    canvas = _ground(rng, height + 2 * edge, width + 2 * edge)
    label = np.zeros(canvas.shape[:2], dtype=np.uint8)
    light = rng.uniform(0, 2 * np.pi)

    def somewhere(sprite: _Sprite) -> tuple[slice, slice]:
        """A place where nearly all of the sprite lies within the image."""
        side = len(sprite.mask)
        centre = (edge + rng.uniform(0.3 * side, length - 0.3 * side) for length in (height, width))
        top, left = (round(middle - side / 2) for middle in centre)
        return slice(top, top + side), slice(left, left + side)

    for _ in range(int(rng.integers(1, 7))):
        figure = CLUTTER[int(rng.integers(len(CLUTTER)))]
        sprite = _draw(rng, figure, _log_uniform(rng, 0.07, 0.34) * size, light, _CLUTTER_SATURATION)
        sprite.paint(canvas[somewhere(sprite)])
    wanted = _objects(rng) if rng.random() >= background_fraction else ()
    for index, scale in sorted(wanted, key=lambda item: -item[1]):
        sprite = _draw(rng, list(FIGURES.values())[index], max(scale * size, 9.0), light)
        for place in (somewhere(sprite) for _ in range(_TRIES)):
            if (label[place][sprite.mask] > 0).mean() <= _LARGEST_OVERLAP:
                sprite.paint(canvas[place])
                label[place][sprite.mask] = index + 1
                break
    canvas += rng.uniform(1, 5) * rng.standard_normal((*label.shape, 1), dtype=np.float32)
    inside = slice(edge, edge + height), slice(edge, edge + width)
    return canvas[inside].clip(0, 255).astype(np.uint8), label[inside]


def _objects(rng: np.random.Generator) -> Iterator[tuple[int, float]]:
    """Class indices of one to four objects of one to three classes, and their sizes relative to the image."""
    kinds = int(rng.choice(3, p=(0.6, 0.3, 0.1))) + 1
    indices = rng.permutation(len(FIGURES))[:kinds].tolist()
    for index in indices:
        yield index, _log_uniform(rng, 0.32, (0.78, 0.6, 0.5)[kinds - 1])
    for _ in range(int(rng.integers(3 if kinds < 3 else 2))):
        yield indices[int(rng.integers(kinds))], _log_uniform(rng, 0.12, 0.35)


@dataclass(frozen=True)
class _Sprite:
    """A drawn figure in a square tile.

    Attributes:
        colour: (S, S, 3) float32 in [0, 255], what the figure adds to the ground.
        shown: (S, S, 1) float32 in [0, 1], what is left of the ground behind the figure and in its shadow.
        mask: (S, S) bool, True where the figure covers the pixel's centre.
    """

    colour: np.ndarray
    shown: np.ndarray
    mask: np.ndarray

    def paint(self, ground: np.ndarray) -> None:
        """Lay the figure over an (S, S, 3) part of a canvas, in place."""
        ground *= self.shown
        ground += self.colour


def _draw(
    rng: np.random.Generator, figure: Figure, extent: float, light: float, saturation: float = 1.0
) -> _Sprite:
    """Turn, flip, stretch and scale a figure to `extent` pixels, and paint it with a random coat."""
    stretch = np.array((rng.choice((-1, 1)) * rng.uniform(0.85, 1.15), 1.0))
    matrix = stretch[:, None] * rotation(rng.uniform(-figure.turn, figure.turn))
    points = np.concatenate([outline for _, *outlines in figure.body for outline in outlines]) @ matrix
    low, high = points.min(0), points.max(0)
    zoom = extent / (high - low).max()
    side = math.ceil(1.4 * extent) + 4
    matrix, centre = matrix * zoom, side / 2 - (low + high) / 2 * zoom

    def raster(mode: str, layers: Sequence[Sequence[Any]]) -> Image.Image:
        """Layers of a fill and its outlines, on the super-sampled tile."""
        image = Image.new(mode, (side * _OVER, side * _OVER))
        draw = ImageDraw.Draw(image)
        for fill, *outlines in layers:
            for outline in outlines:
                # Pillow's whole numbers are the centres of its pixels, hence the half.
                corners = (outline @ matrix + centre) * _OVER - 0.5
                draw.polygon(corners.ravel().tolist(), fill=fill)
        return image

    tones = raster("L", [(round(100 * tone), *outlines) for tone, *outlines in figure.body])
    inks = raster("RGBA", [((*colour, 255), *outlines) for colour, *outlines in figure.marks])
    covered = np.asarray(tones) > 0
    whole = Image.fromarray(covered.astype(np.uint8) * 255).reduce(_OVER)
    soft = whole.filter(ImageFilter.BoxBlur(max(0.05 * extent, 0.7)))
    solid, tone, ink = (
        np.asarray(image, dtype=np.float32).reshape(side, side, -1)
        for image in (whole, tones.reduce(_OVER), inks.reduce(_OVER))
    )
    coverage, inked = solid / 255, ink[..., 3:] / 255
    x, y = (np.arange(side, dtype=np.float32) + (0.5 - middle) for middle in centre.tolist())
    (ux, vx), (uy, vy) = np.linalg.inv(matrix).tolist()
    hue = figure.hues[int(rng.integers(len(figure.hues)))] + rng.uniform(-0.045, 0.045)
    coat = _coat(rng, hue, saturation, ux * x + uy * y[:, None], vx * x + vy * y[:, None])
    # As if the figure bulged: bright where it faces the light, dark at the rim, a shadow on the far side.
    height = np.asarray(soft, dtype=np.float32) / 255
    down, across = np.gradient(height)
    shade = 0.62 + 0.42 * height + 0.06 * extent * (down * math.sin(light) + across * math.cos(light))
    cast = [round(0.06 * extent * part) for part in (math.sin(light), math.cos(light))]
    shadow = 0.45 * np.roll(height, cast, axis=(0, 1))
    return _Sprite(
        colour=coat * shade[..., None] * (tone / 100) * (1 - inked) + ink[..., :3] * inked * coverage,
        shown=(1 - shadow[..., None]) * (1 - coverage),
        mask=covered[_OVER // 2 :: _OVER, _OVER // 2 :: _OVER],
    )


def _coat(
    rng: np.random.Generator, hue: float, saturation: float, u: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """(h, w, 3) float32 coat at (h, w) figure coordinates: stripes, spots or plain."""
    saturation, value = rng.uniform(0.3, 0.6) * saturation, rng.uniform(0.6, 0.95)
    second = (saturation, value * rng.uniform(0.45, 0.7)) if rng.random() < 0.65 else (saturation * 0.45, 1.0)
    if rng.random() < 0.5:
        u, v = v, u
    rate, phase = rng.uniform(8, 16), rng.uniform(0, 2 * np.pi)
    match int(rng.integers(3)):
        case 0:
            wave = np.sin(rate * u + phase + 0.8 * np.sin(3 * v + phase))
        case 1:
            wave = 2 * np.sin(rate * u + phase) * np.sin(rate * v) - 0.9
        case _:
            wave = 0.4 * np.sin(2 * u + phase) - 0.6
    return _mixed(_rgb(hue, saturation, value), _rgb(hue, *second), 0.5 + 1.2 * wave)


def _ground(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W, 3) float32 ground in two muted colours: moss, grass, planks, or ripples."""
    hue, saturation = rng.random(), rng.uniform(0.02, 0.16)
    dark, bright = (_rgb(hue, saturation, rng.uniform(*values)) for values in ((0.25, 0.6), (0.5, 0.9)))
    wide = _noise(rng, height, width, rng.uniform(3, 10), rng.uniform(3, 10))
    fine = _noise(rng, height, width, _log_uniform(rng, 6, 80), _log_uniform(rng, 6, 80))
    mix = 0.6 * (wide + fine)
    if rng.random() < 0.25:
        down = np.linspace(0, rng.uniform(40, 120), height, dtype=np.float32)[:, None]
        mix = 0.3 * mix + 0.5 * np.sin(down + 5 * wide)
    grain = rng.uniform(4, 16) * _noise(rng, height, width, height / 2, width / 2)
    return _mixed(dark, bright, 0.5 + 0.5 * mix) + grain[..., None]


def _noise(rng: np.random.Generator, height: int, width: int, rows: float, columns: float) -> np.ndarray:
    """(H, W) float32 smooth noise, about [-1, 1], with this many cells over the image's height and width."""
    cells = 2 * rng.random((round(rows), round(columns)), dtype=np.float32) - 1
    return np.asarray(Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC))


def _mixed(first: np.ndarray, second: np.ndarray, part: np.ndarray) -> np.ndarray:
    return np.asarray(first + (second - first) * part.clip(0, 1)[..., None], dtype=np.float32)


def _rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), dtype=np.float32) * 255


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
