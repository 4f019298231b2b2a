"""Labels in file names, found by a regular expression of the user."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

from swtformer.datasets.rows import is_whole_number
from swtformer.errors import some

SEPARATORS = (";", "|", ",", "+", "&", " ", "_", "-")
"""What may stand between the names that a group `labels` finds; the first that occurs counts."""

_BRACKETS = str.maketrans("", "", "[](){}'\"")
_DIGITS = re.compile("[01]{2,}")
_VECTORS_IN_NAMES = (
    (re.compile(r"\[[01](?:[ ,]*[01])+\]"), r"\[(?P<labels>[01 ,]+)\]"),
    (re.compile(r"[_-][01]{3,}$"), r"[_-](?P<labels>[01]+)\."),
)
_WORDS_IN_NAMES = (
    (re.compile(r"^([A-Za-z]+(?:[ _-][A-Za-z]+)*)(?=[ _.-]*\d)"), "^(?P<label>[A-Za-z]+(?:[ _-][A-Za-z]+)*)"),
    (re.compile(r"\d[_-]([A-Za-z]+\d*)$"), r"[_-](?P<label>[A-Za-z]+\d*)\."),
)
"""What labels look like at a place of a name, and the pattern that finds them there."""

_MOST_WORDS = 50
_VECTOR = re.compile(r"[01]|[01]{2,}|[01](?:[\s,;|_+-]+[01])+")


class NamePattern:
    """Reads labels from the names of images.

    The groups whose names begin with "label" hold a label each; a group "labels" holds several names, or a 0
    or 1 for each declared class. Where the pattern fits but no group takes part, the image has no label.

    Attributes:
        text: the regular expression. It is searched in the file name, or in the path below the data set if
            it contains a slash.
        found_numbers: whether any label was the number of a declared class.
    """

    def __init__(self, text: str, classes: Sequence[str] | None, separator: str | None) -> None:
        self.text = text
        self._expression = re.compile(text)
        self._classes = classes
        self._separator = separator
        self.found_numbers = False

    def labels(self, name: str) -> tuple[str, ...] | None:
        """Labels in a name; None where the pattern does not fit it.

        Args:
            name: path of the image below the data set, with slashes.

        Raises:
            ValueError: the pattern fits, but what it finds is not a label; says what it found.
        """
        fit = self._expression.search(name if "/" in self.text else name.rpartition("/")[2])
        if fit is None:
            return None
        labels: list[str] = []
        for group, found in fit.groupdict().items():
            if found is None or not group.startswith("label"):
                continue
            labels += self._several(found) if group == "labels" else [self._named(found.strip())]
        return tuple(dict.fromkeys(label for label in labels if label))

    def _several(self, found: str) -> list[str]:
        text = found.translate(_BRACKETS).strip()
        if self._separator is None and text not in (self._classes or ()) and _VECTOR.fullmatch(text):
            return self._present(found, [int(digit) for digit in text if digit in "01"])
        mark = self._separator or self._mark(text)
        return [self._named(part.strip()) for part in text.split(mark) if part.strip()]

    def _present(self, found: str, values: Sequence[int]) -> list[str]:
        """The classes whose value is 1."""
        if self._classes is None:
            raise ValueError(
                f"the labels {found!r} are a 0 or 1 for each class, whose names are not known; list them in "
                "order in `data.classes` or in classes.txt"
            )
        if len(values) != len(self._classes):
            raise ValueError(
                f"the labels {found!r} have {len(values)} values for {len(self._classes)} declared classes "
                f"({', '.join(self._classes)})"
            )
        return [name for name, value in zip(self._classes, values, strict=True) if value]

    def _mark(self, text: str) -> str:
        """The separator in a text: one that gives declared classes only, else the first that occurs."""
        there = [mark for mark in SEPARATORS if mark in text]
        known = set(self._classes or ())
        if text in known or not there:
            return ";"
        return next(
            (mark for mark in there if {part.strip() for part in text.split(mark)} <= known), there[0]
        )

    def _named(self, label: str) -> str:
        """The class of a number, where the classes are declared by name."""
        classes = self._classes
        if classes is None or label in classes or not is_whole_number(label):
            return label
        if int(label) >= len(classes):
            hint = (
                "; if it is a 0 or 1 for each class, name the group labels"
                if _DIGITS.fullmatch(label)
                else ""
            )
            raise ValueError(
                f"the label {label} is not a class name, and as a number from 0 it is beyond the "
                f"{len(classes)} declared classes{hint}"
            )
        self.found_numbers = True
        return classes[int(label)]


def pattern_hint(names: Sequence[str]) -> str:
    """Which pattern may find labels in the names of images, as sentences; "" where none comes to mind.

    Args:
        names: of all images, without folders and extensions.
    """
    if not names:
        return ""
    for found, pattern in _VECTORS_IN_NAMES:
        if all(map(found.search, names)):
            return (
                f"If {names[0]!r} holds a 0 or 1 for each class, set data.pattern to '{pattern}' and list "
                "the classes in data.classes."
            )
    for found, pattern in _WORDS_IN_NAMES:
        matches = [found.search(name) for name in names]
        counts = Counter(match[1] for match in matches if match)
        if counts.total() == len(names) and 1 < len(counts) <= _MOST_WORDS and min(counts.values()) > 1:
            return f"If {some(sorted(counts))} in the file names are labels, set data.pattern to '{pattern}'."
    return ""


def are_vectors(labels: Collection[str]) -> bool:
    """Whether labels look like a 0 or 1 for each class, of which one label was made."""
    return len({len(label) for label in labels}) == 1 and all(_DIGITS.fullmatch(label) for label in labels)
