"""What the stages behind the maps left: refined maps' scores, pseudo-masks and the segmentation network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swtformer.report.history import History, read_history
from swtformer.scoring.sheet import (
    ScoreSheet,
    SegmentationScore,
    caution,
    read_scores,
    read_sheet,
    trained_on_note,
)
from swtformer.store.files import read_json
from swtformer.store.models import newest_network
from swtformer.store.review_queue import Review, read_reviews
from swtformer.store.run import RefinedRun, Run

REVIEWS_SHOWN = 10
"""Rows of the review queue on the page."""


@dataclass(frozen=True)
class LaterStages:
    """Empty where a stage was not run.

    Attributes:
        refinement: refined.json.
        refined_scores: scores of the refined maps, one per background policy.
        scored: split and number of images that these scores are about.
        pseudo_masks: pseudo_masks.json.
        pseudo_mask_scores: against ground truth; None where `run` has not scored them.
        reviews: the least sure pseudo-masks, the least sure first.
        confidence: mean over all pseudo-masks; None where there are none.
        network: folder and settings of the run's newest segmentation network, and scores.json of its training
            on top of them.
        network_scores: of its masks of the run's images against ground truth; None where `run` has not scored
            them.
        history: the course of its training.
    """

    refinement: Mapping[str, Any]
    refined_scores: tuple[SegmentationScore, ...]
    scored: str
    pseudo_masks: Mapping[str, Any]
    pseudo_mask_scores: ScoreSheet | None
    reviews: tuple[Review, ...]
    confidence: float | None
    network: Mapping[str, Any]
    network_scores: ScoreSheet | None
    history: History | None

    @property
    def note(self) -> str:
        """What the training and the scores of the network have in common, in words."""
        sheet = self.network_scores
        if sheet is None:
            return ""
        return trained_on_note(sheet.trained_on, sheet.images, str(self.network.get("supervision", "")))

    @property
    def caution(self) -> str:
        """What drawn masks had to do with the network's scores; empty where nothing, or where it has none."""
        trained = "supervision" in self.network or self.network_scores is not None
        return caution(str(self.network.get("supervision", ""))) if trained else ""


def read_later_stages(run: Run) -> LaterStages:
    """Read what there is.

    Raises:
        SwtformerError: a file is damaged; the message names it.
    """
    sheet = read_scores(RefinedRun(run.path))
    is_labelled = run.review_file.is_file() and run.pseudo_masks_file.is_file()
    reviews = read_reviews(run) if is_labelled else ()
    trained = newest_network(run) or Run(run.segmentation)
    network: dict[str, Any] = {}
    if trained.settings_file.is_file():
        network = {
            "folder": trained.path.name,
            **trained.settings().segment.model_dump(mode="json"),
            **_json(trained.scores_file),
        }
    return LaterStages(
        refinement=_json(run.refined_file),
        refined_scores=tuple(item for item in sheet.segmentation if item.source == "refined")
        if sheet
        else (),
        scored=f"{sheet.split}, {sheet.images} images" if sheet else "",
        pseudo_masks=_json(run.pseudo_masks_file),
        pseudo_mask_scores=_sheet(run.pseudo_mask_scores_file),
        reviews=reviews[:REVIEWS_SHOWN],
        confidence=sum(row.confidence for row in reviews) / len(reviews) if reviews else None,
        network=network,
        network_scores=_sheet(Run(trained.predictions).scores_file),
        history=read_history(trained),
    )


def _sheet(path: Path) -> ScoreSheet | None:
    return read_sheet(path) if path.is_file() else None


def _json(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.is_file() else {}
