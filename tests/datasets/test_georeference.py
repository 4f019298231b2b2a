"""GeoTIFF tags and world files are found as GDAL would find them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from swtformer.datasets.georeference import Georeference, read_georeference

SCALE, TIE = (10.0, 10.0, 0.0), (0.0, 0.0, 0.0, 500000.0, 5400000.0, 0.0)
KEYS = (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32632)


def test_tags_of_a_geotiff(tmp_path):
    tags = [(33550, "d", 3, SCALE, True), (33922, "d", 6, TIE, True), (34735, "H", len(KEYS), KEYS, True)]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 5), np.uint8), photometric="minisblack", extratags=tags)
    assert read_georeference(path) == Georeference({33550: SCALE, 33922: TIE, 34735: KEYS})


@pytest.mark.parametrize(
    ("name", "world"), [("a.tif", "a.tfw"), ("a.jpg", "a.jgw"), ("a.png", "a.pngw"), ("a.jpeg", "a.wld")]
)
def test_world_files(tmp_path, name, world):
    Image.new("RGB", (4, 4)).save(tmp_path / name)
    assert read_georeference(tmp_path / name) == Georeference()
    (tmp_path / world).write_bytes(b"10\n0\n0\n-10\n500005\n5399995\n")
    (tmp_path / "a.prj").write_bytes(b'PROJCS["UTM 32N"]')
    found = read_georeference(tmp_path / name)
    assert found.world == b"10\n0\n0\n-10\n500005\n5399995\n"
    assert found.projection == b'PROJCS["UTM 32N"]'


def test_missing_and_damaged_files_have_no_georeference(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0\xff")
    assert read_georeference(tmp_path / "a.tif") == Georeference()
    assert read_georeference(tmp_path / "gone.tif") == Georeference()
