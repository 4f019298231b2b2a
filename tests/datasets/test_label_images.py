"""Label images: values of the class list, compared at their own size (faults 26, 27)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swtformer.datasets.label_images import read_labels, require_same_size
from swtformer.errors import DataError
from swtformer.store.masks import write_mask

CLASSES = ("cat", "dog", "sheep")


def save(path: Path, *values: int) -> Path:
    write_mask(path, np.array([values], np.uint8))
    return path


def test_labels_are_values_and_255_stays(tmp_path: Path) -> None:
    labels = read_labels(save(tmp_path / "a.png", 0, 1, 2, 3, 255), CLASSES)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[0, 1, 2, 3, 255]]
    wide = tuple(map(str, range(254)))
    assert read_labels(save(tmp_path / "b.png", 254, 255), wide).tolist() == [[254, 255]]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((4,), r"4\."),
        ((0, 254, 4, 254, 255), r"4, 254\."),
        ((4, 5, 6, 7, 8), r"4, 5, 6, 7, 8\."),
        ((4, 5, 6, 7, 8, 9), r"4, 5, 6, 7, 8, …\."),
    ],
)
def test_other_values_are_refused_and_named(tmp_path: Path, values: tuple[int, ...], shown: str) -> None:
    file = save(tmp_path / "a.png", *values)
    with pytest.raises(DataError, match=rf"^{file}: .* \(sheep\) .* got {shown}"):
        read_labels(file, CLASSES)


def test_files_without_label_values_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3), (1, 2, 3)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: .*got RGB colours such as \(1, 2, 3\)"):
        read_labels(tmp_path / "a.png", CLASSES)
    with pytest.raises(DataError, match=r"b\.png: does not exist"):
        read_labels(tmp_path / "b.png", CLASSES)


def test_sizes_are_compared_as_height_and_width() -> None:
    require_same_size((3, 5), "p.png", (3, 5), "t.png")
    with pytest.raises(DataError, match=r"^p\.png is for 3×5 .* t\.png has 5×3"):
        require_same_size((5, 3), "p.png", (3, 5), "t.png")
