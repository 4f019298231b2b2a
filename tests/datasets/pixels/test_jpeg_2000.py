"""Headers and values of JPEG 2000."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from swtformer.datasets.pixels.jpeg_2000 import SIGNATURES, decode, read_header

GREY = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9)


def written(image: Image.Image, *, bare: bool = False) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG2000", no_jp2=bare)
    return stream.getvalue()


@pytest.mark.parametrize("bare", [False, True])
def test_the_header_of_a_file_or_of_a_bare_codestream(bare: bool) -> None:
    data = written(Image.fromarray(GREY), bare=bare)
    assert data.startswith(SIGNATURES[bare])
    assert read_header(data) == (6, 9, 8, 1)
    assert read_header(written(Image.fromarray(np.stack([GREY] * 3, 2)), bare=bare)) == (6, 9, 8, 3)
    assert read_header(written(Image.fromarray(GREY.astype(np.uint16) * 900), bare=bare)) == (6, 9, 16, 1)


@pytest.mark.parametrize("length", [0, 10, 40])
def test_a_header_that_is_cut_off(length: int) -> None:
    data = written(Image.fromarray(GREY), bare=True)[:length]
    with pytest.raises(ValueError, match="its header is cut off"):
        read_header(data)


def test_values_of_a_lossless_file() -> None:
    np.testing.assert_array_equal(decode(written(Image.fromarray(GREY))).values[:, :, 0], GREY)


def test_deep_values_keep_their_range() -> None:
    pytest.importorskip("imagecodecs")
    deep = GREY.astype(np.uint16) * 900
    made = decode(written(Image.fromarray(deep)))
    np.testing.assert_array_equal(made.values[:, :, 0], deep)
