"""Train and score the rows of a table of the paper on a data set; a stopped call is resumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from swtformer.datasets.records import ImageSet
from swtformer.datasets.truth import ground_truth_folder, records_with_mask
from swtformer.errors import DataError, SettingsError
from swtformer.label_values import BACKGROUND
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.reproduction.measured import MeasuredRow, Reproduction
from swtformer.reproduction.rows import TableName, read_rows, rows_of
from swtformer.scoring.measures import scored_labels
from swtformer.stages.reproduce.row_runs import RowRuns

COLUMNS: dict[TableName, tuple[Literal["table1", "table2", "table3", "full"], ...]] = {
    "table1": ("table1",),
    "table2": ("table2", "full"),
    "table3": ("table3",),
}


@shows_progress
def reproduce(
    table: TableName,
    data: ImageSet,
    *,
    out: str | Path,
    scored: ImageSet | None = None,
    validation: ImageSet | None = None,
    only: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    weights: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    progress: Progress = shown,
) -> Reproduction:
    """Train every row of a table, make its maps, and score them.

    Every row's network is built before the first training, so that what cannot be had is told at once.

    Nothing is chosen by masks, but for the scores of the oracle threshold, which are marked. Runs lie in
    `<out>/<row>/seed-<seed>`, and tables share them. Called again with the same arguments, finished work is
    kept.

    Args:
        table: "table1" (mAP), "table2" (seeds of all methods) or "table3" (losses of V2).
        data: training images with image-level labels.
        out: folder of the runs.
        scored: labelled images with masks that are scored; by default those of `data`.
        validation: images that mAP is measured on; see `train`.
        only: names of rows; all where empty.
        seeds: of the trainings, each once.
        weights: folder of pretrained weights that are not downloaded, named after their backbones, such as
            `resnet38d.params` and `conformer_small.pth`.
        overrides: settings above those of every row, as plain nested values.
        progress: called at every step.

    Raises:
        SettingsError: a row or a setting does not exist, or a run in `out` was made with other settings.
        DataError: there are no masks to score, or labels are missing.
        SwtformerError: a stage fails, such as where a row's pretrained weights are not to be had.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise SettingsError(f"seeds: expected at least one, each once, got {list(seeds)}.")
    _require_fitting(table, data, scored, validation, overrides or {})
    scored = data if scored is None else scored
    masked = [position for position, record in enumerate(scored.records) if record.mask is not None]
    if table != "table1" and not masked:
        raise DataError(f"{scored.name} has no masks to score against; name their folder with data.masks.")
    scored = scored.subset(masked) if masked else scored
    rows = rows_of(table, tuple(only))
    work = RowRuns(Path(out), data, scored, validation, dict(overrides or {}), weights, progress)
    made_by = {row.name: row for row in rows}
    for row in rows:
        for column in COLUMNS[table]:
            published = row.published(column)
            if published is not None and published.row is not None:
                made_by[published.row] = read_rows([published.row])[0]
    work.require_networks(list(made_by.values()), seeds)
    found = []
    for number, row in enumerate(rows, start=1):
        place = f"{number} of {len(rows)}, {row.about.title}"
        figures = {
            column: work.measured(
                row if published.row is None else made_by[published.row],
                published,
                seeds,
                table=table,
                place=place,
            )
            for column in COLUMNS[table]
            if (published := row.published(column)) is not None
        }
        settings = work.settings(row, seeds[0])
        found.append(MeasuredRow(row, settings, figures.get(table), figures.get("full")))
    scored_name = scored.name
    if table == "table1":
        scored_name = "held-out images" if validation is None else validation.name
    over = scored_labels(scored, work.settings(rows[0], seeds[0]).evaluate.score_classes)
    return Reproduction(
        table,
        tuple(found),
        tuple(seeds),
        (BACKGROUND, *scored.classes),
        tuple(over),
        scored_name,
        _scored_in_words(table, data, scored, validation),
        _companions(scored),
        work.failures(list(made_by.values()), seeds),
    )


def _require_fitting(
    table: TableName,
    data: ImageSet,
    scored: ImageSet | None,
    validation: ImageSet | None,
    overrides: Mapping[str, Any],
) -> None:
    """Refuse before any training what a table cannot use."""
    fixed = {"maps", "policies", "threshold"} & set(overrides.get("evaluate", {}))
    if fixed:
        raise SettingsError(f"evaluate.{min(fixed)} has no meaning here: tables say what they score.")
    if table == "table1":
        if scored is not None:
            raise SettingsError("score has no meaning for table1: its mAP is of data.validation_split.")
        if validation is None and overrides.get("data", {}).get("validation_fraction") in (0, "0", 0.0):
            raise DataError(
                f"{data.name}: table1 needs images that are not trained on; name a data.validation_split, or "
                "a data.validation_fraction above 0."
            )


def _scored_in_words(table: TableName, data: ImageSet, scored: ImageSet, validation: ImageSet | None) -> str:
    if table == "table1":
        held_out = "a held-out part of the images"
        return f"trained on {data.name}, mAP of " + (
            held_out if validation is None else f"{validation.name}, {len(validation):,} images"
        )
    folder = ground_truth_folder(records_with_mask(scored))
    return f"trained on {data.name}; {scored.name}, {len(scored):,} images, against the masks in {folder}"


def _companions(data: ImageSet) -> dict[str, tuple[str, float]]:
    """For each class the one that it is most often seen with, and in what share of its images."""
    known = [record.present for record in data.records if record.present is not None]
    labels = np.zeros((len(known), len(data.classes)), int)
    for row, present in enumerate(known):
        labels[row, list(present)] = 1
    together = labels.T @ labels
    found = {}
    for place, name in enumerate(data.classes):
        others = together[place].copy()
        others[place] = 0
        if others.any():
            best = int(others.argmax())
            found[name] = (data.classes[best], float(others[best] / together[place, place]))
    return found
