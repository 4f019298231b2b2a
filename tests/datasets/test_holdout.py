from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swtformer.datasets import ImageSet, Record, split_off


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
