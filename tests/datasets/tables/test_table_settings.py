"""Options of the reader of tables."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from swtformer.datasets.background import NOTHING_WORDS
from swtformer.datasets.tables.table_settings import TableSettings


def test_by_default_everything_is_told_from_the_table() -> None:
    told = dict.fromkeys(("image_column", "label_columns", "separator", "threshold", "minus_one", "blank"))
    assert TableSettings().model_dump() == {**told, "nothing": NOTHING_WORDS, "rows": "auto"}


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"rows": "objects"}, "rows"),
        ({"blank": "present"}, "blank"),
        ({"minus_one": "unknown"}, "minus_one"),
        ({"label_columns": "cat"}, "label_columns"),
        ({"threshold": float("nan")}, "threshold"),
        ({"image_columns": "path"}, "image_columns"),
    ],
)
def test_other_answers_are_refused(options: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError, match=rf"(?m)^{place}$"):
        TableSettings(**options)


@pytest.mark.parametrize(
    ("name", "answers"),
    [("rows", ("auto", "image", "object")), ("minus_one", ("absent", "present")), ("blank", ("absent",))],
)
def test_answers_that_are_offered(name: str, answers: tuple[str, ...]) -> None:
    assert [getattr(TableSettings(**{name: answer}), name) for answer in answers] == list(answers)  # type: ignore[arg-type]
