"""Outlines of regions along the edges of their pixels, and regions from polygons.

A polygon along pixel edges covers exactly its pixels. One through pixel centres, as OpenCV traces them, is
half a pixel short on every side and has no area where a region is one pixel wide.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from swtformer.exporters.coco_rle import decode_rle
from swtformer.exporters.objects import box_of
from swtformer.exporters.reading import NoMaskError

LEAST_POINTS = 3
"""Points of a polygon that has an area."""


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
    box = box_of(region)
    top, left = box[0].start, box[1].start
    inner = np.pad(region[box], 1).astype(np.int8)
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


def polygons(region: np.ndarray) -> list[np.ndarray]:
    """A polygon around each part of a region, the largest first, with its holes cut open.

    A hole is joined to the line left of it by a cut of no width, which the polygon runs along in both
    directions, so that the polygon alone covers exactly the pixels of the part.

    Args:
        region: (H, W) bool.

    Returns:
        For each part (N, 2) int x and y of the corners in pixels.
    """
    lines = outlines(region)
    cuts = _cuts(region, lines)
    parts = [number for number, line in enumerate(lines) if not line.is_hole]
    return [_with_cuts(part, lines, cuts) for part in sorted(parts, key=lambda part: -lines[part].area)]


@dataclass(frozen=True)
class _Cut:
    """A cut from a point on a line to a corner of a hole.

    Attributes:
        point: x and y on the line.
        hole: number of the outline of the hole.
        corner: number of its corner.
    """

    point: tuple[int, int]
    hole: int
    corner: int


def _cuts(region: np.ndarray, lines: Sequence[Outline]) -> dict[tuple[int, int], list[_Cut]]:
    """The cuts to all holes, by the line that they start from and its side (the number of its first corner).

    From the upper left corner of a hole the cut runs left between two rows of the region, until one of them
    ends there: at an upright side of another line of the same part. That line begins further left, so the
    cuts make a tree whose root is the line around the part.
    """
    holes = [number for number, line in enumerate(lines) if line.is_hole]
    if not holes:
        return {}
    width = region.shape[1] + 1
    side_at = np.zeros((region.shape[0] + 1) * width, dtype=np.int64)
    sides: list[tuple[int, int]] = []
    for number, line in enumerate(lines):
        for corner, ((x, y), (next_x, next_y)) in enumerate(
            zip(line.points.tolist(), np.roll(line.points, -1, axis=0).tolist(), strict=True)
        ):
            if x == next_x:
                top, bottom = sorted((y, next_y))
                side_at[top * width + x : bottom * width + x + 1 : width] = len(sides)
                sides.append((number, corner))
    inside = region[:-1] & region[1:]
    cuts: dict[tuple[int, int], list[_Cut]] = defaultdict(list)
    for hole in holes:
        points = lines[hole].points
        corner = int(np.lexsort((points[:, 1], points[:, 0]))[0])
        x, y = points[corner].tolist()
        reached = x - int(np.argmin(np.append(inside[y - 1, :x][::-1], False)))
        cuts[sides[side_at[y * width + reached]]].append(_Cut((reached, y), hole, corner))
    return cuts


def _with_cuts(
    part: int, lines: Sequence[Outline], cuts: Mapping[tuple[int, int], Sequence[_Cut]]
) -> np.ndarray:
    """The corners of a polygon that runs around a part and, by the cuts, around its holes."""
    found: list[tuple[int, int]] = []
    todo = [_line_with_cuts(part, 0, lines, cuts)]
    while todo:
        step = next(todo[-1], None)
        if step is None:
            todo.pop()
        elif isinstance(step, _Cut):
            todo.append(_line_with_cuts(step.hole, step.corner, lines, cuts))
        elif not found or step != found[-1]:
            found.append(step)
    return np.array(found[:-1] if found[-1] == found[0] else found)


def _line_with_cuts(
    number: int, first: int, lines: Sequence[Outline], cuts: Mapping[tuple[int, int], Sequence[_Cut]]
) -> Iterator[tuple[int, int] | _Cut]:
    """Once around a line from a corner back to it; before and after a cut comes the point where it starts."""
    points = [(x, y) for x, y in lines[number].points.tolist()]
    for corner in (*range(first, len(points)), *range(first)):
        start = points[corner]
        yield start
        for cut in sorted(cuts.get((number, corner), ()), key=lambda cut: abs(cut.point[1] - start[1])):
            yield cut.point
            yield cut
            yield cut.point
    yield points[first]


def fill(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> np.ndarray:
    """Pixels inside at least one of the polygons, by the rule of COCO's own tools.

    Args:
        polygons: each x0, y0, x1, y1, … in pixels.
        size: (height, width).

    Returns:
        (H, W) bool.

    Raises:
        NoMaskError: a polygon has fewer than three points, or all of them together cover no pixel.
        ValueError: a polygon is damaged or has a point far outside the image.
    """
    height, width = size
    for polygon in polygons:
        values = np.asarray(polygon, dtype=np.float64)
        if values.ndim != 1 or len(values) % 2:
            raise ValueError(f"expected x and y of each point, got {len(polygon)} numbers")
        if len(values) < 2 * LEAST_POINTS:
            raise NoMaskError(f"a polygon of {len(values) // 2} points")
        points = values.reshape(-1, 2)
        inside = (points >= (-width, -height)) & (points <= (2 * width, 2 * height))
        if not inside.all():  # nan compares false as well
            raise ValueError(f"a point lies far outside the {width}×{height} pixels of the image")
    encoded = coco_mask.frPyObjects(
        [[float(value) for value in polygon] for polygon in polygons], height, width
    )
    # pycocotools' own decoder raises a warning under NumPy 2.
    region = decode_rle(coco_mask.merge(encoded)["counts"].decode("ascii"), size)
    if not region.any():
        raise NoMaskError("a polygon that covers no pixel")
    return region
