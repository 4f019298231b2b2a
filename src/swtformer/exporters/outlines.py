"""Outlines of regions along the edges of their pixels, and regions from polygons.

A polygon along pixel edges covers exactly its pixels. One through pixel centres, as OpenCV traces them, is
half a pixel short on every side and has no area where a region is one pixel wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from swtformer.exporters.coco_rle import decode_rle


@dataclass(frozen=True)
class Outline:
    """One closed line.

    Attributes:
        points: (N, 2) int x and y of its corners in pixels from the image's upper left corner; clockwise
            around a part, anticlockwise around a hole.
        area: enclosed pixels, positive; the holes of a part count as enclosed.
        is_hole: whether it surrounds a hole.
    """

    points: np.ndarray
    area: int
    is_hole: bool


def outlines(region: np.ndarray) -> list[Outline]:
    """Outlines of all parts of a region and of all holes in them.

    Pixels that touch only at a corner are separate parts, and a hole that touches the outside at a corner
    belongs to the outside.

    Args:
        region: (H, W) bool.
    """
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    inner = np.pad(region[top : rows[-1] + 1, left : columns[-1] + 1], 1).astype(np.int8)
    width = inner.shape[1] - 1  # vertices in a row
    across, down = np.diff(inner, axis=0)[:, 1:-1], np.diff(inner)[1:-1].T
    # With the region on their right, and in the order of turns to the right: east, south, west, north.
    sides = [
        _sides(across == 1, width, 1),
        _sides(down == -1, 1, width),
        {end: start for start, end in _sides(across == -1, width, 1).items()},
        {end: start for start, end in _sides(down == 1, 1, width).items()},
    ]
    todo = set(sides[0])
    found = []
    for start in sides[0]:
        if start not in todo:
            continue
        corners: list[int] = []
        vertex, direction = start, 0
        while not corners or (vertex, direction) != (start, 0):
            if direction == 0:
                todo.remove(vertex)
            vertex = sides[direction][vertex]
            corners.append(vertex)
            right = (direction + 1) % 4
            direction = right if vertex in sides[right] else (right + 2) % 4
        found.append(_outline(np.array(corners), width, left, top))
    return found


def _sides(edges: np.ndarray, line_step: int, step: int) -> dict[int, int]:
    """Last vertex of each straight run of edges by its first.

    Args:
        edges: (lines, places) bool, whether there is an edge from each place to the next.
        line_step: from a vertex to that of the next line.
        step: from a vertex to the next on its line.
    """
    change = np.diff(edges.astype(np.int8), prepend=0, append=0)
    lines, firsts = np.nonzero(change == 1)
    lasts = np.nonzero(change == -1)[1]
    starts, ends = (lines * line_step + places * step for places in (firsts, lasts))
    return dict(zip(starts.tolist(), ends.tolist(), strict=True))


def _outline(corners: np.ndarray, width: int, left: int, top: int) -> Outline:
    points = np.stack([corners % width + left, corners // width + top], axis=1)
    x, y = points[:, 0], points[:, 1]
    area = int(x[::2] @ (y[1::2] - y[::2]))  # the first side is upright, and every second one after it
    return Outline(points, abs(area), is_hole=area < 0)


def fill(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> np.ndarray:
    """Pixels inside at least one of the polygons, by the rule of COCO's own tools.

    Args:
        polygons: each x0, y0, x1, y1, … in pixels.
        size: (height, width).

    Returns:
        (H, W) bool.

    Raises:
        ValueError: a polygon has fewer than three points, or one far outside the image.
    """
    height, width = size
    for polygon in polygons:
        values = np.asarray(polygon, dtype=np.float64)
        if values.ndim != 1 or len(values) < 6 or len(values) % 2:
            raise ValueError(f"expected x and y of three points or more, got {len(polygon)} numbers")
        points = values.reshape(-1, 2)
        inside = (points >= (-width, -height)) & (points <= (2 * width, 2 * height))
        if not inside.all():  # nan compares false as well
            raise ValueError(f"a point lies far outside the {width}×{height} pixels of the image")
    encoded = coco_mask.frPyObjects(
        [[float(value) for value in polygon] for polygon in polygons], height, width
    )
    # pycocotools' own decoder raises a warning under NumPy 2.
    return decode_rle(coco_mask.merge(encoded)["counts"].decode("ascii"), size)
