"""The formats voc and cvat, which share the meaning of colours."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.label_images import CLASSES, by_id, labelled_images, reading_of
from swtformer.datasets import open_dataset
from swtformer.datasets.images import read_mask
from swtformer.errors import DataError, SwtformerError
from swtformer.exporters import LabelledImage
from swtformer.exporters.cvat import CvatExporter
from swtformer.exporters.label_map import label_map_text
from swtformer.exporters.voc import VocExporter
from swtformer.masks import voc_palette
from swtformer.settings import ExportSettings

IMAGE = LabelledImage("a", "a.jpg", None, np.zeros((2, 3), dtype=np.uint8))
LABEL_MAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\nhot dog:1,2,3::\n"


def write_cvat(folder: Path, masks: list[LabelledImage], /, **settings: str) -> tuple[Path, list[str]]:
    out = folder / "masks.zip"
    chosen = ExportSettings.model_validate(settings)
    return out, CvatExporter().write(masks, out, classes=CLASSES, settings=chosen)


def png(pixels: object, mode: str | None = None) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(np.asarray(pixels, dtype=np.uint8))
    (image.convert(mode) if mode else image).save(stream, format="PNG")
    return stream.getvalue()


def palette_png(colours: list[tuple[int, int, int]], values: object) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(np.asarray(values, dtype=np.uint8))
    image.putpalette(bytes(np.array(colours, dtype=np.uint8)))
    image.save(stream, format="PNG")
    return stream.getvalue()


def tree(folder: Path, mask: bytes, *, label_map: str | None = LABEL_MAP, root: str = "") -> Path:
    """A zip file as CVAT exports it, with one mask."""
    path = folder / "cvat.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{root}SegmentationClass/a.png", mask)
        archive.writestr(f"{root}ImageSets/Segmentation/default.txt", "a\n")
        if label_map is not None:
            archive.writestr(f"{root}labelmap.txt", label_map)
    return path


def read(path: Path) -> np.ndarray:
    reading, problems = reading_of([IMAGE])
    found = by_id(list(CvatExporter().read(path, reading)))
    problems.raise_fatal("cvat")
    return found["a"]


def test_voc_holds_values_lists_and_names(tmp_path: Path) -> None:
    images = labelled_images()
    out = tmp_path / "voc"
    VocExporter().write(images, out, classes=CLASSES, settings=ExportSettings())
    for image in images:
        path = out / "SegmentationClass" / f"{image.id}.png"
        np.testing.assert_array_equal(read_mask(path), image.labels)
        with Image.open(path) as opened:
            np.testing.assert_array_equal(np.asarray(opened.convert("RGB")), voc_palette()[image.labels])
    listed = (out / "ImageSets/Segmentation/default.txt").read_text(encoding="utf-8")
    assert listed.splitlines() == [image.id for image in images]
    assert (out / "classes.txt").read_text(encoding="utf-8").splitlines() == list(CLASSES)


def test_our_own_reader_of_data_sets_takes_the_voc_folder(tmp_path: Path) -> None:
    labels = np.array([[0, 1, 255], [0, 3, 3]], dtype=np.uint8)
    photograph = tmp_path / "photograph.png"
    Image.new("RGB", (3, 2)).save(photograph)
    images = [LabelledImage("b/a", "b/a.png", photograph, labels)]
    out = tmp_path / "voc"
    VocExporter().write(images, out, classes=CLASSES, settings=ExportSettings(images="copy"))
    (record,) = open_dataset(out, split="default").records
    assert (record.id, record.present) == ("b/a", (0, 2))
    assert record.mask is not None
    np.testing.assert_array_equal(read_mask(record.mask), labels)


def test_cvat_holds_colours_and_numbered_objects(tmp_path: Path) -> None:
    """By the format's description in CVAT's manual: colours of labelmap.txt, objects in VOC's colours."""
    images = labelled_images()
    out, warnings = write_cvat(tmp_path, images, objects="component")
    assert warnings == [
        'Pixels with 255 are the label "ignored" in this file: add a label of this name to the CVAT task, or '
        "leave them out by --export.ignored drop."
    ]
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


def test_more_objects_than_colours_become_classes(tmp_path: Path) -> None:
    labels = np.zeros((40, 40), dtype=np.uint8)
    labels[::2, ::2] = 1
    out, warnings = write_cvat(tmp_path, [LabelledImage("a", "a.jpg", None, labels)], objects="component")
    assert warnings[0].startswith("1 images have more than 254 connected parts")
    with zipfile.ZipFile(out) as archive:
        objects = np.asarray(Image.open(io.BytesIO(archive.read("SegmentationObject/a.png"))))
    np.testing.assert_array_equal(objects, voc_palette()[labels])


def test_images_are_copied_into_the_archive(tmp_path: Path) -> None:
    photograph = tmp_path / "p.jpg"
    photograph.write_bytes(b"any bytes")
    image = LabelledImage("a", "a.jpg", photograph, IMAGE.labels)
    with zipfile.ZipFile(write_cvat(tmp_path, [image], images="copy")[0]) as archive:
        assert archive.read("JPEGImages/a.jpg") == b"any bytes"
    with zipfile.ZipFile(write_cvat(tmp_path, [image])[0]) as archive:
        assert "JPEGImages/a.jpg" not in archive.namelist()


@pytest.mark.parametrize("name", ["a:b", "#a", "a\nb", " a"])
def test_class_names_that_the_label_map_cannot_hold(name: str) -> None:
    with pytest.raises(SwtformerError, match=r"cannot stand in labelmap\.txt: no colon"):
        label_map_text([name], with_ignored=False)


@pytest.mark.parametrize("root", ["", "job_12/"])
def test_the_tasks_own_colours_count(root: str, tmp_path: Path) -> None:
    colours = [(0, 0, 0), (250, 50, 83), (1, 2, 3), (224, 224, 192)]
    values = [[1, 0, 2], [3, 2, 0]]
    for mask in (png(np.array(colours)[values]), palette_png(colours, values)):
        assert read(tree(tmp_path, mask, root=root)).tolist() == [[1, 0, 3], [255, 3, 0]]


def test_greys_count_the_lines_of_the_label_map(tmp_path: Path) -> None:
    assert read(tree(tmp_path, png([[0, 1, 2], [255, 2, 0]]))).tolist() == [[0, 1, 3], [255, 3, 0]]


def test_without_label_map_the_colours_and_values_are_ours(tmp_path: Path) -> None:
    values = np.array([[0, 1, 2], [255, 4, 0]], dtype=np.uint8)
    for mask in (png(values), png(voc_palette()[values])):
        assert (read(tree(tmp_path, mask, label_map=None)) == values).all()


def test_a_listed_image_without_mask_is_background(tmp_path: Path) -> None:
    (tmp_path / "SegmentationClass").mkdir()
    (tmp_path / "SegmentationClass" / "other.png").touch()
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "train.txt").write_text("a\n\n")
    reading, problems = reading_of([IMAGE])
    (correction,) = VocExporter().read(tmp_path, reading)
    assert correction.labels.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert [problem.id for problem in problems.warnings] == ["other"]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            png([[[250, 50, 84], [9, 9, 9], [1, 2, 3]], [[1, 1, 1], [2, 2, 2], [0, 0, 0]]]),
            r"cvat\.zip: SegmentationClass/a\.png: labelmap\.txt has no label of colour "
            r"\(1, 1, 1\), \(2, 2, 2\), \(9, 9, 9\) and 1 more",
        ),
        (png([[0, 1, 7], [0, 0, 0]]), r"labelmap\.txt has no label of value 7\."),
        (png([[0, 0], [0, 0], [0, 0]]), r"is for 2×3 pixels, masks/a\.png has 3×2"),
        (png([[0, 1, 2], [0, 0, 0]])[:-2], "is no usable mask: it is cut off"),
        (png([[0, 1, 2], [0, 0, 0]], "1"), "expected colours, a palette or 8-bit greys, got mode 1"),
        (b"GIF89a", "is no usable mask: it is no PNG"),
        (b"\x89PNG\r\n\x1a\n", "is no usable mask: it is no PNG"),
        (bytes(2**20 + 1000), r"unpacks to 1,049,576 bytes; at most 1,048,672 are read"),
    ],
)
def test_masks_that_cannot_be_used_are_named(mask: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(tree(tmp_path, mask))


@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        ("cat\n", r"labelmap\.txt:1: expected name:red,green,blue"),
        ("\n# x\ncat:1,2::\n", r"labelmap\.txt:3: expected name:red,green,blue"),
        ("cat:1,2,256::\n", "expected name:red,green,blue"),
        ("cat:1,2,x::\n", "expected name:red,green,blue"),
        ("cat:1,2,3::\nhot dog:1,2,3::\n", r"labelmap\.txt:2: the colour \(1, 2, 3\) is there twice"),
        ("cut:1,2,3::\n", r"labelmap\.txt:1: unknown class 'cut'. Did you mean 'cat'\?"),
    ],
)
def test_label_maps_that_cannot_be_used_are_named(label_map: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(tree(tmp_path, png([[0, 0, 0], [0, 0, 0]]), label_map=label_map))


def test_a_header_that_claims_a_huge_picture_is_refused_by_its_size(tmp_path: Path) -> None:
    mask = bytearray(png([[0, 0, 0], [0, 0, 0]]))
    mask[16:24] = (65500).to_bytes(4, "big") * 2
    with pytest.raises(DataError, match="is for 65500×65500 pixels"):
        read(tree(tmp_path, bytes(mask)))
