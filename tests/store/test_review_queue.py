from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.errors import SwtformerError
from swtformer.store.review_queue import Review, exact_rows, read_reviews, write_reviews
from swtformer.store.run import Run

REVIEWS = (
    Review("field, north/1", confidence=0.25, certainty=0.5, agreement=0.0, undecided=1.0),
    Review("2", confidence=0.75, certainty=0.75, agreement=None, undecided=0.0),
)
HEADER = "id,confidence,certainty,agreement,undecided\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path)
    write_reviews(run, REVIEWS)
    return run


def test_round_trip(run: Run) -> None:
    assert read_reviews(run) == REVIEWS
    assert run.review_file.read_bytes().splitlines()[-1] == b"2,0.75,0.75,,0.0"
    write_reviews(run, [])
    assert read_reviews(run) == ()


def test_a_byte_order_mark_is_ignored(run: Run) -> None:
    run.review_file.write_bytes(b"\xef\xbb\xbf" + run.review_file.read_bytes())
    assert read_reviews(run) == REVIEWS


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,1,1,1,0\nb,high,1,1,0\n", r"line 3: could not convert .*'high'; make it again with `swtformer"),
        ("../a,1,1,1,0\n", r"line 2: .*; make it again"),
        ("./a,1,1,1,0\n", r"line 2: '\./a' is not a plain image id; make it again"),
        ("a,1,1,1\n", "line 2: expected 5 values"),
        ("a,1,1,1,0,0\n", "line 2: expected 5 values"),
    ],
)
def test_bad_rows_are_named(run: Run, rows: str, message: str) -> None:
    run.review_file.write_text(HEADER + rows)
    with pytest.raises(SwtformerError, match=rf"review\.csv, {message}"):
        read_reviews(run)


def test_files_that_are_not_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with pytest.raises(SwtformerError, match=r"a\.csv: cannot be read: .*No such file"):
        exact_rows(path, ("x", "y"))
    path.write_text("")
    with pytest.raises(SwtformerError, match=r"a\.csv: expected the columns x, y, got \.$"):
        exact_rows(path, ("x", "y"))
    path.write_text("y,x\n1,2\n")
    with pytest.raises(SwtformerError, match=r"expected the columns x, y, got y, x\.$"):
        exact_rows(path, ("x", "y"))
    path.write_bytes(b"x,y\n\xff,1\n")
    with pytest.raises(SwtformerError, match=r"a\.csv: cannot be read: .*utf-8"):
        exact_rows(path, ("x", "y"))
