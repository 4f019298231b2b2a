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

EAST, SOUTH, WEST, NORTH = range(4)
_TURNS = (1, 0, 3)  # right, straight on, left


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
    top, left = rows[0], columns[0]
    inner = np.pad(region[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    width = inner.shape[1] - 1  # vertices in a row
    upper_left, upper_right = inner[:-1, :-1], inner[:-1, 1:]
    lower_left, lower_right = inner[1:, :-1], inner[1:, 1:]
    # Whether an edge leaves each vertex in each direction, with the region on its right.
    leaves = [
        edges.ravel().tolist()
        for edges in (
            lower_right & ~upper_right,
            lower_left & ~lower_right,
            upper_left & ~lower_left,
            upper_right & ~upper_left,
        )
    ]
    steps = (1, width, -1, -width)
    todo = set(np.flatnonzero(leaves[EAST]).tolist())
    found = []
    for start in sorted(todo):
        if start not in todo:
            continue
        corners = []
        vertex, direction = start, EAST
        while True:
            if direction == EAST:
                todo.discard(vertex)
            vertex += steps[direction]
            turned = next(t for turn in _TURNS if leaves[t := (direction + turn) % 4][vertex])
            if turned != direction:
                corners.append(vertex)
            direction = turned
            if (vertex, direction) == (start, EAST):
                break
        found.append(_outline(np.array(corners), width, int(left), int(top)))
    return found


def _outline(corners: np.ndarray, width: int, left: int, top: int) -> Outline:
    points = np.stack([corners % width + left, corners // width + top], axis=1)
    x, y = points[:, 0], points[:, 1]
    doubled = int(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
    return Outline(points, abs(doubled) // 2, is_hole=doubled < 0)


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
