"""Masks in the formats of other tools, out and back.

To add a format: a file with an `Exporter` (export only) or an `ExchangeFormat`, which registers itself, and
its test. The contract tests in tests/exporters run over every format that is registered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from swtformer.errors import DataError, SwtformerError
from swtformer.exporters.base import ExchangeFormat, Exporter, LabelledImage
from swtformer.exporters.provenance import Provenance
from swtformer.exporters.reading import Correction, Known, Reading
from swtformer.settings import EXPORTERS

__all__ = [
    "EXPORTERS",
    "Correction",
    "ExchangeFormat",
    "Exporter",
    "Known",
    "LabelledImage",
    "Provenance",
    "Reading",
    "exchange_format",
    "exchange_formats",
    "exporter",
    "recognise",
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
    for plugin in EXPORTERS.values():
        if issubclass(plugin, ExchangeFormat):
            yield plugin()


def exchange_format(name: str) -> ExchangeFormat:
    """The format of a name, to import from.

    Raises:
        SwtformerError: there is no such format, or it is export-only.
    """
    made = exporter(name)
    if not isinstance(made, ExchangeFormat):
        known = ", ".join(format.name for format in exchange_formats())
        raise SwtformerError(f"The format {name!r} is export-only. Formats that can be imported: {known}.")
    return made


def recognise(path: Path) -> ExchangeFormat:
    """The format of what lies at a path.

    Raises:
        DataError: nothing is there, or nothing that any format recognises.
    """
    if not path.is_file() and not path.is_dir():
        raise DataError(f"{path}: does not exist, or is neither a file nor a folder.")
    for format in exchange_formats():
        if format.recognises(path):
            return format
    raise DataError(
        f"{path}: is in no format that can be imported; expected COCO or Label Studio .json, or a folder or "
        ".zip with SegmentationClass (VOC, CVAT) or labels (YOLO). If it is one of these, give its --format."
    )
