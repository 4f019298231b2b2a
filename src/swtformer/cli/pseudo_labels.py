"""From maps to masks to train on: the commands `refine` and `pseudo-label`."""

from __future__ import annotations

import shlex
from typing import Any

from swtformer.cli.flags import gather, with_settings
from swtformer.cli.outcome import (
    Config,
    OptionalData,
    Outcome,
    Ray,
    RunFolder,
    again,
    finish,
    open_images,
)
from swtformer.cli.screen import progress, say, warn
from swtformer.store.known_data import data_of_masks
from swtformer.store.run import Run


@with_settings("seed", "data", "refine", "refiner")
def refine(
    run: RunFolder,
    data: OptionalData = None,
    /,
    *,
    ray: Ray = None,
    config: Config = None,
    **flags: Any,
) -> Outcome:
    """Make a run's maps follow the edges of the images.

    By default the images that the maps were made for. Settings that are not given here are those of the run.
    Existing results are kept.
    """
    made = Run(run)
    path, base = data_of_masks(made, data)
    settings = gather(base=base, config=config, flags=flags)
    with progress(lambda: "Run the same command again; what was refined so far is kept.") as view:
        images = open_images(path, settings)
        from swtformer.stages.refine import refine as run_refine

        result = run_refine(made, images, settings=settings, ray=ray, progress=view)
    kept = f", {result.reused} were kept" if result.reused else ""
    say(f"Maps of {result.done} images refined by {result.method}{kept}: {made.refined}")
    if result.unmapped:
        warn(f"Left out, having no maps: {result.unmapped}. Make them with `swtformer localize`.")
    return finish(made, result.failures, next_command=f"swtformer pseudo-label {shlex.quote(str(run))}")


@with_settings("pseudo_label")
def pseudo_label(run: RunFolder, /, *, config: Config = None, **flags: Any) -> Outcome:
    """Make masks to train on from a run's maps, with 255 where the evidence is weak.

    review.csv beside them lists the images by confidence, the least sure first. Ground truth is never looked
    at. Settings that are not given here are those of the run.
    """
    made = Run(run)
    settings = gather(base=made.settings(), config=config, flags=flags)
    with progress(again) as view:
        from swtformer.stages.pseudo_label import pseudo_label as run_pseudo_label

        result = run_pseudo_label(made, settings=settings.pseudo_label, progress=view)
    source = made.refined if result.source == "refined" else made.maps
    say(
        f"{result.done} pseudo-masks made from {source}, {100 * result.undecided:.1f} % of the pixels "
        f"undecided (255): {made.pseudo_masks}"
    )
    say(f"Images to look at first: {made.review_file}")
    if result.unrefined:
        warn(f"Left out, having maps that were not refined: {result.unrefined}.")
    return finish(made, result.failures, next_command=f"swtformer segment {shlex.quote(str(run))}")
