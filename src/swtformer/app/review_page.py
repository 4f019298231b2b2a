"""The page that goes through the review queue: widgets around `reviewing`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, wraps
from html import escape
from typing import Any

import gradio as gr

from swtformer.app.pictures import described, laid_over, legend
from swtformer.app.reviewing import Card, Cards, export_commands
from swtformer.app.segment_page import choices, message, picture
from swtformer.datasets.records import ImageSet
from swtformer.errors import SwtformerError
from swtformer.review.decisions import Decision, Reviewed, ReviewItem, ReviewQueue, Shown, decide, open_queue
from swtformer.store.run import Run

MASKS: dict[Reviewed, str] = {"pseudo_masks": "pseudo-masks", "corrected_masks": "corrected masks"}
NAMES: dict[Reviewed, str] = {"pseudo_masks": "Pseudo-mask", "corrected_masks": "Corrected mask"}
"""Of one mask."""

SHOWN: dict[Shown, str] = {
    "open": "open",
    "correct": "marked for correction",
    "reject": "left out of training",
    "skip": "skipped",
    "accept": "accepted",
    "all": "all",
}
DECIDED: dict[Decision, str] = {
    "accept": "accepted",
    "skip": "skipped for now",
    "correct": "marked for correction",
    "reject": "left out of training",
}


def progress_line(queue: ReviewQueue) -> str:
    """Progress of the review, as HTML."""
    total, left = len(queue.items), len(queue.part("open"))
    done = total - left
    counts = ", ".join(f"{len(queue.part(decision))} {text}" for decision, text in DECIDED.items())
    return (
        f'<div class="looked-at"><progress max="{total}" value="{done}" aria-label="reviewed"></progress>'
        f"<p>{done} of {total} reviewed: {counts}.</p></div>"
    )


def facts(card: Card, queue: ReviewQueue) -> str:
    """Facts about a mask, as HTML."""
    review = card.item.review
    place = queue.items.index(card.item) + 1
    agreed = "" if review.agreement is None else f", agreement of the maps {review.agreement:.2f}"
    stated = f"Labelled: {escape(card.stated)}.<br>" if card.stated else ""
    decision = "not reviewed yet" if card.item.decision is None else DECIDED[card.item.decision]
    return (
        f'<p class="facts"><b>{escape(review.id)}</b>: number {place} of {len(queue.items)}, {decision}.<br>'
        f"{stated}Confidence <b>{review.confidence:.2f}</b> (certainty {review.certainty:.2f}{agreed}); "
        f"{100 * review.undecided:.0f} % of the pixels are undecided.</p>"
    )


def review_page(
    run: Run, blocks: gr.Blocks, data: ImageSet | None = None, *, named: Sequence[str] = ()
) -> None:
    """Put the page's widgets into the surrounding Blocks.

    Args:
        run: whose pseudo-masks are reviewed.
        blocks: the surrounding Blocks.
        data: the photographs; those that the masks were made for where None.
        named: path and flags of that data set as on the command line.
    """
    cards = Cards(run, data)
    current = gr.State(None)
    version = gr.State("")
    progress = gr.HTML(elem_id="progress")
    note = gr.HTML(elem_id="note", elem_classes="gap-less")
    reviewed = gr.Radio(choices(MASKS), value="pseudo_masks", label="Masks", elem_id="reviewed")
    shown = gr.Radio(choices(SHOWN), value="open", label="Show", elem_id="queue")
    about = gr.HTML(elem_id="about")
    with gr.Row():
        photograph = picture("Photograph", "review-photograph", "The photograph.", min_width=280)
        overlay = picture("Mask", "review-overlay", "The mask.", min_width=280)
    legend_box = gr.HTML(elem_id="review-legend")
    with gr.Row(elem_classes="decisions"):
        buttons: dict[Decision, gr.Button] = {
            "accept": gr.Button("Accept", variant="primary", elem_id="accept", min_width=90),
            "skip": gr.Button("Skip", elem_id="skip", min_width=90),
            "correct": gr.Button("Mark for correction", elem_id="correct", min_width=90),
            "reject": gr.Button("Leave out", variant="stop", elem_id="reject", min_width=90),
        }
    with gr.Row():
        earlier = gr.Button("Previous", size="sm", elem_id="earlier", min_width=90)
        later = gr.Button("Next", size="sm", elem_id="later", min_width=90)
    opacity = gr.Slider(0, 1, value=0.6, step=0.05, label="Opacity of the mask", elem_id="review-opacity")
    gr.HTML(
        '<p class="keys">Keys: <kbd>A</kbd> accept, <kbd>S</kbd> skip, <kbd>C</kbd> mark for correction, '
        "<kbd>X</kbd> leave out of training, <kbd>J</kbd> next, <kbd>K</kbd> previous.</p>"
    )
    with gr.Accordion("Correct the marked masks in another tool", open=False):
        export = gr.Code(
            export_commands(run, "pseudo_masks", named),
            language=None,
            interactive=False,
            show_label=False,
            wrap_lines=True,
            show_line_numbers=False,
            buttons=["copy"],
            elem_id="export",
        )

    outputs = [current, version, progress, note, about, photograph, overlay, legend_box]

    def empty(line: str, why: str) -> list[Any]:
        """The page without a mask."""
        return [None, "", line, why, "", None, None, ""]

    def view(queue: ReviewQueue, item: ReviewItem | None, part: Shown, strength: float) -> list[Any]:
        if item is None:
            said = "Every mask has been reviewed." if part == "open" else f"No mask is {SHOWN[part]}."
            return empty(progress_line(queue), message(said))
        try:
            card = cards.card(queue, item)
        except SwtformerError as error:
            unread = empty(progress_line(queue), message(str(error), is_bad=True))
            return [item.review.id, item.version, *unread[2:]]
        words = f"{NAMES[queue.reviewed]}: {described(card.rows)}"
        return [
            item.review.id,
            item.version,
            progress_line(queue),
            message(card.remark, is_bad=True),
            facts(card, queue),
            card.photograph,
            gr.Image(laid_over(card.photograph, card.labels, strength), alt_text=words),
            legend(card.rows),
        ]

    def or_why(handler: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        """Where a handler refuses, say why and leave the rest of the page as it is."""

        @wraps(handler)
        def answer(*args: Any, **options: Any) -> list[Any]:
            try:
                return handler(*args, **options)
            except SwtformerError as error:
                kept = [gr.skip() for _ in outputs]
                return [*kept[:3], message(str(error), is_bad=True), *kept[4:]]

        return answer

    @or_why
    def start(part: Shown, strength: float, which: Reviewed) -> list[Any]:
        """The first mask of a part of the queue."""
        queue = open_queue(run, which)
        return view(queue, queue.after(None, part), part, strength)

    def turn(part: Shown, strength: float, which: Reviewed) -> list[Any]:
        """The first mask of the other queue, or why there is none; and how to export its marked masks."""
        try:
            queue = open_queue(run, which)
        except SwtformerError as error:
            drawn = empty("", message(str(error), is_bad=True))
        else:
            drawn = view(queue, queue.after(None, part), part, strength)
        return [*drawn, export_commands(run, which, named)]

    @or_why
    def move(id: str | None, part: Shown, strength: float, which: Reviewed, *, forward: bool) -> list[Any]:
        """The mask before or after this one."""
        queue = open_queue(run, which)
        return view(queue, queue.after(id, part) if forward else queue.before(id, part), part, strength)

    @or_why
    def judge(
        id: str | None, seen: str, part: Shown, strength: float, which: Reviewed, *, decision: Decision
    ) -> list[Any]:
        """Save a decision and show the next mask."""
        if id is None:
            raise SwtformerError("There is no mask to decide about.")
        queue = decide(run, id, decision, version=seen, reviewed=which)
        return view(queue, queue.after(id, part), part, strength)

    def redraw(id: str | None, strength: float, which: Reviewed) -> Any:
        """The same mask at another opacity."""
        try:
            queue = open_queue(run, which)
            item = None if id is None else queue.item(id)
            if item is None:
                return gr.skip()
            card = cards.card(queue, item)
        except SwtformerError:
            return gr.skip()  # the error was shown with the mask
        return laid_over(card.photograph, card.labels, strength)

    quiet: dict[str, Any] = {"show_progress": "hidden"}
    view_of = [shown, opacity, reviewed]
    blocks.load(start, view_of, outputs, api_visibility="private")
    shown.input(start, view_of, outputs, api_name="queue")
    reviewed.input(turn, view_of, [*outputs, export], api_name="review")
    for decision, button in buttons.items():
        chosen = partial(judge, decision=decision)
        button.click(chosen, [current, version, *view_of], outputs, api_name=decision, **quiet)
    steps = [current, *view_of]
    earlier.click(partial(move, forward=False), steps, outputs, api_name="earlier", **quiet)
    later.click(partial(move, forward=True), steps, outputs, api_name="later", **quiet)
    opacity.input(
        redraw,
        [current, opacity, reviewed],
        overlay,
        api_visibility="private",
        trigger_mode="always_last",
        **quiet,
    )
