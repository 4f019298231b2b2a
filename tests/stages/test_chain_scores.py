"""Figures of a whole run against an independent count, and which predictions are made again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.chain_data import draw_photos, quick_chain
from swtformer.datasets import open_dataset
from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.records import ImageSet
from swtformer.errors import SwtformerError
from swtformer.settings import Settings, merge
from swtformer.stages.chain import run_stages
from swtformer.stages.chain_scores import ChainScores, StepScore, score_chain
from swtformer.store.files import read_json, write_json
from swtformer.store.run import Run
from swtformer.store.scores import HeldOutScores, read_scores, write_held_out_scores

UNSCORED = 2
"""Images whose masks the data set does not have."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, ImageSet, Settings]:
    """A run up to its network, and its images, of which some have no mask."""
    folder = tmp_path_factory.mktemp("made")
    settings = quick_chain(folder)
    data = open_dataset(draw_photos(folder), settings.data)
    run = run_stages(data, settings=settings, out=folder / "run", until="segment").run
    records = [replace(record, mask=None) for record in data.records[:UNSCORED]]
    return run, replace(data, records=(*records, *data.records[UNSCORED:])), settings


def scored(made: tuple[Run, ImageSet, Settings], settings: Settings | None = None) -> ChainScores:
    run, data, own = made
    ids = [record.id for record in data.records[1:4]]
    write_json(Run(run.segmentation).training_ids_file, ids)
    return score_chain(run, data, settings=settings or own)


def by_hand(folder: Path, data: ImageSet, *, leave_out: bool) -> tuple[float, float]:
    """mIoU over labels that occur, in plain NumPy, and the part of the pixels that it is about."""
    pairs = [(read_mask(folder / f"{r.id}.png"), read_mask(r.mask)) for r in data.records if r.mask]
    made = np.concatenate([labels.reshape(-1) for labels, _ in pairs])
    truth = np.concatenate([labels.reshape(-1) for _, labels in pairs])
    known = truth != 255
    kept = known & (made != 255) if leave_out else known
    made, truth = made[kept], truth[kept]
    values = []
    for label in range(len(data.classes) + 1):
        union = ((made == label) | (truth == label)).sum()
        if union:
            values.append(((made == label) & (truth == label)).sum() / union)
    return float(np.mean(values)), float(kept.sum() / known.sum())


def of(scores: ChainScores, masks: str, background: str) -> StepScore:
    return next(step for step in scores.steps if (step.masks, step.background) == (masks, background))


def test_pseudo_masks_and_network_are_scored_as_counted_by_hand(
    made: tuple[Run, ImageSet, Settings],
) -> None:
    run, data, _ = made
    scores = scored(made)
    strict, whole = by_hand(run.pseudo_masks, data, leave_out=False)
    decided, coverage = by_hand(run.pseudo_masks, data, leave_out=True)
    network, _ = by_hand(Run(Run(run.segmentation).predictions).masks, data, leave_out=False)
    assert whole == 1
    assert 0 < coverage < 1
    miss, left_out = (of(scores, "pseudo-masks", text) for text in ("255 counts as a miss", "255 left out"))
    assert miss.miou == pytest.approx(strict)
    assert (left_out.miou, left_out.coverage) == pytest.approx((decided, coverage))
    assert of(scores, "segmentation network", "highest class").miou == pytest.approx(network)


def test_only_images_with_masks_are_scored_and_those_trained_on_are_counted(
    made: tuple[Run, ImageSet, Settings],
) -> None:
    run, data, _ = made
    scores = scored(made)
    assert scores.images == len(data) - UNSCORED
    assert "was trained on 2 of the 7, with their pseudo-masks" in scores.note
    assert read_json(run.pseudo_mask_scores_file)["trained_on"] == 2
    found = Run(Run(run.segmentation).predictions).masks.rglob("*.png")
    assert len(list(found)) == scores.images


def test_predictions_are_kept_until_network_or_settings_change(
    made: tuple[Run, ImageSet, Settings],
) -> None:
    run, _, settings = made
    target = Run(Run(run.segmentation).predictions)
    scored(made)
    before = {file: file.stat().st_ino for file in target.masks.rglob("*.png")}
    scored(made)
    assert {file: file.stat().st_ino for file in target.masks.rglob("*.png")} == before
    other = Settings.model_validate(
        merge(settings.model_dump(mode="json"), {"predict": {"flip": False, "overlays": True}})
    )
    scored(made, other)
    assert read_json(target.path / "predictions.json")["flip"] is False
    assert not (target.path / "overlays").exists()
    next(iter(before)).unlink()
    scored(made, other)
    assert next(iter(before)).is_file()


@pytest.mark.parametrize(
    ("supervision", "masks", "caution"),
    [
        ("pseudo_masks", "their pseudo-masks", ""),
        ("ground_truth", "their true masks", "it was trained on true masks"),
        ("corrected", "their corrected masks", "some of the masks it was trained on were corrected"),
        ("given", "masks of a folder", "it was trained on masks of a given folder; if any"),
    ],
)
def test_a_network_of_hand_drawn_masks_is_flagged(
    made: tuple[Run, ImageSet, Settings], tmp_path: Path, supervision: str, masks: str, caution: str
) -> None:
    run, data, settings = made
    copy = Run(Path(shutil.copytree(run.path, tmp_path / "run")))
    network = Run(copy.segmentation)
    write_held_out_scores(network, HeldOutScores(None, "masks", supervision, 7, 0))
    scores = score_chain(copy, data, settings=settings)
    assert [bool(step.caution) for step in scores.steps] == [False] * 5 + [bool(caution)]
    assert scores.steps[-1].caution.startswith(caution)
    assert f"with {masks}" in scores.note
    files = (Run(network.predictions).scores_file, copy.scores_file, copy.pseudo_mask_scores_file)
    written = [read_scores(file) for file in files]
    noted = [(sheet.supervision, sheet.caution) for sheet in written if sheet is not None]
    assert noted == [(supervision, scores.steps[-1].caution), (None, ""), (None, "")]


def test_a_network_whose_folder_was_cleaned_up_is_still_scored(
    made: tuple[Run, ImageSet, Settings], tmp_path: Path
) -> None:
    run, data, settings = made
    copy = Run(Path(shutil.copytree(run.path, tmp_path / "run")))
    Run(copy.segmentation).training_ids_file.unlink()
    Run(copy.segmentation).scores_file.unlink()
    scores = score_chain(copy, data, settings=settings)
    assert "an unknown number of the 7, with masks of a folder;" in scores.note
    assert read_json(copy.pseudo_mask_scores_file)["trained_on"] is None


def test_without_a_network_there_is_nothing_to_score(
    made: tuple[Run, ImageSet, Settings], tmp_path: Path
) -> None:
    _, data, settings = made
    with pytest.raises(SwtformerError, match="has no segmentation network"):
        score_chain(Run(tmp_path), data, settings=settings)
