"""Draw a figure of the paper from trainings on a data set; a stopped call is resumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swtformer.datasets.images import read_image
from swtformer.datasets.label_images import read_truth
from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError, nearest
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.reproduction.figures import Boxes, Picture, boxes_of, draw_grid
from swtformer.reproduction.rows import FigureName, read_rows
from swtformer.stages.reproduce.row_runs import RowRuns
from swtformer.store.maps import ClassActivationMaps

FIGURE_ROWS: dict[FigureName, tuple[str, ...]] = {
    "figure1": ("figure1_cnn", "figure1_vit", "swtformer_v1"),
    "figure4": ("swtformer_v2",),
}

DRAWN = 12
"""Images of a figure, at most; half as many in Figure 1."""


@shows_progress
def reproduce_figure(
    figure: FigureName,
    data: ImageSet,
    *,
    out: str | Path,
    scored: ImageSet | None = None,
    images: Sequence[str] = (),
    seed: int = 0,
    weights: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    progress: Progress = shown,
) -> Path:
    """Draw a figure of the paper from trainings on a data set, into `<out>/<figure>.png`.

    "figure1" has CAMs of a CNN, a plain and a hierarchical vision transformer side by side; where there are
    masks, with red boxes around large objects and yellow ones around small objects. "figure4" has R-CAMs of
    V2. Runs are shared with `reproduce`.

    Args:
        figure: which.
        data: training images with image-level labels.
        out: folder of the runs.
        scored: images to draw; those of `data` where None.
        images: their ids; where empty, the first that suit the figure.
        seed: of the trainings.
        weights: see `reproduce`.
        overrides: settings above those of every run, as plain nested values.
        progress: called at every step.

    Raises:
        DataError: an id is unknown, or there is no image with a label.
        SwtformerError: a training fails.
    """
    scored = data if scored is None else scored
    chosen = _chosen(figure, scored, images)
    work = RowRuns(Path(out), data, chosen, None, dict(overrides or {}), weights, progress)
    rows = read_rows(FIGURE_ROWS[figure])
    work.require_networks(rows, [seed])
    runs = [work.mapped(row, seed, place=f"{figure}, {row.about.title}") for row in rows]
    pictures = []
    for record in chosen.records:
        settings = work.settings(rows[0], seed).data
        photograph = read_image(record.image, settings.images_alone())
        boxes = Boxes()
        if figure == "figure1" and record.mask is not None:
            boxes = boxes_of(read_truth(record, chosen.classes))
        names = [chosen.classes[place] for place in record.present or ()]
        first = Picture(photograph, boxes=boxes, caption=", ".join(names))
        maps = [ClassActivationMaps.load(run.map_file(record.id)) for run in runs]
        if figure == "figure1":
            for place, name in enumerate(names):
                shown_maps = [
                    Picture(photograph, own.channels("cam")[place + 1], boxes, name) for own in maps
                ]
                pictures.append([first, *shown_maps])
        else:
            shown_maps = [
                Picture(photograph, maps[0].channels("rcam")[place + 1], caption=name)
                for place, name in enumerate(names)
            ]
            pictures.append([first, *shown_maps])
    headings = []
    if figure == "figure1":
        # The network is named as it is, which flags may have changed.
        headings = ["photograph"]
        headings += [f"{row.about.title}\n{work.settings(row, seed).model.backbone}" for row in rows]
    path = Path(out) / f"{figure}.png"
    draw_grid(pictures, headings, path)
    return path


def varied(places: Sequence[int], data: ImageSet) -> list[int]:
    """Images so that each set of labels comes once before any comes again."""
    seen: Counter[tuple[int, ...] | None] = Counter()
    turns = {}
    for place in places:
        present = data.records[place].present
        turns[place] = seen[present]
        seen[present] += 1
    return sorted(places, key=lambda place: turns[place])


def _chosen(figure: FigureName, data: ImageSet, ids: Sequence[str]) -> ImageSet:
    """The images to draw, in the order of their ids or of the set."""
    places = {record.id: place for place, record in enumerate(data.records)}
    if unknown := [id for id in ids if id not in places]:
        raise DataError(f"{data.name} has no image {unknown[0]!r}. {nearest(unknown[0], places)}")
    if bare := [id for id in ids if not data.records[places[id]].present]:
        raise DataError(f"{data.name}: the image {bare[0]!r} has no label, so no map to draw.")
    if ids:
        return data.subset([places[id] for id in ids])
    labelled = [place for place, record in enumerate(data.records) if record.present]
    if not labelled:
        raise DataError(f"{data.name} has no image with a label to draw.")
    if figure == "figure4":
        turns = varied(labelled, data)
        single = [place for place in turns if len(data.records[place].present or ()) == 1]
        several = [place for place in turns if place not in set(single)]
        return data.subset([*single[: DRAWN // 2], *several[: DRAWN // 2]])
    both: list[int] = []
    for place in labelled:
        record = data.records[place]
        if record.mask is None or len(both) == DRAWN // 2:
            continue
        boxes = boxes_of(read_truth(record, data.classes))
        if boxes.large and boxes.small:
            both.append(place)
    return data.subset(both or labelled[: DRAWN // 2])
