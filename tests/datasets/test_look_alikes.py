from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swtformer.datasets.look_alikes import Seen, difference_hash, look_alikes, numbered_sets
from swtformer.datasets.records import Problem, Record


def photograph(seed: int, size: tuple[int, int] = (120, 180)) -> np.ndarray:
    """Soft blobs of colour, other ones for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def seen(id: str, *, hash: tuple[int, int] | None, split: str = "train", group: str | None = None) -> Seen:
    return Seen(Record(id, Path(f"{id}.jpg"), (0,), group=group), split, hash)


def told(*images: Seen) -> dict[str, str]:
    problems = list(look_alikes(images))
    assert not any(problem.fatal for problem in problems)
    return {problem.kind: problem.message for problem in problems}


def test_the_hash_by_hand() -> None:
    """One pixel for each of the 9×8; a column brighter from the fourth on, one row brighter at the end."""
    pixels = np.full((8, 9, 3), 50, np.uint8)
    pixels[:, 3:] = 100
    hash = difference_hash(pixels)
    assert hash is not None
    assert hash[0] == int("00100000" * 8, 2)
    assert hash[1] == 0
    turned = difference_hash(pixels.transpose(1, 0, 2)[:9].repeat(8, axis=0).repeat(9, axis=1))
    assert turned is not None
    assert turned[0] == 0


def test_the_hash_equals_a_loop() -> None:
    pixels = np.repeat(np.random.default_rng(0).integers(0, 256, (8, 9, 1), dtype=np.uint8), 3, axis=2)
    bits = [pixels[y, x + 1, 0] > pixels[y, x, 0] for y in range(8) for x in range(8)]
    hash = difference_hash(pixels)
    assert hash is not None
    assert hash[0] == int("".join(str(int(bit)) for bit in bits), 2)


def test_nearly_uniform_images_have_no_hash() -> None:
    flat = np.full((40, 60, 3), 200, np.uint8)
    assert difference_hash(flat) is None
    flat[:, 30:] = 206
    assert difference_hash(flat) is None
    flat[:, 30:] = 210
    assert difference_hash(flat) is not None


@pytest.mark.parametrize("bands", [1, 2, 4])
def test_of_other_numbers_of_bands_the_first_is_looked_at(bands: int) -> None:
    pixels = photograph(0)
    expected = difference_hash(np.repeat(pixels[:, :, :1], 3, axis=2))
    assert difference_hash(np.concatenate([pixels, pixels], axis=2)[:, :, :bands]) == expected


def saved(pixels: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=40)
    return np.asarray(Image.open(buffer))


@pytest.mark.parametrize(
    "change",
    [
        saved,
        lambda pixels: np.asarray(Image.fromarray(pixels).resize((90, 60), Image.Resampling.BICUBIC)),
        lambda pixels: (pixels * 0.8 + 20).astype(np.uint8),
        lambda pixels: pixels[1:-1, 1:-1],
    ],
    ids=["compressed", "smaller", "duller", "a pixel less"],
)
def test_changed_copies_look_alike_and_others_do_not(change) -> None:
    originals = [photograph(seed) for seed in range(20)]
    hashes = [difference_hash(pixels) for pixels in [*originals, *map(change, originals)]]
    numbers = numbered_sets(np.array(hashes, dtype=np.uint64))
    assert numbers[:20].tolist() == numbers[20:].tolist()
    assert len(set(numbers.tolist())) == 20


def test_sets_equal_those_of_comparing_all_pairs() -> None:
    rng = np.random.default_rng(1)
    centres = rng.integers(0, 2**64, (15, 2), dtype=np.uint64)
    hashes = np.repeat(centres, 8, axis=0)
    for row in hashes:
        for part, flips in ((0, rng.integers(0, 7)), (1, rng.integers(0, 9))):
            for bit in rng.choice(64, flips, replace=False):
                row[part] ^= np.uint64(1) << np.uint64(bit)
    number = list(range(len(hashes)))
    for i in range(len(hashes)):
        for j in range(i):
            across, down = (int(hashes[i, part] ^ hashes[j, part]).bit_count() for part in (0, 1))
            if across <= 4 and down <= 6:
                number = [number[i] if own == number[j] else own for own in number]
    found = numbered_sets(hashes).tolist()
    assert len(set(zip(found, number, strict=True))) == len(set(found)) == len(set(number))
    assert 15 < len(set(number)) < len(hashes), "some are near, and some are not"


def test_images_that_differ_are_not_told() -> None:
    assert told(seen("a", hash=(0, 0)), seen("b", hash=(2**64 - 1, 0)), seen("c", hash=(0, 2**64 - 1))) == {}
    assert told() == {}


def test_copies_within_a_split_are_counted_and_named() -> None:
    (message,) = told(*(seen(id, hash=(7, 7)) for id in "abc"), seen("d", hash=(2**40 - 1, 0))).values()
    assert message.startswith("3 images look alike, in 1 set: a and b and 1 more.")


def test_what_crosses_splits_or_groups_is_told_apart() -> None:
    pairs = [(7 << 50, 1), (7 << 30, 2**30), (2**20 - 1, 2**50 - 1)]
    images = [
        seen("a", hash=pairs[0]), seen("b", hash=pairs[0], split="val"),
        seen("c", hash=pairs[1], group="p1"), seen("d", hash=pairs[1], group="p2"),
        seen("e", hash=pairs[2], group="p3"), seen("f", hash=pairs[2], group="p3"),
    ]  # fmt: skip
    messages = told(*images)
    assert list(messages) == ["look_alikes_across_splits", "look_alikes_across_groups", "look_alikes"]
    assert (
        "2 images from different splits look alike, in 1 set: a (train) and b (val)."
        in messages["look_alikes_across_splits"]
    )
    assert (
        "different groups look alike, in 1 set: c (p1) and d (p2)." in messages["look_alikes_across_groups"]
    )
    assert "2 images look alike, in 1 set: e and f." in messages["look_alikes"]


def test_a_set_in_two_splits_names_images_of_both() -> None:
    alike = [seen("a", hash=(1, 1)), seen("b", hash=(1, 1)), seen("c", hash=(1, 1), split="val")]
    assert "a (train) and c (val) and 1 more" in told(*alike)["look_alikes_across_splits"]


def test_equal_files_are_told_even_if_uniform(tmp_path: Path) -> None:
    def file(name: str, content: bytes, hash: tuple[int, int] | None) -> Seen:
        (tmp_path / name).write_bytes(content)
        return Seen(Record(name, tmp_path / name, (0,)), "train", hash)

    images = [
        file("a", b"one", None), file("b", b"one", None), file("c", b"two", None),
        file("d", b"six", (7, 7)), file("e", b"six", (7, 7)), file("f", b"ten", (7 << 40, 7)),
        file("g", b"net", (7 << 40, 7)), seen("gone", hash=None),
    ]  # fmt: skip
    (message,) = told(*images).values()
    assert message.startswith("6 images look alike, in 3 sets, 2 of them equal files: ")
    assert "a and b" in message
    assert isinstance(next(look_alikes(images)), Problem)


def test_a_message_names_three_sets() -> None:
    images = [
        seen(f"{copy}{place}", hash=(0b11111111 << 9 * place, 0)) for copy in "ab" for place in range(5)
    ]
    (message,) = told(*images).values()
    assert "in 5 sets: a0 and b0; a1 and b1; a2 and b2; …." in message
