from __future__ import annotations

import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from support.label_images import CLASSES, by_id, labelled_images, reading_of
from swtformer.errors import DataError
from swtformer.exporters import LabelledImage
from swtformer.exporters.cvat_images import CvatImagesExporter
from swtformer.settings import ExportSettings

IMAGE = LabelledImage("a/b", "a/b.jpg", None, np.zeros((4, 6), dtype=np.uint8))
SQUARE = (
    '<polygon label="hot dog" source="manual" occluded="0" '
    'points="1.00,1.00;3.00,1.00;3.00,3.00;1.00,3.00" z_order="0"/>'
)
MASK = (
    '<mask label="cat" source="manual" occluded="0" rle="0, 2, 2, 1, 1" left="2" top="1" width="3" '
    'height="2" z_order="1"/>'
)
"""Of the 3×2 pixels at (2, 1): ##. / .#. by CVAT's dump (formats/cvat.py), which counts row by row."""


def foreign(folder: Path, *shapes: str, image: str = 'name="b.jpg" width="6" height="4"') -> Path:
    """A file as CVAT exports it."""
    path = folder / "annotations.xml"
    content = "\n".join(shapes)
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta/>\n'
        f'<image id="0" {image}>\n{content}\n</image>\n</annotations>\n'
    )
    return path


def read(path: Path) -> np.ndarray:
    reading, problems = reading_of([IMAGE])
    found = by_id(list(CvatImagesExporter().read(path, reading)))
    problems.raise_fatal("cvat")
    return found["a/b"]


def in_cvat(file: Path) -> dict[str, np.ndarray]:
    """Masks as CVAT makes them of its run-length codes, pixel by pixel."""
    values = {**{name: k + 1 for k, name in enumerate(CLASSES)}, "ignored": 255}
    found = {}
    for image in ElementTree.parse(file).getroot().iter("image"):
        labels = np.zeros((int(image.attrib["height"]), int(image.attrib["width"])), dtype=np.uint8)
        for mask in image.iter("mask"):
            left, top, width, height = (int(mask.attrib[k]) for k in ("left", "top", "width", "height"))
            place, is_inside = 0, False
            for count in map(int, mask.attrib["rle"].split(", ")):
                for pixel in range(place, place + count):
                    if is_inside:
                        labels[top + pixel // width, left + pixel % width] = values[mask.attrib["label"]]
                place, is_inside = place + count, not is_inside
            assert place == width * height
        found[image.attrib["name"]] = labels
    return found


@pytest.mark.parametrize("objects", ["class", "component"])
def test_cvat_reads_equal_pixels(objects: str, tmp_path: Path) -> None:
    images = labelled_images()
    out = tmp_path / "masks.xml"
    settings = ExportSettings.model_validate({"objects": objects})
    (warning,) = CvatImagesExporter().write(images, out, classes=CLASSES, settings=settings)
    assert '255 are the label "ignored"' in warning
    found = in_cvat(out)
    assert list(found) == [image.file_name for image in images]
    for image in images:
        np.testing.assert_array_equal(found[image.file_name], image.labels, err_msg=image.id)


def test_polygons_and_masks_in_the_order_of_their_layers(tmp_path: Path) -> None:
    expected = [[0, 0, 0, 0, 0, 0], [0, 3, 1, 1, 0, 0], [0, 3, 3, 1, 0, 0], [0, 0, 0, 0, 0, 0]]
    assert read(foreign(tmp_path, MASK, SQUARE)).tolist() == expected
    on_top = SQUARE.replace('z_order="0"', 'z_order="2"')
    assert read(foreign(tmp_path, on_top, MASK)).tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 3, 3, 1, 0, 0],
        [0, 3, 3, 1, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("packed", [True, False])
def test_zip_files_and_folders(packed: bool, tmp_path: Path) -> None:
    path = tmp_path
    file = foreign(tmp_path, SQUARE)
    if packed:
        path = tmp_path / "task.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(file, "annotations.xml")
            archive.writestr("images/b.jpg", b"any bytes")
    assert CvatImagesExporter().recognises(path)
    assert (read(path) == 3).sum() == 4


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ('<box label="cat" xtl="1" ytl="1" xbr="3" ybr="3"/>', "a box"),
        ('<polyline label="cat" points="1,1;2,2"/>', "a line"),
        ('<points label="cat" points="1,1"/>', "a set of points"),
        ('<ellipse label="cat" cx="1" cy="1" rx="2" ry="2"/>', "an ellipse"),
        ('<cuboid label="cat" xtl1="1"/>', "a region of type 'cuboid'"),
        ('<skeleton label="x"><points label="y" points="1,1"/></skeleton>', "a region of type 'skeleton'"),
        ('<polygon label="cat" points=""/>', "a polygon of 0 points"),
        ('<polygon label="cat" points="1,1"/>', "a polygon of 1 points"),
    ],
)
def test_shapes_that_are_not_masks_are_passed_over(shape: str, what: str, tmp_path: Path) -> None:
    reading, problems = reading_of([IMAGE])
    (correction,) = CvatImagesExporter().read(foreign(tmp_path, shape, SQUARE), reading)
    problems.raise_fatal("cvat")
    assert (correction.labels == 3).sum() == 4
    (problem,) = problems.warnings
    assert f"annotations.xml:6: is {what}, not a mask; passed over." in problem.message


def test_tags_say_nothing_about_pixels(tmp_path: Path) -> None:
    reading, problems = reading_of([IMAGE])
    (correction,) = CvatImagesExporter().read(foreign(tmp_path, '<tag label="seen"/>'), reading)
    assert not correction.is_drawn
    assert problems.warnings == ()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (MASK.replace("0, 2", "1, 2"), r"annotations\.xml:6: the RLE is for 7 pixels, expected"),
        (MASK.replace('left="2"', 'left="4"'), r"its box 3×2 at \(4, 1\) is not in the 6×4 pixels"),
        (MASK.replace("0, 2", "x"), "invalid literal"),
        (MASK.replace("rle", "lre"), "the region lacks 'rle'"),
        ('<polygon label="cat"/>', "the region lacks 'points'"),
        ('<polygon label="cat" points="0,0;1,0;nan,3"/>', "far outside"),
        (SQUARE.replace("hot dog", "hotdog"), "unknown class 'hotdog'. Did you mean 'hot dog'"),
        ("<polygon", "incomplete or damaged XML"),
    ],
)
def test_shapes_that_are_damaged_are_named(shape: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(foreign(tmp_path, shape))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ('name="b.jpg" width="4" height="6"', r"annotations\.xml:5 is for 4×6 pixels"),
        ('name="b.jpg" width="4"', "the image lacks its height"),
        ('name="b.jpg" width="6" height="tall"', "expected a whole number as height"),
        ('width="4" height="6"', "the image lacks its name"),
        ('name="../b.jpg" width="6" height="4"', "leaves the images' folder"),
    ],
)
def test_images_that_cannot_be_used(image: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(foreign(tmp_path, SQUARE, image=image))


def test_videos_and_document_types_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text('<annotations><track label="cat"><box frame="0"/></track></annotations>')
    with pytest.raises(DataError, match="holds tracks of a video"):
        read(path)
    path.write_text('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>')
    with pytest.raises(DataError, match="DOCTYPE"):
        read(path)


def test_other_xml_is_not_recognised(tmp_path: Path) -> None:
    path = tmp_path / "voc.xml"
    path.write_text("<annotation><folder/></annotation>")
    assert not CvatImagesExporter().recognises(path)
    assert not CvatImagesExporter().recognises(tmp_path)
