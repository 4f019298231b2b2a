"""Which settings shape a result: each field says so once, and everything that compares settings asks here.

A setting shapes the result of its stage unless its annotation says otherwise:

    workers: Annotated[int, NEUTRAL]                                  # speed, memory, what else is written
    margin: Annotated[Fraction, OnlyWith("rule", "margin")]           # only under another setting's value
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True)
class Neutral:
    """Marks a setting that changes how a result comes about, not what it is."""


NEUTRAL = Neutral()


@dataclass(frozen=True)
class AfterFit:
    """Marks an option of a learned refiner that shapes its maps and not what it learns."""


AFTER_FIT = AfterFit()


@dataclass(frozen=True)
class OnlyWith:
    """Marks a setting that shapes the result only while another one of its section has a value.

    Attributes:
        setting: name of the other setting.
        value: its value.
    """

    setting: str
    value: Any


def shaping(section: BaseModel, name: str, *, fit: bool = False) -> dict[str, Any]:
    """The settings of a section that shape its result.

    Args:
        section: the section.
        name: what the section is called.
        fit: leave out those that only shape what is made after a fit (`AFTER_FIT`).

    Returns:
        Plain values by dotted name, such as {"localize.flip": True}.
    """
    values = section.model_dump(mode="json")
    return {
        f"{name}.{key}": values[key]
        for key, field in type(section).model_fields.items()
        if _shapes(field.metadata, values) and not (fit and AFTER_FIT in field.metadata)
    }


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Dotted names of the shaping settings that differ between two results.

    A setting that shapes one of them alone is named only where no other difference explains it.
    """
    both = [name for name in before if name in now and before[name] != now[name]]
    return both or sorted(set(before) ^ set(now))


def _shapes(marks: list[Any], values: Mapping[str, Any]) -> bool:
    return not any(
        isinstance(mark, Neutral) or (isinstance(mark, OnlyWith) and values[mark.setting] != mark.value)
        for mark in marks
    )
