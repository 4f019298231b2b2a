"""The kinds of numbers that settings hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    """Refuse a range whose first end is above its second."""
    first, second = ends
    if first > second:
        raise PydanticCustomError(
            "falling_range",
            "expected the smaller one first; write {second},{first}",
            {"first": f"{first:g}", "second": f"{second:g}"},
        )
    return ends


Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(_rising)]
"""Both ends of a range of positive numbers, the smaller first."""
CountRange = Annotated[tuple[Count, Count], AfterValidator(_rising)]
"""The same of whole numbers."""
