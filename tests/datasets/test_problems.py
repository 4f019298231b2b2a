from __future__ import annotations

import pytest

from swtformer.datasets.problems import BrokenSetError, Problems
from swtformer.datasets.records import Problem
from swtformer.errors import DataError


def with_fatal(count):
    problems = Problems()
    for number in range(count):
        problems.fatal("empty", f"list.txt:{number}: fault {number}.")
    return problems


def test_without_a_fatal_problem_nothing_is_raised():
    problems = Problems()
    problems.raise_fatal("set")
    problems.warn("duplicate", "list.txt:2: 'a' is listed again.", id="a")
    problems.raise_fatal("set")
    assert problems.warnings == (Problem("duplicate", False, "list.txt:2: 'a' is listed again.", "a"),)


def test_the_error_holds_everything_and_its_message_what_is_fatal():
    problems = Problems()
    problems.warn("duplicate", "seen twice")
    problems.fatal("unsafe_name", "list.txt:3: leaves the folder.", id="b")
    with pytest.raises(DataError, match=r"^voc/train: 1 problem .*\n  list\.txt:3: leaves") as error:
        problems.raise_fatal("voc/train")
    assert isinstance(error.value, BrokenSetError)
    assert error.value.exit_code == 2
    assert error.value.problems == (
        Problem("unsafe_name", True, "list.txt:3: leaves the folder.", "b"),
        Problem("duplicate", False, "seen twice", None),
    )
    assert "seen twice" not in str(error.value)
    assert [problem.kind for problem in problems.warnings] == ["duplicate"]


@pytest.mark.parametrize(("count", "shown", "last"), [(2, 2, "fault 1."), (20, 20, "fault 19.")])
def test_up_to_twenty_problems_are_listed(count, shown, last):
    with pytest.raises(DataError, match=f"^set: {count} problems to fix first:") as error:
        with_fatal(count).raise_fatal("set")
    lines = str(error.value).splitlines()
    assert len(lines) == 1 + shown
    assert lines[-1].endswith(last)


@pytest.mark.parametrize("count", [21, 30])
def test_of_more_the_rest_is_counted(count):
    with pytest.raises(DataError, match=rf"  … and {count - 20} more\.$") as error:
        with_fatal(count).raise_fatal("set")
    assert len(str(error.value).splitlines()) == 22
    assert len(error.value.problems) == count


def test_messages_can_be_written_whatever_a_file_is_called():  # fault 24
    problems = Problems()
    problems.warn("file_name", "photo\udce4.jpg")
    problems.fatal("file_name", "Gänse-猫\udcff.jpg")
    assert problems.warnings[0].message == "photo\\udce4.jpg"
    with pytest.raises(DataError, match=r"Gänse-猫\\udcff\.jpg") as error:
        problems.raise_fatal("set")
    str(error.value).encode()
