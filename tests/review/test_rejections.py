from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.mask_runs import SIZES, draw_mask_run
from swtformer.cli.entry import build_app
from swtformer.review.decisions import Decision, decide
from swtformer.review.rejections import Rejections, rejections
from swtformer.store.corrections import Corrections, write_corrections
from swtformer.store.files import write_json
from swtformer.store.pseudo_masks import version_of
from swtformer.store.review_queue import Review, write_reviews
from swtformer.store.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = draw_mask_run(tmp_path)
    write_json(run.pseudo_masks_file, {"margin": 0.1})
    write_reviews(run, [Review(id, 0.5, 0.5, None, 0.0) for id in SIZES])
    return run


def judge(run: Run, id: str, decision: Decision = "reject") -> None:
    decide(run, id, decision, version=version_of(run.pseudo_masks))


def started(run: Run, rejected: Sequence[str]) -> Run:
    trained = Run(run.segmentation)
    trained.model.mkdir(parents=True)
    write_json(trained.environment_file, {"rejected_ids": rejected})
    return trained


def test_a_new_training_follows_the_review(run: Run, tmp_path: Path) -> None:
    judge(run, "a")
    for resume in (False, True):
        assert rejections(run, run.pseudo_masks, Run(run.segmentation), resume=resume) == Rejections(
            frozenset("a")
        )
    assert rejections(run, tmp_path / "others", Run(run.segmentation), resume=False).ids == frozenset()


def test_a_resumed_training_keeps_the_list_it_started_with(run: Run) -> None:
    trained = started(run, ["a"])
    judge(run, "none")
    found = rejections(run, run.pseudo_masks, trained, resume=True)
    assert found == Rejections(frozenset("a"), since=frozenset(["none"]), readmitted=frozenset("a"))
    notice = found.notice(run, trained)
    assert notice is not None
    assert "1 masks were rejected since the training began" in notice
    assert "1 masks that it leaves out are no longer rejected" in notice
    words = shlex.split(notice.partition("now: swtformer ")[2])
    build_app().parse_args(words, exit_on_error=False, print_error=False)
    assert words[-1] == str(run.path / "segmentation-reviewed")
    assert Rejections(frozenset("a")).notice(run, trained) is None


def test_a_training_without_weights_follows_the_current_review(run: Run) -> None:
    trained = started(run, ["a"])
    trained.model.rmdir()
    assert rejections(run, run.pseudo_masks, trained, resume=True) == Rejections(frozenset())


def test_corrected_masks_of_the_run_are_its_own(run: Run) -> None:
    judge(run, "a")
    corrections = Corrections(
        base=run.pseudo_masks, corrected={"none": "v1"}, version=version_of(run.pseudo_masks)
    )
    write_corrections(run.corrected_masks, corrections)
    assert rejections(run, run.corrected_masks, Run(run.segmentation), resume=False).ids == {"a"}
