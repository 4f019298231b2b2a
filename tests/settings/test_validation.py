"""All mistakes of plain values in one message, each with what is right."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from swtformer.errors import SettingsError
from swtformer.settings import Section, merge, validate


class Inner(Section):
    pooling: Literal["gap", "gmp"] = "gap"
    sizes: Annotated[tuple[int, ...], Field(min_length=1)] = (1,)


class Outer(Section):
    seed: int = 0
    inner: Inner = Field(default_factory=Inner)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"sead": 1}, "unknown setting 'sead'. Did you mean 'seed'"),
        ({"inner": {"pool": 1}}, "'inner.pool'. Did you mean 'pooling'"),
        ({"inner": {"pooling": "gpa"}}, "'gpa' is not one of 'gap', 'gmp'. Did you mean"),
        ({"inner": {"sizes": [1, "x"]}}, "inner.sizes (item 2): "),
        ({"seed": "x"}, "seed: input should be a valid integer"),
    ],
)
def test_a_mistake_is_named_with_what_is_right(values: dict[str, object], line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        validate(Outer, values, where="farm.yaml")
    first, mistake = str(caught.value).splitlines()
    assert first == "farm.yaml:"
    assert line in mistake


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        validate(Inner, {"pooling": 1, "other": 2}, where="flags", section="method")
    _, first, second = str(caught.value).splitlines()
    assert first.startswith("  method.pooling: 1 is not one of")
    assert second.startswith("  unknown setting 'method.other'")


def test_a_refused_item_is_not_also_a_list_that_is_too_short() -> None:
    with pytest.raises(SettingsError) as caught:
        validate(Inner, {"sizes": ["x"]}, where="flags")
    assert len(str(caught.value).splitlines()) == 2


def test_values_are_merged_section_by_section() -> None:
    base = {"a": {"x": 1, "y": 2}, "b": 1}
    assert merge(base, {"a": {"y": 3}, "c": {"z": 1}}) == {"a": {"x": 1, "y": 3}, "b": 1, "c": {"z": 1}}
    assert base == {"a": {"x": 1, "y": 2}, "b": 1}
