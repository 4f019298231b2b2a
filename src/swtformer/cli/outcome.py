"""What all commands share: their parameters, the data that a run knows, and how a command ends."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from swtformer.cli.screen import say, warn, warn_of
from swtformer.settings import UNDECIDED, Settings
from swtformer.store.failures import Failure
from swtformer.store.models import finished_networks
from swtformer.store.notes import training_notes
from swtformer.store.run import Run

if TYPE_CHECKING:
    from swtformer.datasets import ImageSet

SKIPPED = 3
"""Exit code of a command that finished but skipped images."""

RunFolder = Annotated[Path, Parameter(help="Run folder, as `swtformer train --out` made it.")]
OptionalData = Annotated[
    Path | None,
    Parameter(help="Data set: a file or folder in any known format. By default the one that the run knows."),
]
Config = Annotated[
    Path | None,
    Parameter(
        help="YAML file of settings, or laptop, which comes with the package; flags stand above it.",
        negative=(),
    ),
]
Ray = Annotated[
    str | None,
    Parameter(
        name="--ray",
        metavar="ADDRESS",
        help="Divide the images over a Ray cluster: auto (the one that runs here), local (this machine) or "
        "its address. Needs the extra `ray`. Processes of torchrun and srun need no flag.",
        negative=(),
    ),
]


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and the run that it worked on, whose environment.json notes the command line."""

    exit_code: int = 0
    run: Run | None = None


def again() -> str:
    """What to do after an interruption of a command that starts over or keeps existing results."""
    return "Run the same command again."


def open_images(path: Path, settings: Settings, *, run: Run | None = None) -> ImageSet:
    """The data set, with warnings of its problems and of what has changed since the run was trained on it."""
    from swtformer.datasets import open_dataset
    from swtformer.datasets.of_run import changes_since_training, notes_of

    images = open_dataset(path, settings.data, reader=settings.reader)
    warn_of(images.problems)
    warn_of_rotation(images, settings)
    if settings.data.range in UNDECIDED:
        say_pixels(images, settings)
    if run is not None:
        trained, now = training_notes(run), notes_of(images)
        is_own = (trained.data, trained.split) == (now["data"], now["split"])
        if is_own and (changes := changes_since_training(run, images)):
            warn(f"Since {run.path} was trained, {'; '.join(changes)}.")
    return images


def say_pixels(images: ImageSet, settings: Settings) -> Settings:
    """Say what becomes of values, bands and pages; the settings with the range decided."""
    from swtformer.datasets.value_range import settle

    data, remarks = settle([record.image for record in images.records], settings.data)
    say(*remarks)
    return settings.model_copy(update={"data": data})


def warn_of_rotation(images: ImageSet, settings: Settings) -> None:
    """Warn of images that EXIF turns, where the settings leave them as they are stored."""
    from swtformer.datasets.value_range import count_rotated

    if settings.data.exif != "raw":
        return
    rotated, seen = count_rotated([record.image for record in images.records])
    if rotated:
        warn(
            f"{rotated} of {seen} images looked at have an EXIF orientation that is not applied, because "
            "masks like VOC's fit the stored pixels. data.exif apply turns them upright."
        )


def say_network(source: Path) -> None:
    """Say which of a run's segmentation networks is taken and how to name another, where it has several."""
    networks = finished_networks(Run(source))
    if len(networks) > 1:
        older = ", ".join(str(network.path) for network in reversed(networks[:-1]))
        say(
            f"{source} has {len(networks)} segmentation networks; the newest is taken, {networks[-1].path}. "
            f"Named in place of the run, another is taken: {older}"
        )


def resume_hint(trained: Run, *command: object) -> str:
    """How to continue an interrupted training that `command` started."""
    if not trained.settings_file.is_file():
        return again()
    words = map(str, ("swtformer", *command, "--resume"))
    return f"Resume with: {shlex.join(words)}"


def finish(run: Run, failures: Sequence[Failure], *, next_command: str) -> Outcome:
    """Say what was skipped and what comes next."""
    say(f"Next: {next_command}")
    return Outcome(warn_of_skipped(failures, run.failures_file), run)


def warn_of_skipped(
    failures: Sequence[Failure], file: Path | str, *, what: str = "image", how: str = "skipped"
) -> int:
    """Say how many were skipped and which file names them; the exit code."""
    if not failures:
        return 0
    count = f"1 {what} was" if len(failures) == 1 else f"{len(failures)} {what}s were"
    warn(f"{count} {how}; {file} says which and why.")
    return SKIPPED
