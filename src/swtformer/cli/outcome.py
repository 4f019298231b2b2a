"""What all commands share: their parameters, the data that a run knows, and how a command ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from swtformer.cli.screen import say, warn, warn_of
from swtformer.errors import SwtformerError
from swtformer.run import Failure, Run
from swtformer.settings import DataSettings, Settings

if TYPE_CHECKING:
    from swtformer.datasets import ImageSet

SKIPPED = 3
"""Exit code of a command that finished but skipped images."""

RunFolder = Annotated[Path, Parameter(help="Run folder, as `swtformer train --out` made it.")]
OptionalData = Annotated[
    Path | None,
    Parameter(help="Data set: a file or folder in any known format. By default the one that the run knows."),
]
Config = Annotated[Path | None, Parameter(help="YAML file of settings; flags stand above it.", negative=())]


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        exit_code: 0, or 3 where images were skipped.
        run: the run that it worked on; its environment.json notes the command line.
    """

    exit_code: int = 0
    run: Run | None = None


def again() -> str:
    """What to do after an interruption of a command that starts over or keeps what is there."""
    return "Run the same command again."


def known_data(facts: Mapping[str, Any]) -> Path | None:
    """Where the data set of a run's environment or of a result lies, if it is noted."""
    return Path(facts["data"]) if "data" in facts else None


def data_of(run: Run, data: Path | None, made_for: Mapping[str, Any]) -> tuple[Path, Settings]:
    """Where the data of a command lies, and the run's settings as far as they hold for it.

    Of the run's data settings, those that say where things lie (format, splits, folders) hold for the run's
    own data set only.

    Args:
        run: the run that the command works on.
        data: what the user named, if anything.
        made_for: "data" and "split" that the run's last result is about.
    """
    settings = run.settings()
    path = data or known_data(made_for)
    if path is None:
        raise SwtformerError(f"{run.path} does not know its data set; name it after the run.")
    own = settings.data
    if path.resolve() != known_data(run.environment()):
        own = DataSettings(classes=own.classes, exif=own.exif, strict=own.strict)
    if path.resolve() == known_data(made_for):
        own = own.model_copy(update={"split": made_for.get("split")})
    return path, settings.model_copy(update={"data": own})


def open_images(path: Path, settings: Settings) -> ImageSet:
    """The data set, its problems said as warnings."""
    from swtformer.datasets import open_dataset

    images = open_dataset(path, settings.data)
    warn_of(images.problems)
    return images


def finish(run: Run, failures: Sequence[Failure], *, next_command: str) -> Outcome:
    """Say what was skipped and what comes next."""
    say(f"Next: {next_command}")
    if not failures:
        return Outcome(run=run)
    images = "1 image was" if len(failures) == 1 else f"{len(failures)} images were"
    warn(f"{images} skipped; {run.failures_file} says which and why.")
    return Outcome(exit_code=SKIPPED, run=run)
