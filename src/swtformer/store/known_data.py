"""The data set that a command works on; light enough for the command line to import at once."""

from __future__ import annotations

from pathlib import Path

from swtformer.errors import SwtformerError
from swtformer.settings import UNDECIDED, DataSettings, Settings
from swtformer.store.notes import DataNotes, read_notes, training_notes
from swtformer.store.run import Run


def data_of(run: Run, data: Path | None, made_for: DataNotes) -> tuple[Path, Settings]:
    """Where the data of a command lies, and the run's settings as far as they hold for it.

    The run's own data is opened as it was noted: format, split, folders, options. So is data that the user
    names while the noted data is gone: it was moved. For other data only classes and the
    handling of pixels hold.

    Args:
        run: the run that the command works on.
        data: what the user named, if anything.
        made_for: notes of the run's last result: the images that it is about.

    Raises:
        SwtformerError: nothing is named, and the run's data set is not known or no longer there.
    """
    settings = run.settings()
    if data is None and made_for.data is None:
        raise SwtformerError(f"{run.path} does not know its data set; name it after the run.")
    if data is None and made_for.data is not None and not made_for.data.exists():
        raise SwtformerError(
            f"{made_for.data}: the data set of {run.path} is no longer there. If it was moved, name its new "
            "place after the run."
        )
    path = data or made_for.data or Path()
    trained = training_notes(run)
    own, reader = settings.data, settings.reader
    if noted := next((notes for notes in (made_for, trained) if _are_about(notes, path)), None):
        own, reader = noted.data_settings or own, noted.reader
        if noted.data_settings is not None:
            own = _moved(noted.data_settings, noted.data or path, path)
    elif path.resolve() != trained.data:
        kept = own.images_alone().model_dump()
        own, reader = DataSettings(classes=own.classes, strict=own.strict, **kept), {}
    if own.range in UNDECIDED:  # as it was opened; the training decided
        own = own.model_copy(update={"range": settings.data.range})
    return path, settings.model_copy(update={"data": own, "reader": reader})


def _are_about(notes: DataNotes, path: Path) -> bool:
    """Whether notes are about the data at a path: it lies there, or what they name is gone."""
    return (
        notes.data_settings is not None
        and notes.data is not None
        and (path.resolve() == notes.data or not notes.data.exists())
    )


def _moved(settings: DataSettings, before: Path, now: Path) -> DataSettings:
    """Data settings with folders below the data set's old place moved to its new one."""
    if now.is_file():
        before, now = before.parent, now.parent
    folders = {
        name: now.resolve() / folder.relative_to(before)
        for name, folder in (
            ("images", settings.images),
            ("masks", settings.masks),
            ("palette", settings.palette),
        )
        if folder is not None and folder.is_relative_to(before)
    }
    return settings.model_copy(update=folders)


def settings_for(run: Run, data: Path) -> Settings:
    """A run's settings for going on with all its stages on a data set, which may have moved.

    Folders of the settings that lay beside the data set have moved with it, if it is no longer where the
    training found it.
    """
    settings, noted = run.settings(), training_notes(run).data
    if noted is None or noted.exists():
        return settings
    return settings.model_copy(update={"data": _moved(settings.data, noted, data)})


def data_of_masks(run: Run, data: Path | None) -> tuple[Path, Settings]:
    """As `data_of`, for a command that works on the run's maps or masks."""
    return data_of(run, data, read_notes(run.maps_file, DataNotes) or training_notes(run))
