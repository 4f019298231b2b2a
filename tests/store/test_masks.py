from pathlib import Path

import numpy as np
from PIL import Image

from swtformer.store.masks import voc_palette, write_mask


def test_palette_is_that_of_voc() -> None:
    """The first colours as the VOC development kit lists them: background, aeroplane, bicycle, bird …"""
    palette = voc_palette()
    assert palette[:5].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert palette[15].tolist() == [192, 128, 128]  # person
    assert palette[20].tolist() == [0, 64, 128]  # tvmonitor
    assert palette[255].tolist() == [224, 224, 192]  # "void"
    assert len({tuple(colour) for colour in palette.tolist()}) == 256


def test_written_mask_keeps_every_value_and_has_the_colours(tmp_path: Path) -> None:
    labels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    write_mask(tmp_path / "sub" / "a.png", labels)
    with Image.open(tmp_path / "sub" / "a.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), labels)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")).reshape(256, 3), voc_palette())


def test_a_row_of_one_pixel(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", np.array([[1]], dtype=np.uint8))
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (1, 1)
