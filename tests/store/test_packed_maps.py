import struct
import zlib

import numpy as np
import pytest

from swtformer.store.packed_maps import packed, unpacked


@pytest.mark.parametrize("shape", [(0, 3, 4), (1, 0, 4), (1, 1, 1), (3, 17, 9)])
@pytest.mark.parametrize("dtype", [np.float16, np.int16])
def test_nothing_is_lost(shape: tuple[int, ...], dtype: type[np.float16 | np.int16]) -> None:
    numbers = np.random.default_rng(0).integers(-(2**15), 2**15, shape).astype(np.int16)
    found = unpacked(packed(numbers.view(dtype)), dtype)
    assert (found.dtype, found.shape) == (np.dtype(dtype), shape)
    np.testing.assert_array_equal(found.view(np.int16), numbers)


def test_the_bytes_by_hand() -> None:
    content = packed(np.array([[[1, 0x0203], [0, 0x0205]]], np.int16)).tobytes()
    assert struct.unpack("<3I", content[:12]) == (1, 2, 2)
    # The second row differs by -1 and 2 from the first; low bytes first.
    assert zlib.decompress(content[12:]) == bytes([1, 3, 255, 2, 0, 2, 255, 0])


def test_smooth_maps_are_small() -> None:
    y, x = np.mgrid[:94, :125] / 125
    smooth = np.stack([y * x, y, 1 - x]).astype(np.float16)
    assert packed(smooth).nbytes < 0.85 * len(zlib.compress(smooth.tobytes(), 6))


def test_other_bytes_are_refused() -> None:
    whole = packed(np.zeros((2, 5, 7), np.int16))
    endless = struct.pack("<3I", 1, 1, 1) + zlib.compress(bytes(10**6))
    for content, message in (
        (whole[:8], "not packed"),
        (whole.astype(np.int32), "not packed"),
        (whole[:-6], "another size"),
        (np.frombuffer(endless, np.uint8), "another size"),
        (np.frombuffer(whole.tobytes()[:12] + b"no deflate", np.uint8), "damaged"),
    ):
        with pytest.raises(ValueError, match=message):
            unpacked(content, np.int16)
