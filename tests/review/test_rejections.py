from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from support.mask_runs import SIZES, draw_mask_run
from swtformer.cli.entry import build_app
from swtformer.review.decisions import Decision, decide, open_queue
from swtformer.review.rejections import Rejections, rejections
from swtformer.store.corrections import NOTES
from swtformer.store.files import write_json
from swtformer.store.review_queue import Review, write_reviews
from swtformer.store.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = draw_mask_run(tmp_path)
    write_json(run.pseudo_masks_file, {"margin": 0.1})
    write_reviews(run, [Review(id, 0.5, 0.5, None, 0.0) for id in SIZES])
    return run


def judge(run: Run, id: str, decision: Decision = "reject") -> None:
    decide(run, id, decision, masks=open_queue(run).masks)


def started(run: Run, **facts: object) -> Run:
    trained = Run(run.segmentation)
    trained.model.mkdir(parents=True)
    write_json(trained.environment_file, facts)
    return trained


def corrected_masks(run: Run, **notes: object) -> Path:
    for id in SIZES:
        path = run.corrected_masks / f"{id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(run.pseudo_mask_file(id).read_bytes())
    write_json(run.corrected_masks / NOTES, {"base": "../pseudo_masks", "corrected": {}, **notes})
    return run.corrected_masks


def test_a_new_training_follows_the_review(run: Run, tmp_path: Path) -> None:
    judge(run, "a")
    for resume in (False, True):
        assert rejections(run, run.pseudo_masks, Run(run.segmentation), resume=resume) == Rejections(
            frozenset("a")
        )
    assert rejections(run, tmp_path / "others", Run(run.segmentation), resume=False).ids == frozenset()


def test_a_training_that_goes_on_keeps_to_what_it_began_with(run: Run) -> None:
    trained = started(run, rejected_ids=["a"])
    judge(run, "none")
    found = rejections(run, run.pseudo_masks, trained, resume=True)
    assert found == Rejections(frozenset("a"), since=frozenset(["none"]), readmitted=frozenset("a"))
    notice = found.notice(run, trained)
    assert notice is not None
    assert notice.startswith(
        "1 masks were rejected since the training began and 1 masks that it leaves out are no longer "
        "rejected; to train by the review as it is now: swtformer segment "
    )
    words = shlex.split(notice.partition("now: swtformer ")[2])
    build_app().parse_args(words, exit_on_error=False, print_error=False)
    assert words[-1] == str(run.path / "segmentation-reviewed")
    assert Rejections(frozenset("a")).notice(run, trained) is None


def test_masks_that_are_gone_are_no_news(run: Run) -> None:
    trained = started(run, rejected_ids=[])
    judge(run, "none")
    run.pseudo_mask_file("none").unlink()
    assert rejections(run, run.pseudo_masks, trained, resume=True) == Rejections(frozenset())


def test_a_training_that_noted_a_number_only_goes_on_where_it_was_none(run: Run) -> None:
    judge(run, "a")
    trained = started(run, rejected=0)
    found = rejections(run, run.pseudo_masks, trained, resume=True)
    assert (found.ids, found.since) == (frozenset(), frozenset("a"))
    write_json(trained.environment_file, {"rejected": 1})
    assert rejections(run, run.pseudo_masks, trained, resume=True) == Rejections(frozenset("a"))


def test_the_review_of_corrected_masks_decides_about_what_was_corrected(run: Run) -> None:
    judge(run, "a")
    making = open_queue(run).masks
    notes = {"corrected": {"a": 1, "none": 3}, "making": making, "versions": {"a": "v1", "none": "v1"}}
    masks = corrected_masks(run, **notes)
    queue = open_queue(run, "corrected_masks")
    decide(run, "none", "reject", masks=queue.masks, reviewed="corrected_masks")
    assert rejections(run, masks, Run(run.segmentation), resume=False).ids == {"none"}
    corrected_masks(run, **notes | {"versions": {"a": "v1", "none": "v2"}})
    assert rejections(run, masks, Run(run.segmentation), resume=False).ids == frozenset()


def test_decisions_hold_for_corrected_masks_of_the_making_that_was_looked_at(run: Run) -> None:
    trained = Run(run.segmentation)
    making = open_queue(run).masks
    judge(run, "a")
    judge(run, "none")
    masks = corrected_masks(run, corrected={"none": 3}, making=making)
    assert rejections(run, masks, trained, resume=False).ids == {"a"}  # "none" is another mask by now
    write_json(run.pseudo_masks_file, {"margin": 0.2})
    assert rejections(run, masks, trained, resume=False).ids == {"a"}
    judge(run, "sub/b")  # a mask that the corrected ones do not hold
    assert rejections(run, masks, trained, resume=False).ids == {"a"}
    corrected_masks(run)  # which does not say what it is of
    assert rejections(run, masks, trained, resume=False).ids == {"sub/b"}
