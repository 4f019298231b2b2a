"""What a result in Label Studio's exports says about an image: the labels of one control."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CHOICES = "choices"
REGIONS = (
    "brushlabels",
    "polygonlabels",
    "rectanglelabels",
    "keypointlabels",
    "ellipselabels",
    "bitmasklabels",
    "vectorlabels",
    "labels",
)
"""Types of results that are regions with labels."""
OUTLINES = frozenset({"brushlabels", "polygonlabels", "bitmasklabels"})

_PLACES = frozenset({"x", "points", "rle", "vertices", "start"})
"""Fields of a value that belongs to one region; choices with such are about the region, not the image."""


@dataclass(frozen=True)
class Answer:
    """Labels that one control of the labelling interface gave.

    Attributes:
        control: its name.
        kind: type of the result, `CHOICES` or one of `REGIONS`.
        labels: each once.
    """

    control: str
    kind: str
    labels: tuple[str, ...]


def json_answers(results: Iterable[Any]) -> Iterator[Answer]:
    """Answers in the results of an annotation of the JSON export."""
    for result in results:
        kind = result.get("type") if isinstance(result, dict) else None
        value = result.get("value") if kind else None
        if isinstance(kind, str) and isinstance(value, dict):
            yield from answer_of(str(result.get("from_name", kind)), kind, value)


def answer_of(control: str, kind: str, value: Mapping[str, Any]) -> Iterator[Answer]:
    """The labels of one result; none where it does not label the image."""
    names = value.get(kind)
    if isinstance(names, str):
        names = [names]
    if kind == "taxonomy" and isinstance(names, list):
        names, kind = [path[-1] for path in names if isinstance(path, list) and path], CHOICES
    is_of_region = kind == CHOICES and not _PLACES.isdisjoint(value)
    if (kind == CHOICES or kind in REGIONS) and not is_of_region and isinstance(names, list):
        yield Answer(control, kind, tuple(str(name).strip() for name in names))


def merged(answers: Iterable[Answer]) -> tuple[Answer, ...]:
    """One answer per control and kind."""
    labels: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for answer in answers:
        labels[answer.control, answer.kind].update(dict.fromkeys(filter(None, answer.labels)))
    return tuple(Answer(control, kind, tuple(found)) for (control, kind), found in labels.items())


def cell_answers(control: str, value: Any, *, texts: bool) -> Iterator[Answer]:
    """Answers in a cell of JSON-MIN or CSV; a plain text is a choice if `texts` is set."""
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, dict):
            kind = next((kind for kind in (CHOICES, "taxonomy", *REGIONS) if kind in part), None)
            if kind is not None:
                yield from answer_of(control, kind, part)
        elif isinstance(part, str) and texts:
            yield Answer(control, CHOICES, (part.strip(),))
