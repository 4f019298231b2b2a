"""RandAugment: timm's operations as the oracle, and the draws."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
from PIL import Image
from timm.data import auto_augment

from swtformer.training.rand_augment import COLOURS, SHAPES, rand_augment

FILL = (124, 116, 104)


def picture(height: int, width: int) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def test_the_operations_are_timms_increasing_ones() -> None:
    assert sorted(COLOURS | SHAPES) == sorted(auto_augment._RAND_INCREASING_TRANSFORMS)


@pytest.mark.parametrize("strength", [-0.99, -0.93, 0.25, 0.9, 0.99])
@pytest.mark.parametrize("name", sorted(COLOURS | SHAPES))
def test_operations_as_timm(name: str, strength: float, monkeypatch: pytest.MonkeyPatch) -> None:
    sign = 1 if strength > 0 else -1
    monkeypatch.setattr(auto_augment, "_randomly_negate", lambda value: sign * value)
    level = auto_augment.LEVEL_TO_ARG[name]
    arguments = level(abs(strength) * 10, {}) if level else ()
    image = picture(24, 32)
    expected = auto_augment.NAME_TO_OP[name](
        image, *arguments, fillcolor=FILL, resample=Image.Resampling.BICUBIC
    )
    if name in COLOURS:
        result = COLOURS[name](image, strength)
    else:
        result = SHAPES[name](image, strength, Image.Resampling.BICUBIC, FILL)
    np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))


def test_posterize_keeps_one_bit_at_full_strength() -> None:
    levels = np.unique(np.asarray(COLOURS["PosterizeIncreasing"](picture(24, 32), 1.0)))
    assert levels.tolist() == [0, 128]


@pytest.mark.parametrize("strength", [-0.9, 0.9])
@pytest.mark.parametrize("name", sorted(SHAPES))
def test_the_mask_moves_with_the_picture(name: str, strength: float, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in SHAPES:
        monkeypatch.setitem(SHAPES, other, _always(SHAPES[name], strength))
    for other in COLOURS:
        monkeypatch.setitem(COLOURS, other, lambda image, _: image)
    white = Image.new("RGB", (60, 40), (255, 255, 255))
    for seed in range(20):
        image, valid = rand_augment(white, np.random.default_rng(seed), fill=(0, 0, 0))
        shown = np.asarray(image)[..., 0] > 127
        marked = np.asarray(valid) == 255
        assert set(np.unique(np.asarray(valid))) <= {0, 255}
        assert np.mean(shown != marked) < 0.02
        if not marked.all():
            assert 0.05 < np.mean(~marked) < 0.95
            break
    else:
        pytest.fail("no shape operation was drawn")


def _always(operation, strength: float):
    return lambda image, _, resample, fill: operation(image, strength, resample, fill)


def test_draws_two_of_fifteen_each_half_the_time_at_magnitude_nine(monkeypatch: pytest.MonkeyPatch) -> None:
    strengths: list[float] = []
    names: Counter[str] = Counter()

    def note(name: str, image: Image.Image, strength: float, *_: object) -> Image.Image:
        if image.mode == "RGB":
            names[name] += 1
            strengths.append(strength)
        return image

    for operations in (COLOURS, SHAPES):
        for name in operations:
            monkeypatch.setitem(operations, name, partial(note, name))
    generator = np.random.default_rng(0)
    image = picture(4, 4)
    for _ in range(3000):
        rand_augment(image, generator, fill=FILL)
    assert len(names) == 15
    # One of the two on average; each operation 1/15 of that; four standard deviations either way.
    assert abs(len(strengths) - 3000) < 4 * np.sqrt(3000 * 2 / 4)
    assert all(abs(count - 200) < 4 * np.sqrt(200) for count in names.values())
    assert abs(np.mean(np.abs(strengths)) - 0.9) < 0.005
    assert 0.04 < np.std(np.abs(strengths)) < 0.06
    assert max(np.abs(strengths)) == 1
    assert 0.45 < np.mean(np.array(strengths) > 0) < 0.55


def test_the_same_generator_gives_the_same_picture() -> None:
    image = picture(20, 30)
    first, second = (rand_augment(image, np.random.default_rng(4), fill=FILL) for _ in range(2))
    assert np.array_equal(np.asarray(first[0]), np.asarray(second[0]))
    assert np.array_equal(np.asarray(first[1]), np.asarray(second[1]))
