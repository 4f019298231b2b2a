"""Results of the stages after `localize`: refined maps, pseudo-masks and the segmentation network."""

from __future__ import annotations

from dataclasses import dataclass

from swtformer.report.history import History, read_history
from swtformer.report.rounds import Rounds, read_rounds
from swtformer.scoring.supervision import caution, trained_on_note
from swtformer.settings import SegmentSettings
from swtformer.store.models import newest_network
from swtformer.store.notes import PseudoMaskNotes, RefinedNotes, read_notes
from swtformer.store.review_queue import Review, read_reviews
from swtformer.store.run import RefinedRun, Run
from swtformer.store.scores import HeldOutScores, Scores, read_held_out_scores, read_scores

REVIEWS_SHOWN = 10
"""Rows of the review queue on the page."""


@dataclass(frozen=True)
class Network:
    """The run's newest segmentation network.

    Attributes:
        held_out: what its training measured; None while it has not finished.
        scores: scores of its masks of the run's images; None where `run` has not scored them.
    """

    folder: str
    settings: SegmentSettings
    held_out: HeldOutScores | None
    scores: Scores | None
    history: History | None

    @property
    def supervision(self) -> str:
        """Kind of the masks that it was trained on; "given" where that is not known."""
        return "given" if self.held_out is None else self.held_out.supervision

    @property
    def note(self) -> str:
        """What training and scores have in common, in words; empty without scores."""
        if self.scores is None:
            return ""
        return trained_on_note(self.scores.trained_on, self.scores.images, self.supervision)

    @property
    def caution(self) -> str:
        """What to know of its scores where masks were drawn by hand; empty where nothing."""
        return "" if self.held_out is None and self.scores is None else caution(self.supervision)


@dataclass(frozen=True)
class LaterStages:
    """Results of each stage; empty or None where it was not run.

    Attributes:
        pseudo_mask_scores: against ground truth; None where `run` has not scored them.
        reviews: the least sure pseudo-masks, the least sure first.
        confidence: mean over all pseudo-masks.
    """

    refinement: RefinedNotes | None
    refined_scores: Scores | None
    pseudo_masks: PseudoMaskNotes | None
    pseudo_mask_scores: Scores | None
    reviews: tuple[Review, ...]
    confidence: float | None
    network: Network | None
    rounds: Rounds


def read_later_stages(run: Run) -> LaterStages:
    """Read the results that the run holds.

    Raises:
        SwtformerError: a file is damaged; the message names it.
    """
    is_whole = run.review_file.is_file() and run.pseudo_masks_file.is_file()
    reviews = read_reviews(run) if is_whole else ()
    return LaterStages(
        refinement=read_notes(run.refined_file, RefinedNotes),
        refined_scores=read_scores(RefinedRun(run.path).scores_file),
        pseudo_masks=read_notes(run.pseudo_masks_file, PseudoMaskNotes),
        pseudo_mask_scores=read_scores(run.pseudo_mask_scores_file),
        reviews=reviews[:REVIEWS_SHOWN],
        confidence=sum(row.confidence for row in reviews) / len(reviews) if reviews else None,
        network=_network(run, newest_network(run) or Run(run.segmentation)),
        rounds=read_rounds(run),
    )


def _network(run: Run, trained: Run) -> Network | None:
    if not trained.settings_file.is_file():
        return None
    return Network(
        folder=trained.path.relative_to(run.path).as_posix(),
        settings=trained.settings().segment,
        held_out=read_held_out_scores(trained),
        scores=read_scores(Run(trained.predictions).scores_file),
        history=read_history(trained),
    )
