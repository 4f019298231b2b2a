from pathlib import Path

import numpy as np
import pytest

from swtformer.report.rounds import Rounds, read_rounds
from swtformer.settings import Settings
from swtformer.store.masks import write_mask
from swtformer.store.notes import PseudoMaskNotes, write_notes
from swtformer.store.review_queue import Review, write_reviews
from swtformer.store.run import Run


def write_round(run: Run, masks: dict[str, np.ndarray], *, confidence: float) -> None:
    run.write_settings(Settings())
    for id, labels in masks.items():
        write_mask(run.pseudo_mask_file(id), labels.astype(np.uint8))
    write_reviews(run, [Review(id, confidence, 0.5, None, 0.0) for id in masks])
    write_notes(run.pseudo_masks_file, PseudoMaskNotes(undecided=0.25, images=len(masks)))


def test_one_round_is_none(tmp_path: Path) -> None:
    write_round(Run(tmp_path), {"a": np.zeros((2, 2))}, confidence=0.5)
    assert read_rounds(Run(tmp_path)) == Rounds()


def test_changes_are_counted_where_both_rounds_decided(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_round(run, {"a": np.array([[0, 1], [255, 1]]), "b": np.full((2, 2), 255)}, confidence=0.5)
    write_round(
        run.round(2),
        {"a": np.array([[0, 0], [1, 1]]), "b": np.zeros((2, 2)), "c": np.zeros((2, 2))},
        confidence=0.75,
    )
    (run.round(2).pseudo_mask_file("c")).write_bytes(b"")
    found = read_rounds(run)
    assert [(row.number, row.folder) for row in found.rows] == [(1, ""), (2, "round-2")]
    assert found.changed == {"a": pytest.approx(1 / 3), "b": 0.0}
    assert found.rows[0].changed is None
    assert found.rows[1].changed == pytest.approx(1 / 6)
    assert [row.confidence for row in found.rows] == [0.5, 0.75]
    assert found.rows[1].undecided == 0.25
    assert found.rows[1].network is None
