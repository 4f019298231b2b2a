"""Samples do not depend on workers, resumption or processes; unreadable files."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from swtformer.datasets.records import ImageSet, Record
from swtformer.engine.batches import SampleLoader, ordered_batches, sample_generator, training_batches
from swtformer.errors import DataError
from swtformer.settings import DataSettings, TrainSettings
from swtformer.training.augment import WholeImage, create_augmentation
from swtformer.training.labelled_samples import LabelledSamples

SETTINGS = TrainSettings(crop_px=32, long_side_px=(24, 48), batch_size=4, workers=0)
DATA = DataSettings()


@pytest.fixture
def image_set(tmp_path: Path) -> ImageSet:
    """Ten noise pictures of different sizes; image i shows the classes i % 3 and, if even, 2."""
    records = []
    for index in range(10):
        noise = np.random.default_rng(index).integers(0, 256, (20 + index, 40 - index, 3), dtype=np.uint8)
        path = tmp_path / f"{index}.png"
        Image.fromarray(noise).save(path)
        present = tuple(sorted({index % 3} | ({2} if index % 2 == 0 else set())))
        records.append(Record(str(index), path, present))
    return ImageSet("noise", "table", tmp_path, ("a", "b", "c"), tuple(records))


def load(image_set: ImageSet, *, seed: int = 5, **changes: int) -> SampleLoader:
    samples = LabelledSamples(image_set, create_augmentation(SETTINGS), DATA, seed=seed)
    return training_batches(samples, SETTINGS.model_copy(update=changes))


def epochs(loader: SampleLoader, *numbers: int) -> list[Any]:
    batches = []
    for number in numbers:
        loader.batch_sampler.set_epoch(number)
        batches.extend(loader)
    return batches


def assert_equal(first: list[Any], second: list[Any]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        for name in ("image", "valid", "present", "index"):
            assert torch.equal(one[name], other[name]), name
        assert one["failed"] == other["failed"]


def test_a_batch_holds_what_the_contract_says(image_set: ImageSet) -> None:
    batches = list(load(image_set))
    assert [len(batch["index"]) for batch in batches] == [4, 4, 2]
    for batch in batches:
        size = len(batch["index"])
        assert batch["image"].shape == (size, 3, 32, 32)
        assert batch["image"].dtype == torch.uint8
        assert batch["valid"].shape == (size, 32, 32)
        assert batch["valid"].dtype == torch.bool
        assert batch["present"].dtype == torch.float32
        assert batch["index"].dtype == torch.int64
        assert batch["failed"] == []
        assert torch.equal(batch["present"], torch.from_numpy(image_set.labels())[batch["index"]])
    assert sorted(torch.cat([batch["index"] for batch in batches]).tolist()) == list(range(10))


def test_each_epoch_has_its_own_order_and_samples(image_set: ImageSet) -> None:
    loader = load(image_set)
    first, second, again = (epochs(loader, number) for number in (0, 1, 0))
    orders = [torch.cat([batch["index"] for batch in epoch]).tolist() for epoch in (first, second)]
    assert orders[0] != orders[1]
    assert_equal(first, again)
    samples = [
        {int(i): image for batch in epoch for i, image in zip(batch["index"], batch["image"], strict=True)}
        for epoch in (first, second)
    ]
    assert all(not torch.equal(samples[0][index], samples[1][index]) for index in range(10))


def test_two_workers_give_the_same_as_none(image_set: ImageSet) -> None:
    assert_equal(epochs(load(image_set), 0, 1, 2), epochs(load(image_set, workers=2), 0, 1, 2))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_draws_the_same_as_an_uninterrupted_one(image_set: ImageSet, workers: int) -> None:
    unbroken = epochs(load(image_set), 0, 1, 2)
    assert_equal(unbroken[3:], epochs(load(image_set, workers=workers), 1, 2))


def test_the_epoch_may_be_set_after_the_iterator_is_open(image_set: ImageSet) -> None:
    expected = epochs(load(image_set), 3)
    loader = load(image_set, workers=2)
    iterator = iter(loader)
    loader.batch_sampler.sampler.set_epoch(3)
    assert_equal(expected, list(iterator))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_vanished_image_is_replaced_by_the_next(image_set: ImageSet, workers: int) -> None:
    before = epochs(load(image_set), 0)
    for lost in (3, 8, 9):
        image_set.records[lost].image.unlink()
    after = epochs(load(image_set, workers=workers), 0)
    instead = {3: 4, 8: 0, 9: 0}
    for old, new in zip(before, after, strict=True):
        assert new["index"].tolist() == [instead.get(index, index) for index in old["index"].tolist()]
        lost = [([8, 9] if index == 8 else [index]) for index in old["index"].tolist() if index in instead]
        assert new["failed"] == [index for chain in lost for index in chain]
        assert torch.equal(new["present"], torch.from_numpy(image_set.labels())[new["index"]])
        kept = old["index"] == new["index"]
        assert torch.equal(new["image"][kept], old["image"][kept])
        assert new["valid"].flatten(1).any(1).all()


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_left_to_read_is_one_clear_message(image_set: ImageSet, workers: int) -> None:
    for record in image_set.records:
        record.image.write_bytes(b"")
    with pytest.raises(DataError, match=r"^noise: none of its 10 images can be read"):
        list(load(image_set, workers=workers))


def test_an_empty_set_is_refused(image_set: ImageSet) -> None:
    with pytest.raises(DataError, match="noise has no images"):
        load(replace(image_set, records=()))


def test_unlabelled_images_are_refused(image_set: ImageSet) -> None:
    records = (*image_set.records[:8], *(replace(r, present=None) for r in image_set.records[8:]))
    with pytest.raises(DataError, match="2 of 10 images have no known labels, '8' first"):
        load(replace(image_set, records=records))


def test_background_images_have_no_class(image_set: ImageSet) -> None:
    records = tuple(replace(record, present=()) for record in image_set.records)
    batch = next(iter(load(replace(image_set, records=records))))
    assert torch.equal(batch["present"], torch.zeros(4, 3))


def test_the_data_set_can_be_sent_to_a_spawned_worker(image_set: ImageSet) -> None:
    dataset = load(image_set).dataset
    sent = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(sent[2, 7]["image"], dataset[2, 7]["image"])


@pytest.mark.parametrize("workers", [0, 2])
def test_whole_images_come_in_order(image_set: ImageSet, workers: int) -> None:
    samples = LabelledSamples(image_set, WholeImage(32), DATA, seed=0)
    batches = list(ordered_batches(samples, SETTINGS.model_copy(update={"workers": workers})))
    assert torch.cat([batch["index"] for batch in batches]).tolist() == list(range(10))
    assert torch.equal(
        torch.cat([batch["present"] for batch in batches]), torch.from_numpy(image_set.labels())
    )
    with Image.open(image_set.records[5].image) as stored:
        expected = WholeImage(32)(np.asarray(stored), sample_generator(0, 0, 0))
    assert torch.equal(batches[1]["image"][1], expected.image)
    assert torch.equal(batches[1]["valid"][1], expected.valid)
