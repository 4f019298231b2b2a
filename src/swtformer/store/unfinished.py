"""unfinished/ beside masks: the photographs that a prediction which has not ended is done with."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from swtformer.errors import SwtformerError
from swtformer.store.files import make_folder
from swtformer.store.notes import ImageAreas, Notes

FOLDER = "unfinished"


class PhotographNotes(Notes):
    """A photograph whose files are written: a line of a file of this folder."""

    made_by: str
    """Fingerprint of model and settings."""
    made_from: str
    """Stamp of the photograph's file."""
    is_rotated: bool
    """Its EXIF orientation was not applied, though it turns it."""
    is_much_larger: bool
    """Than any image that the network was trained on."""
    areas: ImageAreas


def open_notes(out: Path) -> IO[bytes]:
    """A new file for the notes of this process, of which every line is on its way to disk when it is written.

    Raises:
        SwtformerError: it cannot be written.
    """
    path = out / FOLDER / f"{socket.gethostname()}-{os.getpid()}.jsonl"
    try:
        make_folder(path.parent)
        return path.open("ab", buffering=0)
    except OSError as error:
        raise SwtformerError(f"{path}: cannot be written: {error.strerror or error}.") from error


def add_note(stream: IO[bytes], note: PhotographNotes) -> None:
    """Add a line."""
    stream.write(note.model_dump_json().encode() + b"\n")


def take_up(out: Path, *, made_by: str) -> dict[str, PhotographNotes]:
    """What a stopped prediction left, by id of the photograph.

    All notes are removed where some are of another model or other settings: files were replaced by then.
    """
    notes = list(_notes(out))
    if any(note.made_by != made_by for note in notes):
        forget(out)
        return {}
    return {note.areas.image: note for note in notes}


def forget(out: Path) -> None:
    """Remove all notes: the prediction has ended, or others are made."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)


def _notes(out: Path) -> Iterator[PhotographNotes]:
    for path in sorted((out / FOLDER).glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            with suppress(ValidationError):  # the last line of a process that was killed
                yield PhotographNotes.model_validate_json(line)
