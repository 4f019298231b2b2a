"""The page itself: everything that a run holds, put into one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from swtformer.label_values import BACKGROUND
from swtformer.report.cases import Case
from swtformer.report.colours import css, map_gradient
from swtformer.report.history import History, curves
from swtformer.report.later_stages import LaterStages
from swtformer.scoring.supervision import MASKS
from swtformer.settings import Settings, dump_settings
from swtformer.store.failures import Failure
from swtformer.store.masks import MaskRule, voc_palette
from swtformer.store.notes import TrainingNotes
from swtformer.store.scores import POLICIES, SOURCES, Scores, SegmentationScore

FAILURES_SHOWN = 200
"""Rows of failures.csv on the page; further ones are counted."""


@dataclass(frozen=True)
class Gallery:
    """One group of cases; `id` is its anchor on the page, `lead` says in a sentence how they were chosen."""

    id: str
    title: str
    lead: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Contents:
    """Everything that the page shows; None and empty where the run lacks it.

    Attributes:
        run_path: the run folder as commands take it, quoted for a shell.
        data_name: name of the data set, with its split.
        class_images: number of images labelled with each class; empty where labels are not known.
        maps: number of images with maps.
        masks: number of images with masks.
        map_classes: where the classes of each map came from: "given" or "predicted".
        failures: images that a stage skipped.
        missing: one line for each part that is not there, saying how to make it.
        written: date and time of the report.
    """

    run_name: str
    run_path: str
    data_name: str
    settings: Settings
    classes: tuple[str, ...]
    class_images: Mapping[str, int]
    maps: int
    masks: int
    has_rcam: bool
    mask_rule: MaskRule | None
    map_classes: str
    history: History | None
    scores: Scores | None
    galleries: tuple[Gallery, ...]
    failures: tuple[Failure, ...]
    environment: TrainingNotes
    missing: tuple[str, ...]
    written: str
    later: LaterStages


@dataclass(frozen=True)
class ClassRow:
    """One line of the table of classes; fractions, None where there is nothing to score."""

    value: int
    name: str
    colour: str
    images: int | None
    scored: bool
    iou: tuple[float | None, ...]
    ap: float | None


def render(contents: Contents) -> str:
    """Draw the page; every text from the run is escaped."""
    environment = Environment(
        loader=PackageLoader("swtformer.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, share=share, plain=plain, number=number, marked=marked)
    scores, network = contents.scores, contents.later.network
    refined = contents.later.refined_scores.segmentation if contents.later.refined_scores else ()
    return environment.get_template("report.html").render(
        page=contents,
        method=contents.settings.model.method,
        scores=scores,
        source_names=SOURCES,
        decision=_decision(contents.mask_rule),
        policies=_policies(scores),
        policy_names=POLICIES,
        score_rows=_score_rows(scores),
        quoted=scores.quoted() if scores else (),
        class_rows=_class_rows(contents),
        curves=curves(contents.history) if contents.history else [],
        later=contents.later,
        refined_entries=[entry for entry in refined if entry.source == "refined"],
        network=network,
        mask_names=MASKS,
        network_curves=curves(network.history) if network and network.history else [],
        gradient=map_gradient(),
        failures=contents.failures[:FAILURES_SHOWN],
        failures_left=max(0, len(contents.failures) - FAILURES_SHOWN),
        settings_text=dump_settings(contents.settings),
        facts=contents.environment.model_dump(mode="json", exclude_unset=True, exclude={"packages"}),
        packages=contents.environment.packages,
    )


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in percent, without the sign; n/a for None."""
    return "n/a" if value is None else f"{100 * value:.{digits}f}"


def share(value: float | None) -> str:
    """A fraction as a CSS length."""
    return f"{100 * (value or 0):.1f}%"


def number(value: float | None) -> str:
    """A plain number with up to six significant digits; empty for None."""
    return "" if value is None else f"{value:.6g}"


def plain(value: Any) -> str:
    """A value of a JSON file on one line: lists with commas, true as yes, null as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {plain(item)}" for name, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(plain(item) for item in value)
    return str(value)


def marked(text: str) -> Markup:
    """Text with the parts between backticks set as code; all of it is escaped."""
    parts = [
        Markup("<code>{}</code>").format(part) if i % 2 else escape(part)
        for i, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def _decision(rule: MaskRule | None) -> str:
    """How a rule decides on the background, in words."""
    if rule is None or rule.threshold is None:
        return "a pixel gets the channel that is highest there, background included"
    how = f"a pixel is background where no class exceeds {rule.threshold:.3g}"
    return f"{how}, a threshold chosen without any ground truth" if rule.policy == "label_free" else how


def _policies(scores: Scores | None) -> list[str]:
    """Policies that were scored, the oracle last."""
    scored = {entry.policy for entry in scores.segmentation} if scores else set()
    return [name for name in POLICIES if name in scored]


def _score_rows(scores: Scores | None) -> list[tuple[str, list[SegmentationScore | None]]]:
    """Table of sources by policies."""
    if scores is None:
        return []
    table = {(entry.source_name, entry.policy): entry for entry in scores.segmentation}
    names = dict.fromkeys(entry.source_name for entry in scores.segmentation)
    return [(name, [table.get((name, policy)) for policy in _policies(scores)]) for name in names]


def _class_rows(contents: Contents) -> list[ClassRow]:
    """Background, then the classes in the order of their mask values."""
    scores = contents.scores
    quoted = scores.quoted() if scores else ()
    ap = scores.classification.ap if scores and scores.classification else {}
    palette = voc_palette()
    return [
        ClassRow(
            value=value,
            name=name,
            colour=css(palette[value]),
            images=contents.class_images.get(name),
            scored=scores is None or name in scores.scored_classes,
            iou=tuple(entry.iou.get(name) for entry in quoted),
            ap=ap.get(name),
        )
        for value, name in enumerate((BACKGROUND, *contents.classes))
    ]
