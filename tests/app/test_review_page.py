"""What the review page shows and writes, without the browser of test_browser or a server."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from support.page_parts import built, handler, widget
from swtformer.app.review_page import DECIDED, MASKS, SHOWN, facts, progress_line, review_page
from swtformer.app.reviewing import Cards, export_commands
from swtformer.review.decisions import decide, open_queue
from swtformer.store.pseudo_masks import version_of
from swtformer.store.run import Run

ID, VERSION, PROGRESS, NOTE, ABOUT, PHOTOGRAPH, OVERLAY, LEGEND = range(8)
"""Places of the outputs of the handlers."""


@pytest.fixture
def run(drawn: Path, tmp_path: Path) -> Run:
    """Whose queue is 2, 0, 3, 1."""
    shutil.copytree(drawn.parent, tmp_path / "copy")
    copy = Run(tmp_path / "copy" / "run")
    for file in (copy.environment_file, copy.pseudo_masks_file):
        file.write_text(file.read_text().replace(str(drawn.parent), str(tmp_path / "copy")))
    return copy


@pytest.fixture
def page(run: Run) -> gr.Blocks:
    return built(lambda blocks: review_page(run, blocks, named=["data set"]))


def decisions(run: Run) -> dict[str, str | None]:
    return {item.review.id: item.decision for item in open_queue(run).items}


def test_the_progress_counts_decisions(run: Run) -> None:
    for id, decision in (("2", "accept"), ("0", "accept"), ("3", "reject")):
        decide(run, id, decision, version=version_of(run.pseudo_masks))
    line = progress_line(open_queue(run))
    assert '<progress max="4" value="3"' in line
    said = "3 of 4 reviewed: 2 accepted, 0 skipped for now, 0 marked for correction, 1 left out of training."
    assert said in line


def test_facts_of_a_mask(run: Run) -> None:
    queue = open_queue(run)
    text = facts(Cards(run).card(queue, queue.items[1]), queue)
    assert "<b>0</b>: number 2 of 4, not reviewed yet.<br>Labelled: cat.<br>" in text
    assert "Confidence <b>0.40</b> (certainty 0.40); 25 % of the pixels are undecided." in text
    queue = decide(run, "0", "correct", version=queue.items[1].version)
    assert "number 2 of 4, marked for correction." in facts(Cards(run).card(queue, queue.items[1]), queue)


def test_names_from_files_cannot_be_markup(run: Run) -> None:
    text = run.review_file.read_text().replace("\n2,", "\n<i>2,")
    run.review_file.write_text(text)
    for folder, suffix in ((run.pseudo_masks, ".png"), (run.path.parent / "images", ".png")):
        (folder / f"2{suffix}").rename(folder / f"<i>2{suffix}")
    queue = open_queue(run)
    assert "<b>&lt;i&gt;2</b>" in facts(Cards(run).card(queue, queue.items[0]), queue)


def test_every_part_of_the_queue_and_both_kinds_of_masks_are_offered(page: gr.Blocks) -> None:
    assert widget(page, "queue").choices == [(text, name) for name, text in SHOWN.items()]
    assert widget(page, "queue").value == "open"
    assert widget(page, "reviewed").choices == [(text, name) for name, text in MASKS.items()]
    assert set(SHOWN) == {"open", "all", *DECIDED}


def test_it_begins_with_the_least_sure_mask(page: gr.Blocks, run: Run) -> None:
    shown = handler(page, "start")("open", 0.6, "pseudo_masks")
    queue = open_queue(run)
    card = Cards(run).card(queue, queue.items[0])
    assert shown[ID] == "2"
    assert shown[VERSION] == queue.items[0].version
    assert shown[NOTE] == ""
    assert shown[ABOUT] == facts(card, queue)
    assert np.array_equal(shown[PHOTOGRAPH], card.photograph)
    assert shown[OVERLAY].alt_text.startswith("Pseudo-mask: background ")
    assert "cow" in shown[LEGEND]


@pytest.mark.parametrize("decision", list(DECIDED))
def test_a_decision_is_written_and_the_next_mask_comes(decision: str, page: gr.Blocks, run: Run) -> None:
    version = version_of(run.pseudo_masks)
    shown = handler(page, decision)("2", version, "open", 0.6, "pseudo_masks")
    assert shown[ID] == "0"
    assert f"1 {DECIDED[decision]}" in shown[PROGRESS]
    assert decisions(run) == {"2": decision, "0": None, "3": None, "1": None}


def test_when_all_is_decided_it_says_so(page: gr.Blocks, run: Run) -> None:
    version = version_of(run.pseudo_masks)
    shown: list[Any] = []
    for id in ("2", "0", "3", "1"):
        shown = handler(page, "accept")(id, version, "open", 0.6, "pseudo_masks")
    assert shown[ID] is None
    assert "Every mask has been reviewed." in shown[NOTE]
    assert shown[PHOTOGRAPH] is shown[OVERLAY] is None
    empty = handler(page, "queue")("reject", 0.6, "pseudo_masks")
    assert "No mask is left out of training." in empty[NOTE]
    again = handler(page, "queue")("accept", 0.6, "pseudo_masks")
    assert again[ID] == "2"


def test_a_decision_about_an_older_version_of_the_masks_is_refused(page: gr.Blocks, run: Run) -> None:
    shown = handler(page, "accept")("2", "an earlier version", "open", 0.6, "pseudo_masks")
    assert 'class="message bad"' in shown[NOTE]
    assert all(shown[place] == gr.skip() for place in (ID, PHOTOGRAPH, OVERLAY))
    assert set(decisions(run).values()) == {None}
    nothing = handler(page, "accept")(None, "", "open", 0.6, "pseudo_masks")
    assert "There is no mask to decide about." in nothing[NOTE]


def test_steps_go_round_the_queue(page: gr.Blocks) -> None:
    def step(name: str, id: str) -> str:
        return str(handler(page, name)(id, "all", 0.6, "pseudo_masks")[ID])

    assert [step("later", id) for id in ("2", "0", "3", "1")] == ["0", "3", "1", "2"]
    assert [step("earlier", id) for id in ("2", "0", "3", "1")] == ["1", "2", "0", "3"]


def test_a_mask_that_cannot_be_shown_does_not_end_the_review(page: gr.Blocks, run: Run) -> None:
    run.pseudo_mask_file("2").unlink()
    shown = handler(page, "start")("open", 0.6, "pseudo_masks")
    assert shown[ID] == "2"
    assert re.search(r"message bad.*2\.png.*does not exist", shown[NOTE])
    assert shown[PHOTOGRAPH] is None
    assert handler(page, "later")("2", "open", 0.6, "pseudo_masks")[ID] == "0"
    assert handler(page, "redraw")("2", 0.6, "pseudo_masks") == gr.skip()


def test_corrected_masks_that_are_not_there_are_said_to_be_missing(page: gr.Blocks, run: Run) -> None:
    *shown, commands = handler(page, "review")("open", 0.6, "corrected_masks")
    assert shown[ID] is None
    assert 'class="message bad"' in shown[NOTE]
    assert commands == export_commands(run, "corrected_masks", ["data set"])
    assert widget(page, "export").value == export_commands(run, "pseudo_masks", ["data set"])


def test_without_a_queue_the_command_for_one_is_shown(page: gr.Blocks, run: Run) -> None:
    run.review_file.unlink()
    for name, arguments in (("start", ()), ("later", ("2",))):
        shown = handler(page, name)(*arguments, "open", 0.6, "pseudo_masks")
        assert "`swtformer pseudo-label`" in shown[NOTE]
    assert handler(page, "redraw")("2", 0.6, "pseudo_masks") == gr.skip()


def test_the_opacity_is_that_of_the_mask(page: gr.Blocks, run: Run) -> None:
    queue = open_queue(run)
    card = Cards(run).card(queue, queue.items[0])
    redraw = handler(page, "redraw")
    assert np.array_equal(redraw("2", 0.0, "pseudo_masks"), card.photograph)
    drawn = redraw("2", 1.0, "pseudo_masks")
    assert (drawn != card.photograph).any(-1)[card.labels == 3].mean() > 0.9
    assert redraw(None, 1.0, "pseudo_masks") == gr.skip()
