"""The final model: the commands `segment` and `predict`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

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
    resume_hint,
    say_network,
    warn_of_skipped,
)
from swtformer.cli.screen import progress, say, warn
from swtformer.cli.shards import are_shards, refuse_ray, say_shards
from swtformer.errors import DataError
from swtformer.processes import is_main_process
from swtformer.store.models import ONNX, local_model_folder, newest_network
from swtformer.store.notes import training_notes
from swtformer.store.run import Run

MASKS_ARE = {
    "pseudo_masks": "pseudo-masks",
    "corrected": "corrected masks",
    "ground_truth": "THE TRUE MASKS of the data set: a supervised comparison, no weakly supervised result",
    "given": "masks of a folder; whether they are ground truth is not known",
}


@with_settings("seed", "data", "segment")
def segment(
    run: RunFolder,
    data: OptionalData = None,
    /,
    *,
    resume: Annotated[bool, Parameter(help="Resume an interrupted training.")] = False,
    out: Annotated[
        Path | None,
        Parameter(help="Folder of the training; by default `segmentation` in the run.", negative=()),
    ] = None,
    config: Config = None,
    **flags: Any,
) -> Outcome:
    """Train a segmentation network on a run's pseudo-masks, or on any folder of masks.

    A part of the images is set aside; the printed mIoU is against their masks of the same folder, never
    against ground truth unless --segment.masks names it. Settings that are not given here are those of the
    run.
    """
    made = Run(run)
    trained = Run(made.segmentation if out is None else out)
    base = made.settings()
    if resume and trained.settings_file.is_file():
        base = trained.settings()
        data = data or training_notes(trained).data
    wanted = gather(base=base, config=config, flags=flags)
    command: list[object] = ["segment", run]
    command += [data] if data is not None else []
    command += ["--out", out] if out is not None else []
    with progress(lambda: resume_hint(trained, *command)) as view:
        from swtformer.stages.segment import data_for
        from swtformer.stages.segment import segment as run_segment

        path, own = data_for(made, data, wanted.segment)
        if not resume:
            base = base.model_copy(update={"data": own.data})
            wanted = gather(base=base, config=config, flags=flags)
        images = open_images(path, wanted)
        result = run_segment(made, images, settings=wanted, out=out, resume=resume, progress=view)
    kind, part = MASKS_ARE[result.supervision], result.corrections
    if part is not None:
        kind += f", {part.count} of them changed by hand and the rest as in {part.base}"
    say(f"Trained on {result.images} images with {kind} ({result.masks}).")
    if result.without_mask:
        warn(f"{result.without_mask} images of the data set have no mask and were left out.")
    if result.rejected:
        say(f"{result.rejected} images were left out: the review rejected their masks.")
    if result.notice is not None:
        warn(f"{result.notice}.")
    if result.validation_miou is not None:
        say(
            f"mIoU against the held-out masks of the same folder: {100 * result.validation_miou:.2f} % "
            f"({result.validation_images} images)."
        )
    say(f"The network is in {result.trained.model}.")
    newest = newest_network(made)
    stands_for_run = newest is not None and newest.path.resolve() == trained.path.resolve()
    model = shlex.quote(str(run if stands_for_run else trained.path))
    return finish(made, result.failures, next_command=f"swtformer predict {model} PHOTOS --out FOLDER")


@with_settings("predict")
def predict(
    model: Annotated[
        Path,
        Parameter(
            help="A run (its newest segmentation network, else its CAM model), a saved model or ONNX file."
        ),
    ],
    /,
    *inputs: Annotated[
        str,
        Parameter(
            help="Images, folders, quoted patterns, or - for a list of files on stdin; or shards: .tar or "
            ".parquet files and addresses such as s3://bucket/photos-*.tar.",
            allow_leading_hyphen=True,
        ),
    ],
    out: Annotated[str, Parameter(help="Folder of the masks, areas and what else is asked for.")],
    ray: Ray = None,
    config: Config = None,
    **flags: Any,
) -> Outcome:
    """Make masks of photographs that have no labels, and tell the area of every class.

    OUT/masks holds them, called by the photographs' paths below the folder or pattern that was named, by the
    file name of a file, and by the path of a line of a list as it is written. areas.csv and areas.json lie
    beside that folder, and so do overlays and probabilities where they are asked for. Exit code 3 where some
    images could not be read, 2 where none could.

    Shards become shards of masks in OUT, which may then be an address. Called again, the command makes those
    that are missing or stale. The processes of torchrun or srun divide them.

    `swtformer evaluate DATA --predictions OUT/masks` scores them where there are true masks.
    """
    settings = gather(config=config, flags=flags).predict
    # A wrong folder is said before torch is there, which takes seconds.
    if model.suffix != ONNX and newest_network(Run(model)) is None:
        local_model_folder(model)
    if settings.network != "cam":
        say_network(model)
    if are_shards(inputs, out):
        refuse_ray(ray)
        with progress(again) as view:
            from swtformer.stages.predict import predict_shards

            made = predict_shards(model, inputs, out, settings=settings, progress=view)
        return say_shards(made, what="masks")
    with progress(lambda: "Run the same command again; the masks made so far are kept.") as view:
        from swtformer.inference.inputs import LIST
        from swtformer.stages.predict import predict as run_predict

        is_read = LIST in inputs and is_main_process()
        listed = sys.stdin.read().splitlines() if is_read else ()
        result = run_predict(model, inputs, out, settings=settings, listed=listed, ray=ray, progress=view)
    how = "the segmentation network" if result.kind == "segmentation" else "class activation maps"
    if result.done == 0:
        count = len(result.failures)
        first = result.failures[0].reason
        if count == 1:
            raise DataError(f"The image cannot be read, so nothing was segmented. {first}")
        file = Run(result.out).failures_file
        raise DataError(
            f"None of the {count} images can be read, so nothing was segmented. {file} says why; the first: "
            f"{first}"
        )
    done = "1 image was" if result.done == 1 else f"{result.done} images were"
    say(*result.remarks)
    say(f"{done} segmented by {how}: {result.masks}")
    say(f"Areas of the classes: {result.out / 'areas.csv'}")
    if result.rotated:
        warn(
            f"{result.rotated} images have an EXIF orientation that was not applied: their masks lie on the "
            "stored pixel grid. --predict.exif apply turns them upright."
        )
    if result.strays:
        masks = "1 mask" if result.strays == 1 else f"{result.strays} masks"
        warn(f"{masks} in {result.masks} of images that were not named now, left by an earlier call.")
    return Outcome(warn_of_skipped(result.failures, Run(result.out).failures_file))
