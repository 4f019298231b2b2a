from __future__ import annotations

import numpy as np
import pytest

from support.label_images import random_labels
from swtformer.exporters.brush_rle import decode_brush, encode_brush

REGION = np.array([[0, 1, 1, 1, 0], [0, 0, 0, 0, 1]], dtype=bool)
BY_LABEL_STUDIO = [0, 0, 0, 40, 57, 27, 252, 96, 22, 255, 240, 152, 4, 127, 224]
"""What `mask2rle(REGION * 255)` of label-studio-sdk 2.1.2 gives."""


def bits_of(code: list[int]) -> str:
    return "".join(f"{byte:08b}" for byte in code)


def reference_decode(code: list[int]) -> list[int]:
    """The reference's decoder, line by line: packages/rle-pack/src/index.ts of thi.ng/umbrella."""
    stream = iter(bits_of(code))

    def read(count: int) -> int:
        return int("".join(next(stream) for _ in range(count)), 2)

    number = read(32)
    word_size = read(5) + 1
    rle_sizes = [read(4) + 1 for _ in range(4)]
    out: list[int] = []
    while len(out) < number:
        is_run = read(1)
        count = 1 + read(rle_sizes[read(2)])
        out += [read(word_size)] * count if is_run else [read(word_size) for _ in range(count)]
    return out


def test_the_code_is_label_studios() -> None:
    assert encode_brush(REGION) == BY_LABEL_STUDIO


@pytest.mark.parametrize("seed", range(6))
def test_the_reference_decodes_what_is_encoded(seed: int) -> None:
    size = [(1, 1), (13, 9), (30, 41)][seed % 3]
    region = random_labels(seed, size, values=(0, 1)) > 0
    rgba = np.array(reference_decode(encode_brush(region))).reshape(*size, 4)
    np.testing.assert_array_equal(rgba, np.repeat(region[..., None] * 255, 4, axis=2))


@pytest.mark.parametrize("pixels", [1, 2, 4, 5, 64, 65, 16384, 16385, 40000])
@pytest.mark.parametrize("inside", [False, True])
def test_runs_of_every_length(pixels: int, inside: bool) -> None:
    region = np.full((1, pixels), inside)
    code = encode_brush(region)
    assert reference_decode(code) == [255 * inside] * (4 * pixels)
    np.testing.assert_array_equal(decode_brush(code, (1, pixels)), region)


def test_values_that_are_written_out_and_other_field_sizes() -> None:
    # 8 values of 3 bits, fields of 2, 3, 4, 5 bits: a run of 3 zeros, then 5 values as they are.
    bits = f"{8:032b}{2:05b}{1:04b}{2:04b}{3:04b}{4:04b}"
    bits += "1" + "00" + "10" + "000" + "0" + "01" + "100" + "111" + "000" + "000" + "000" + "000"
    bits += "0" * (-len(bits) % 8)
    code = list(int(bits, 2).to_bytes(len(bits) // 8, "big"))
    assert reference_decode(code) == [0, 0, 0, 7, 0, 0, 0, 0]
    np.testing.assert_array_equal(decode_brush(code, (1, 2)), [[True, False]])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ([], "cut off"),
        (BY_LABEL_STUDIO[:-2], "cut off"),
        ([*BY_LABEL_STUDIO[:3], 44, *BY_LABEL_STUDIO[4:]], "is for 11 pixels, expected 5×2"),
        ([255] * 4 + BY_LABEL_STUDIO[4:], "is for 1073741823 pixels"),
        ([256], "not a list of bytes"),
        (["a"], "not a list of bytes"),
        (None, "not a list of bytes"),
        (10**12, "not a list of bytes"),
    ],
)
def test_damaged_codes(code: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_brush(code, (2, 5))


def test_a_run_past_the_end_is_refused() -> None:
    bits = f"{4:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}" + "1" + "00" + "111" + "11111111"
    bits += "0" * (-len(bits) % 8)
    with pytest.raises(ValueError, match="holds more values than it says"):
        decode_brush(list(int(bits, 2).to_bytes(len(bits) // 8, "big")), (1, 1))
