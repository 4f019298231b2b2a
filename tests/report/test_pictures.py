import base64
import io

import numpy as np
import pytest
from PIL import Image

from swtformer.report.pictures import (
    TILE_BYTES,
    TILE_PX,
    data_uri,
    map_overlay,
    mask_overlay,
    thumbnail,
)
from swtformer.store.masks import voc_palette


def decode(uri):
    kind, _, text = uri.partition(",")
    assert kind == "data:image/webp;base64"
    data = base64.b64decode(text, validate=True)
    return Image.open(io.BytesIO(data)), len(data)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (240, 320)), ((640, 480), (320, 240)), ((30, 40), (30, 40)), ((1, 900), (1, 320))],
)
def test_thumbnail_fits_and_keeps_its_shape(size, expected):
    assert thumbnail(np.zeros((*size, 3), np.uint8)).shape == (*expected, 3)


def test_map_overlay_is_brighter_where_the_map_is_high():
    photograph = np.full((40, 60, 3), 128, np.uint8)
    values = np.zeros((10, 15), np.float16)
    values[:, 10:] = 1
    overlay = map_overlay(photograph, values).astype(int)
    assert overlay.shape == photograph.shape
    assert overlay[:, 55:].sum(-1).min() > overlay[:, :20].sum(-1).max() + 200


def test_map_overlay_at_the_ends_worked_by_hand():
    photograph = np.full((8, 8, 3), 100, np.uint8)
    # 0: 0.7 × 100 + 0.3 × (0, 0, 4); 1: 0.2 × 100 + 0.8 × (252, 255, 164).
    assert map_overlay(photograph, np.zeros((2, 2)))[4, 4].tolist() == [70, 70, 71]
    assert map_overlay(photograph, np.ones((2, 2)))[4, 4].tolist() == [222, 224, 151]


def test_mask_overlay_paints_classes_and_leaves_background_grey():
    photograph = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    labels = np.zeros((40, 40), np.uint8)
    labels[10:30, 10:30] = 3
    overlay = mask_overlay(photograph, labels)
    background = overlay[:4]
    assert (background.max(-1) == background.min(-1)).all()
    # The outline, the square's outermost pixels after halving, is the palette's colour itself.
    assert (overlay[5, 5:15] == voc_palette()[3]).all()
    assert not (overlay[8, 8] == voc_palette()[3]).all()


def test_mask_overlay_never_mixes_labels():
    labels = np.zeros((64, 64), np.uint8)
    labels[:, 32:] = 2
    overlay = mask_overlay(np.full((16, 16, 3), 128, np.uint8), labels)
    assert len(np.unique(overlay.reshape(-1, 3), axis=0)) == 3  # background, class, outline


def test_data_uri_gives_the_picture_back():
    gradient = np.broadcast_to(np.linspace(0, 255, 90)[None, :, None], (60, 90, 3)).astype(np.uint8)
    image, _ = decode(data_uri(gradient))
    assert image.size == (90, 60)
    assert np.abs(np.asarray(image).astype(int) - gradient).mean() < 3


@pytest.mark.parametrize("side", [TILE_PX, TILE_PX // 2, 40])
def test_data_uri_is_bounded_even_for_noise(side):
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    _, size = decode(data_uri(noise))
    assert size <= max(1_000, TILE_BYTES * side**2 // TILE_PX**2)


def test_one_pixel_becomes_a_picture():
    image, _ = decode(data_uri(np.full((1, 1, 3), 7, np.uint8)))
    assert image.size == (1, 1)
