"""The data set that a command works on; light enough for the command line to import at once."""

from __future__ import annotations

from pathlib import Path

from swtformer.errors import SwtformerError
from swtformer.settings import DataSettings, Settings
from swtformer.store.notes import DataNotes, read_notes, training_notes
from swtformer.store.run import Run


def data_of(run: Run, data: Path | None, made_for: DataNotes) -> tuple[Path, Settings]:
    """Where the data of a command lies, and the run's settings as far as they hold for it.

    Of the run's data settings, those that say where things lie (format and its options, splits, folders) hold
    for the run's own data set only.

    Args:
        run: the run that the command works on.
        data: what the user named, if anything.
        made_for: notes of the run's last result: the images that it is about.
    """
    settings = run.settings()
    path = data or made_for.data
    if path is None:
        raise SwtformerError(f"{run.path} does not know its data set; name it after the run.")
    own, reader = settings.data, settings.reader
    if path.resolve() != training_notes(run).data:
        own, reader = DataSettings(classes=own.classes, exif=own.exif, strict=own.strict), {}
    if path.resolve() == made_for.data:
        own = own.model_copy(update={"split": made_for.split})
    return path, settings.model_copy(update={"data": own, "reader": reader})


def data_of_masks(run: Run, data: Path | None) -> tuple[Path, Settings]:
    """As `data_of`, for a command that works on the run's maps or masks."""
    return data_of(run, data, read_notes(run.maps_file, DataNotes) or training_notes(run))
