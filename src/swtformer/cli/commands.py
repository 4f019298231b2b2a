"""The commands: each opens what its stage needs, watches it, and says what came out and what comes next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from swtformer.cli.flags import gather, with_settings
from swtformer.cli.outcome import (
    SKIPPED,
    Config,
    OptionalData,
    Outcome,
    Ray,
    RunFolder,
    again,
    finish,
    open_images,
    resume_hint,
    say_pixels,
    warn_of_rotation,
)
from swtformer.cli.screen import progress, say, warn_of
from swtformer.cli.shards import are_shards, refuse_ray, say_shards
from swtformer.errors import DataError, SettingsError
from swtformer.settings import Settings
from swtformer.store.failures import read_failures
from swtformer.store.known_data import data_of, data_of_masks
from swtformer.store.notes import training_notes
from swtformer.store.run import Run
from swtformer.store.scores import SOURCES, Scores, read_scores
from swtformer.store.shard_names import TAR, is_address


@with_settings("seed")
def demo(
    *, out: Annotated[Path, Parameter(help="New run folder.")] = Path("runs/demo"), **flags: Any
) -> Outcome:
    """Draw images of shapes, train on their labels, make maps and masks, score them, open the report."""
    settings = gather(flags=flags)
    with progress(again) as view:
        from swtformer.stages.demo import demo as run_demo

        run = run_demo(out, seed=settings.seed, progress=view)
    _show_scores(read_scores(run.scores_file))
    say(f"The report is {run.report_file}.")
    # By the settings that the demo left there.
    words = ["swtformer", "run", str(out / "shapes"), "--out", str(out)]
    say(f"Next, a segmentation network trained on refined pseudo-masks: {shlex.join(words)}")
    return Outcome(run=run)


@with_settings("data")
def check(
    data: Annotated[Path, Parameter(help="Data set: a file or folder in any known format.")],
    /,
    *,
    sheet: Annotated[
        Path | None, Parameter(help="Draw a sheet of pictures into this file.", negative=())
    ] = None,
    against: Annotated[
        tuple[str, ...],
        Parameter(
            help="Another split, which should share no image and no group with this one; may be repeated. By "
            "default the validation split of the settings.",
            negative=(),
        ),
    ] = (),
    config: Config = None,
    **flags: Any,
) -> Outcome:
    """Read a data set whole and list every problem at once.

    Exit code 2 where no command would take the data set, or where a group (--data.group) lies in two splits;
    3 where images would be skipped or masks cannot be
    used.
    """
    settings = gather(config=config, flags=flags)
    with progress(again) as view:
        from swtformer.cli.tables import check_tables
        from swtformer.datasets import open_dataset
        from swtformer.datasets.check import check as check_images
        from swtformer.datasets.sheet import picture_sheet

        images = open_dataset(data, settings.data, reader=settings.reader)
        names = against or tuple(filter(None, [settings.data.validation_split]))
        others = [open_dataset(data, settings.data, split=name, reader=settings.reader) for name in names]
        found = check_images(images, settings=settings.data, against=others, progress=view)
        if sheet is not None:
            picture_sheet(images, sheet, settings=settings.data)
    say(*check_tables(found))
    if sheet is not None:
        say(f"The picture sheet is {sheet}.")
    if any(problem.fatal for problem in found.problems):
        raise DataError(f"{found.name} cannot be used before these problems are fixed.")
    is_whole = found.skipped == 0 and found.usable_masks == found.masks
    return Outcome(exit_code=0 if is_whole else SKIPPED)


@with_settings("seed", "data", "model", "method", "train")
def train(
    data: Annotated[
        Path | None,
        Parameter(
            help="Data set: a file or folder in any known format. With --resume the one that the run knows."
        ),
    ] = None,
    /,
    *,
    out: Annotated[Path, Parameter(help="Run folder to make, or to resume with --resume.")],
    resume: Annotated[bool, Parameter(help="Resume an interrupted run with its own settings.")] = False,
    config: Config = None,
    **flags: Any,
) -> Outcome:
    """Train a model from images and their labels; masks are never looked at."""
    run = Run(out)
    base = None
    if resume:
        base = run.settings()
        if data is None and training_notes(run).data is not None:
            data, base = data_of(run, None, training_notes(run))
    if data is None:
        raise SettingsError("Name the data set to train on: swtformer train DATA --out RUN.")
    settings = gather(base=base, config=config, flags=flags)
    with progress(lambda: resume_hint(run, "train", data, "--out", run.path)) as view:
        from swtformer.datasets import open_dataset
        from swtformer.stages.train import train as run_train

        images = open_dataset(data, settings.data, reader=settings.reader)
        warn_of(images.problems)
        warn_of_rotation(images, settings)
        settings = say_pixels(images, settings)
        run = run_train(images, settings=settings, out=out, resume=resume, progress=view)
    say(f"The trained run is in {run.path}.")
    failures = [failure for failure in read_failures(run) if failure.stage == "train"]
    return finish(run, failures, next_command=f"swtformer localize {shlex.quote(str(out))}")


@with_settings("data", "localize")
def localize(
    run: RunFolder,
    data: Annotated[
        str | None,
        Parameter(
            help="Data set: a file or folder in any known format. By default the one that the run knows. Or "
            "shards: a pattern of .tar or .parquet files, or an address such as s3://bucket/photos-*.tar."
        ),
    ] = None,
    /,
    *,
    out: Annotated[
        str | None, Parameter(help="Of shards: folder or address of the shards of maps.", negative=())
    ] = None,
    ray: Ray = None,
    config: Config = None,
    **flags: Any,
) -> Outcome:
    """Make class activation maps for a data set with a run's model.

    Settings that are not given here are those of the run. Existing maps are kept.
    """
    made = Run(run)
    path, base = data_of(made, None if data is None else Path(data), training_notes(made))
    settings = gather(base=base, config=config, flags=flags)
    given = "" if data is None else data
    if out is not None or is_address(given) or given.endswith(TAR):  # .parquet may be a table of labels
        if out is None or not are_shards([given], out):
            raise SettingsError(
                "Maps of shards need `out`; those of other data sets lie in the run, without it."
            )
        refuse_ray(ray)
        with progress(again) as view:
            from swtformer.stages.localize import localize_shards

            done = localize_shards(made, given, out, settings=settings, progress=view)
        return say_shards(done, what="maps")
    with progress(lambda: "Run the same command again; the maps made so far are kept.") as view:
        images = open_images(path, settings, run=made)
        from swtformer.stages.localize import localize as run_localize

        result = run_localize(made, images, settings=settings, ray=ray, progress=view)
    kept = f", {result.reused} were kept" if result.reused else ""
    say(f"Maps of {result.done} images made{kept}: {made.maps}")
    return finish(made, result.failures, next_command=f"swtformer refine {shlex.quote(str(run))}")


@with_settings("mask")
def mask(run: RunFolder, /, *, config: Config = None, **flags: Any) -> Outcome:
    """Make label images from a run's maps; the network is not needed.

    Settings that are not given here are those of the run.
    """
    made = Run(run)
    settings = gather(base=made.settings(), config=config, flags=flags)
    with progress(again) as view:
        from swtformer.stages.mask import mask as run_mask

        result = run_mask(made, settings=settings.mask, progress=view)
    rule = result.rule
    threshold = "" if rule.threshold is None else f" at {rule.threshold:.3g}"
    how = f"from the {SOURCES[rule.source]}s, background by {rule.policy}{threshold}"
    say(f"{result.done} masks made {how}: {made.masks}")
    return finish(made, result.failures, next_command=f"swtformer evaluate {shlex.quote(str(run))}")


@with_settings("data", "evaluate")
def evaluate(
    run: RunFolder,
    data: OptionalData = None,
    /,
    *,
    predictions: Annotated[
        Path | None,
        Parameter(
            help="Score this folder of label images instead of the run's maps; nothing is written.",
            negative=(),
        ),
    ] = None,
    ray: Ray = None,
    config: Config = None,
    **flags: Any,
) -> Outcome:
    """Score a run's maps, or with --predictions any folder of masks, against masks and image labels.

    By default the images that the maps were made for are scored. Settings that are not given here are those
    of the run. With --predictions the data set alone will do: swtformer evaluate DATA --predictions MASKS.
    """
    made = Run(run)
    base: Settings | None
    if predictions is not None and data is None and not made.settings_file.is_file():
        path, base = run, None
    else:
        path, base = data_of_masks(made, data)
    settings = gather(base=base, config=config, flags=flags)
    with progress(again) as view:
        images = open_images(path, settings)
        from swtformer.stages.evaluate import evaluate as run_evaluate
        from swtformer.stages.evaluate import evaluate_folder

        if predictions is not None:
            scores = evaluate_folder(predictions, images, settings=settings.evaluate, ray=ray, progress=view)
        else:
            scores = run_evaluate(made, images, settings=settings.evaluate, ray=ray, progress=view)
    _show_scores(scores)
    if predictions is not None:
        return Outcome()
    return finish(made, (), next_command=f"swtformer report {shlex.quote(str(run))}")


@with_settings()
def report(run: RunFolder, /) -> Outcome:
    """Write one self-contained HTML page about a run: settings, curves, scores, pictures."""
    made = Run(run)
    made.settings()
    with progress(again) as view:
        from swtformer.stages.report import report as run_report

        page = run_report(made, progress=view)
    say(f"The report is {page}.")
    return Outcome(run=made)


def version() -> Outcome:
    """Print the version."""
    import swtformer

    say(swtformer.__version__)
    return Outcome()


def _show_scores(scores: Scores | None) -> None:
    from swtformer.cli.tables import score_tables

    if scores is not None:
        say(*score_tables(scores))
