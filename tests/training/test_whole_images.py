"""What a method sees of the training set between epochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from support.squares import draw_squares
from swtformer.settings import DataSettings
from swtformer.training.whole_images import WholeImages


def test_images_come_whole_and_in_order(tmp_path: Path) -> None:
    data = draw_squares(tmp_path)
    images = WholeImages(data, DataSettings())
    assert torch.equal(images.present, torch.from_numpy(data.labels()))
    assert len(images) == 12
    for place, batch in enumerate(images):
        with Image.open(data.records[place].image) as stored:
            expected = torch.from_numpy(np.asarray(stored).transpose(2, 0, 1).copy())
        assert torch.equal(batch.images[0], expected)
        assert torch.equal(batch.present[0], images.present[place])
        assert batch.index is not None
        assert batch.index.tolist() == [place]


def test_a_lost_image_gives_way_to_the_next(tmp_path: Path) -> None:
    data = draw_squares(tmp_path)
    data.records[11].image.unlink()
    last = WholeImages(data, DataSettings())[11]
    assert last.index is not None
    assert last.index.tolist() == [0]
    assert last.present[0].tolist() == [1, 0]


def test_there_is_no_image_after_the_last(tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        WholeImages(draw_squares(tmp_path), DataSettings())[12]
