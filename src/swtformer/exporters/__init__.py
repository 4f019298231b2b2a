"""Masks in the formats of other tools: export and import.

To add a format, write one file with an `Exporter` (export only) or an `ExchangeFormat`, which registers
itself, and its test. The contract tests in tests/exporters run over every registered format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from swtformer.errors import DataError, SwtformerError
from swtformer.exporters.base import (
    ExchangeFormat,
    Exporter,
    LabelledImage,
    require_free_names,
)
from swtformer.exporters.fingerprints import fingerprint
from swtformer.exporters.reading import Correction, Known, Reading
from swtformer.settings import EXPORTERS
from swtformer.store.files import new_folder

__all__ = [
    "EXPORTERS",
    "Correction",
    "ExchangeFormat",
    "Exporter",
    "Known",
    "LabelledImage",
    "Reading",
    "exchange_format",
    "exchange_formats",
    "exporter",
    "fingerprint",
    "new_folder",
    "recognise",
    "require_free_names",
]


def exporter(name: str, options: Mapping[str, Any] | None = None) -> Exporter:
    """The exporter of a format.

    Args:
        name: of the format.
        options: its own options (section `exporter` of the settings).

    Raises:
        SettingsError: there is no such format or option; the message gives the nearest one.
    """
    made: Exporter = EXPORTERS[name](EXPORTERS.options(name, options or {}))
    return made


def exchange_formats() -> Iterator[ExchangeFormat]:
    """The formats that can be imported."""
    for _, plugin in EXPORTERS.loadable():
        if issubclass(plugin, ExchangeFormat):
            yield plugin()


def exchange_format(name: str) -> ExchangeFormat:
    """A format to import from.

    Raises:
        SwtformerError: there is no such format, or it is export-only.
    """
    made = exporter(name)
    if not isinstance(made, ExchangeFormat):
        known = ", ".join(format.name for format in exchange_formats())
        raise SwtformerError(f"The format {name!r} is export-only. Formats that can be imported: {known}.")
    return made


def recognise(path: Path) -> ExchangeFormat:
    """The format of a file or folder.

    Raises:
        DataError: there is no such file or folder, or no format recognises it.
    """
    if not path.is_file() and not path.is_dir():
        raise DataError(f"{path}: does not exist, or is neither a file nor a folder.")
    formats = list(exchange_formats())
    for format in formats:
        if format.recognises(path):
            return format
    expected = "; ".join(f"{format.expects} ({format.name})" for format in formats)
    raise DataError(
        f"{path}: the format was not recognised; expected one of: {expected}. If it is one of these, name "
        "the `format`."
    )
