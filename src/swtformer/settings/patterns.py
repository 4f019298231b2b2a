"""Regular expressions in settings."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def _finds_labels(text: str) -> str:
    """Refuse what is not a regular expression, or has no group that begins with "label"."""
    try:
        groups = re.compile(text).groupindex
    except (re.error, RecursionError, OverflowError) as error:
        raise PydanticCustomError(
            "pattern", "is not a regular expression ({reason})", {"reason": str(error)}
        ) from None
    if not any(name.startswith("label") for name in groups):
        raise PydanticCustomError(
            "pattern",
            "has no group named label; write one as in {example}",
            {"example": "^(?P<label>[a-z]+)_"},
        )
    return text


LabelPattern = Annotated[str, AfterValidator(_finds_labels)]
"""An expression that finds labels in file names."""
