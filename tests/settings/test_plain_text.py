"""The text of flags as YAML would have given it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from swtformer.settings.numbers import Positive, PositiveRange
from swtformer.settings.plain_text import alternatives, is_tuple, plain_value


@pytest.mark.parametrize(
    ("text", "annotation", "expected"),
    [
        ("None", float | None, None),
        ("none", Positive | None, None),
        ("none", Literal["none", "gap"], "none"),
        ("1, 2", tuple[float, ...], ["1", "2"]),
        (["1,2", "3"], tuple[int, ...], ["1", "2", "3"]),
        ("0.5,2", PositiveRange, ["0.5", "2"]),
        ("a,b", tuple[str, ...] | None, ["a", "b"]),
        ("3, 1", tuple[Literal[1, 3], ...], [3, 1]),
        ("3", Literal[1, 3], 3),
        ("4", Literal[1, 3], "4"),
        ("0.5", float, "0.5"),
        (3, Literal[1, 3], 3),
        ([1, 2], tuple[int, ...], [1, 2]),
    ],
)
def test_texts_become_plain_values(text: Any, annotation: Any, expected: Any) -> None:
    assert plain_value(text, annotation) == expected


def test_alternatives_are_the_members_of_unions() -> None:
    assert alternatives(Annotated[int, Field(ge=1)] | None) == (int,)
    assert alternatives(int) == (int,)
    assert is_tuple(Annotated[tuple[int, int] | None, Field()])
    assert not is_tuple(str | None)
