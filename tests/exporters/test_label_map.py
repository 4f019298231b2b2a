"""labelmap.txt line by line, and which images count as drawn; the formats themselves: test_class_masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.label_images import CLASSES, reading_of
from swtformer.errors import DataError, SwtformerError
from swtformer.exporters import Correction, LabelledImage
from swtformer.exporters.label_map import label_map_text, looks_like_class_masks, read_class_masks

IMAGES = [LabelledImage(id, f"{id}.jpg", None, np.zeros((1, 3), np.uint8)) for id in ("a", "b")]
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


def test_every_line_of_what_is_written() -> None:
    lines = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\nhot dog:0,128,0::\n"
    assert label_map_text(["cat", "hot dog"], with_ignored=False) == lines
    assert label_map_text(["cat", "hot dog"], with_ignored=True) == lines + "ignored:224,224,192::\n"


@pytest.mark.parametrize("name", ["Background", "ignored"])
def test_names_with_a_meaning_of_their_own_are_refused(name: str) -> None:
    with pytest.raises(SwtformerError, match=f"The class name '{name}' stands for background or ignored"):
        label_map_text([name], with_ignored=False)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_comments_blank_lines_and_line_ends(folder: Path, start: bytes, end: bytes) -> None:
    lines = [b"# two classes", b"", b" background : 255, 0 ,0", f"{CLASSES[0]}:0,0,255::wing".encode()]
    (folder / "labelmap.txt").write_bytes(start + end.join([*lines, b"#", b"ignored:0,255,0"]))
    draw(folder, RED_GREEN_BLUE)
    assert read(folder)[0].labels.tolist() == [[0, 255, 1]]
    # Grey levels count the lines that name a label: background, the class, ignored.
    draw(folder, [[0, 1, 2]])
    assert read(folder)[0].labels.tolist() == [[0, 1, 255]]


def test_black_and_vocs_ignored_colour_keep_their_meaning_in_a_map_without_them(folder: Path) -> None:
    (folder / "labelmap.txt").write_text(f"{CLASSES[1]}:9,9,9::\n")
    draw(folder, [[[0, 0, 0], [9, 9, 9], [224, 224, 192]]])
    assert read(folder)[0].labels.tolist() == [[0, 2, 255]]


def test_transparency_is_no_label(folder: Path) -> None:
    draw(folder, RED_GREEN_BLUE, mode="RGBA")
    with pytest.raises(DataError, match="expected colours, a palette or 8-bit greys, got mode RGBA"):
        read(folder)


def test_a_list_never_takes_the_place_of_what_is_drawn(folder: Path) -> None:
    draw(folder, [[0, 1, 0]])
    for name in ("train.txt", "val.txt"):
        (folder / "ImageSets" / "Segmentation" / name).write_text("a\nb\n b \n")
    found = {item.id: item for item in read(folder)}
    assert {id: item.labels.tolist() for id, item in found.items()} == {"a": [[0, 1, 0]], "b": [[0, 0, 0]]}
    assert found["b"].labels.dtype == np.uint8
    assert found["b"].source.endswith("train.txt: b")


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    assert not looks_like_class_masks(tmp_path)
    reading, _ = reading_of(IMAGES)
    with pytest.raises(DataError, match="holds no folder SegmentationClass"):
        list(read_class_masks(tmp_path, reading))
