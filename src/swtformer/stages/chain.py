"""All stages in order, from labelled images to a segmentation network; an interrupted run is resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import torch

from swtformer.datasets.check import UNUSABLE_MASK, check
from swtformer.datasets.problems import broken_set
from swtformer.datasets.records import ImageSet, Problem
from swtformer.engine.training_folder import holds_weights, require_same_settings
from swtformer.errors import SettingsError, SwtformerError
from swtformer.methods import create_model
from swtformer.processes import launched_processes
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.report.history import read_history
from swtformer.scoring.supervision import MASKS
from swtformer.segmentation.library import require_smp
from swtformer.segmentation.network import require_encoder, start_of_run
from swtformer.settings import Settings
from swtformer.short_repr import ShortRepr
from swtformer.stages.chain_scores import ChainScores, score_chain
from swtformer.stages.localize import localize, require_mappable
from swtformer.stages.pseudo_label import current_pseudo_masks, pseudo_label
from swtformer.stages.refine import refine
from swtformer.stages.report import report
from swtformer.stages.rounds import (
    begin_round,
    carry_over,
    require_current,
    settings_of_round,
)
from swtformer.stages.segment import segment
from swtformer.stages.train import SECTIONS, train
from swtformer.store.failures import Failure, read_failures
from swtformer.store.files import digest, file_stamp
from swtformer.store.models import holds_model, own_networks
from swtformer.store.notes import training_notes, update_training_notes
from swtformer.store.run import Run
from swtformer.training.resume import (
    changed_files,
    file_sizes,
    require_same_data,
    require_unchanged,
    with_range_of_run,
)
from swtformer.training.same_network import require_same_network

StageName = Literal["check", "train", "localize", "refine", "pseudo-label", "segment", "evaluate", "report"]
"""The stages in the order of work."""

STAGES: tuple[StageName, ...] = get_args(StageName)

ROUND: tuple[StageName, ...] = ("localize", "pseudo-label", "segment")
"""The stages that each later round has of its own, the last one without `segment`; refining a network's maps
made them worse."""

ROUNDS = 2
"""How many times pseudo-masks are made by default."""


@dataclass(frozen=True, repr=False)
class Step(ShortRepr):
    """One stage that is over.

    Attributes:
        stage: its name.
        round: 1, or the number of the later round that it belongs to.
        number: its place among the stages of this call, from 1.
        total: how many stages this call has.
        result: what came out, in one line.
        seconds: wall time that it took.
        problems: what is wrong with the data set; of the stage "check" only.
    """

    stage: StageName
    round: int
    number: int
    total: int
    result: str
    seconds: float
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, repr=False)
class ChainResult(ShortRepr):
    """What the stages left.

    Attributes:
        run: the run folder.
        steps: the stages of this call.
        failures: images that a stage skipped, now or in the call that it finished in.
        scores: of what all stages made; None where there is no ground truth, or this call stopped before.
    """

    run: Run
    steps: tuple[Step, ...]
    failures: tuple[Failure, ...]
    scores: ChainScores | None


@shows_progress
def run_stages(
    data: ImageSet,
    *,
    settings: Settings | None = None,
    out: str | Path,
    rounds: int | None = None,
    until: StageName = "report",
    progress: Progress = shown,
    on_step: Callable[[Step], object] = lambda step: None,
) -> ChainResult:
    """Check data, train, make and refine maps, make pseudo-masks, train a network on these, score, report.

    Called again with the same arguments, an interrupted run is resumed: trainings from their last whole
    epoch, maps and refined maps from the first image that lacks them. Pseudo-masks are kept while their maps
    and their rule are the same. Scores and report are always made again. Maps, refined maps, pseudo-masks and
    the network's masks are scored against ground-truth masks (see `score_chain`); without any, the stage is
    left out. They are never trained on. Images of unknown labels are mapped only with
    `settings.localize.classes` predicted.

    In each further round the newest network makes the maps, under the image-level labels, and pseudo-masks
    are cut from them. Where yet another round follows, the network is trained further on these for half the
    epochs (see `begin_round`). Masks that people corrected or rejected in the round before stay so.

    Args:
        data: images with image-level labels, opened with `settings.data`.
        settings: all settings; defaults where None.
        out: the run folder, new or one that `run_stages` or `train` made of the same data.
        rounds: how many times pseudo-masks are made: from the class maps, then from the maps of the newest
            network. By default twice or, where `settings.segment.masks` names masks, once.
        until: the last stage.
        progress: called at every step, under names such as "stage 2 of 8: train".
        on_step: called after every stage.

    Raises:
        SettingsError: the run was made of other data or with other settings, several processes are wanted, or
            several rounds with masks that are given; settings that would need another segmentation network,
            and an encoder that cannot be used, are reported before any work.
        DataError: the data set cannot be used.
        SwtformerError: segmentation-models-pytorch is not installed (before any work), or a stage fails.
    """
    settings = settings or Settings()
    given = settings.segment.masks is not None
    if rounds is None:
        rounds = 1 if given else ROUNDS
    if rounds < 1 or (rounds > 1 and given):
        raise SettingsError(
            f"There cannot be {rounds} rounds: expected 1 or more, and 1 where segment.masks names the "
            "masks, since later rounds make their own."
        )
    run = Run(Path(out))
    settings = with_range_of_run(settings, run)
    chain = _Chain(run, data, settings, rounds, progress)
    stages = _stages(until, rounds, has_truth=any(record.mask for record in chain.mapped.records))
    chain.is_scored = ("evaluate", 1) in stages
    require_mappable(chain.mapped, settings)
    _require_usable(run, data, settings, rounds=rounds if ("segment", 1) in stages else 0)
    steps = []
    for number, (stage, in_round) in enumerate(stages, start=1):
        chain.enter(in_round, place=f"stage {number} of {len(stages)}")
        start = time.monotonic()
        result = getattr(chain, stage.replace("-", "_"))()
        problems = chain.problems if stage == "check" else ()
        step = Step(stage, in_round, number, len(stages), result, time.monotonic() - start, problems)
        steps.append(step)
        on_step(step)
    failures = tuple(
        failure
        for number in range(1, rounds + 1)
        for failure in read_failures(run.round(number))
        if (failure.stage, number) in stages
    )
    return ChainResult(run, tuple(steps), failures, chain.scores)


def _stages(until: StageName, rounds: int, *, has_truth: bool) -> list[tuple[StageName, int]]:
    """The stages in order, each with its round."""
    stages: list[tuple[StageName, int]] = []
    for stage in STAGES[: STAGES.index(until) + 1]:
        if stage != "evaluate" or has_truth:
            stages.append((stage, 1))
        if stage == "segment":
            for number in range(2, rounds + 1):
                stages += [(own, number) for own in (ROUND if number < rounds else ROUND[:-1])]
    return stages


class _Chain:
    """The stages as they work on one run and data set, a method each; it says in a line what came out.

    Attributes:
        run: the run folder.
        work: the run of the round that the stage belongs to.
        is_scored: whether `evaluate` follows, which needs every mask.
        problems: what `check` found.
        scores: what `evaluate` measured, if it ran.
    """

    def __init__(self, run: Run, data: ImageSet, settings: Settings, rounds: int, progress: Progress) -> None:
        self.run, self.data, self.settings = run, data, settings
        self.work = run
        self._rounds, self._round, self._place = rounds, 1, ""
        self.is_scored = False
        self.problems: tuple[Problem, ...] = ()
        self.scores: ChainScores | None = None
        self._progress = progress

    def enter(self, number: int, *, place: str) -> None:
        """Turn to the next stage.

        Args:
            number: of its round.
            place: of the stage among those of this call, for the progress.
        """
        if number > self._round:
            begin_round(self.work, self.run.round(number), settings=self.settings)
        self._round, self._place, self.work = number, place, self.run.round(number)

    def report_progress(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Pass a stage's progress on, with the stage's place in the chain."""
        self._progress(f"{self._place}: {stage}", done, total, note)

    @cached_property
    def mapped(self) -> ImageSet:
        """The images that maps are made for: those whose classes are known or predicted."""
        labelled = [i for i, record in enumerate(self.data.records) if record.present is not None]
        if self.settings.localize.classes == "predicted" or len(labelled) == len(self.data):
            return self.data
        return self.data.subset(labelled)

    def check(self) -> str:
        """Read every file, unless that was done for the same images and labels.

        Raises:
            BrokenSetError: something must be fixed first; masks too, where they score.
        """
        masks = [record.mask for record in self.data.records if self.is_scored and record.mask is not None]
        fingerprint = digest(self.data.fingerprint(), file_sizes(self.data), *map(file_stamp, masks))
        if training_notes(self.run).checked == fingerprint and not self.settings.data.strict:
            self.problems = self.data.problems
            return f"checked before; labels from {self.data.labels_from}"
        found = check(self.data, settings=self.settings.data, progress=self.report_progress)
        scored = {record.id for record in self.mapped.records} if self.is_scored else set[str]()
        problems = [
            replace(problem, fatal=True)
            if problem.kind in UNUSABLE_MASK and problem.id in scored
            else problem
            for problem in found.problems
        ]
        fatal = [problem for problem in problems if problem.fatal]
        if fatal:
            warnings = [problem for problem in problems if not problem.fatal]
            raise broken_set(found.name, fatal, warnings=warnings)
        update_training_notes(self.run, checked=fingerprint)
        self.problems = found.problems
        skipped = f", {found.unreadable} of them cannot be read" if found.unreadable else ""
        images = f"{found.images} images of {len(found.classes)} classes{skipped}"
        return f"{images}; labels from {found.labels_from}"

    def train(self) -> str:
        """Train the CAM model, or resume its training."""
        resume = self.run.settings_file.is_file()
        train(
            self.data, settings=self.settings, out=self.run.path, resume=resume, progress=self.report_progress
        )
        history = read_history(self.run)
        last = history.rows[-1].get("validation_map_per_class") if history else None
        if last is None:
            return f"{self.settings.model.method} trained"
        score = "n/a" if math.isnan(last) else f"{100 * last:.2f} %"
        return f"{self.settings.model.method} trained, validation mAP per class {score} after the last epoch"

    def localize(self) -> str:
        """Make the maps that are missing."""
        result = localize(self.work, self.mapped, settings=self.settings, progress=self.report_progress)
        return f"maps of {result.done} images made, {result.reused} kept"

    def refine(self) -> str:
        """Refine the maps that are not refined yet."""
        result = refine(self.work, self.mapped, settings=self.settings, progress=self.report_progress)
        return f"maps of {result.done} images refined by {result.method}, {result.reused} kept"

    def pseudo_label(self) -> str:
        """Make all pseudo-masks, unless the same are there; those of later rounds from unrefined maps."""
        settings = self.settings.pseudo_label
        if self._round > 1:
            settings = settings.model_copy(update={"source": "maps"})
        kept = current_pseudo_masks(self.work, settings=settings)
        if kept is None:
            result = pseudo_label(self.work, settings=settings, progress=self.report_progress)
        if self._round > 1 and not holds_weights(Run(self.work.segmentation)):
            carry_over(self.run.round(self._round - 1), self.work)
        if kept is not None:
            return f"{kept} pseudo-masks kept"
        return f"{result.done} pseudo-masks, {100 * result.undecided:.1f} % of the pixels undecided"

    def segment(self) -> str:
        """Train the round's segmentation network, or resume its training."""
        trained = Run(self.work.segmentation)
        resume = trained.settings_file.is_file()
        settings = self.settings
        if self._round > 1:
            settings = settings_of_round(settings, self.work)
        result = segment(
            self.work, self.mapped, settings=settings, resume=resume, progress=self.report_progress
        )
        newest = own_networks(self.work)[-1]
        text = f"network trained on {result.images} images with {MASKS[result.supervision]}"
        if newest.path != self.work.segmentation:
            text = f"kept; {newest.path.name} is newer, and represents the run"
        elif result.validation_miou is not None:
            score = f"{100 * result.validation_miou:.2f} %"
            text += f", mIoU {score} against {result.validation_images} held-out masks of the same folder"
        return text if result.notice is None else f"{text}; {result.notice}"

    def evaluate(self) -> str:
        """Score what all stages before made."""
        self.scores = score_chain(
            self.run,
            self.mapped,
            settings=self.settings,
            rounds=self._rounds,
            progress=self.report_progress,
        )
        return f"all stages scored on {self.scores.images} images with ground truth"

    def report(self) -> str:
        """Write the report."""
        return str(report(self.run, self.mapped, progress=self.report_progress))


def _require_usable(run: Run, data: ImageSet, settings: Settings, *, rounds: int) -> None:
    """Refuse before any work what a stage would refuse after hours.

    Args:
        rounds: of which all but the last of several train a network; 0 where none is trained.
    """
    _require_one_process(settings)
    if rounds:
        _require_library()
    require_same_data(run, data)
    changes = changed_files(run, data)
    require_unchanged(run, changes, settings.train, section="train")
    require_same_settings(run, settings, sections=SECTIONS)
    if not rounds:
        return
    require_same_network(run, settings)
    for number in range(2, rounds + 1):
        require_current(run.round(number - 1), run.round(number), settings=settings)
    trained = Run(run.segmentation)
    if not holds_weights(trained):
        require_encoder(settings.segment)
        if settings.segment.encoder == "run":
            _require_features(settings)
    elif not holds_model(trained.path):
        require_unchanged(trained, changes, settings.segment, section="segment")


def _require_features(settings: Settings) -> None:
    """Refuse a method whose network `segment` could not start from; nothing is downloaded."""
    with torch.random.fork_rng(devices=[]):
        model = create_model(settings.model.model_copy(update={"weights": "none"}), ("any",), settings.method)
    start_of_run(model)


def _require_one_process(settings: Settings) -> None:
    wanted = {
        f"{name}.{count}": getattr(section, count)
        for name, section in (("train", settings.train), ("segment", settings.segment))
        for count in ("devices", "nodes")
    }
    several = [name for name, count in wanted.items() if count > 1]
    if several or launched_processes() > 1:
        what = ", ".join(several) or "a launcher"
        raise SettingsError(
            f"All stages in one command run in one process, and {what} asks for several. Run the stages one "
            "by one: `swtformer train`, `localize`, `refine`, `pseudo-label`, `segment`."
        )


def _require_library() -> None:
    try:
        require_smp()
    except SwtformerError as error:
        raise SwtformerError(f"{error} The stages before it run without: `until` pseudo-label.") from None
