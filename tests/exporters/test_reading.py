from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swtformer.datasets.problems import Problems
from swtformer.errors import DataError
from swtformer.exporters.reading import Canvas, Known, Reading, warn_of_overlaps


def reading_of(*ids: str) -> tuple[Reading, Problems]:
    problems = Problems()
    known = {id: Known((2, 3), Path(f"{id}.png")) for id in ids}
    return Reading(known, ("cat", "Dog"), problems), problems


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("a.jpg", "a"),
        ("a", "a"),
        ("sub/b.PNG", "sub/b"),
        ("b.png", "sub/b"),
        ("upload/12/sub/b.png", "sub/b"),
        ("sub\\b.png", "sub/b"),
        ("./a.jpg", "a"),
        ("v1.5", "v1.5"),
        ("v1.5.jpg", "v1.5"),
        ("x/gru\u0308n.jpg", "x/grün"),
    ],
)
def test_names_that_tools_give(name: str, id: str) -> None:
    reading, problems = reading_of("a", "sub/b", "v1.5", "x/grün")
    assert reading.image(name, "file") == id
    assert problems.warnings == ()


def test_an_exact_name_counts_before_a_longer_one() -> None:
    reading, _ = reading_of("b", "x/b", "y/x/b")
    assert reading.image("x/b.jpg", "file:1") == "x/b"
    assert reading.image("b.jpg", "file:2") == "b"


def test_exported_images_count_before_others() -> None:
    reading, problems = reading_of("b", "x/b", "y/c", "z/c", "d")
    reading.expect({"x/b", "y/c", "of another run/d"})
    assert reading.image("b.jpg", "file:1") == "x/b"  # its folder was dropped
    assert reading.image("c.jpg", "file:2") == "y/c"
    assert reading.image("z/c.jpg", "file:3") == "z/c"  # added since
    assert problems.warnings == ()
    assert reading.image("d.jpg", "file:4") is None
    assert "has no mask of the image 'd.jpg'" in problems.warnings[0].message


def test_other_folders_are_other_images() -> None:
    reading, problems = reading_of("x/b")
    assert reading.image("y/b.jpg", "file:3") is None
    assert problems.warnings[0].message == "file:3: the run has no mask of the image 'y/b.jpg'; left out."


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["b.jpg"], "file: 'b.jpg' fits 'x/b' and 'y/b'; write it with its folder"),
        (["../x/b.jpg"], "leaves the images' folder by '..'"),
        (["/x/b.jpg"], "absolute path"),
        (["x/b\0.jpg"], "NUL"),
    ],
)
def test_names_that_cannot_be_used(names: list[str], message: str) -> None:
    reading, problems = reading_of("x/b", "y/b")
    assert [reading.image(name, "file") for name in names] == [None]
    with pytest.raises(DataError, match=message):
        problems.raise_fatal("x")


def test_one_image_twice_is_fatal() -> None:
    reading, problems = reading_of("x/b")
    assert reading.image("b.jpg", "file:1") == "x/b"
    assert reading.image("x/b.png", "file:2") is None
    with pytest.raises(DataError, match="file:2: is the image 'x/b', and so is file:1"):
        problems.raise_fatal("x")


def test_a_mask_of_another_size_is_noted_with_both_sizes() -> None:
    reading, problems = reading_of("a")
    assert reading.has_size("a", (2, 3), "file")
    assert not reading.has_size("a", (3, 2), "file")
    with pytest.raises(DataError, match=r"file is for 2×3 pixels, a\.png has 3×2"):
        problems.raise_fatal("x")


def test_labels_and_their_values() -> None:
    reading, problems = reading_of("a")
    values = [reading.value(name, "s") for name in ("cat", " Dog ", "Background", "IGNORED", "dog", "dog")]
    assert values == [1, 2, 0, 255, None, None]
    with pytest.raises(
        DataError, match=r"1 problem to fix first:\n  s: unknown class 'dog'. Did you mean 'Dog'"
    ):
        problems.raise_fatal("x")


def test_a_canvas_counts_pixels_that_change_their_label() -> None:
    canvas = Canvas((1, 4))
    canvas.paint(np.array([[True, True, True, False]]), 1)
    canvas.paint(np.array([[False, False, True, True]]), 2)
    canvas.paint(np.array([[True, False, False, False]]), 1)
    assert canvas.labels.tolist() == [[1, 1, 2, 2]]
    assert canvas.contested == 1


def test_overlaps_are_reported_once_per_file() -> None:
    problems = Problems()
    warn_of_overlaps([0, 0], problems, Path("file"))
    assert problems.warnings == ()
    warn_of_overlaps([2, 0, 3], problems, Path("file"))
    (problem,) = problems.warnings
    assert problem.message.startswith("file: 5 pixels in 2 images lie in regions of two labels")
