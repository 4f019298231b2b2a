from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from swtformer.engine.batches import training_batches
from swtformer.errors import DataError
from swtformer.settings import DataSettings, SegmentSettings
from swtformer.store.masks import write_mask
from swtformer.training.pair_augment import WholePair, create_pair_augmentation
from swtformer.training.pair_samples import MaskedImage, PairSamples

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


def samples_of(pairs: list[MaskedImage], settings: SegmentSettings = SETTINGS) -> PairSamples:
    return PairSamples(pairs, create_pair_augmentation(settings), DataSettings(), seed=0)


def test_image_mask_labels_and_confidence_stay_together(pairs: list[MaskedImage]) -> None:
    settings = SETTINGS.model_copy(update={"jitter": 0.0, "scale": (1.0, 1.0)})
    seen = []
    for batch in training_batches(samples_of(pairs, settings), settings):
        numbers = batch["mask"][:, 16, 16].tolist()
        assert batch["image"][:, 0, 16, 16].tolist() == [10 * number for number in numbers]
        assert batch["present"].tolist() == [list(_one_of_five(number)) for number in numbers]
        assert batch["confidence"].tolist() == pytest.approx([number / 10 for number in numbers])
        seen += numbers
    assert set(seen) == set(range(5))


def test_no_batch_is_smaller_than_batch_norm_needs(pairs: list[MaskedImage]) -> None:
    for count in (1, 3, 5):
        batches = list(training_batches(samples_of(pairs[:count]), SETTINGS))
        assert all(len(batch["mask"]) == 2 for batch in batches)


def test_epochs_differ_and_repeat(pairs: list[MaskedImage]) -> None:
    samples = samples_of(pairs)
    assert torch.equal(samples[1, 4]["image"], samples[1, 4]["image"])
    assert not torch.equal(samples[1, 4]["image"], samples[2, 4]["image"])


def test_an_unreadable_pair_is_replaced_and_named(pairs: list[MaskedImage]) -> None:
    pairs[1].image.unlink()
    pairs[3].mask.write_bytes(b"")
    samples = PairSamples(pairs, WholePair(32), DataSettings(), seed=0)
    found = [samples[0, index] for index in range(5)]
    assert [item["failed"] for item in found] == [[], [1], [], [3], []]
    assert [int(item["mask"][16, 16]) for item in found] == [0, 2, 2, 4, 4]
    for pair in pairs:
        pair.image.unlink(missing_ok=True)
    with pytest.raises(DataError, match="None of the 5 images and masks can be read"):
        samples[0, 0]


def test_without_background_label_0_is_unknown(tmp_path: Path) -> None:
    mask = np.array([[0, 1], [2, 255]], np.uint8).repeat(16, 0).repeat(16, 1)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.new("RGB", (32, 32)).save(tmp_path / "image.png")
    pair = MaskedImage("a", tmp_path / "image.png", tmp_path / "mask.png", (True, True))
    augment = create_pair_augmentation(SETTINGS.model_copy(update={"long_side_px": None}))
    for background, expected in (("label", {0, 1, 2, 255}), ("none", {1, 2, 255})):
        data = DataSettings(background=background)
        _, read = PairSamples([pair], augment, data, seed=0).read(0)
        assert set(np.unique(read)) == expected
