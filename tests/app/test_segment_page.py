"""What the page of one photograph shows, without the browser of test_browser or a server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from support.page_parts import built, handler, widget
from swtformer.app.segment_page import (
    BACKGROUNDS,
    EXIF,
    INVITATION,
    SOURCES,
    VIEWS,
    found,
    message,
    segment_page,
)
from swtformer.app.study import Studio, Study, class_maps, labels_of
from swtformer.report.pictures import map_overlay


@pytest.fixture(scope="module")
def study(studio: Studio, photograph: Path) -> Study:
    return studio.study(photograph, classes=["cat", "dog"])


@pytest.fixture(scope="module")
def page(studio: Studio) -> gr.Blocks:
    return built(lambda blocks: segment_page(studio))


def test_messages_are_announced_and_escaped() -> None:
    assert message("1 < 2") == '<p class="message" role="status">1 &lt; 2</p>'
    assert message("<b>", is_bad=True) == '<p class="message bad" role="alert">&lt;b&gt;</p>'
    assert message("") == ""


def test_what_was_found_is_a_sentence(study: Study, studio: Studio) -> None:
    assert found(study, studio) == "1 (64×56 px): cat, dog."
    remarked = replace(study, remarks=("It was turned.", "It was shrunk."))
    assert found(remarked, studio) == "1 (64×56 px): cat, dog. It was turned. It was shrunk."
    nothing = replace(study, maps=replace(study.maps, values=study.maps.values[:0]))
    assert found(nothing, studio) == "1 (64×56 px): no class."


def test_the_mask_follows_the_choices(page: gr.Blocks, study: Study) -> None:
    drawn = handler(page, "drawn")
    overlay, _, _ = drawn(study, "cam", "threshold", 1.0, 1.0)
    assert np.array_equal(overlay.constructor_args["value"], study.photograph)
    assert overlay.alt_text == "Mask: background 100.0 %, cat 0.0 %, dog 0.0 %"
    overlay, legend, _ = drawn(study, "cam", "threshold", 0.0, 1.0)
    labels = labels_of(study, "cam", "threshold", 0.0)
    changed = (overlay.constructor_args["value"] != study.photograph).any(-1)
    assert changed[labels > 0].mean() > 0.9
    assert not changed[labels == 0].any()
    assert "background 100.0 %" not in overlay.alt_text
    probability = study.maps.probabilities[0]
    assert (
        f"cat <small>{100 * (labels == 1).mean():.1f} % of the picture, probability {probability:.2f}"
        in legend
    )
    transparent, _, _ = drawn(study, "cam", "threshold", 0.0, 0.0)
    assert np.array_equal(transparent.constructor_args["value"], study.photograph)


@pytest.mark.parametrize(
    ("elem_id", "names", "value"),
    [
        ("source", SOURCES, "refined"),
        ("background", BACKGROUNDS, "map"),
        ("views", VIEWS, "one"),
        ("exif", EXIF, "raw"),
    ],
)
def test_every_choice_is_offered_by_its_name(
    elem_id: str, names: dict[str, str], value: str, page: gr.Blocks
) -> None:
    radio = widget(page, elem_id)
    assert radio.choices == [(text, name) for name, text in names.items()]
    assert radio.value == value


def test_refiners_that_need_no_training_are_offered(page: gr.Blocks) -> None:
    radio = widget(page, "refiner")
    names = [name for _, name in radio.choices]
    assert {"par", "dense_crf"} <= set(names)
    assert not {"psa", "irn"} & set(names)
    assert radio.value == "par"


def test_sources_that_the_run_lacks_are_not_offered(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio, "sources", ("cam", "refined"))

    page = built(lambda blocks: segment_page(studio))
    assert [name for _, name in widget(page, "source").choices] == ["cam", "refined"]
    pictures = {getattr(block, "elem_id", None) or "" for block in page.blocks.values()}
    assert {name for name in pictures if name.startswith("map-")} == {"map-cam", "map-refined"}


def test_the_page_starts_with_the_runs_classes_and_threshold(page: gr.Blocks, studio: Studio) -> None:
    assert [name for name, _ in widget(page, "classes").choices] == list(studio.classes)
    assert widget(page, "threshold").value == studio.threshold
    assert INVITATION in widget(page, "status").value


def test_looking_fills_the_page_and_a_damaged_file_empties_it(
    page: gr.Blocks, photograph: Path, tmp_path: Path
) -> None:
    look = handler(page, "look")
    study, status, controls, maps, shown = look(str(photograph), ["cow", "dog"], "one", "raw", "par")
    assert status == message("1 (64×56 px): dog, cow.")
    assert (controls.visible, maps.visible) == (True, True)
    assert shown.choices == [("dog", 2), ("cow", 3), ("background", 0)]
    assert shown.value == 2
    assert study.name == "1"

    (tmp_path / "<bad>.png").write_bytes(b"")
    study, status, controls, maps, shown = look(str(tmp_path / "<bad>.png"), [], "one", "raw", "par")
    assert study is None
    assert 'role="alert">&lt;bad&gt;.png: is empty' in status
    assert (controls.visible, maps.visible) == (False, False)
    assert shown == gr.skip()  # hidden, the list would go on sending its old value
    assert look(None, [], "one", "raw", "par")[1] == message(INVITATION)


def test_nothing_is_drawn_without_a_photograph(page: gr.Blocks) -> None:
    assert handler(page, "drawn")(None, "cam", "map", 0.5, 0.5) == [None, "", ""]
    assert handler(page, "heated")(None, 0) == [None, None, None]
    assert handler(page, "refine")(None, "par") is None


def test_a_moved_threshold_decides_the_background(page: gr.Blocks, study: Study, studio: Studio) -> None:
    drawn, drawn_at = handler(page, "drawn"), handler(page, "drawn_at")
    chosen = ("cam", "threshold", 1.0, 0.5)
    picture, legend, command = drawn_at(study, "cam", "map", 1.0, 0.5)
    assert legend == drawn(study, *chosen)[1] != drawn(study, "cam", "map", 1.0, 0.5)[1]
    assert picture.alt_text == "Mask: background 100.0 %, cat 0.0 %, dog 0.0 %"
    assert command == studio.for_many("cam", "threshold", 1.0, "par")


def test_a_label_that_is_not_there_any_more_shows_the_background(page: gr.Blocks, study: Study) -> None:
    heated = handler(page, "heated")
    for label, expected in ((2, 2), (0, 0), (3, 0)):
        maps = class_maps(study, expected)
        assert list(maps) == ["cam", "rcam", "refined"]
        for picture, values in zip(heated(study, label), maps.values(), strict=True):
            assert np.array_equal(picture, map_overlay(study.photograph, values))


def test_the_refiner_is_changed_without_another_look(page: gr.Blocks, study: Study) -> None:
    made = handler(page, "refine")(study, "dense_crf")
    assert made.refiner == "dense_crf"
    assert made.maps.cam is study.maps.cam


def test_what_does_nothing_for_the_network_cannot_be_set(page: gr.Blocks) -> None:
    (asked,) = [
        function
        for function in page.fns.values()
        if [getattr(block, "elem_id", None) for block in function.outputs]
        == ["background", "threshold", "refiner"]
        and function.inputs == [widget(page, "source")]
    ]
    assert asked.fn is not None
    for source, is_active in (("network", False), ("cam", True), ("rcam", True), ("refined", True)):
        assert [update.interactive for update in asked.fn(source)] == [is_active] * 3
