"""Ground truth: found, able to tell something, and never scored with itself (faults 27, 31)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from swtformer.datasets.records import ImageSet, Record
from swtformer.datasets.truth import (
    ground_truth_folder,
    records_with_mask,
    require_classes,
    require_other_files,
)
from swtformer.errors import DataError
from swtformer.store.masks import write_mask

CLASSES = ("cat", "dog", "sheep")


def save(path: Path, *values: int) -> Path:
    write_mask(path, np.array([values], np.uint8))
    return path


def record(id: str, mask: Path | None) -> Record:
    return Record(id, Path("images") / f"{id}.jpg", None, mask)


def test_records_with_mask_keep_the_order_of_the_set() -> None:
    records = (record("b", Path("m/b.png")), record("c", None), record("a", Path("m/a.png")))
    data = ImageSet("set", "table", Path("set"), CLASSES, records)
    assert records_with_mask(data) == [(records[0], Path("m/b.png")), (records[2], Path("m/a.png"))]


@pytest.mark.parametrize(
    ("masks", "folder"),
    [
        ([], ""),
        (["truth/a.png"], "truth"),
        (["truth/a.png", "truth/b.png"], "truth"),
        (["truth/one/a.png", "truth/two/b.png"], "truth"),
        (["truth/a.png", "truth/deep/er/b.png"], "truth"),
        (["truth/a.png", "truth2/b.png"], ""),
        (["/x/one/a.png", "/x/one2/b.png"], "/x"),
    ],
)
def test_the_deepest_folder_of_all_masks(masks: list[str], folder: str) -> None:
    assert ground_truth_folder([(record("a", None), Path(mask)) for mask in masks]) == folder


@pytest.mark.parametrize(
    ("pixels", "ignored"), [([9, 1, 0, 0], 5), ([0, 1, 0, 0], 5), ([9, 0, 0, 0], 0), ([0, 0, 0, 0], 0)]
)
def test_masks_that_can_tell_something(pixels: list[int], ignored: int) -> None:
    """Background alone is a fair truth where no pixel is ignored."""
    require_classes(torch.tensor(pixels), ignored, "truth", CLASSES)


@pytest.mark.parametrize("pixels", [[9, 0, 0, 0], [0, 0, 0, 0]])
def test_masks_of_0_and_255_alone_cannot(pixels: list[int]) -> None:
    with pytest.raises(DataError, match=r"no value but 0 and 255.* for 'cat'"):
        require_classes(torch.tensor(pixels), 1, "truth", CLASSES)


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """A folder of two masks, one of them in a sub-folder."""
    save(tmp_path / "truth" / "a.png", 0, 1)
    save(tmp_path / "truth" / "sub" / "b.png", 0, 2)
    return tmp_path / "truth"


def pairs(predictions: Path, truth: Path) -> list[tuple[Path, Path]]:
    return [(predictions / name, truth / name) for name in ("a.png", "sub/b.png")]


@pytest.mark.parametrize("spelling", ["itself", "dots", "link"])
def test_the_folder_of_the_truth_is_no_prediction(truth: Path, tmp_path: Path, spelling: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link").symlink_to(truth, target_is_directory=True)
    folder = {
        "itself": truth,
        "dots": tmp_path / "elsewhere" / ".." / "truth",
        "link": tmp_path / "elsewhere" / "link",
    }[spelling]
    with pytest.raises(DataError, match=r"is the folder of the ground truth \(.*truth.*\); name the folder"):
        require_other_files(folder, pairs(folder, truth))


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_files_that_are_the_truth_are_no_predictions(
    truth: Path, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(truth, folder)
    require_other_files(folder, pairs(folder, truth))
    (folder / "sub" / "b.png").unlink()
    link(truth / "sub" / "b.png", folder / "sub" / "b.png")
    with pytest.raises(DataError, match=r"copy/sub/b\.png is the ground truth itself \(.*truth/sub/b\.png\)"):
        require_other_files(folder, pairs(folder, truth))


def test_files_that_are_missing_are_passed_over(truth: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(truth, folder)
    (folder / "a.png").unlink()
    shutil.rmtree(truth / "sub")
    require_other_files(folder, pairs(folder, truth))
