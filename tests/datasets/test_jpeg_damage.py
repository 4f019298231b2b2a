"""Damage that libjpeg accepts is found by thorough readings; undamaged files are never refused."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from swtformer.datasets.check import check
from swtformer.datasets.images import check_readable, read_image
from swtformer.datasets.jpeg_damage import require_possible_brightness
from swtformer.datasets.read_ahead import read_ahead
from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import ImageError
from swtformer.settings import DataSettings, ImageSettings


def jpeg(pixels: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", **{"quality": 80, **options})
    return stream.getvalue()


def flipped(data: bytes, bits: int, generator: random.Random) -> bytes:
    """A copy with some bits of its scan flipped."""
    start = data.index(b"\xff\xda") + 14
    damaged = bytearray(data)
    for _ in range(bits):
        damaged[generator.randrange(start, len(data) - 2)] ^= 1 << generator.randrange(8)
    return bytes(damaged)


def is_found(data: bytes) -> tuple[bool, bool]:
    """Whether libjpeg refuses a file, and whether libjpeg or the check of brightness does."""
    try:
        simplejpeg.decode_jpeg(data, "RGB")
    except ValueError:
        return True, True
    try:
        require_possible_brightness(data)
    except ValueError:
        return False, True
    return False, False


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    """Texture as harsh as a photograph, (150, 200, 3)."""
    generator = np.random.default_rng(0)
    layers = [
        np.asarray(
            Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize((200, 150))
        )
        for side in (5, 20, 80)
    ]
    mixed = np.average(layers, axis=0, weights=(3, 2, 1))
    return np.clip(2.5 * (mixed - 127) + 127, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "options",
    [{}, {"subsampling": "4:4:4"}, {"quality": 30}, {"optimize": True}],
    ids=str,
)
def test_more_damage_is_found_than_by_libjpeg(photograph: np.ndarray, options: dict[str, Any]) -> None:
    generator = random.Random(0)
    data = jpeg(photograph, **options)
    found = [is_found(flipped(data, 5, generator)) for _ in range(100)]
    by_libjpeg, in_all = (sum(column) for column in zip(*found, strict=True))
    assert in_all >= by_libjpeg + 5


def test_twenty_flipped_bits_are_nearly_always_found(photograph: np.ndarray, tmp_path: Path) -> None:
    generator = random.Random(0)
    data = jpeg(photograph)
    path = tmp_path / "photograph.jpg"
    found = 0
    for _ in range(50):
        path.write_bytes(flipped(data, 20, generator))
        found += check_readable(path) is not None
    assert found >= 46


@pytest.fixture
def damaged(photograph: np.ndarray, tmp_path: Path) -> Path:
    """A file that libjpeg decodes without a warning."""
    generator = random.Random(0)
    data = jpeg(photograph)
    candidates = (flipped(data, 5, generator) for _ in range(1000))
    path = tmp_path / "damaged.jpg"
    path.write_bytes(next(data for data in candidates if is_found(data) == (False, True)))
    return path


def test_only_thorough_readings_look_for_it(damaged: Path) -> None:
    assert read_image(damaged).shape == (150, 200, 3)
    with pytest.raises(ImageError, match=r"cannot be decoded: .*brighter than white"):
        read_image(damaged, thorough=True)


def test_it_is_found_by_the_check_of_a_data_set_and_where_results_are_made(damaged: Path) -> None:
    record = Record("damaged", damaged, (0,))
    report = check(ImageSet("set", "table", damaged.parent, ("cat",), (record,)), settings=DataSettings())
    assert (report.unreadable, [problem.id for problem in report.problems]) == (1, ["damaged"])
    ((_, content),) = read_ahead([record], ImageSettings(), threads=1)
    assert isinstance(content, ImageError)


def harsh() -> dict[str, np.ndarray]:
    """Pictures at the ends of what pixels can be."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:45, :61]
    board = (((rows // 8 + columns // 8) % 2) * 255).astype(np.uint8)
    return {
        "white": np.full((45, 61), 255, np.uint8),
        "black": np.zeros((45, 61, 3), np.uint8),
        "board of blocks": board,
        "stripes": np.repeat((columns % 2 * 255).astype(np.uint8)[:, :, None], 3, axis=2),
        "noise of black and white": generator.integers(0, 2, (45, 61, 3), dtype=np.uint8) * np.uint8(255),
        "pure colours": np.eye(3, dtype=np.uint8)[(rows // 8 + columns // 8) % 3] * np.uint8(255),
        "one pixel": np.full((1, 1, 3), 255, np.uint8),
        "thin": np.zeros((1, 160, 3), np.uint8),
    }


@pytest.mark.parametrize("name", harsh())
@pytest.mark.parametrize("quality", [1, 5, 25, 50, 75, 95, 100])
def test_undamaged_files_are_never_refused(name: str, quality: int) -> None:
    for options in ({}, {"progressive": True}, {"subsampling": "4:2:0"}, {"keep_rgb": True}):
        if options == {"keep_rgb": True} and harsh()[name].ndim == 2:
            continue
        require_possible_brightness(jpeg(harsh()[name], quality=quality, **options))


@pytest.mark.parametrize("others", [1, 600], ids=["tables of 8 bits", "tables of 16 bits"])
def test_an_overshooting_encoder_is_accepted(others: int) -> None:
    """mozjpeg may store what is 31 levels brighter than white; twice as bright is damage."""
    light = np.full((8, 8), 191, np.uint8)  # 63 above the middle: a coefficient of 504

    def stored(quantiser: int) -> bytes:
        data = bytearray(jpeg(light, qtables=[[2] + [others] * 63], quality=-1))
        first = data.index(b"\xff\xdb") + (6 if others > 255 else 5)
        assert data[first] == 2
        data[first] = quantiser
        return bytes(data)

    for quantiser in (2, 4, 5):
        require_possible_brightness(stored(quantiser))
    with pytest.raises(ValueError, match="brighter than white or darker than black"):
        require_possible_brightness(stored(6))  # 1512


def test_tables_between_scans_are_left_alone(photograph: np.ndarray) -> None:
    """They would undo what the check does to the tables; then nothing is checked."""
    data = jpeg(photograph, progressive=True)
    tables = data[data.index(b"\xff\xdb") : data.index(b"\xff\xc2")]
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    require_possible_brightness(data[:second] + tables + data[second:])
