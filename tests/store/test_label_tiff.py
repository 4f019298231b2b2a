"""Label images as TIFF: what other readers see, tags and all."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.pixels.tiff_directories import read_directories
from swtformer.errors import SwtformerError
from swtformer.store.label_tiff import write_label_tiff
from swtformer.store.masks import voc_palette

TAGS = {
    33550: (10.0, 10.0, 0.0),
    33922: (0.0, 0.0, 0.0, 5e5, 5.4e6, 0.0),
    34735: (1, 1, 0, 1, 3072, 0, 1, 32632),
    34737: b"WGS 84 / UTM zone 32N|\0",
}


@pytest.mark.parametrize("parts", [[1] * 200, [200], [64, 64, 64, 8], [63, 2, 135], [0, 199, 1]])
def test_rows_in_any_parts_make_one_image(tmp_path, parts):
    labels = np.random.default_rng(0).integers(0, 256, (200, 37)).astype(np.uint8)
    path = tmp_path / "below" / "a.tif"
    rows = np.split(labels, np.cumsum(parts)[:-1])
    write_label_tiff(path, iter(rows), size=labels.shape, georeference=TAGS)
    np.testing.assert_array_equal(tifffile.imread(path), labels)
    np.testing.assert_array_equal(read_mask(path), labels)
    with Image.open(path) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.array(image.convert("RGB")), voc_palette()[labels])
    with path.open("rb") as stream:
        tags = read_directories(stream)[0].tags
    assert {tag: tags[tag] for tag in TAGS} == TAGS


def test_a_failure_leaves_nothing(tmp_path):
    def rows():
        yield np.zeros((70, 3), np.uint8)
        raise SwtformerError("stopped")

    with pytest.raises(SwtformerError, match="stopped"):
        write_label_tiff(tmp_path / "a.tif", rows(), size=(99, 3), georeference={})
    assert list(tmp_path.iterdir()) == []
