"""Trained runs of the rows of a table, their maps and scores."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError, SettingsError
from swtformer.methods import create_model
from swtformer.methods.pretrained import from_pretrained, save_pretrained
from swtformer.progress import Progress
from swtformer.report.history import read_history
from swtformer.reproduction.measured import PRETRAINED, Measured, differences
from swtformer.reproduction.rows import Published, Row, TableName, require_known
from swtformer.scoring.image_areas import image_areas
from swtformer.settings import Settings, merge
from swtformer.stages.evaluate import evaluate
from swtformer.stages.localize import localize
from swtformer.stages.refine import refine
from swtformer.stages.train import train
from swtformer.store.failures import Failure, read_failures
from swtformer.store.maps import Source
from swtformer.store.masks import MaskRule, Policy
from swtformer.store.models import holds_model
from swtformer.store.run import RefinedRun, Run
from swtformer.store.scores import Scores, SegmentationScore

POLICIES = ("argmax", "label_free", "oracle")


class RowRuns:
    """Makes the runs of rows and their figures, each once.

    Args:
        out: folder of the runs, `<row>/seed-<seed>`.
        data: training images.
        scored: images that maps are made of and scored.
        validation: see `train`.
        overrides: settings above those of every row.
        weights: folder of weights by their backbones' names; None for none.
        progress: called at every step.
    """

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
        """Build the networks that are not trained yet, which raises where one cannot be had.

        Raises:
            SettingsError: an option is one of no row.
        """
        require_known(rows, self.overrides)
        for row in rows:
            runs = [self._run(row, seed) for seed in seeds]
            if not all(holds_model(run.path) for run in runs):
                settings = self.settings(row, seeds[0])
                create_model(settings.model, self.data.classes, settings.method)

    def failures(self, rows: Sequence[Row], seeds: Sequence[int]) -> dict[Path, list[Failure]]:
        """Images that runs skipped, by the file that says why; without the runs that skipped none."""
        runs = [self._run(row, seed) for row in rows for seed in seeds]
        return {run.failures_file: found for run in runs if (found := read_failures(run))}

    def _run(self, row: Row, seed: int) -> Run:
        return Run(self.out / row.name / f"seed-{seed}")

    def mapped(self, row: Row, seed: int, *, place: str) -> Run:
        """The run of a row, trained, with maps."""
        self._place = place
        settings = self.settings(row, seed)
        run = self._trained(row, settings)
        localize(run, self.scored, settings=_as_trained(settings, run), progress=self._report)
        return run

    def _trained(self, row: Row, settings: Settings) -> Run:
        run = self._run(row, settings.seed)
        return train(
            self.data,
            settings=settings,
            out=run.path,
            resume=run.settings_file.is_file(),
            validation=self.validation,
            progress=self._report,
        )

    def measured(
        self,
        row: Row,
        published: Published,
        seeds: Sequence[int],
        *,
        table: TableName,
        place: str,
    ) -> Measured:
        """Ours beside a published figure.

        Args:
            row: whose runs are scored.
            published: the figure.
            seeds: of the trainings.
            table: that the figure stands in.
            place: of the row among the others, for the progress.
        """
        results = []
        for seed in seeds:
            self._place = f"{place}, seed {seed}"
            results.append(self._figure(row, published, seed=seed))
        names, values, others, areas = zip(*results, strict=True)
        images: int | None = len(self.scored)
        if published.maps == "classifier":
            images = None if self.validation is None else len(self.validation)
        unlike = differences(
            row,
            row.settings(merge(self.overrides, {"method": published.method}), seed=0),
            published,
            table=table,
            images=images,
            trained=len(self.data),
        )
        stacked = None if areas[0] is None else torch.stack(list(areas))
        return Measured(names[0], published, tuple(values), tuple(others), stacked, tuple(unlike))

    def _figure(
        self, row: Row, published: Published, *, seed: int
    ) -> tuple[str, float, float, Tensor | None]:
        """Name, both values and areas of one seed; see `Measured`."""
        settings = self.settings(row, seed)
        run = self._trained(row, settings)
        if published.maps == "classifier":
            return (row.about.title, *_map(run), None)
        if published.method:
            run = self._with_options(run, row, published.method, seed=seed)
            settings = run.settings()
        scores = self._scored(run, settings, published)
        entries = [entry for entry in scores.segmentation if entry.source == published.maps]
        oracle = next(entry for entry in entries if entry.uses_ground_truth)
        best = next(entry for entry in scores.quoted() if entry.source == published.maps)
        areas = image_areas(
            RefinedRun(run.path) if published.maps == "refined" else run,
            self.scored,
            MaskRule(cast(Source, best.source), cast(Policy, best.policy), best.threshold),
            missing=settings.evaluate.missing,
            progress=self._report,
        )
        options = "".join(f", {key} {value}" for key, value in published.method.items())
        name = f"{row.about.title}, {best.source_name}{options} ({best.policy_name.lower()})"
        return name, _value(best), _value(oracle), areas

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
        settings = _as_trained(settings, run)
        self._remove_other_maps(run)
        localize(run, self.scored, settings=settings, progress=self._report)
        if kind == "refined":
            refine(run, self.scored, settings=settings, progress=self._report)
        options = settings.evaluate.model_copy(update={"maps": kind, "policies": POLICIES})
        made = evaluate(run, self.scored, settings=options, progress=self._report)
        self._scores[run.path, kind] = made
        return made

    def _remove_other_maps(self, run: Run) -> None:
        """Remove maps of other images, which would count in the label-free threshold."""
        scored = {record.id for record in self.scored.records}
        for maps in (run, RefinedRun(run.path)):
            for id in set(maps.map_ids()) - scored:
                maps.map_file(id).unlink()

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


def _as_trained(settings: Settings, run: Run) -> Settings:
    """Settings whose images are read as in the run's training, range of values included."""
    return settings.model_copy(update={"data": run.settings().data})


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
