from __future__ import annotations

import csv
import shutil
import threading
from pathlib import Path

import pytest

from support.app_runs import draw_app_run, write_queue
from swtformer.errors import SwtformerError
from swtformer.review.decisions import decide, decided_ids, marked_ids, open_queue, rejected_ids
from swtformer.store.corrections import NOTES
from swtformer.store.files import read_json, write_json
from swtformer.store.pseudo_masks import making_of
from swtformer.store.run import Run


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_app_run(tmp_path_factory.mktemp("drawn"), with_network=False).path


@pytest.fixture
def run(drawn: Path, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(drawn, tmp_path / "run")))


def ids(run: Run, shown: str) -> list[str]:
    return [item.review.id for item in open_queue(run).part(shown)]  # type: ignore[arg-type]


def rows(run: Run) -> list[dict[str, str]]:
    with run.decisions_file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_queue_is_worst_first_and_resumes(run: Run) -> None:
    masks = open_queue(run).masks
    assert ids(run, "open") == ids(run, "all") == ["2", "0", "3", "1"]
    decide(run, "2", "accept", masks=masks)
    decide(run, "3", "correct", masks=masks)
    queue = decide(run, "0", "skip", masks=masks)
    assert [item.decision for item in queue.items] == ["accept", "skip", "correct", None]
    assert ids(run, "open") == ["1"]
    assert (ids(run, "accept"), ids(run, "skip"), ids(run, "correct")) == (["2"], ["0"], ["3"])
    assert decided_ids(run, "correct") == {"3"}


def test_masks_are_rejected_as_long_as_they_are_the_same(run: Run) -> None:
    masks = open_queue(run).masks
    assert rejected_ids(run, masks) == frozenset()
    decide(run, "2", "accept", masks=masks)
    assert rejected_ids(run, masks) == frozenset()
    for id in ("0", "3"):
        decide(run, id, "reject", masks=masks)
    assert rejected_ids(run, masks) == {"0", "3"}
    assert marked_ids(run, masks) == frozenset()
    assert ids(run, "reject") == ["0", "3"]
    decide(run, "0", "correct", masks=masks)
    assert rejected_ids(run, masks) == {"3"}
    assert marked_ids(run, masks) == {"0"}
    write_json(run.pseudo_masks_file, read_json(run.pseudo_masks_file) | {"margin": 0.3})
    assert rejected_ids(run, open_queue(run).masks) == frozenset()
    assert rejected_ids(run, masks) == {"3"}  # corrected masks may still be of this making
    run.pseudo_masks_file.unlink()  # they are being made
    assert rejected_ids(run, making_of(run.pseudo_masks)) == frozenset()


def correct(run: Run, **versions: str) -> None:
    notes = {"base": "../pseudo_masks", "corrected": dict.fromkeys(versions, 1), "versions": versions}
    write_json(run.corrected_masks / NOTES, notes)


def test_corrected_masks_are_reviewed_for_themselves(run: Run) -> None:
    with pytest.raises(SwtformerError, match=r"has no corrected masks to review; bring masks .* import"):
        open_queue(run, "corrected_masks")
    correct(run, **{"1": "v1", "3": "v1"})
    first = open_queue(run)
    decide(run, "3", "correct", masks=first.masks)
    second = open_queue(run, "corrected_masks")
    assert [(item.review.id, item.decision) for item in second.items] == [("3", None), ("1", None)]
    with pytest.raises(SwtformerError, match=r"No corrected mask of .* has the decision 'reject'"):
        decided_ids(run, "reject", "corrected_masks")
    for id in ("3", "1"):
        decide(run, id, "reject", masks=second.masks, reviewed="corrected_masks")
    decide(run, "1", "accept", masks=second.masks, reviewed="corrected_masks")
    assert ids(run, "correct") == ["3"]  # what was decided about its pseudo-mask
    assert decided_ids(run, "reject", "corrected_masks") == {"3"}
    correct(run, **{"1": "v1", "3": "v2"})  # corrected again
    items = open_queue(run, "corrected_masks").items
    assert [(item.review.id, item.decision) for item in items] == [("3", None), ("1", "accept")]
    with pytest.raises(SwtformerError, match="The corrected masks changed since this page was opened"):
        decide(run, "1", "skip", masks=second.masks, reviewed="corrected_masks")


def test_a_later_decision_replaces_the_earlier(run: Run) -> None:
    masks = open_queue(run).masks
    decide(run, "2", "accept", masks=masks)
    decide(run, "2", "correct", masks=masks)
    assert [(row["id"], row["decision"]) for row in rows(run)] == [("2", "correct")]


def test_decisions_of_others_are_kept(run: Run) -> None:
    masks = open_queue(run).masks
    people = [
        threading.Thread(target=decide, args=(run, id, "accept"), kwargs={"masks": masks})
        for id in ("0", "1", "2", "3")
    ]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert sorted(row["id"] for row in rows(run)) == ["0", "1", "2", "3"]


def test_neighbours_wrap_around(run: Run) -> None:
    masks = open_queue(run).masks
    queue = decide(run, "0", "accept", masks=masks)

    def id_of(item: object) -> str | None:
        return None if item is None else item.review.id  # type: ignore[attr-defined, no-any-return]

    assert [id_of(queue.after(id, "open")) for id in (None, "2", "0", "1")] == ["2", "3", "3", "2"]
    assert [id_of(queue.before(id, "open")) for id in ("2", "0", "1")] == ["1", "2", "3"]
    assert queue.after("0", "correct") is None
    assert queue.before("0", "correct") is None
    assert queue.item("9") is None


def test_decisions_about_earlier_masks_are_void(run: Run) -> None:
    masks = open_queue(run).masks
    decide(run, "2", "accept", masks=masks)
    run.pseudo_masks_file.write_text(run.pseudo_masks_file.read_text().replace("maps", "refined"))
    assert ids(run, "open") == ["2", "0", "3", "1"]
    with pytest.raises(SwtformerError, match="made anew since this page was opened"):
        decide(run, "0", "accept", masks=masks)
    assert [row["id"] for row in rows(run)] == ["2"]


def test_mistakes(run: Run) -> None:
    masks = open_queue(run).masks
    with pytest.raises(SwtformerError, match="holds no image '9'"):
        decide(run, "9", "accept", masks=masks)
    with pytest.raises(SwtformerError, match="has the decision 'correct'"):
        decided_ids(run, "correct")
    assert not run.decisions_file.exists()
    run.review_file.unlink()
    with pytest.raises(SwtformerError, match="make them with `swtformer pseudo-label`"):
        open_queue(run)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,decision\n0,accept\n", r"decisions\.csv: expected the columns id, decision, decided_at, masks"),
        (
            "id,decision,decided_at,masks\n0,good,x,y\n",
            r"line 2: expected accept, skip, correct, reject, got 'good'",
        ),
        ("id,decision,decided_at,masks\n0,accept\n", r"line 2: expected 4 values"),
    ],
)
def test_a_damaged_file_of_decisions_is_never_written_over(run: Run, text: str, message: str) -> None:
    masks = open_queue(run).masks
    run.decisions_file.write_text(text)
    with pytest.raises(SwtformerError, match=message):
        decide(run, "0", "accept", masks=masks)
    assert run.decisions_file.read_text() == text


def test_a_binary_file_of_decisions(run: Run) -> None:
    run.decisions_file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SwtformerError, match="cannot be read"):
        open_queue(run)


@pytest.mark.parametrize("id", ["../../x", "/etc/passwd"])
def test_ids_stay_in_the_folder(run: Run, id: str) -> None:
    write_queue(run)
    run.review_file.write_text(run.review_file.read_text().replace("\n0,", f"\n{id},"))
    with pytest.raises(SwtformerError, match=r"review\.csv, line 3"):
        open_queue(run)
