from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import swtformer
from swtformer.errors import (
    CheckpointError,
    DataError,
    ImageError,
    NonFiniteError,
    SettingsError,
    SwtformerError,
    nearest,
    some,
)
from swtformer.settings import Settings


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SwtformerError, 2),
        (SettingsError, 2),
        (DataError, 2),
        (ImageError, 2),
        (CheckpointError, 4),
        (NonFiniteError, 5),
    ],
)
def test_exit_codes(error: type[SwtformerError], code: int) -> None:
    assert issubclass(error, SwtformerError)
    assert error.exit_code == code


def test_an_unreadable_image_is_a_data_error() -> None:
    assert issubclass(ImageError, DataError)


def test_nearest_names_the_closest() -> None:
    assert nearest("swin_tny", ["swin_tiny", "swin_base", "resnet50"]) == "Did you mean 'swin_tiny'?"


def test_nearest_lists_what_is_known_where_nothing_is_close() -> None:
    assert nearest("zebra", ["dog", "cat", "dog"]) == "Known: cat, dog."


def test_nearest_lists_thirty_at_most() -> None:
    message = nearest("?", [f"{number:02}" for number in range(31)])
    assert message.endswith("28, 29, ….")


@pytest.mark.parametrize(("count", "end"), [(30, "29."), (1, "Known: 00.")])
def test_nearest_lists_all_of_few(count: int, end: str) -> None:
    assert nearest("?", [f"{number:02}" for number in range(count)]).endswith(end)


@pytest.mark.parametrize(
    ("count", "expected"), [(0, ""), (1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2, …"), (9, "0, 1, 2, …")]
)
def test_some_tells_whether_there_are_more(count: int, expected: str) -> None:
    assert some(range(count), most=3) == some(iter(range(count)), most=3) == expected


def test_messages_name_settings_without_the_dashes_of_the_command_line() -> None:
    """The command line adds them (`cli.flags.with_dashes`); whole commands in backticks have them."""
    flag = re.compile(rf"(?<![\w`])--({'|'.join(Settings.model_fields)})\.\w+\W")
    package = Path(swtformer.__file__).parent
    found = [
        f"{file.relative_to(package)}:{node.lineno}"
        for file in package.rglob("*.py")
        if file.relative_to(package).parts[0] not in ("cli", "app")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if flag.search(node.value) and "`" not in node.value
    ]
    assert found == []
