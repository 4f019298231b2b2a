"""What every section is, by a section made here, and what every training has."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from support.setting_values import NOT_FINITE, require_closed, require_limit
from swtformer.settings import OptimisationSettings, Section, SegmentSettings, TrainSettings


class Sieve(Section):
    holes: int = 3
    width: float = 0.5


def test_a_section_is_equal_by_value_and_never_changes() -> None:
    sieve = Sieve(holes=4)
    assert sieve == Sieve(holes=4, width=0.5) != Sieve()
    with pytest.raises(ValidationError, match="frozen"):
        sieve.holes = 5  # type: ignore[misc]
    assert sieve.holes == 4


def test_a_misspelt_setting_is_refused_and_not_passed_over() -> None:
    with pytest.raises(ValidationError, match=r"hole\n.*not permitted"):
        Sieve.model_validate({"hole": 4})


@pytest.mark.parametrize("value", NOT_FINITE)
def test_numbers_are_finite(value: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        Sieve(width=value)


def test_nothing_is_built_before_a_section_is_used() -> None:
    """Help texts need no schemas, and building them is most of the time that `--help` would take."""

    class Unused(Section):
        holes: int = 3

    assert not Unused.__pydantic_complete__
    assert Unused().holes == 3
    assert Unused.__pydantic_complete__


@pytest.mark.parametrize("section", [TrainSettings, SegmentSettings])
def test_both_trainings_have_the_same_optimisation(section: type[OptimisationSettings]) -> None:
    common = OptimisationSettings()
    own = section()
    assert {name: getattr(own, name) for name in OptimisationSettings.model_fields} == common.model_dump()


def test_nothing_surprising_is_on_by_default() -> None:
    common = OptimisationSettings()
    assert (common.ema_decay, common.early_stopping_patience, common.accumulate) == (0, 0, 1)
    assert (common.resume_anyway, common.tensorboard, common.keep) == (False, False, "last")


@pytest.mark.parametrize(
    ("field", "lowest", "below"),
    [
        ("epochs", 1, 0),
        ("learning_rate", 1e-12, 0),
        ("head_multiplier", 1e-12, 0),
        ("minimum_learning_rate", 0, -1e-12),
        ("weight_decay", 0, -1e-12),
        ("warmup_fraction", 0, -0.01),
        ("clip_norm", 0, -1),
        ("accumulate", 1, 0),
        ("ema_decay", 0, -0.01),
        ("early_stopping_patience", 0, -1),
        ("workers", 0, -1),
        ("devices", 1, 0),
        ("nodes", 1, 0),
    ],
)
@pytest.mark.parametrize("section", ["train", "segment"])
def test_lower_limits(section: str, field: str, lowest: Any, below: Any) -> None:
    require_limit(f"{section}.{field}", lowest, below, match="greater than")


@pytest.mark.parametrize(
    ("field", "highest", "above"), [("warmup_fraction", 1, 1.01), ("ema_decay", 0.9999, 1)]
)
@pytest.mark.parametrize("section", ["train", "segment"])
def test_upper_limits(section: str, field: str, highest: Any, above: Any) -> None:
    require_limit(f"{section}.{field}", highest, above, match="less than")


@pytest.mark.parametrize(
    ("field", "value"), [("keep", "first"), ("precision", "fp64"), ("accelerator", "cuda")]
)
@pytest.mark.parametrize("section", ["train", "segment"])
def test_choices_are_closed(section: str, field: str, value: str) -> None:
    require_closed(f"{section}.{field}", value)
