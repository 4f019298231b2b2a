"""Colours of masks: palette files in their forms, and PASCAL VOC's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swtformer.datasets.mask_colours import VOC, read_colours
from swtformer.errors import DataError

CLASSES = ("field", "forest")


def palette(folder: Path, text: str, name: str = "colours.txt") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    "text",
    [
        "field 230 25 75\nforest 60 180 75\n",
        "name,r,g,b\nfield,230,25,75\nforest,60,180,75\n",
        "# comment\n230 25 75 field\n60 180 75 forest\n",
        "field #e6194b\nforest: 3cb44b\n",
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nfield:230,25,75::\nforest:60,180,75::\n",
        '{"field": [230, 25, 75], "forest": "#3cb44b"}',
        '[{"name": "field", "color": "#e6194b"}, {"class": "forest", "rgb": [60, 180, 75]}]',
    ],
)
def test_forms_of_palette_files(tmp_path: Path, text: str) -> None:
    colours = read_colours(palette(tmp_path, text), CLASSES)
    pixels = np.array([[[0, 0, 0], [230, 25, 75]], [[60, 180, 75], [60, 180, 76]]], np.uint8)
    labels, strays = colours.labels(pixels)
    assert labels.ravel().tolist()[:3] == [0, 1, 2]
    assert strays == ["(60, 180, 76)"]


def test_background_and_void_can_be_listed(tmp_path: Path) -> None:
    text = "background 255 255 255\nvoid 0 0 0\nfield 1 2 3\nforest 4 5 6\n"
    colours = read_colours(palette(tmp_path, text), CLASSES)
    pixels = np.array([[[255, 255, 255], [0, 0, 0], [1, 2, 3]]], np.uint8)
    assert colours.labels(pixels)[0].tolist() == [[0, 255, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("field 1 2 3\n", "gives no colour to 'forest'"),
        ("field 1 2 3\nforest 1 2 3\n", "gives the colour #010203 to two classes, the second is 'forest'"),
        ("field 1 2 3\nforrest 4 5 6\n", "unknown class 'forrest'. Did you mean 'forest'"),
        ("field 1 2 3\nforest 4 5\n", "line 2: expected a class"),
        ("", "holds no line"),
        ('{"field": [1, 2], "forest": [4, 5, 6]}', r'expected {"class": \[red, green, blue\]}'),
        ("{broken", "is not valid JSON"),
    ],
)
def test_palettes_that_do_not_fit(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_colours(palette(tmp_path, text), CLASSES)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the palette cannot be read"):
        read_colours(tmp_path / "none.txt", CLASSES)
    (tmp_path / "latin.txt").write_bytes(b"field\xe9 1 2 3")
    with pytest.raises(DataError, match="is not UTF-8"):
        read_colours(tmp_path / "latin.txt", CLASSES)


def test_the_colours_of_pascal_voc() -> None:
    pixels = np.array([[[0, 0, 0], [128, 0, 0], [0, 64, 128], [224, 224, 192]]], np.uint8)
    assert VOC.labels(pixels) == (pytest.approx(np.array([[0, 1, 20, 255]])), [])
    assert VOC.labels(np.array([[VOC.known]], np.uint8))[1] == []
