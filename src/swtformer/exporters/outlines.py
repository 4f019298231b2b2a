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
    inner = np.pad(region[box], 1)
    width = inner.shape[1] - 1  # vertices in a row
    above, below = inner[:-1, 1:-1], inner[1:, 1:-1]
    before, after = inner[1:-1, :-1], inner[1:-1, 1:]
    # With the region on their right, and in the order of turns to the right: east, south, west, north.
    east, south = _sides(below & ~above, width, 1), _sides((before & ~after).T, 1, width)
    west, north = _sides(above & ~below, width, 1)[::-1], _sides((after & ~before).T, 1, width)[::-1]
    starts, ends = (np.concatenate(parts) for parts in zip(east, south, west, north, strict=True))
    turns = np.repeat(np.arange(4), [len(each[0]) for each in (east, south, west, north)])
    following = _following(starts, ends, turns).tolist()
    todo = [True] * len(east[0])
    found = []
    for first in range(len(todo)):
        if not todo[first]:
            continue
        side = first
        sides: list[int] = []
        while not sides or side != first:
            if side < len(todo):
                todo[side] = False
            sides.append(side)
            side = following[side]
        found.append(_outline(ends[sides], width, left, top))
    return found


def _sides(edges: np.ndarray, line_step: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last vertex of each straight run of edges, line by line.

    Args:
        edges: (lines, places) bool, whether there is an edge from each place to the next.
        line_step: from a vertex to that of the next line.
        step: from a vertex to the next on its line.
    """
    places = edges.shape[1]
    at = np.flatnonzero(edges)
    is_first = np.diff(at, prepend=-2) != 1
    is_first |= at % places == 0
    first = at[is_first]
    last = at[np.append(is_first[1:], True)] if len(at) else at
    starts, ends = (place // places * line_step + place % places * step for place in (first, last))
    return starts, ends + step


def _following(starts: np.ndarray, ends: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """The side that each side is followed by: the one to its right where there is one, else that to its left.

    Args:
        starts, ends: (N,) first and last vertices.
        turns: (N,) directions; 1 more is a turn to the right.
    """
    keys = starts * 4 + turns
    order = keys.argsort()
    keys = keys[order]
    right, left = (ends * 4 + (turns + turn) % 4 for turn in (1, 3))
    place = np.searchsorted(keys, right)
    goes_right = keys[np.minimum(place, len(keys) - 1)] == right
    following: np.ndarray = order[np.where(goes_right, place, np.searchsorted(keys, left))]
    return following


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


def _cuts(region: np.ndarray, lines: Sequence[Outline]) -> dict[int, dict[int, list[_Cut]]]:
    """The cuts to all holes, by the line that they start from and its side (the number of its first corner).

    From the upper left corner of a hole the cut runs left between two rows of the region, until one of them
    ends there: at an upright side of another line of the same part. That line begins further left, so the
    cuts make a tree whose root is the line around the part.
    """
    holes = [number for number, line in enumerate(lines) if line.is_hole]
    if not holes:
        return {}
    # The first side of a line is upright, and every second one after it.
    numbers = np.repeat(np.arange(len(lines)), [len(line.points) // 2 for line in lines])
    corners = np.concatenate([np.arange(0, len(line.points), 2) for line in lines])
    begins = np.concatenate([line.points[::2] for line in lines])
    stops = np.concatenate([line.points[1::2] for line in lines])[:, 1]
    by_column = begins[:, 0].argsort(kind="stable")
    columns = begins[by_column, 0]
    tops, bottoms = np.minimum(begins[:, 1], stops)[by_column], np.maximum(begins[:, 1], stops)[by_column]
    inside = region[:-1] & region[1:]
    cuts: dict[int, dict[int, list[_Cut]]] = defaultdict(lambda: defaultdict(list))
    for hole in holes:
        points = lines[hole].points
        corner = int(np.lexsort((points[:, 1], points[:, 0]))[0])
        x, y = points[corner].tolist()
        reached = x - int(np.argmin(np.append(inside[y - 1, :x][::-1], False)))
        there = slice(*np.searchsorted(columns, [reached, reached + 1]))
        side = by_column[there][(tops[there] <= y) & (y <= bottoms[there])][-1]
        cuts[int(numbers[side])][int(corners[side])].append(_Cut((reached, y), hole, corner))
    return cuts


def _with_cuts(
    part: int, lines: Sequence[Outline], cuts: Mapping[int, Mapping[int, Sequence[_Cut]]]
) -> np.ndarray:
    """The corners of a polygon that runs around a part and, by the cuts, around its holes."""
    if part not in cuts:
        return lines[part].points
    found: list[tuple[int, int]] = []
    todo = [_line_with_cuts(part, 0, lines, cuts)]
    while todo:
        step = next(todo[-1], None)
        if step is None:
            todo.pop()
        elif isinstance(step, _Cut):
            todo.append(_line_with_cuts(step.hole, step.corner, lines, cuts))
        else:
            found += step[1:] if found and step[0] == found[-1] else step
    return np.array(found[:-1] if found[-1] == found[0] else found)


def _line_with_cuts(
    number: int, first: int, lines: Sequence[Outline], cuts: Mapping[int, Mapping[int, Sequence[_Cut]]]
) -> Iterator[list[tuple[int, int]] | _Cut]:
    """Once around a line from a corner back to it; before and after a cut comes the point where it starts."""
    points = [(x, y) for x, y in lines[number].points.tolist()]
    own = {(corner - first) % len(points): each for corner, each in cuts.get(number, {}).items()}
    points = [*points[first:], *points[: first + 1]]
    done = 0
    for place in sorted(own):
        yield points[done : place + 1]
        done = place + 1
        for cut in sorted(own[place], key=lambda cut: abs(cut.point[1] - points[place][1])):
            yield [cut.point]
            yield cut
            yield [cut.point]
    yield points[done:]


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
