from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swtformer.datasets import ImageSet, Record, split_off
from swtformer.errors import DataError


def image_set(*present):
    records = tuple(Record(str(index), Path(f"{index}.jpg"), labels) for index, labels in enumerate(present))
    return ImageSet("toy", "table", Path("toy"), ("a", "b", "c"), records)


MANY = image_set(*([(0,)] * 80 + [(0, 1)] * 20 + [(1, 2)] * 10 + [()] * 40 + [None] * 10))


def test_every_class_keeps_its_proportion():
    training, validation = split_off(MANY, 0.1, seed=0)
    kinds = [record.present for record in validation.records]
    counts = {index: sum(index in (kind or ()) for kind in kinds) for index in range(3)}
    assert counts == {0: pytest.approx(10, abs=1), 1: pytest.approx(3, abs=1), 2: 1}
    assert (kinds.count(()), kinds.count(None)) == (4, 1)
    assert len(training) + len(validation) == len(MANY)
    assert len(validation) == pytest.approx(16, abs=1)


def test_the_parts_are_disjoint_and_keep_the_order():
    training, validation = split_off(MANY, 0.3, seed=1)
    parts = [[int(record.id) for record in part.records] for part in (training, validation)]
    assert sorted(parts[0] + parts[1]) == list(range(len(MANY)))
    assert [sorted(part) for part in parts] == parts
    assert (training.name, validation.name) == ("toy (training)", "toy (validation)")


def test_the_seed_decides():
    assert split_off(MANY, 0.2, seed=3) == split_off(MANY, 0.2, seed=3)
    assert split_off(MANY, 0.2, seed=3) != split_off(MANY, 0.2, seed=4)


def test_small_sets_and_fraction_zero_have_no_validation():
    for data, fraction in ((image_set(*[(0,)] * 9), 0.5), (MANY, 0.0), (image_set(), 0.5)):
        training, validation = split_off(data, fraction, seed=0)
        assert (training.records, len(validation)) == (data.records, 0)


def test_many_rare_classes_still_fill_the_fraction():
    data = image_set(*([(0,), (1,), (2,), ()] * 3))
    _, validation = split_off(data, 0.1, seed=0)
    assert len(validation) == 1


@pytest.mark.parametrize("seed", range(10))
def test_the_last_image_of_a_class_stays_in_training(seed):
    data = image_set(*([(0,)] * 10 + [(0, 1)] + [(2,)] * 2))
    training, _ = split_off(data, 0.9, seed=seed)
    assert np.all(training.labels().sum(axis=0) >= 1)


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_fractions_out_of_range_are_refused(fraction):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\)"):
        split_off(MANY, fraction, seed=0)


def grouped(*sizes, classes=1):
    """Groups of these sizes, each with images of all classes in turn."""
    records = [
        Record(f"{group}-{index}", Path("x"), (index % classes,), group=str(group))
        for group, size in enumerate(sizes)
        for index in range(size)
    ]
    return ImageSet("toy", "table", Path("toy"), ("a", "b", "c"), tuple(records))


def groups_of(data):
    return {record.group for record in data.records}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5])
def test_no_group_is_divided_and_the_fraction_is_near(seed, fraction):
    sizes = [1, 3, 5, 7, 9] * 8
    data = grouped(*sizes, classes=3)
    training, validation = split_off(data, fraction, seed=seed)
    assert not groups_of(training) & groups_of(validation)
    assert len(training) + len(validation) == len(data)
    assert len(validation) == pytest.approx(fraction * len(data), abs=5)


def test_the_seed_decides_which_groups():
    data = grouped(*[4] * 30)
    assert split_off(data, 0.2, seed=0) == split_off(data, 0.2, seed=0)
    assert len({frozenset(groups_of(split_off(data, 0.2, seed=seed)[1])) for seed in range(5)}) > 1


def test_a_group_is_set_aside_even_if_each_is_too_large():
    training, validation = split_off(grouped(40, 20, 30), 0.1, seed=0)
    assert groups_of(validation) == {"1"}
    assert groups_of(training) == {"0", "2"}


def test_a_rare_class_takes_no_group_that_is_far_too_large():
    """Three rare classes, each in groups of 100 images: without a bound, three of ten groups would go."""
    data = grouped(*[100] * 10)
    rare = {str(100 * group): group % 3 for group in range(10)}
    records = tuple(
        Record(r.id, r.image, (1,) if str(i) in rare and rare[str(i)] else r.present, group=r.group)
        for i, r in enumerate(data.records)
    )
    data = ImageSet("toy", "table", Path("toy"), ("a", "b", "c"), records)
    assert {len(split_off(data, 0.1, seed=seed)[1]) for seed in range(10)} == {100}


def test_one_group_alone_is_refused_with_the_ways_out():
    with pytest.raises(DataError, match=r"images are of 1 group, so no whole"):
        split_off(grouped(40), 0.1, seed=0)
    assert len(split_off(grouped(40), 0.0, seed=0)[1]) == 0
    assert len(split_off(grouped(9), 0.1, seed=0)[1]) == 0


def test_groups_that_own_a_class_each_are_refused():
    records = tuple(Record(str(i), Path("x"), (i // 10,), group=str(i // 10)) for i in range(30))
    data = ImageSet("toy", "table", Path("toy"), ("a", "b", "c"), records)
    with pytest.raises(DataError, match="3 groups, each with all images of"):
        split_off(data, 0.2, seed=0)
