"""The commands `export` and `import`: masks for other tools, and corrected masks from them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from swtformer.cli.flags import gather, with_settings
from swtformer.cli.outcome import SKIPPED, Config, Outcome, RunFolder, again, open_images, warn_of_skipped
from swtformer.cli.screen import progress, say, warn
from swtformer.settings import EXPORTERS
from swtformer.store.known_data import data_of_masks
from swtformer.store.run import Run

FORMATS = ", ".join(EXPORTERS.own_names)

SHOWN = 5
"""Left-out masks that are named if there is no run with a failures.csv."""


@with_settings("data", "export", "exporter")
def export(
    masks: Annotated[Path, Parameter(help="Run folder, a folder of masks <id>.png, or what predict made.")],
    /,
    *,
    format: Annotated[
        str, Parameter(help=f"Format to write: {FORMATS}, or one that `swtformer plugins exporter` lists.")
    ],
    out: Annotated[
        Path, Parameter(help="File or folder to make; the name of a file has the ending of its format.")
    ],
    data: Annotated[
        Path | None,
        Parameter(help="Data set of the images; by default the one that the run knows.", negative=()),
    ] = None,
    source: Annotated[
        Literal["auto", "pseudo_masks", "masks", "corrected_masks", "predictions"],
        Parameter(help="Which masks of a run; auto takes pseudo_masks, or masks if there are none."),
    ] = "auto",
    decision: Annotated[
        Literal["all", "accept", "skip", "correct", "reject"],
        Parameter(help="Only the masks with this decision of the review in `swtformer app`."),
    ] = "all",
    config: Config = None,
    **flags: Any,
) -> Outcome:
    """Write masks in the format of another tool, to look at them, correct them or train on them there.

    Masks whose image is missing or damaged are left out (exit code 3). `swtformer import` reads corrected
    masks.
    """
    run = Run(masks)
    is_run = run.settings_file.is_file()
    path, base = data_of_masks(run, data) if is_run else (data, None)
    settings = gather(base=base, config=config, flags=flags)
    EXPORTERS.options(format, settings.exporter)  # a mistake is told before the data set is opened
    with progress(again) as view:
        images = None if path is None else open_images(path, settings)
        from swtformer.exporters import ExchangeFormat
        from swtformer.stages.export_masks import export_masks

        result = export_masks(
            masks,
            out,
            format=format,
            source=source,
            decision=decision,
            data=images,
            settings=settings,
            progress=view,
        )
    say(f"{result.images} masks of {result.folder} written as {format}: {out}")
    for warning in result.warnings:
        warn(warning)
    if is_run and issubclass(EXPORTERS[format], ExchangeFormat):
        say(f"Next, once corrected: swtformer import {shlex.quote(str(masks))} FILE")
    if is_run:
        return Outcome(warn_of_skipped(result.failures, run.failures_file, what="mask", how="left out"), run)
    if not result.failures:
        return Outcome()
    count = len(result.failures)
    lines = ["1 mask was left out:" if count == 1 else f"{count} masks were left out:"]
    lines += [f"{failure.id}: {failure.reason}" for failure in result.failures[:SHOWN]]
    warn("\n  ".join([*lines, "…"] if count > SHOWN else lines))
    return Outcome(SKIPPED)


@with_settings()
def import_(
    run: RunFolder,
    file: Annotated[Path, Parameter(help="File or folder that the tool exported.")],
    /,
    *,
    format: Annotated[str, Parameter(help="Its format; auto recognises it.")] = "auto",
    base: Annotated[
        Literal["auto", "pseudo_masks", "masks", "corrected_masks"],
        Parameter(
            help="The run's masks before correction; auto adds to an earlier import, or takes pseudo_masks, "
            "or masks. pseudo_masks starts over."
        ),
    ] = "auto",
    out: Annotated[
        Path | None, Parameter(help="Folder to make; by default corrected_masks in the run.", negative=())
    ] = None,
    empty: Annotated[
        Literal["keep", "background"],
        Parameter(
            help="Images that the file lists without any region: nobody looked at them and they keep their "
            "masks, or they are all background."
        ),
    ] = "keep",
    strict: Annotated[
        bool,
        Parameter(
            help="Refuse a file with a region that is not a mask, such as a box or a line.", negative=()
        ),
    ] = False,
) -> Outcome:
    """Import masks that were corrected in another tool.

    Every image of the run gets a mask: the corrected one, or the one that it had. corrections.json in the
    folder lists the corrected ones. A second import adds to the first; if both changed the same mask, the
    second replaces it with a warning. Images that the run does not have are left out, and regions that are
    not masks are passed over (exit code 3).
    """
    made = Run(run)
    made.settings()
    with progress(again) as view:
        from swtformer.stages.import_masks import import_masks
        from swtformer.store.corrections import training_commands

        result = import_masks(
            made, file, format=format, base=base, out=out, empty=empty, strict=strict, progress=view
        )
    say(
        f"{len(result.corrected)} masks were corrected, {len(result.unchanged)} are unchanged, "
        f"{len(result.kept)} keep their masks: {result.folder}"
    )
    if result.earlier:
        say(
            f"Added to the {len(result.earlier)} masks that were corrected before; --base "
            f"{result.base.name} starts over."
        )
    for warning in result.warnings:
        warn(warning)
    train, predict = training_commands(made, result.folder)
    say(f"Next: {train}\n      {predict}")
    left_out = warn_of_skipped(result.failures, made.failures_file, what="mask", how="left out")
    passed_over = warn_of_skipped(result.passed_over, made.failures_file, what="region", how="passed over")
    return Outcome(max(left_out, passed_over), made)
