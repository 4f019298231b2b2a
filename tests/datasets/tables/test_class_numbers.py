"""Labels that are numbers, and lists with one value per class."""

from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.datasets.labels import ClassList
from swtformer.datasets.problems import BrokenSetError, Problems
from swtformer.datasets.tables.class_numbers import names_of_numbers, resolve_lists, whole_number
from swtformer.datasets.tables.label_cells import Cell

PETS = ClassList(("cat", "dog"), {0: "cat", 1: "dog"}, "classes.json")
TABLE = Path("labels.csv")


@pytest.mark.parametrize(("text", "number"), [("3", 3), (" 3.0 ", 3), (3, 3), ("3.5", None), ("cat", None)])
def test_whole_numbers(text: str | int, number: int | None) -> None:
    assert whole_number(text) == number


def names(
    numbers: list[int], declared: ClassList | None
) -> tuple[dict[int, str] | None, list[str], Problems]:
    notes: list[str] = []
    problems = Problems()
    made = names_of_numbers(numbers, declared, path=TABLE, rows=9, notes=notes, problems=problems)
    return made, notes, problems


def test_numbers_of_a_class_list() -> None:
    made, notes, problems = names([0, 1], PETS)
    assert made == {0: "cat", 1: "dog"}
    assert notes == ["numbers are classes by classes.json (0=cat, 1=dog)"]
    assert not problems.has_fatal
    assert names([0, 1], ClassList(("cat",), {0: "cat"}, "classes.txt"))[0] == {0: "", 1: "cat"}
    assert names([7], ClassList(("7", "8"), {0: "7", 1: "8"}, "classes.txt"))[0] == {}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (None, r"labels of 9 rows are numbers \(0 to 5\), and nothing says what they mean"),
        (PETS, r"numbers \(0 to 5\), but classes.json numbers its classes from 0 to 1"),
    ],
)
def test_numbers_that_mean_nothing(declared: ClassList | None, message: str) -> None:
    made, _, problems = names([0, 5], declared)
    assert made is None
    with pytest.raises(BrokenSetError, match=message):
        problems.raise_fatal("set")


def lists(
    *numbers: tuple[float, ...], declared: ClassList | None = PETS
) -> tuple[list[Cell | None], Problems]:
    problems = Problems()
    cells = [Cell(numbers=own) for own in numbers]
    return resolve_lists(cells, declared, path=TABLE, notes=[], problems=problems), problems


def test_lists_with_one_value_per_class() -> None:
    made, problems = lists((1, 1), (0, 1))
    assert [cell and cell.scores for cell in made] == [
        (("cat", 1.0), ("dog", 1.0)),
        (("cat", 0.0), ("dog", 1.0)),
    ]
    made, _ = lists((0.25, 0.75))
    assert made[0] == Cell(scores=(("cat", 0.25), ("dog", 0.75)))
    assert not problems.has_fatal


def test_lists_of_class_numbers() -> None:
    many = ClassList(("a", "b", "c"), {0: "a", 1: "b", 2: "c"}, "classes.json")
    made, _ = lists((0, 2), (1,), declared=many)
    assert [cell and cell.names for cell in made] == [(0, 2), (1,)]


@pytest.mark.parametrize(
    ("numbers", "declared", "message"),
    [
        (((0, 1),), PETS, "is '0 1' the numbers of classes, or a 0 or 1 for each class"),
        (((0.5, 0.5, 1),), PETS, "lists of 3 values, one per class, but classes.json names 2 classes"),
        (((0, 0, 1),), None, "but there is no class list"),
        (((0.5, 0.5), (1,)), PETS, "must all have one value per class"),
    ],
)
def test_lists_that_cannot_be_read(
    numbers: tuple[tuple[float, ...], ...], declared: ClassList | None, message: str
) -> None:
    _, problems = lists(*numbers, declared=declared)
    with pytest.raises(BrokenSetError, match=message):
        problems.raise_fatal("set")
