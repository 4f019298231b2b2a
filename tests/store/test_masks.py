from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swtformer.errors import SwtformerError
from swtformer.store.files import read_json
from swtformer.store.masks import MaskRule, read_rule, remove_other_masks, voc_palette, write_mask, write_rule
from swtformer.store.run import Run


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


@pytest.mark.parametrize("rule", [MaskRule("rcam", "argmax", None), MaskRule("cam", "label_free", 0.25)])
def test_the_rule_is_read_back(tmp_path: Path, rule: MaskRule) -> None:
    run = Run(tmp_path)
    assert read_rule(run) is None
    write_rule(run, rule, images=3)
    assert read_rule(run) == rule
    assert read_json(run.masks_file) == {**vars(rule), "images": 3}
    run.masks_file.write_text("{")
    with pytest.raises(SwtformerError, match="cannot be read as JSON"):
        read_rule(run)


def test_masks_of_other_images_are_removed(tmp_path: Path) -> None:
    for id in ("a", "sub/b", "sub/c"):
        write_mask(tmp_path / f"{id}.png", np.zeros((1, 1), np.uint8))
    (tmp_path / "masks.json").touch()
    remove_other_masks(tmp_path, ["a", "sub/c", "d"])
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["a.png", "c.png", "masks.json"]
