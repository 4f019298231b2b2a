"""Train and score the rows of a table of the paper on a data set; a stopped call is resumed."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from swtformer.datasets.images import read_image
from swtformer.datasets.label_images import read_truth
from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError, SettingsError, nearest
from swtformer.label_values import BACKGROUND
from swtformer.methods import create_model
from swtformer.methods.pretrained import from_pretrained, save_pretrained
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.report.history import read_history
from swtformer.reproduction.figures import Boxes, Picture, boxes_of, draw_grid
from swtformer.reproduction.measured import PRETRAINED, Measured, MeasuredRow, Reproduction, differences
from swtformer.reproduction.rows import FigureName, Published, Row, TableName, read_rows, rows_of
from swtformer.scoring.image_counts import image_counts
from swtformer.scoring.measures import scored_labels
from swtformer.settings import Settings, merge
from swtformer.stages.evaluate import evaluate
from swtformer.stages.localize import localize
from swtformer.stages.refine import refine
from swtformer.stages.train import train
from swtformer.store.maps import ClassActivationMaps, Source
from swtformer.store.masks import MaskRule, Policy
from swtformer.store.models import holds_model
from swtformer.store.run import RefinedRun, Run
from swtformer.store.scores import Scores, SegmentationScore

POLICIES = ("argmax", "label_free", "oracle")

COLUMNS: dict[TableName, tuple[Literal["table1", "table2", "table3", "full"], ...]] = {
    "table1": ("table1",),
    "table2": ("table2", "full"),
    "table3": ("table3",),
}


FIGURE_ROWS: dict[FigureName, tuple[str, ...]] = {
    "figure1": ("figure1_cnn", "figure1_vit", "swtformer_v1"),
    "figure4": ("swtformer_v2",),
}

DRAWN = 12
"""Images of a figure, at most; half as many in Figure 1."""


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
    scored = data if scored is None else scored
    masked = [position for position, record in enumerate(scored.records) if record.mask is not None]
    if table != "table1" and not masked:
        raise DataError(f"{scored.name} has no masks to score against; name their folder with data.masks.")
    scored = scored.subset(masked) if masked else scored
    rows = rows_of(table, tuple(only))
    work = _Work(Path(out), data, scored, validation, dict(overrides or {}), weights, progress)
    made_by = {row.name: row for row in rows}
    for row in rows:
        for column in COLUMNS[table]:
            published = row.published(column)
            if published is not None and published.row is not None:
                made_by[published.row] = read_rows([published.row])[0]
    work.require_networks(list(made_by.values()), seeds)
    jobs = [(row, seed) for row in rows for seed in seeds]
    found = []
    for row in rows:
        columns = {
            column: published for column in COLUMNS[table] if (published := row.published(column)) is not None
        }
        made = {}
        for column, published in columns.items():
            source = row if published.row is None else made_by[published.row]
            results = []
            for seed in seeds:
                place = f"{jobs.index((row, seed)) + 1} of {len(jobs)}, {row.about.title}, seed {seed}"
                results.append(work.figure(source, published, seed=seed, place=place))
            made[column] = work.together(source, published, results, table=table)
        first = next(iter(columns))
        backbone = work.settings(row, seeds[0]).model.backbone
        found.append(MeasuredRow(row, backbone, made[first], made.get("full") if first != "full" else None))
    over = scored_labels(scored, work.settings(rows[0], seeds[0]).evaluate.score_classes)
    return Reproduction(
        table,
        tuple(found),
        tuple(seeds),
        (BACKGROUND, *scored.classes),
        tuple(over),
        f"{scored.name}, {len(scored):,} images",
        _companions(scored),
    )


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
        DataError: there is no image of an id, or none with a label.
        SwtformerError: a training fails.
    """
    scored = data if scored is None else scored
    chosen = _chosen(figure, scored, images)
    work = _Work(Path(out), data, chosen, None, dict(overrides or {}), weights, progress)
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
    headings = ["photograph", *(row.about.title for row in rows)] if figure == "figure1" else []
    path = Path(out) / f"{figure}.png"
    draw_grid(pictures, headings, path)
    return path


def _chosen(figure: FigureName, data: ImageSet, ids: Sequence[str]) -> ImageSet:
    """The images to draw, in the order of their ids or of the set."""
    places = {record.id: place for place, record in enumerate(data.records)}
    if unknown := [id for id in ids if id not in places]:
        raise DataError(f"{data.name} has no image {unknown[0]!r}. {nearest(unknown[0], places)}")
    if ids:
        return data.subset([places[id] for id in ids])
    labelled = [place for place, record in enumerate(data.records) if record.present]
    if not labelled:
        raise DataError(f"{data.name} has no image with a label to draw.")
    if figure == "figure4":
        single = [place for place in labelled if len(data.records[place].present or ()) == 1]
        several = [place for place in labelled if place not in set(single)]
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


class _Work:
    """Makes runs and their figures, each once."""

    def __init__(
        self,
        out: Path,
        data: ImageSet,
        scored: ImageSet,
        validation: ImageSet | None,
        overrides: dict[str, Any],
        weights: Path | None,
        progress: Progress,
    ) -> None:
        self.out, self.data, self.scored, self.validation = out, data, scored, validation
        self.overrides, self._weights, self._progress = overrides, weights, progress
        self._place = ""
        self._scores: dict[tuple[Path, str], Scores] = {}

    def settings(self, row: Row, seed: int) -> Settings:
        """A row's settings for a seed, with a file of weights where the folder has one."""
        settings = row.settings(self.overrides, seed=seed)
        file = weights_in(self._weights, settings.model.backbone)
        if file is None or settings.model.weights != PRETRAINED:
            return settings
        return row.settings(merge(self.overrides, {"model": {"weights": str(file)}}), seed=seed)

    def require_networks(self, rows: Sequence[Row], seeds: Sequence[int]) -> None:
        """Build the networks that are not trained yet, which raises where one cannot be had."""
        for row in rows:
            runs = [Run(self.out / row.name / f"seed-{seed}") for seed in seeds]
            if not all(holds_model(run.path) for run in runs):
                settings = self.settings(row, seeds[0])
                create_model(settings.model, self.data.classes, settings.method)

    def mapped(self, row: Row, seed: int, *, place: str) -> Run:
        """The run of a row, trained, with maps."""
        self._place = place
        settings = self.settings(row, seed)
        run = self._trained(row, settings)
        localize(run, self.scored, settings=settings, progress=self._report)
        return run

    def _trained(self, row: Row, settings: Settings) -> Run:
        run = Run(self.out / row.name / f"seed-{settings.seed}")
        return train(
            self.data,
            settings=settings,
            out=run.path,
            resume=run.settings_file.is_file(),
            validation=self.validation,
            progress=self._report,
        )

    def figure(
        self, row: Row, published: Published, *, seed: int, place: str
    ) -> tuple[float, float, Tensor | None]:
        """Ours beside a published figure; see `Measured`."""
        self._place = place
        settings = self.settings(row, seed)
        run = self._trained(row, settings)
        if published.maps == "classifier":
            return (*_map(run), None)
        if published.method:
            run = self._with_options(run, row, published.method, seed=seed)
            settings = run.settings()
        scores = self._scored(run, settings, published)
        entries = [entry for entry in scores.segmentation if entry.source == published.maps]
        oracle = next(entry for entry in entries if entry.uses_ground_truth)
        best = next(entry for entry in scores.quoted() if entry.source == published.maps)
        place_of_maps = RefinedRun(run.path) if published.maps == "refined" else run
        counts = image_counts(place_of_maps, self.scored, _rule(best), progress=self._report)
        return _value(best), _value(oracle), counts

    def together(
        self,
        row: Row,
        published: Published,
        results: Sequence[tuple[float, float, Tensor | None]],
        *,
        table: TableName,
    ) -> Measured:
        """The figures of all seeds."""
        values, others, counts = zip(*results, strict=True)
        images: int | None = len(self.scored)
        if published.maps == "classifier":
            images = None if self.validation is None else len(self.validation)
        unlike = differences(row, row.settings(self.overrides, seed=0), table=table, images=images)
        summed = None if counts[0] is None else torch.stack(list(counts)).sum(0)
        return Measured(published, tuple(values), tuple(others), summed, tuple(unlike))

    def _with_options(self, run: Run, row: Row, options: Mapping[str, Any], *, seed: int) -> Run:
        """A run beside a trained one, with its weights and other options of the method."""
        settings = row.settings(merge(self.overrides, {"method": dict(options)}), seed=seed)
        name = "-".join([run.path.name, *map(str, options.values())])
        other = Run(run.path.with_name(name))
        trained = from_pretrained(run.path)
        model = create_model(trained.config().model_settings(), trained.classes, settings.method)
        model.load_state_dict(trained.state_dict())
        model.images, model.has_background = trained.images, trained.has_background
        save_pretrained(model, other.model)
        other.write_settings(settings)
        for file in ("classes_file", "environment_file", "labels_file"):
            shutil.copyfile(getattr(run, file), getattr(other, file))
        return other

    def _scored(self, run: Run, settings: Settings, published: Published) -> Scores:
        """Scores of a run's maps or refined maps, which are made where they are missing."""
        kind = "refined" if published.maps == "refined" else "maps"
        known = self._scores.get((run.path, kind))
        if known is not None:
            return known
        localize(run, self.scored, settings=settings, progress=self._report)
        if kind == "refined":
            refine(run, self.scored, settings=settings, progress=self._report)
        options = settings.evaluate.model_copy(update={"maps": kind, "policies": POLICIES})
        made = evaluate(run, self.scored, settings=options, progress=self._report)
        self._scores[run.path, kind] = made
        return made

    def _report(self, stage: str, done: int, total: int, note: str = "") -> None:
        self._progress(f"{self._place}: {stage}", done, total, note)


def weights_in(folder: Path | None, backbone: str) -> Path | None:
    """The file of a backbone's weights in a folder; None where there is none.

    Raises:
        SettingsError: the folder does not exist.
    """
    if folder is None:
        return None
    if not folder.is_dir():
        raise SettingsError(f"weights: {folder} is not a folder; name one with a file such as resnet38d.pth.")
    found = [path for path in sorted(folder.iterdir()) if path.stem == backbone]
    return found[0] if found else None


def _rule(entry: SegmentationScore) -> MaskRule:
    """The rule behind a score."""
    return MaskRule(cast(Source, entry.source), cast(Policy, entry.policy), entry.threshold)


def _value(entry: SegmentationScore) -> float:
    return math.nan if entry.miou is None else entry.miou


def _map(run: Run) -> tuple[float, float]:
    """mAP per image and per class of the validation images after the last epoch."""
    history = read_history(run)
    last = history.rows[-1] if history else {}
    per_image, per_class = (last.get(f"validation_map_per_{of}") for of in ("image", "class"))
    if per_image is None or per_class is None:
        raise DataError(
            f"{run.path} has no validation mAP: name a split of unseen images with data.validation_split, or "
            "keep a part of the images by data.validation_fraction."
        )
    return per_image, per_class


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
