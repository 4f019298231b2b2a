"""What CVAT reads in a "Segmentation mask 1.1" file; what comes back of it: test_label_map."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.label_images import CLASSES, by_id, labelled_images, reading_of
from swtformer.errors import ImageError
from swtformer.exporters import LabelledImage
from swtformer.exporters.coco import CocoExporter
from swtformer.exporters.cvat import CvatExporter
from swtformer.settings import ExportSettings
from swtformer.store.masks import voc_palette

IMAGE = LabelledImage("a", "a.jpg", None, np.zeros((2, 3), dtype=np.uint8))


def write_cvat(folder: Path, masks: list[LabelledImage], /, **settings: str) -> tuple[Path, list[str]]:
    out = folder / "masks.zip"
    chosen = ExportSettings.model_validate(settings)
    return out, CvatExporter().write(masks, out, classes=CLASSES, settings=chosen)


def pixels(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(archive.read(name))))


def instance_colour(number: int) -> tuple[int, int, int]:
    """Colour of an object's number as the VOC development kit makes it, bit by bit."""
    red = green = blue = 0
    for place in range(7, -1, -1):
        red |= (number & 1) << place
        green |= (number >> 1 & 1) << place
        blue |= (number >> 2 & 1) << place
        number >>= 3
    return red, green, blue


def objects_in_cvat(file: Path, id: str) -> list[tuple[str, np.ndarray]]:
    """Label and region of each object that CVAT makes of an image.

    CVAT knows the colours of the numbers 0 to 255 in SegmentationObject, and a number has one label.
    """
    number_of = {instance_colour(number): number for number in range(256)}
    with zipfile.ZipFile(file) as archive:
        lines = archive.read("labelmap.txt").decode().splitlines()[1:]
        label_of = {tuple(map(int, line.split(":")[1].split(","))): line.split(":")[0] for line in lines}
        classes = pixels(archive, f"SegmentationClass/{id}.png")
        colours = pixels(archive, f"SegmentationObject/{id}.png").tolist()
    numbers = np.array([[number_of[tuple(colour)] for colour in row] for row in colours])
    found = []
    for number in sorted(set(numbers.ravel().tolist()) - {0}):
        region = numbers == number
        (label,) = {label_of[tuple(colour)] for colour in classes[region].tolist()}
        found.append((label, region))
    return found


def cells(count: int, *, id: str = "a", ignored: int = 0) -> LabelledImage:
    """Single pixels that touch nowhere, of the first two classes in turn; the last row is for 255."""
    labels = np.zeros((42, 40), dtype=np.uint8)
    rows, columns = np.divmod(np.arange(count), 20)
    labels[2 * rows, 2 * columns] = 1 + np.arange(count) % 2
    labels[-1, :ignored] = 255
    return LabelledImage(id, f"{id}.jpg", None, labels)


def test_cvat_holds_colours_and_numbered_objects(tmp_path: Path) -> None:
    """By the format's description in CVAT's manual: colours of labelmap.txt, objects in VOC's colours."""
    images = labelled_images()
    out, warnings = write_cvat(tmp_path, images, objects="component")
    (warning,) = warnings
    assert '255 are the label "ignored"' in warning
    with zipfile.ZipFile(out) as archive:
        lines = archive.read("labelmap.txt").decode().splitlines()
        assert lines[0] == "# label:color_rgb:parts:actions"
        fields = [line.split(":") for line in lines[1:]]
        assert [len(line) for line in fields] == [4] * 6
        colours = {name: tuple(map(int, colour.split(","))) for name, colour, _, _ in fields}
        assert list(colours) == ["background", *CLASSES, "ignored"]
        assert colours["background"] == (0, 0, 0)
        listed = archive.read("ImageSets/Segmentation/default.txt").decode().splitlines()
        assert listed == [image.id for image in images]
        value_of = {colour: value for value, colour in enumerate(colours.values())}
        value_of[colours["ignored"]] = 255
        number_of = {tuple(colour): number for number, colour in enumerate(voc_palette().tolist())}
        for image in images:
            classes, objects = (
                Image.open(io.BytesIO(archive.read(f"{folder}/{image.id}.png")))
                for folder in ("SegmentationClass", "SegmentationObject")
            )
            assert classes.mode == objects.mode == "RGB"
            values = np.array([[value_of[tuple(p)] for p in row] for row in np.asarray(classes).tolist()])
            numbers = np.array([[number_of[tuple(p)] for p in row] for row in np.asarray(objects).tolist()])
            np.testing.assert_array_equal(values, image.labels)
            np.testing.assert_array_equal(numbers == 0, values == 0)
            assert sorted({*np.unique(numbers), 0}) == list(range(numbers.max() + 1))
            for number in range(1, numbers.max() + 1):
                assert len(np.unique(values[numbers == number])) == 1


@pytest.mark.parametrize(("count", "ignored"), [(255, 0), (254, 3)])
def test_as_many_parts_as_there_are_colours_stay_apart(count: int, ignored: int, tmp_path: Path) -> None:
    image = cells(count, ignored=ignored)
    out, warnings = write_cvat(tmp_path, [image], objects="component")
    assert len(warnings) == bool(ignored)
    found = objects_in_cvat(out, "a")
    assert len(found) == 255
    painted = np.zeros_like(image.labels)
    for label, region in found:
        value = 255 if label == "ignored" else CLASSES.index(label) + 1
        assert region.sum() == (ignored if value == 255 else 1)
        painted[region] = value
    np.testing.assert_array_equal(painted, image.labels)


@pytest.mark.parametrize(("count", "ignored"), [(256, 0), (255, 3), (300, 0)])
def test_more_parts_than_colours_are_reported_and_lose_no_pixel(
    count: int, ignored: int, tmp_path: Path
) -> None:
    images = [cells(3, id="few"), cells(count, id="sub/many", ignored=ignored)]
    out, warnings = write_cvat(tmp_path, images, objects="component")
    assert "1 images have more than 255 connected parts" in warnings[0]
    assert ": sub/many." in warnings[0]
    assert "`format` coco" in warnings[0]
    assert [label for label, _ in objects_in_cvat(out, "few")] == ["cat", "cat", "träktor"]
    found = dict(objects_in_cvat(out, "sub/many"))
    assert list(found) == ["cat", "träktor"] + ["ignored"] * bool(ignored)
    for label, region in found.items():
        value = 255 if label == "ignored" else CLASSES.index(label) + 1
        np.testing.assert_array_equal(region, images[1].labels == value)
    reading, problems = reading_of(images)
    returned = by_id(list(CvatExporter().read(out, reading)))
    problems.raise_fatal("cvat")
    np.testing.assert_array_equal(returned["sub/many"], images[1].labels)


def test_the_format_that_the_warning_names_keeps_the_parts_apart(tmp_path: Path) -> None:
    out = tmp_path / "masks.json"
    settings = ExportSettings(objects="component")
    assert CocoExporter().write([cells(300)], out, classes=CLASSES, settings=settings) == []
    annotations = json.loads(out.read_text(encoding="utf-8"))["annotations"]
    assert [item["area"] for item in annotations] == [1] * 300


def test_of_many_crowded_images_the_first_are_named(tmp_path: Path) -> None:
    images = [cells(256, id=str(n)) for n in range(6)]
    (warning,) = write_cvat(tmp_path, images, objects="component")[1]
    assert warning.startswith("6 images have more than 255 connected parts")
    assert ": 0, 1, 2, 3, 4, …." in warning
    assert write_cvat(tmp_path, images, objects="class")[1] == []


def test_images_are_copied_into_the_archive(tmp_path: Path) -> None:
    photograph = tmp_path / "p.jpg"
    photograph.write_bytes(b"any bytes")
    image = LabelledImage("a", "a.jpg", photograph, IMAGE.labels)
    with zipfile.ZipFile(write_cvat(tmp_path, [image], images="copy")[0]) as archive:
        assert archive.read("JPEGImages/a.jpg") == b"any bytes"
    with zipfile.ZipFile(write_cvat(tmp_path, [image])[0]) as archive:
        assert "JPEGImages/a.jpg" not in archive.namelist()


def test_an_image_that_cannot_be_read_is_named_and_the_file_stays_as_it_was(tmp_path: Path) -> None:
    out, _ = write_cvat(tmp_path, [IMAGE])
    before = out.read_bytes()
    image = LabelledImage("a", "a.jpg", tmp_path / "gone.jpg", IMAGE.labels)
    with pytest.raises(ImageError, match=r"gone\.jpg: cannot be read: No such file"):
        write_cvat(tmp_path, [image], images="copy")
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["masks.zip"]


def test_a_folder_is_no_file_of_this_format(tmp_path: Path) -> None:
    out, _ = write_cvat(tmp_path, [IMAGE])
    with zipfile.ZipFile(out) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert CvatExporter().recognises(out)
    assert not CvatExporter().recognises(tmp_path / "unpacked")
