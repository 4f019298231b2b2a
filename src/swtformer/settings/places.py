"""Files and folders that settings name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError


def _not_empty(value: Any) -> Any:
    """Refuse an empty path, such as that of an unset variable; it would mean the current folder."""
    if value == "":
        raise PydanticCustomError("empty_path", "expected a file or folder")
    return value


NamedPath = Annotated[Path, BeforeValidator(_not_empty)]
"""A path as it is given; where results depend on it, a project that moves as a whole goes on."""

Place = Annotated[NamedPath, AfterValidator(Path.resolve)]
"""An absolute path of data; a relative one lies below the current folder, which may differ for the next
command."""
