"""Errors that a user can cause or must act on; each has an exit code of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from itertools import islice


class SwtformerError(Exception):
    """A user's mistake: one clear message, no traceback, exit code 2."""

    exit_code = 2


class SettingsError(SwtformerError):
    """Invalid settings; the message lists all problems."""


class DataError(SwtformerError):
    """A data set that cannot be used; the message lists all problems, with file and line."""


class ImageError(DataError):
    """An image file that cannot be read completely; the message names the file and the reason."""


class CheckpointError(SwtformerError):
    """A checkpoint or weights file that is damaged, unsafe or made for another model."""

    exit_code = 4


class PluginError(SwtformerError):
    """A plug-in gave something else than its contract says; the message names it."""


class NonFiniteError(SwtformerError):
    """A loss, weight or map is nan or infinite; the message says where, in training by the step."""

    exit_code = 5


def nearest(name: str, known: Iterable[str]) -> str:
    """Say ``Did you mean 'x'?`` for the known name closest to `name`, or list the known ones (30 at most)."""
    names: Sequence[str] = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {some(names, most=30)}."


def some(names: Iterable[object], *, most: int = 5) -> str:
    """The first names, for a message; an ellipsis stands for the others."""
    shown = [str(name) for name in islice(names, most + 1)]
    return ", ".join(shown[:most]) + (", …" if len(shown) > most else "")
