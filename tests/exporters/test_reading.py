from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swtformer.datasets.problems import Problems
from swtformer.errors import DataError
from swtformer.exporters.reading import Canvas, Known, NoMaskError, Reading, warn_of_overlaps


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
        ("b_jpg.rf.0123456789abcdef.jpg", "sub/b"),
        ("a_PNG.rf.0123456789abcdef", "a"),
        ("images/0a1b2c3d-b.jpg", "sub/b"),
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
    reading, _ = reading_of("a")
    canvas = Canvas("a", reading)
    canvas.paint(np.array([[True, True, True], [False, False, False]]), 1)
    canvas.paint(np.array([[False, False, True], [True, False, False]]), 2)
    canvas.paint(np.array([[True, False, False], [False, False, False]]), 1)
    assert canvas.labels.tolist() == [[1, 1, 2], [2, 0, 0]]
    assert canvas.contested == 1


def test_an_image_whose_regions_are_all_passed_over_keeps_its_mask() -> None:
    reading, problems = reading_of("a", "b")
    canvas = Canvas("a", reading)
    with canvas.region("file:1"):
        raise NoMaskError("a box")
    assert list(canvas.corrections("file")) == []
    canvas.paint(np.ones((2, 3), dtype=bool), 2)
    (correction,) = canvas.corrections("file")
    assert correction.is_drawn
    assert (correction.labels == 2).all()
    (blank,) = Canvas("b", reading).corrections("file")
    assert not blank.is_drawn
    (noted,) = problems.warnings
    assert (noted.id, noted.message) == ("a", "file:1: is a box, not a mask; passed over.")
    problems.raise_fatal("x")


def test_a_strict_import_refuses_what_is_not_a_mask() -> None:
    problems = Problems()
    reading = Reading({"a": Known((2, 3), Path("a.png"))}, ("cat",), problems, strict=True)
    with Canvas("a", reading).region("file:1"):
        raise NoMaskError("a box")
    with pytest.raises(DataError, match="file:1: is a box, not a mask"):
        problems.raise_fatal("x")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("rle"), "the region lacks 'rle'"),
        (ValueError("is odd"), "is odd"),
        (OverflowError("is huge"), "is huge"),
    ],
)
def test_a_damaged_region_is_fatal(error: Exception, message: str) -> None:
    reading, problems = reading_of("a")
    canvas = Canvas("a", reading)
    with canvas.region("file:1"):
        raise error
    assert list(canvas.corrections("file")) == []
    with pytest.raises(DataError, match=f"file:1: {message}"):
        problems.raise_fatal("x")


def test_background_that_is_drawn_is_told_once() -> None:
    reading, problems = reading_of("a")
    canvas = Canvas("a", reading)
    for _ in range(2):
        canvas.paint(np.ones((2, 3), dtype=bool), reading.value("_background_", "file"))
    assert not canvas.labels.any()
    assert [problem.kind for problem in problems.warnings] == ["background"]


def test_the_name_before_a_tool_renamed_the_image_counts_first() -> None:
    reading, problems = reading_of("sub/b", "b_jpg.rf.0a1b")
    assert reading.image("b_jpg.rf.0a1b.jpg", "file", original="b.jpg") == "sub/b"
    assert reading.image("b_jpg.rf.0a1b.jpg", "other", original="foreign.jpg") == "b_jpg.rf.0a1b"
    assert reading.image("x.jpg", "other", original="../b.jpg") is None
    with pytest.raises(DataError, match="leaves the images' folder"):
        problems.raise_fatal("x")


def test_overlaps_are_reported_once_per_file() -> None:
    problems = Problems()
    warn_of_overlaps([0, 0], problems, Path("file"))
    assert problems.warnings == ()
    warn_of_overlaps([2, 0, 3], problems, Path("file"))
    (problem,) = problems.warnings
    assert problem.message.startswith("file: 5 pixels in 2 images lie in regions of two labels")
