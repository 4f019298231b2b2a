from __future__ import annotations

import csv
import shutil
import threading
from pathlib import Path

import pytest

from support.app_runs import draw_app_run, write_queue
from swtformer.errors import SwtformerError
from swtformer.review.decisions import (
    Decision,
    Reviewed,
    ReviewQueue,
    decide,
    decided_ids,
    open_queue,
    rejected_ids,
)
from swtformer.store.corrections import Corrections, write_corrections
from swtformer.store.files import read_json, write_json
from swtformer.store.pseudo_masks import version_of
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


def judge(run: Run, id: str, decision: Decision, reviewed: Reviewed = "pseudo_masks") -> ReviewQueue:
    item = open_queue(run, reviewed).item(id)
    assert item is not None
    return decide(run, id, decision, version=item.version, reviewed=reviewed)


def remake(run: Run) -> None:
    write_json(run.pseudo_masks_file, read_json(run.pseudo_masks_file) | {"margin": 0.3})


def test_the_least_confident_mask_comes_first_and_decisions_last(run: Run) -> None:
    assert ids(run, "open") == ids(run, "all") == ["2", "0", "3", "1"]
    judge(run, "2", "accept")
    judge(run, "3", "correct")
    queue = judge(run, "0", "skip")
    assert [item.decision for item in queue.items] == ["accept", "skip", "correct", None]
    assert ids(run, "open") == ["1"]
    assert (ids(run, "accept"), ids(run, "skip"), ids(run, "correct")) == (["2"], ["0"], ["3"])
    assert decided_ids(run, "correct") == {"3"}


def test_masks_are_rejected_while_they_are_the_same(run: Run) -> None:
    assert rejected_ids(run, run.pseudo_masks) == frozenset()
    judge(run, "2", "accept")
    for id in ("0", "3"):
        judge(run, id, "reject")
    judge(run, "0", "correct")
    assert ids(run, "reject") == ["3"]
    assert rejected_ids(run, run.pseudo_masks) == {"3"}
    before = run.pseudo_masks_file.read_text()
    remake(run)
    assert rejected_ids(run, run.pseudo_masks) == frozenset()
    run.pseudo_masks_file.unlink()  # they are being made
    assert rejected_ids(run, run.pseudo_masks) == frozenset()
    run.pseudo_masks_file.write_text(before)  # the same masks once more
    assert rejected_ids(run, run.pseudo_masks) == {"3"}


def correct(run: Run, **corrected: str) -> None:
    version = version_of(run.pseudo_masks)
    corrections = Corrections(base=run.pseudo_masks, corrected=corrected, version=version)
    write_corrections(run.corrected_masks, corrections)


def test_corrected_masks_have_a_queue_of_their_own(run: Run) -> None:
    with pytest.raises(SwtformerError, match="has no corrected masks to review"):
        open_queue(run, "corrected_masks")
    correct(run, **{"1": "v1", "3": "v1"})
    judge(run, "3", "correct")
    queue = open_queue(run, "corrected_masks")
    assert [(item.review.id, item.decision) for item in queue.items] == [("3", None), ("1", None)]
    with pytest.raises(SwtformerError, match=r"No corrected mask of .* 'reject'"):
        decided_ids(run, "reject", "corrected_masks")
    judge(run, "3", "reject", "corrected_masks")
    judge(run, "1", "accept", "corrected_masks")
    assert ids(run, "correct") == ["3"]  # the decision about its pseudo-mask
    assert decided_ids(run, "reject", "corrected_masks") == {"3"}
    correct(run, **{"1": "v1", "3": "v2"})  # corrected again
    items = open_queue(run, "corrected_masks").items
    assert [(item.review.id, item.decision) for item in items] == [("3", None), ("1", "accept")]
    with pytest.raises(SwtformerError, match="has changed since this page was opened"):
        decide(run, "3", "skip", version="v1", reviewed="corrected_masks")


def test_each_mask_is_rejected_by_the_review_of_its_own_version(run: Run) -> None:
    for id in ("0", "3"):
        judge(run, id, "reject")
    correct(run, **{"1": "v1", "3": "v1"})
    assert rejected_ids(run, run.corrected_masks) == {"0"}  # 3 is another mask now
    judge(run, "1", "reject", "corrected_masks")
    assert rejected_ids(run, run.corrected_masks) == {"0", "1"}
    remake(run)  # the corrected masks hold copies of the earlier version
    judge(run, "2", "reject")
    assert rejected_ids(run, run.corrected_masks) == {"0", "1"}
    assert rejected_ids(run, run.pseudo_masks) == {"2"}


def test_a_later_decision_replaces_the_earlier(run: Run) -> None:
    judge(run, "2", "accept")
    judge(run, "2", "correct")
    assert [(row["id"], row["decision"]) for row in rows(run)] == [("2", "correct")]


def test_decisions_of_others_are_kept(run: Run) -> None:
    people = [threading.Thread(target=judge, args=(run, id, "accept")) for id in ("0", "1", "2", "3")]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert sorted(row["id"] for row in rows(run)) == ["0", "1", "2", "3"]


def test_neighbours_wrap_around(run: Run) -> None:
    queue = judge(run, "0", "accept")

    def id_of(item: object) -> str | None:
        return None if item is None else item.review.id  # type: ignore[attr-defined, no-any-return]

    assert [id_of(queue.after(id, "open")) for id in (None, "2", "0", "1")] == ["2", "3", "3", "2"]
    assert [id_of(queue.before(id, "open")) for id in ("2", "0", "1")] == ["1", "2", "3"]
    assert queue.after("0", "correct") is None
    assert queue.before("0", "correct") is None
    assert queue.item("9") is None


def test_decisions_hold_for_one_version(run: Run) -> None:
    version = version_of(run.pseudo_masks)
    judge(run, "2", "accept")
    remake(run)
    assert ids(run, "open") == ["2", "0", "3", "1"]
    with pytest.raises(SwtformerError, match="has changed since this page was opened"):
        decide(run, "0", "accept", version=version)
    assert [row["id"] for row in rows(run)] == ["2"]


def test_mistakes(run: Run) -> None:
    with pytest.raises(SwtformerError, match="there is no image '9'"):
        decide(run, "9", "accept", version=version_of(run.pseudo_masks))
    with pytest.raises(SwtformerError, match="has the decision 'correct'"):
        decided_ids(run, "correct")
    assert not run.decisions_file.exists()
    run.review_file.unlink()
    with pytest.raises(SwtformerError, match="make them with `swtformer pseudo-label`"):
        open_queue(run)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,decision\n0,accept\n", r"decisions\.csv: expected the columns id"),
        (
            "id,decision,decided_at,version\n0,good,x,y\n",
            r"line 2: expected accept, skip, correct, reject, got 'good'",
        ),
        ("id,decision,decided_at,version\n0,accept\n", r"line 2: expected 4 values"),
    ],
)
def test_a_damaged_file_of_decisions_is_never_written_over(run: Run, text: str, message: str) -> None:
    run.decisions_file.write_text(text)
    with pytest.raises(SwtformerError, match=message):
        decide(run, "0", "accept", version=version_of(run.pseudo_masks))
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
