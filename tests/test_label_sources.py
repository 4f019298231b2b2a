from __future__ import annotations

import pytest

from swtformer.label_sources import are_of_masks, are_of_outlines, categories_in, counted, masks_in


@pytest.mark.parametrize(
    ("sources", "phrase", "of_masks"),
    [
        ({}, "none", False),
        ({"labels.csv": 3}, "labels.csv", False),
        ({masks_in("mine"): 3}, "mine masks", True),
        ({masks_in("mine"): 3, "labels.csv": 2}, "mine masks (3), labels.csv (2)", True),
        ({"labels.csv": 2, masks_in("mine"): 3}, "labels.csv (2), mine masks (3)", True),
        ({"Annotations boxes": 2, "of masks.csv": 1}, "Annotations boxes (2), of masks.csv (1)", False),
    ],
)
def test_phrases_are_recognised(sources: dict[str, int], phrase: str, of_masks: bool) -> None:
    assert counted(sources) == phrase
    assert are_of_masks(phrase) is of_masks
    assert not are_of_outlines(phrase)


def test_objects_in_a_file() -> None:
    assert categories_in("a.json", outlined=False) == "categories in a.json"
    assert categories_in("a.json", outlined=True) == "categories of outlined objects in a.json"
    assert are_of_outlines(categories_in("a.json", outlined=True))
    assert not are_of_outlines(categories_in("a.json", outlined=False))
    assert not are_of_masks(categories_in("a.json", outlined=True))
