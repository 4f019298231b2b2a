from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from support.label_images import random_labels
from swtformer.exporters.coco_rle import decode_rle


@pytest.mark.parametrize("seed", range(8))
def test_pycocotools_own_codes(seed: int) -> None:
    size = [(1, 1), (13, 29), (60, 40), (1, 300)][seed % 4]
    region = random_labels(seed, size, values=(0, 1)) > 0
    code = coco_mask.encode(np.asfortranarray(region, dtype=np.uint8))
    np.testing.assert_array_equal(decode_rle(code["counts"].decode(), size), region)


def test_plain_counts_go_down_the_columns() -> None:
    # COCO's own example: M = [0 0 1 1 1 0 1] has the counts [2 3 1 1].
    np.testing.assert_array_equal(decode_rle([2, 3, 1, 1], (7, 1))[:, 0], [0, 0, 1, 1, 1, 0, 1])
    np.testing.assert_array_equal(decode_rle([0, 2, 4], (2, 3)), [[1, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([5], "is for 5 pixels, expected 3×2"),
        ([2**62, 6], "expected 3×2"),
        ([-1, 7], "not whole numbers"),
        ([6.0], "not whole numbers"),
        ([True] * 6, "not whole numbers"),
        (6, "not whole numbers"),
        (None, "not whole numbers"),
        ("", "is for 0 pixels"),
        ("P", "cut off"),
        ("oooooooooooo", "cut off"),
        ("6\n", "holds the character '\\\\n'"),
        ("é", "holds the character 'é'"),
    ],
)
def test_damaged_codes(counts: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_rle(counts, (2, 3))
