"""Doubts about class names and labels that look like mistakes: said, never corrected."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from swtformer.datasets.background import sounds_like_nothing, sounds_unknown
from swtformer.datasets.problems import Problems

ALIKE = 0.95
"""Share of the images of two classes that show both, from which nothing tells the classes apart."""

MOST_CLASSES = 5000

MOST_COMPARED = 1000
"""Classes whose names are compared letter by letter."""

FEW = 3
"""Images at most of a class whose name may be a misspelling."""

RARE = 4
"""How many times as many images the other class must have."""

SHORTEST = 4
"""Letters of a name that may be misspelled; shorter names that differ by one letter are often others."""

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_JOINTS = re.compile(r"[\s_+&/|;,-]+(?:and|und|et|y|with)?[\s_+&/|;,-]*")


def doubt_classes(names: Sequence[str], labels: Sequence[frozenset[int]], problems: Problems) -> None:
    """Warn of names that are probably one class, or several, and of classes that cannot be told apart.

    Args:
        names: class names.
        labels: class indices of each labelled image.
        problems: receives the warnings.
    """
    for name in names:
        if _INVISIBLE.search(name):
            message = f"class {name!r} holds characters that cannot be seen; remove them from the labels."
            problems.warn("class_name", message)
        if sounds_like_nothing(name):
            message = f"class {name!r} may mean that there is nothing to see; if so, call it background."
            problems.warn("class_nothing", message)
        if sounds_unknown(name):
            message = f"class {name!r} may mean that nobody knows; if so, leave its images out."
            problems.warn("class_unknown", message)
    _doubt_spellings(names, problems)
    _doubt_typing(names, labels, problems)
    _doubt_combinations(names, problems)
    _doubt_pairs(names, labels, problems)


def _doubt_spellings(names: Sequence[str], problems: Problems) -> None:
    spelled: dict[str, list[str]] = {}
    for name in names:
        spelled.setdefault(_spelling(name), []).append(name)
    for key, own in list(spelled.items()):
        if key.endswith("s") and (singular := _singular(key, spelled)):
            spelled[singular] += own
            del spelled[key]
    for own in spelled.values():
        if len(own) > 1:
            shown = " and ".join(repr(name) if name.isascii() else ascii(name) for name in own)
            message = f"{shown} are probably one class; write them alike, or they are trained as {len(own)}."
            problems.warn("class_spelling", message)


def _doubt_typing(names: Sequence[str], labels: Sequence[frozenset[int]], problems: Problems) -> None:
    """Warn of a rare class whose name is a letter away from that of a frequent one."""
    if len(names) > MOST_COMPARED:
        return
    images = Counter(index for present in labels for index in present)
    spelled = [_spelling(name) for name in names]
    for own, name in enumerate(spelled):
        if len(name) < SHORTEST or not (name.isascii() and name.isalpha()) or not 0 < images[own] <= FEW:
            continue
        plurals = (f"{name}s", name.removesuffix("s"))  # these are doubted as spellings
        near = [
            place
            for place, other in enumerate(spelled)
            if images[place] >= RARE * images[own] and other not in plurals and _is_near(name, other)
        ]
        if near:
            best = max(near, key=lambda place: images[place])
            message = (
                f"class {names[own]!r} (images: {images[own]}) may be a misspelling of {names[best]!r} "
                f"({images[best]}); if so, correct the labels."
            )
            problems.warn("class_spelling", message)


def _is_near(one: str, other: str) -> bool:
    """Whether two names differ by one letter more, less or other, or by two neighbours in turned order."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    start = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if start is None:
        return True  # one letter more at the end
    rest, last = one[start:], other[start:]
    turned = rest[1::-1] == last[:2] and rest[2:] == last[2:]
    return turned or rest[1:] == last or rest == last[1:] or rest[1:] == last[1:]


def _spelling(name: str) -> str:
    """A name without case, composition of characters, what cannot be seen, blanks and punctuation."""
    folded = _INVISIBLE.sub("", unicodedata.normalize("NFKC", name)).casefold()
    return re.sub(r"[\s_.\-]+", " ", folded).strip()


def _singular(key: str, known: dict[str, list[str]]) -> str | None:
    endings = (
        key[:-1],
        key[:-2] if key.endswith("es") else "",
        f"{key[:-3]}y" if key.endswith("ies") else "",
    )
    return next((name for name in endings if len(name) > 2 and name in known), None)


def _doubt_combinations(names: Sequence[str], problems: Problems) -> None:
    by_spelling = {_spelling(name): name for name in names}
    for name in names:
        parts = [_spelling(part) for part in _JOINTS.split(name) if part.strip()]
        if len(parts) > 1 and all(part in by_spelling and by_spelling[part] != name for part in parts):
            shown = " and ".join(repr(by_spelling[part]) for part in parts)
            message = f"class {name!r} looks like {shown} together; if so, give the image both labels."
            problems.warn("class_combination", message)


def _doubt_pairs(names: Sequence[str], labels: Sequence[frozenset[int]], problems: Problems) -> None:
    if len(names) > MOST_CLASSES:
        return
    images = Counter(index for present in labels for index in present)
    both = Counter(pair for present in labels for pair in combinations(sorted(present), 2))
    for (one, other), count in sorted(both.items()):
        either = images[one] + images[other] - count
        if count > 1 and count >= ALIKE * either:
            message = (
                f"classes {names[one]!r} and {names[other]!r} are together in {count} of the {either} "
                "images that show either, so nothing tells them apart; add images that show only one of "
                "them."
            )
            problems.warn("class_pair", message)
