"""Objects that a notebook shows at the end of a cell: one line, however many images they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

LISTED = 10
"""Texts and numbers that are listed; more of them, and all other items, are counted."""


class ShortRepr:
    """Base of dataclasses (with repr=False) that counts their lists: `MaskResult(done=9, failures=<3>)`."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{item.name}={_short(getattr(self, item.name))}" for item in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({shown})"


def _short(value: Any) -> str:
    if isinstance(value, Path):
        return repr(str(value))
    if isinstance(value, Mapping):
        return f"<{len(value)}>"
    if isinstance(value, (tuple, list)):
        is_plain = len(value) <= LISTED and all(isinstance(item, (str, int, float)) for item in value)
        return repr(value) if is_plain else f"<{len(value)}>"
    shape = getattr(value, "shape", None)
    return repr(value) if shape is None else f"<{'×'.join(map(str, shape))}>"
