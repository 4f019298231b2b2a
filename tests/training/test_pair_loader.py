from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from swtformer.errors import DataError
from swtformer.settings import DataSettings, SegmentSettings
from swtformer.store.masks import write_mask
from swtformer.training.pair_loader import MaskedImage, evaluation_pairs, training_pairs

SETTINGS = SegmentSettings(crop_px=32, batch_size=2, workers=0)


@pytest.fixture
def pairs(tmp_path: Path) -> list[MaskedImage]:
    """Five images whose colour, mask, labels and confidence are their number."""
    made = []
    for index in range(5):
        image, mask = tmp_path / f"{index}.png", tmp_path / "masks" / f"{index}.png"
        Image.new("RGB", (40, 36), (index * 10, 0, 0)).save(image)
        write_mask(mask, np.full((36, 40), index, np.uint8))
        made.append(MaskedImage(str(index), image, mask, _one_of_five(index), confidence=index / 10))
    return made


def _one_of_five(index: int) -> tuple[bool, ...]:
    return tuple(place == index for place in range(5))


def test_image_mask_labels_and_confidence_stay_together(pairs: list[MaskedImage]) -> None:
    settings = SETTINGS.model_copy(update={"jitter": 0.0, "scale": (1.0, 1.0)})
    seen = []
    for batch in training_pairs(pairs, settings, DataSettings(), seed=0):
        numbers = batch["mask"][:, 16, 16].tolist()
        assert batch["image"][:, 0, 16, 16].tolist() == [10 * number for number in numbers]
        assert batch["present"].tolist() == [list(_one_of_five(number)) for number in numbers]
        assert batch["confidence"].tolist() == pytest.approx([number / 10 for number in numbers])
        seen += numbers
    assert set(seen) == set(range(5))


def test_no_batch_is_smaller_than_batch_norm_needs(pairs: list[MaskedImage]) -> None:
    for count in (1, 3, 5):
        batches = list(training_pairs(pairs[:count], SETTINGS, DataSettings(), seed=0))
        assert all(len(batch["mask"]) == 2 for batch in batches)


def test_epochs_differ_and_repeat(pairs: list[MaskedImage]) -> None:
    def first(epoch: int) -> torch.Tensor:
        loader = training_pairs(pairs, SETTINGS, DataSettings(), seed=0)
        loader.set_epoch(epoch)
        return next(iter(loader))["image"]

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_an_unreadable_pair_is_replaced_and_named(pairs: list[MaskedImage]) -> None:
    pairs[1].image.unlink()
    pairs[3].mask.write_bytes(b"")
    batches = list(evaluation_pairs(pairs, SETTINGS, DataSettings()))
    assert [index for batch in batches for index in batch["failed"]] == [1, 3]
    assert [int(mask[16, 16]) for batch in batches for mask in batch["mask"]] == [0, 2, 2, 4, 4]
    for pair in pairs:
        pair.image.unlink(missing_ok=True)
    with pytest.raises(DataError, match="None of the 5 images and masks can be read"):
        next(iter(evaluation_pairs(pairs, SETTINGS, DataSettings())))


def test_processes_take_turns_and_equally_many(pairs: list[MaskedImage]) -> None:
    seen = [
        [
            int(mask[16, 16])
            for batch in evaluation_pairs(pairs, SETTINGS, DataSettings(), rank=rank, world_size=2)
            for mask in batch["mask"]
        ]
        for rank in (0, 1)
    ]
    assert seen == [[0, 2, 4], [1, 3, 0]]
