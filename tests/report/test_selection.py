from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from swtformer.datasets.records import Record
from swtformer.report.selection import confidence, extremes, varied
from swtformer.store.maps import ClassActivationMaps


def records(*labels):
    return [Record(id=f"{i:03}", image=Path(f"{i}.jpg"), present=present) for i, present in enumerate(labels)]


def shown(picked):
    return Counter(label for record in picked for label in record.present or (-1,))


def test_a_rare_class_is_shown():
    assert 1 in shown(varied(records(*[(0,)] * 99, (1,)), 2))


def test_classes_are_shown_evenly():
    picked = varied(records(*[(0,)] * 60, *[(1,)] * 30, *[(2,)] * 10, *[()] * 5), 12)
    assert shown(picked) == {0: 3, 1: 3, 2: 3, -1: 3}


def test_more_classes_than_places_takes_crowded_images():
    picked = varied(records(*[(i,) for i in range(8)], (0, 1, 2, 3), (4, 5, 6, 7)), 2)
    assert set(shown(picked)) == set(range(8))


def test_images_come_from_all_over_the_list():
    positions = [int(record.id) for record in varied(records(*[(0,)] * 64), 4)]
    assert positions == [0, 16, 32, 48]


def test_all_images_where_there_are_few_in_their_order():
    some = records((1,), (0, 1), None, ())
    assert varied(some, 24) == some


def test_no_image():
    assert varied([], 5) == []
    assert varied(records((0,)), 0) == []


def test_the_choice_is_repeatable():
    some = records(*[(i % 5, 5 + i % 3) for i in range(40)])
    assert varied(some, 9) == varied(some, 9)


def test_extremes():
    ranked = {"a": 0.5, "b": 0.1, "c": 0.9, "d": 0.3, "e": 0.7}
    assert extremes(ranked, 2) == (["b", "d"], ["c", "e"])


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 0), (2, 1), (3, 1), (20, 6)])
def test_extremes_never_overlap(count, expected):
    low, high = extremes({i: float(i) for i in range(count)}, 6)
    assert len(low) == len(high) == expected
    assert not set(low) & set(high)


def test_extremes_of_ties_never_overlap():
    low, high = extremes(dict.fromkeys("abcd", 0.5), 6)
    assert sorted(low + high) == list("abcd")


def maps(cam, rcam=None):
    cam = np.asarray(cam, np.float16)
    return ClassActivationMaps(
        values=np.arange(1, len(cam) + 1),
        size=(8, 8),
        cam=cam,
        rcam=None if rcam is None else np.asarray(rcam, np.float16),
        probabilities=np.zeros(3, np.float32),
    )


def test_confidence_of_rcams_worked_by_hand():
    # Pixel 1: 0.75 leads 0.25 by 0.5; pixel 2: 1 leads 0.75 by 0.25.
    assert confidence(maps([[[0, 0]]], [[[0.25, 1.0]], [[0.75, 0.75]]])) == pytest.approx(0.375)


def test_confidence_of_cams_uses_one_minus_the_maximum():
    # Pixel 1: background 0.75, class 0.25; pixel 2: background 0, class 1.
    assert confidence(maps([[[0.25, 1.0]]])) == pytest.approx(0.75)


def test_confidence_without_a_class():
    assert confidence(maps(np.zeros((0, 2, 2)))) == 1.0
