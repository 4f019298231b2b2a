"""The data set that a run knows; light enough for the command line to import at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swtformer.errors import SwtformerError
from swtformer.settings import DataSettings, Settings
from swtformer.store.files import read_json
from swtformer.store.run import Run


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


def data_of_masks(run: Run, data: Path | None) -> tuple[Path, Settings]:
    """As `data_of`, for a command that works on the run's masks: they lie on the images of its maps."""
    return data_of(run, data, read_json(run.maps_file) if run.maps_file.is_file() else run.environment())
