"""Results in Label Studio's exports."""

from __future__ import annotations

import pytest

from swtformer.datasets.annotations.label_studio_results import Answer, cell_answers, json_answers, merged

BOX = {"x": 1, "y": 1, "width": 5, "height": 5}


def result(kind, value, control="c"):
    return {"type": kind, "from_name": control, "value": value}


@pytest.mark.parametrize(
    ("given", "answers"),
    [
        (result("choices", {"choices": ["cat", " dog "]}), [Answer("c", "choices", ("cat", "dog"))]),
        (result("choices", {"choices": "cat"}), [Answer("c", "choices", ("cat",))]),
        (result("taxonomy", {"taxonomy": [["pet", "cat"], []]}), [Answer("c", "choices", ("cat",))]),
        (
            result("rectanglelabels", {**BOX, "rectanglelabels": ["cat"]}),
            [Answer("c", "rectanglelabels", ("cat",))],
        ),
        (result("choices", {**BOX, "choices": ["occluded"]}), []),  # of a region
        (result("rectangle", BOX), []),  # without a label
        (result("textarea", {"text": ["a note"]}), []),
        (result("rating", {"rating": 4}), []),
        ({"type": "choices"}, []),
        ("cat", []),
    ],
)
def test_what_a_result_says_of_the_image(given, answers):
    assert list(json_answers([given])) == answers


def test_results_of_a_control_are_one_answer():
    results = [
        result("polygonlabels", {"points": [], "polygonlabels": [name]}, control)
        for name, control in (("cat", "a"), ("dog", "b"), ("cat", "a"), ("cow", "a"), ("", "a"))
    ]
    assert merged(json_answers(results)) == (
        Answer("a", "polygonlabels", ("cat", "cow")),
        Answer("b", "polygonlabels", ("dog",)),
    )


@pytest.mark.parametrize(
    ("cell", "texts", "labels"),
    [
        ("cat", True, [("cat",)]),
        ("cat", False, []),
        ({"choices": ["cat", "dog"]}, False, [("cat", "dog")]),
        (
            [{**BOX, "rectanglelabels": ["cat"]}, {**BOX, "rectanglelabels": ["dog"]}],
            False,
            [("cat",), ("dog",)],
        ),
        ({"text": "x"}, True, []),
        (None, True, []),
    ],
)
def test_cells_of_the_short_exports(cell, texts, labels):
    assert [answer.labels for answer in cell_answers("c", cell, texts=texts)] == labels
