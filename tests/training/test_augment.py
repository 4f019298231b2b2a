"""Augmentation: hand-made pictures whose crops are known, and timm as oracle."""

import numpy as np
import pytest
import torch
from PIL import Image

from swtformer.engine.batches import sample_generator
from swtformer.errors import SettingsError
from swtformer.settings import TrainSettings
from swtformer.training.augment import (
    LongSideCrop,
    RandomResizedCrop,
    WholeImage,
    create_augmentation,
    erase,
    random_box,
)
from swtformer.training.colour_jitter import ColourJitter
from swtformer.training.placement import MEAN_COLOUR, scaled_size

PRESETS = ("advcam", "advcam_scaled", "psa", "mct")
SIZES = ((1, 1), (1, 160), (3, 5), (90, 120), (300, 40), (700, 500))


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth random picture, like a photograph."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def pixels(tensor: torch.Tensor) -> np.ndarray:
    return tensor.permute(1, 2, 0).numpy()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", SIZES)
def test_every_preset_gives_a_square_of_any_photograph(preset: str, size: tuple[int, int]) -> None:
    augment = create_augmentation(TrainSettings(augmentation=preset, crop_px=224))
    image = photograph(*size)
    before = image.copy()
    sample = augment(image, sample_generator(0, 0, 0))
    assert sample.image.shape == (3, 224, 224)
    assert sample.image.dtype == torch.uint8
    assert sample.image.is_contiguous()
    assert sample.valid.shape == (224, 224)
    assert sample.valid.dtype == torch.bool
    assert sample.valid.any()
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("preset", PRESETS)
def test_samples_depend_on_the_generator_alone(preset: str) -> None:
    augment = create_augmentation(TrainSettings(augmentation=preset, crop_px=64))
    image = photograph(100, 130)
    samples = [augment(image, sample_generator(7, 3, index)) for index in (0, 1, 0)]
    np.random.default_rng().random()
    assert torch.equal(samples[0].image, samples[2].image)
    assert torch.equal(samples[0].valid, samples[2].valid)
    assert not torch.equal(samples[0].image, samples[1].image)


def test_the_sample_generator_depends_on_seed_epoch_and_index() -> None:
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (-1, 0, 0), (2**70, 5, 5)]
    first = {sample_generator(*key).integers(2**62) for key in keys}
    assert len(first) == len(keys)
    assert sample_generator(-1, 2, 3).random() == sample_generator(-1, 2, 3).random()


@pytest.mark.parametrize(
    ("preset", "long_side_px"),
    [("advcam", (320, 640)), ("advcam_scaled", (224, 320)), ("psa", (256, 512))],
)
def test_presets_have_their_own_long_sides(preset: str, long_side_px: tuple[int, int]) -> None:
    augment = create_augmentation(TrainSettings(augmentation=preset))
    assert isinstance(augment, LongSideCrop)
    assert augment.long_side_px == long_side_px
    assert (augment.jitter is not None) == (preset == "psa")


def test_long_side_can_be_overridden() -> None:
    augment = create_augmentation(TrainSettings(long_side_px=(48, 96), crop_px=32))
    assert augment == LongSideCrop(32, (48, 96))


def test_mct_refuses_a_long_side() -> None:
    with pytest.raises(SettingsError, match="long_side_px has no meaning"):
        create_augmentation(TrainSettings(augmentation="mct", long_side_px=(320, 640)))


def test_a_small_photograph_lies_whole_in_mean_colour() -> None:
    image = photograph(20, 40)
    augment = LongSideCrop(64, (40, 40))
    places, mirrored = set(), 0
    for index in range(60):
        sample = augment(image, sample_generator(0, 0, index))
        rows, columns = np.nonzero(sample.valid.numpy())
        top, left = int(rows.min()), int(columns.min())
        places.add((top, left))
        expected = torch.zeros(64, 64, dtype=torch.bool)
        expected[top : top + 20, left : left + 40] = True
        assert torch.equal(sample.valid, expected)
        inside = pixels(sample.image)[top : top + 20, left : left + 40]
        mirrored += np.array_equal(inside, image[:, ::-1])
        assert np.array_equal(inside, image) or np.array_equal(inside, image[:, ::-1])
        assert (pixels(sample.image)[~expected.numpy()] == MEAN_COLOUR).all()
    assert 15 < mirrored < 45
    assert len(places) > 40
    assert {top for top, _ in places} <= set(range(45))
    assert {left for _, left in places} <= set(range(25))


def test_a_large_photograph_is_cut_to_a_window_without_padding() -> None:
    rows, columns = np.mgrid[:100, :80].astype(np.uint8)
    image = np.stack([rows, columns, np.zeros_like(rows)], axis=-1)
    tops, lefts = set(), set()
    for index in range(200):
        sample = LongSideCrop(64, (100, 100))(image, sample_generator(0, 0, index))
        assert sample.valid.all()
        window = pixels(sample.image)
        top, left = int(window[0, 0, 0]), int(window[0, :, 1].min())
        expected = image[top : top + 64, left : left + 64]
        if window[0, 0, 1] > window[0, -1, 1]:
            expected = expected[:, ::-1]
        np.testing.assert_array_equal(window, expected)
        tops.add(top)
        lefts.add(left)
    assert (min(tops), max(tops)) == (0, 36)
    assert (min(lefts), max(lefts)) == (0, 16)


def test_both_ends_of_the_long_side_are_drawn() -> None:
    augment = LongSideCrop(16, (5, 8))
    widths = [
        int(augment(photograph(10, 20), sample_generator(0, 0, index)).valid.any(0).sum())
        for index in range(80)
    ]
    assert set(widths) == {5, 6, 7, 8}


@pytest.mark.parametrize("long_side", [50, 100])
def test_resizing_the_window_equals_cutting_the_resized_photograph(long_side: int) -> None:
    image = photograph(90, 70, seed=3)
    height, width = scaled_size(90, 70, long_side)
    whole = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    for index in range(3):
        sample = LongSideCrop(32, (long_side, long_side))(image, sample_generator(0, 0, index))
        window = pixels(sample.image).astype(int)
        gaps = [
            np.abs(whole[top : top + 32, left : left + 32][:, ::step] - window).max()
            for top in range(height - 31)
            for left in range(width - 31)
            for step in (1, -1)
        ]
        assert min(gaps) <= 1


def test_jitter_leaves_padding_alone() -> None:
    augment = LongSideCrop(64, (40, 40), ColourJitter())
    image = photograph(20, 40)
    plain = LongSideCrop(64, (40, 40))(image, sample_generator(0, 0, 0))
    sample = augment(image, sample_generator(0, 0, 0))
    assert torch.equal(sample.valid, plain.valid)
    assert (sample.image[:, ~sample.valid] == plain.image[:, ~plain.valid]).all()
    assert not torch.equal(sample.image, plain.image)


def test_random_boxes_keep_to_area_and_aspect() -> None:
    generator = np.random.default_rng(0)
    shares, ratios = [], []
    for _ in range(500):
        top, left, rows, columns = random_box(300, 400, generator, area=(0.08, 1.0), aspect=(3 / 4, 4 / 3))
        assert 0 <= top <= 300 - rows
        assert 0 <= left <= 400 - columns
        shares.append(rows * columns / 300 / 400)
        ratios.append(columns / rows)
    assert 0.075 < min(shares) < 0.12
    assert 0.85 < max(shares) <= 1
    assert 0.74 < min(ratios) < 0.8
    assert 1.25 < max(ratios) < 1.35


@pytest.mark.parametrize(
    ("size", "box"),
    [((10, 200), (0, 93, 10, 13)), ((200, 12), (92, 0, 16, 12)), ((1, 1), (0, 0, 1, 1))],
)
def test_random_box_falls_back_to_the_centre(size: tuple[int, int], box: tuple[int, ...]) -> None:
    drawn = random_box(*size, np.random.default_rng(0), area=(1.0, 1.0), aspect=(3 / 4, 4 / 3))
    assert drawn == box


def test_erasing_fills_one_rectangle_with_noise_of_the_right_scale() -> None:
    colours = []
    for index in range(40):
        image = np.full((100, 100, 3), 1, dtype=np.uint8)
        erase(image, np.random.default_rng(index))
        changed = (image != 1).any(-1)
        rows, columns = np.nonzero(changed)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert changed.sum() > 0.98 * height * width
        assert 0.015 < height * width / 100**2 < 0.345
        assert 0.25 < height / width < 4
        colours.append(image[changed])
    noise = np.concatenate(colours) / 255
    # Normal noise cut to [0, 1] at about two deviations loses a little of its spread.
    np.testing.assert_allclose(noise.mean(0), (0.485, 0.456, 0.406), atol=0.02)
    np.testing.assert_allclose(noise.std(0), (0.229, 0.224, 0.225), atol=0.02)


def test_erasing_leaves_tiny_images_alone() -> None:
    image = np.full((1, 1, 3), 9, dtype=np.uint8)
    erase(image, np.random.default_rng(0))
    assert (image == 9).all()


def test_mct_erases_a_quarter_of_the_samples_and_keeps_them_valid() -> None:
    image = photograph(64, 64)
    never, always = RandomResizedCrop(32, erase_probability=0), RandomResizedCrop(32, erase_probability=1)
    usual = RandomResizedCrop(32)
    erased = 0
    for index in range(200):
        plain, noisy, sample = (
            augment(image, sample_generator(0, 0, index)) for augment in (never, always, usual)
        )
        assert torch.equal(plain.valid, noisy.valid)
        assert not torch.equal(plain.image, noisy.image)
        erased += torch.equal(sample.image, noisy.image)
        assert torch.equal(sample.image, noisy.image) or torch.equal(sample.image, plain.image)
    assert 30 < erased < 70


def test_mct_marks_what_was_moved_in_as_padding() -> None:
    image = np.full((64, 64, 3), 255, dtype=np.uint8)
    augment = RandomResizedCrop(32, erase_probability=0)
    shares = [augment(image, sample_generator(0, 0, index)).valid.float().mean() for index in range(100)]
    assert 0.1 < np.mean([share < 1 for share in shares]) < 0.6
    assert np.mean([share == 1 for share in shares]) > 0.4


def test_whole_image_fills_the_long_side_and_centres_the_rest() -> None:
    image = photograph(30, 60)
    sample = WholeImage(60)(image, np.random.default_rng(0))
    expected = torch.zeros(60, 60, dtype=torch.bool)
    expected[15:45] = True
    assert torch.equal(sample.valid, expected)
    np.testing.assert_array_equal(pixels(sample.image)[15:45], image)
    assert (pixels(sample.image)[:15] == MEAN_COLOUR).all()
