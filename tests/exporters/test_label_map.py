"""What colours and greys mean, labelmap.txt line by line, and which images count as drawn."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.label_images import CLASSES, by_id, reading_of
from swtformer.errors import DataError, SwtformerError
from swtformer.exporters import Correction, LabelledImage
from swtformer.exporters.label_map import label_map_text, read_class_masks
from swtformer.store.masks import voc_palette

IMAGES = [LabelledImage(id, f"{id}.jpg", None, np.zeros((1, 3), np.uint8)) for id in ("a", "b")]
IMAGE = LabelledImage("a", "a.jpg", None, np.zeros((2, 3), dtype=np.uint8))
LABEL_MAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\nhot dog:1,2,3::\n"
RED_GREEN_BLUE = [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "SegmentationClass").mkdir()
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    return tmp_path


def draw(folder: Path, pixels: object, *, id: str = "a", mode: str | None = None) -> None:
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    (image.convert(mode) if mode else image).save(folder / "SegmentationClass" / f"{id}.png")


def read(folder: Path) -> list[Correction]:
    reading, problems = reading_of(IMAGES)
    found = list(read_class_masks(folder, reading))
    problems.raise_fatal("voc")
    return found


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


def read_one(path: Path) -> np.ndarray:
    reading, problems = reading_of([IMAGE])
    found = by_id(list(read_class_masks(path, reading)))
    problems.raise_fatal("cvat")
    return found["a"]


def test_every_line_of_what_is_written() -> None:
    lines = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\nhot dog:0,128,0::\n"
    assert label_map_text(["cat", "hot dog"], with_ignored=False) == lines
    assert label_map_text(["cat", "hot dog"], with_ignored=True) == lines + "ignored:224,224,192::\n"


@pytest.mark.parametrize("name", ["a:b", "#a", "a\nb", " a"])
def test_class_names_that_the_label_map_cannot_hold(name: str) -> None:
    with pytest.raises(SwtformerError, match=r"cannot be written to labelmap\.txt"):
        label_map_text([name], with_ignored=False)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_comments_blank_lines_and_line_ends(folder: Path, start: bytes, end: bytes) -> None:
    lines = [b"# two classes", b"", b" background : 255, 0 ,0", f"{CLASSES[0]}:0,0,255::wing".encode()]
    (folder / "labelmap.txt").write_bytes(start + end.join([*lines, b"#", b"ignored:0,255,0"]))
    draw(folder, RED_GREEN_BLUE)
    assert read(folder)[0].labels.tolist() == [[0, 255, 1]]


def test_black_and_vocs_ignored_colour_keep_their_meaning_in_a_map_without_them(folder: Path) -> None:
    (folder / "labelmap.txt").write_text(f"{CLASSES[1]}:9,9,9::\n")
    draw(folder, [[[0, 0, 0], [9, 9, 9], [224, 224, 192]]])
    assert read(folder)[0].labels.tolist() == [[0, 2, 255]]


def test_transparent_pixels_are_background(folder: Path) -> None:
    (folder / "labelmap.txt").write_text(f"{CLASSES[1]}:255,0,0::\n{CLASSES[2]}:0,255,0::\n")
    draw(folder, [[[255, 0, 0, 255], [0, 255, 0, 255], [0, 255, 0, 0]]])
    assert read(folder)[0].labels.tolist() == [[2, 3, 0]]
    draw(folder, [[[255, 0, 0, 255], [0, 255, 0, 255], [0, 255, 0, 9]]])
    with pytest.raises(DataError, match="half transparent"):
        read(folder)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_greys_count_the_labels_of_the_label_map(folder: Path, mode: str) -> None:
    lines = ["# x", "background:0,0,0", f"{CLASSES[2]}:9,8,7", "", f"{CLASSES[0]}:1,2,3"]
    (folder / "labelmap.txt").write_text("\n".join(lines))
    draw(folder, [[0, 1, 2]], mode=mode)
    draw(folder, [[255, 1, 0]], id="b", mode=mode)
    assert [item.labels.tolist() for item in read(folder)] == [[[0, 3, 1]], [[255, 3, 0]]]
    draw(folder, [[0, 1, 7]], mode=mode)
    with pytest.raises(DataError, match=r"labelmap\.txt has no label with the number 7\."):
        read(folder)


def test_greys_that_are_colours_of_the_label_map_are_colours(folder: Path) -> None:
    (folder / "labelmap.txt").write_text(f"background:0,0,0\n{CLASSES[0]}:9,9,9\n{CLASSES[1]}:1,1,1\n")
    draw(folder, [[0, 1, 9]])
    assert read(folder)[0].labels.tolist() == [[0, 2, 1]]


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        ("classes.txt", [CLASSES[2], CLASSES[0]]),
        ("class_names.txt", ["_background_", CLASSES[2], CLASSES[0]]),
    ],
)
def test_a_list_of_class_names_gives_numbers_and_colours_their_classes(
    folder: Path, file: str, lines: list[str]
) -> None:
    (folder / file).write_text("\n".join(lines))
    draw(folder, [[0, 2, 1]])
    draw(folder, voc_palette()[[[1, 255, 2]]], id="b")
    assert [item.labels.tolist() for item in read(folder)] == [[[0, 1, 3]], [[3, 255, 1]]]


def test_greys_of_0_and_255_alone_are_refused(folder: Path) -> None:
    draw(folder, [[0, 255, 0]])
    with pytest.raises(DataError, match="only 0 and 255, and 255 means ignored"):
        read(folder)
    draw(folder, [[0, 255, 1]], id="b")
    assert [item.labels.tolist() for item in read(folder)] == [[[0, 255, 0]], [[0, 255, 1]]]


def test_masks_of_other_image_formats_are_no_background(folder: Path) -> None:
    Image.new("L", (3, 1)).save(folder / "SegmentationClass" / "a.jpg")
    (folder / "ImageSets" / "Segmentation" / "default.txt").write_text("a")
    with pytest.raises(DataError, match=r"a\.jpg: expected a mask as PNG, got \.jpg"):
        read(folder)


def test_a_list_never_takes_the_place_of_what_is_drawn(folder: Path) -> None:
    draw(folder, voc_palette()[[[0, 1, 0]]])
    for name in ("train.txt", "val.txt"):
        (folder / "ImageSets" / "Segmentation" / name).write_text("a\nb\n b \n")
    found = {item.id: item for item in read(folder)}
    assert {id: item.labels.tolist() for id, item in found.items()} == {"a": [[0, 1, 0]], "b": [[0, 0, 0]]}
    assert found["b"].labels.dtype == np.uint8
    assert found["b"].source.endswith("train.txt: b")


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    reading, _ = reading_of(IMAGES)
    with pytest.raises(DataError, match="holds no folder SegmentationClass"):
        list(read_class_masks(tmp_path, reading))


@pytest.mark.parametrize("root", ["", "job_12/"])
def test_the_tasks_own_colours_count(root: str, tmp_path: Path) -> None:
    colours = [(0, 0, 0), (250, 50, 83), (1, 2, 3), (224, 224, 192)]
    values = [[1, 0, 2], [3, 2, 0]]
    for mask in (png(np.array(colours)[values]), palette_png(colours, values)):
        assert read_one(tree(tmp_path, mask, root=root)).tolist() == [[1, 0, 3], [255, 3, 0]]


def test_without_label_map_the_colours_are_ours(tmp_path: Path) -> None:
    values = np.array([[0, 1, 2], [255, 4, 0]], dtype=np.uint8)
    path = tree(tmp_path, png(voc_palette()[values]), label_map=None)
    reading, _ = reading_of([IMAGE])
    (correction,) = read_class_masks(path, reading)
    assert (correction.labels == values).all()
    assert correction.ignored == "keep"


def test_a_listed_image_without_mask_is_background(tmp_path: Path) -> None:
    (tmp_path / "SegmentationClass").mkdir()
    (tmp_path / "SegmentationClass" / "other.png").touch()
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "train.txt").write_text("a\n\n")
    reading, problems = reading_of([IMAGE])
    (correction,) = read_class_masks(tmp_path, reading)
    assert correction.labels.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert not correction.is_drawn
    assert [(problem.kind, problem.id) for problem in problems.warnings] == [
        ("class_order", None),
        ("unknown_image", "other"),
    ]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            png([[[250, 50, 84], [9, 9, 9], [1, 2, 3]], [[1, 1, 1], [2, 2, 2], [0, 0, 0]]]),
            r"cvat\.zip: SegmentationClass/a\.png: labelmap\.txt has no label with the colour "
            r"\(1, 1, 1\), \(2, 2, 2\), \(9, 9, 9\) and 1 more",
        ),
        (png([[0, 1, 2], [0, 0, 0]], "1"), "expected colours, a palette or 8-bit greys, got mode 1"),
        (png([[0, 0], [0, 0], [0, 0]]), r"is for 2×3 pixels, masks/a\.png has 3×2"),
        (png([[0, 1, 2], [0, 0, 0]])[:-2], "is not a usable mask: it is cut off"),
        (b"GIF89a", "is not a usable mask: it is not a PNG"),
        (b"\x89PNG\r\n\x1a\n", "is not a usable mask: it is not a PNG"),
        (bytes(2**20 + 1000), r"unpacks to 1,049,576 bytes; at most 1,048,672 are read"),
    ],
)
def test_masks_that_cannot_be_used_are_named(mask: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_one(tree(tmp_path, mask))


@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        ("cat\n", r"labelmap\.txt:1: expected name:red,green,blue"),
        ("\n# x\ncat:1,2::\n", r"labelmap\.txt:3: expected name:red,green,blue"),
        ("cat:1,2,256::\n", "expected name:red,green,blue"),
        ("cat:1,2,x::\n", "expected name:red,green,blue"),
        ("cat:1,2,3::\nhot dog:1,2,3::\n", r"labelmap\.txt:2: two labels have the colour \(1, 2, 3\)"),
        ("cut:1,2,3::\n", r"labelmap\.txt:1: unknown class 'cut'. Did you mean 'cat'\?"),
    ],
)
def test_label_maps_that_cannot_be_used_are_named(label_map: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_one(tree(tmp_path, png(np.zeros((2, 3, 3))), label_map=label_map))


def test_a_header_that_claims_a_huge_picture_is_refused_by_its_size(tmp_path: Path) -> None:
    mask = bytearray(png([[0, 0, 0], [0, 0, 0]]))
    mask[16:24] = (65500).to_bytes(4, "big") * 2
    with pytest.raises(DataError, match="is for 65500×65500 pixels"):
        read_one(tree(tmp_path, bytes(mask)))
