"""Writers of tiny data sets, and a picture in every format."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from support.pictures import ENCODINGS, draw_scene, encode
from support.tiny_sets import photos as photos
from support.tiny_sets import write_images as write_images
from support.tiny_sets import write_mask as write_mask


@pytest.fixture
def scene() -> np.ndarray:
    """A smooth picture without symmetry, (60, 80, 3)."""
    return draw_scene()


@pytest.fixture(params=ENCODINGS)
def encoded(request: pytest.FixtureRequest, scene: np.ndarray) -> bytes:
    """The file of that picture in each of the formats."""
    format, options = ENCODINGS[request.param]
    return encode(Image.fromarray(scene), format, **options)
