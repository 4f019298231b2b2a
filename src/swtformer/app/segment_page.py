"""The page that segments one photograph: widgets around `study`."""

from __future__ import annotations

import tempfile
from html import escape
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from swtformer.app.pictures import described, laid_over, legend, legend_rows
from swtformer.app.study import (
    DEFAULT_REFINER,
    MOST_CLASSES,
    SEEN_PX,
    Background,
    LabelSource,
    Studio,
    Study,
    Views,
    class_maps,
    labels_of,
    write_full_size,
)
from swtformer.errors import SwtformerError
from swtformer.report.colours import map_gradient
from swtformer.report.pictures import map_overlay

SOURCES: dict[LabelSource, str] = {
    "cam": "CAM",
    "rcam": "R-CAM",
    "refined": "Refined maps",
    "network": "Segmentation network",
}
VIEWS: dict[Views, str] = {"one": "one (quick)", "many": "as localize does (slow)"}
BACKGROUNDS: dict[Background, str] = {"map": "its own map", "threshold": "the threshold"}
EXIF: dict[Literal["raw", "apply"], str] = {"raw": "as stored", "apply": "upright"}

FORGOTTEN_SECONDS = 3600
"""How long the maps of an idle visitor are kept."""

INVITATION = "Drop a photograph above."

SAVE = """(file) => {
  if (!file) return;
  const link = document.createElement("a");
  link.href = file.url; link.download = file.orig_name; link.click();
}"""
"""Downloads the file that an event returned."""


def message(text: str, *, is_bad: bool = False) -> str:
    """A message that screen readers announce, as HTML."""
    kind = "message bad" if is_bad else "message"
    return f'<p class="{kind}" role="{"alert" if is_bad else "status"}">{escape(text)}</p>' if text else ""


def picture(label: str, elem_id: str, words: str, *, min_width: int = 220) -> gr.Image:
    """A widget that shows a picture; `words` are for those who cannot see it."""
    return gr.Image(
        label=label,
        format="jpeg",
        interactive=False,
        min_width=min_width,
        buttons=["fullscreen"],
        elem_classes="picture",
        elem_id=elem_id,
        alt_text=words,
    )


def choices(names: dict[Any, str]) -> list[tuple[str, Any]]:
    """Choices of a radio, which takes pairs of text and value."""
    return [(text, name) for name, text in names.items()]


def found(study: Study, studio: Studio) -> str:
    """What was found, in a sentence."""
    names = [studio.classes[value - 1] for value in study.maps.values.tolist()]
    height, width = study.size
    listed = ", ".join(names) if names else "no class"
    return " ".join([f"{study.name} ({width}×{height} px): {listed}.", *study.remarks])


def controls_of(source: LabelSource) -> list[Any]:
    """Background, threshold and refiner; they are disabled where the mask does not depend on maps."""
    has_maps = source != "network"
    return [gr.Radio(interactive=has_maps), gr.Slider(interactive=has_maps), gr.Radio(interactive=has_maps)]


def segment_page(studio: Studio) -> None:
    """Put the page's widgets into the surrounding Blocks."""
    state = gr.State(None, time_to_live=FORGOTTEN_SECONDS)
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            file = gr.File(label="Photograph", height=150, elem_id="photograph")
            status = gr.HTML(message(INVITATION), elem_id="status")
            classes = gr.Dropdown(
                list(studio.classes),
                value=[],
                multiselect=True,
                max_choices=MOST_CLASSES,
                label="Classes in the picture",
                info="Leave empty to let the model choose; type to search.",
                elem_id="classes",
            )
            with gr.Accordion("Views and orientation", open=False):
                views = gr.Radio(choices(VIEWS), value="one", label="Views", elem_id="views")
                exif = gr.Radio(choices(EXIF), value=studio.exif, label="Orientation", elem_id="exif")
            again = gr.Button("Run again", elem_id="again")
        with gr.Column(scale=3, min_width=300):
            overlay = picture("Mask", "overlay", "The mask over the photograph, once there is one.")
            with gr.Column(visible=False) as controls:
                legend_box = gr.HTML(elem_id="legend")
                source = gr.Radio(
                    choices({name: SOURCES[name] for name in studio.sources}),
                    value="refined",
                    label="Mask from",
                    elem_id="source",
                )
                with gr.Row():
                    background = gr.Radio(
                        choices(BACKGROUNDS),
                        value="map",
                        label="Background decided by",
                        elem_id="background",
                    )
                    refiner = gr.Radio(
                        list(studio.refiners), value=DEFAULT_REFINER, label="Refined by", elem_id="refiner"
                    )
                with gr.Row():
                    threshold = gr.Slider(
                        0, 1, value=studio.threshold, step=0.01, label="Threshold", elem_id="threshold"
                    )
                    opacity = gr.Slider(
                        0, 1, value=0.6, step=0.05, label="Opacity of the mask", elem_id="opacity"
                    )
                save = gr.Button("Download mask (PNG)", elem_id="save")
                saved = gr.File(visible=False)
                command = gr.Textbox(
                    interactive=False,
                    label="For many images",
                    info="For classes chosen by the model, one view and the run's own orientation. Masks of "
                    f"photographs over {SEEN_PX} px can differ a little.",
                    max_lines=12,
                    buttons=["copy"],
                    elem_id="command",
                )
    with gr.Column(visible=False) as all_maps:
        shown = gr.Dropdown([("background", 0)], value=0, label="Maps of", elem_id="shown", interactive=True)
        with gr.Row():
            heats = {
                name: picture(
                    SOURCES[name],
                    f"map-{name}",
                    f"{SOURCES[name]} of the chosen class, dark where it is 0 and bright where it is 1.",
                )
                for name in studio.sources
                if name != "network"
            }
        gr.HTML(
            f'<p class="scale">0 <span style="background: linear-gradient(90deg, {map_gradient()})"></span> '
            "1</p>"
        )

    drawing = [overlay, legend_box, command]
    settings = [source, background, threshold, opacity]

    def drawn(
        study: Study | None, source: LabelSource, background: Background, threshold: float, opacity: float
    ) -> list[Any]:
        if study is None:
            return [None, "", ""]
        labels = labels_of(study, source, background, threshold)
        values = study.maps.values.tolist()
        probabilities = {value: float(study.maps.probabilities[value - 1]) for value in values}
        rows = legend_rows(labels, studio.classes, probabilities)
        mask = gr.Image(laid_over(study.photograph, labels, opacity), alt_text=f"Mask: {described(rows)}")
        return [mask, legend(rows), studio.for_many(source, background, threshold, study.refiner)]

    def drawn_at(
        study: Study | None, source: LabelSource, _: Background, threshold: float, opacity: float
    ) -> list[Any]:
        return drawn(study, source, "threshold", threshold, opacity)

    def heated(study: Study | None, label: int) -> list[Any]:
        if study is None:
            return [None for _ in heats]
        maps = class_maps(study, label if label in study.maps.values else 0)
        return [map_overlay(study.photograph, maps[name]) for name in heats]

    def look(
        path: str | None,
        names: list[str],
        how: Views,
        turned: Literal["raw", "apply"],
        method: str,
    ) -> list[Any]:
        """Segment a photograph and keep its maps."""
        # A hidden list keeps its choices: the browser goes on sending what was chosen there.
        nothing = [gr.Column(visible=False), gr.Column(visible=False), gr.skip()]
        if path is None:
            return [None, message(INVITATION), *nothing]
        try:
            study = studio.study(Path(path), classes=names, views=how, refiner=method, exif=turned)
        except SwtformerError as error:
            return [None, message(str(error), is_bad=True), *nothing]
        listed = [(studio.classes[value - 1], value) for value in study.maps.values.tolist()]
        listed.append(("background", 0))
        maps_of = gr.Dropdown(listed, value=listed[0][1])
        text = message(found(study, studio))
        return [study, text, gr.Column(visible=True), gr.Column(visible=True), maps_of]

    def refine(study: Study | None, method: str) -> Study | None:
        """Refine the maps by another refiner."""
        if study is not None:
            try:
                study = studio.refine(study, method)
            except SwtformerError as error:
                gr.Warning(escape(str(error)))
        return study

    def write(
        study: Study | None, source: LabelSource, background: Background, threshold: float
    ) -> str | None:
        """Write the mask at the photograph's size."""
        if study is None:
            gr.Warning("There is no mask yet: drop a photograph first.")
            return None
        labels = labels_of(study, source, background, threshold)
        # In the app's own folder, which is served, and deleted when the app ends.
        folder = Path(tempfile.mkdtemp(dir=file.GRADIO_CACHE))
        try:
            return str(write_full_size(study, labels, folder))
        except SwtformerError as error:
            gr.Warning(escape(str(error)))
            return None

    # Slow work only changes the state. The page is drawn afterwards, from the widgets as they are then, and
    # one drawing at a time, so that no drawing shows older settings than the one before.
    network: dict[str, Any] = {
        "concurrency_id": "network",
        "concurrency_limit": 1,
        "show_progress_on": overlay,
    }
    drawings: dict[str, Any] = {
        "concurrency_id": "drawing",
        "concurrency_limit": 1,
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    asked = [file, classes, views, exif, refiner]
    answered = [state, status, controls, all_maps, shown]
    for event in (
        file.upload(look, asked, answered, api_name="segment", **network),
        file.clear(look, asked, answered, api_visibility="private", **network),
        again.click(look, asked, answered, api_visibility="private", **network),
        refiner.change(refine, [state, refiner], state, api_visibility="private", **network),
    ):
        event.then(drawn, [state, *settings], drawing, **drawings)
        event.then(heated, [state, shown], list(heats.values()), **drawings)
    threshold.input(None, None, background, js="() => 'threshold'")
    threshold.input(drawn_at, [state, *settings], drawing, trigger_mode="always_last", **drawings)
    for widget in (source.input, background.input, opacity.input):
        widget(drawn, [state, *settings], drawing, trigger_mode="always_last", **drawings)
    source.change(
        controls_of,
        source,
        [background, threshold, refiner],
        show_progress="hidden",
        api_visibility="private",
    )
    shown.input(heated, [state, shown], list(heats.values()), trigger_mode="always_last", **drawings)
    save.click(write, [state, source, background, threshold], saved, api_name="mask").then(
        None, saved, None, js=SAVE
    )
