"""What separates several labels in one cell: told from all cells of a table together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

MARKS = ("\n", ";", "\uff1b", "\u3001", "|", ",", "\uff0c", "+", "/", "&", " ")
"""What may separate labels, in the order in which they are tried; some are of Chinese and Japanese."""

CERTAIN = MARKS[:5]
"""Marks that names do not hold: they always separate."""

COMMAS = (",", "\uff0c")

MOST_COMPARED = 500
"""Different cells that are compared with one another."""

WORDS = {"\n": "line ends", " ": "blanks"}
"""Marks that cannot be seen, in words."""


@dataclass(frozen=True)
class Separator:
    """What separates labels.

    Attributes:
        mark: None where every cell is one label.
        doubt: a question, if it cannot be told.
    """

    mark: str | None
    doubt: str = ""


def mark_of(said: str) -> str | None:
    """The mark that a user means: a mark itself, or a word for it; None for "never"."""
    words = {"blank": " ", "space": " ", "comma": ",", "semicolon": ";", "tab": "\t", "line": "\n"}
    return None if said in {"", "never"} else words.get(said, said)


def shown(mark: str) -> str:
    """A mark in words."""
    return WORDS.get(mark, repr(mark))


def separate(text: str, mark: str | None, known: Collection[str] = ()) -> tuple[str, ...]:
    """The labels in a text, each once; a text that is a known class stays whole."""
    return tuple(dict.fromkeys(list_of(text, mark, known)))


def list_of(text: str, mark: str | None, known: Collection[str] = ()) -> list[str]:
    """The parts of a text in order, without empty ones; a text that is a known class stays whole."""
    if mark is None or text in known:
        return [text.strip()]
    parts = text.split() if mark == " " else text.split(mark)
    return [part.strip() for part in parts if part.strip()]


def find_separator(texts: Iterable[str], known: Collection[str] = ()) -> Separator:
    """The separator of a column.

    A mark separates if it never occurs in names (`CERTAIN`), or if its parts are names that are found alone:
    of "cat", "dog" and "cat dog", the last is a combination. Where only some combinations show that, it is a
    question.

    Args:
        texts: the cells that may hold several labels.
        known: class names; a text that equals one is not looked into.
    """
    whole = {text for text in texts if text and text not in known}
    for mark in MARKS:
        combined = {text for text in whole if mark in text and len(separate(text, mark)) > 1}
        if not combined:
            continue
        if mark in CERTAIN:
            return Separator(mark, _second(whole, mark, known))
        found = _evidence(combined, whole - combined, mark, known)
        if found == "shown":
            return Separator(mark, _second(whole, mark, known))
        if found == "doubtful":
            return Separator(None, _question(combined, mark))
    return Separator(None)


def _evidence(combined: set[str], alone: set[str], mark: str, known: Collection[str]) -> str:
    """Whether a mark separates: "shown", "doubtful" or "no"."""
    names = {*alone, *known}
    parts = {text: separate(text, mark) for text in combined}
    if all(part.isdecimal() for own in parts.values() for part in own):
        return "shown"
    whole = [text for text, own in parts.items() if all(part in names for part in own)]
    partners: Counter[str] = Counter()
    for own in parts.values():
        partners.update({part for part in own if part not in names and any(other in names for other in own)})
    explained = [text for text, own in parts.items() if all(p in names or partners[p] > 1 for p in own)]
    if len(explained) == len(parts) and (whole or mark in COMMAS):
        return "shown"
    vocabulary = {part for own in parts.values() for part in own}
    some = list(parts.values())[:MOST_COMPARED]
    is_within = any(set(one) < set(other) and one not in _runs(other) for one in some for other in some)
    shares = [text for text, own in parts.items() if any(part in names for part in own)]
    if mark in COMMAS:
        return "shown" if len(shares) == len(parts) else "doubtful"
    is_list = whole or is_within or len(parts) > len(vocabulary) or (mark != " " and shares)
    return "doubtful" if is_list else "no"


def _runs(parts: tuple[str, ...]) -> set[tuple[str, ...]]:
    """Parts that follow one another, as the words of a longer name do."""
    ends = range(1, len(parts) + 1)
    return {parts[start:end] for end in ends for start in range(end)}


def _second(whole: set[str], mark: str, known: Collection[str]) -> str:
    """A question, if names that one mark gives are combinations by another."""
    names = {part for text in whole for part in separate(text, mark, known)} - set(known)
    for other in MARKS:
        combined = {name for name in names if other in name and len(separate(name, other)) > 1}
        if other != mark and any(all(p in names for p in separate(name, other)) for name in combined):
            return _question(combined, other, beside=mark)
    return ""


def _question(combined: set[str], mark: str, beside: str | None = None) -> str:
    example = min(combined, key=lambda text: (len(text), text))
    parts = " and ".join(map(repr, separate(example, mark)))
    word = {" ": "blank", "\n": "line"}.get(mark, mark)
    if beside is not None:
        return (
            f"labels are separated by {shown(beside)}, but {example!r} looks like {parts}; write all cells "
            "with one separator"
        )
    return (
        f"is {example!r} one class, or {parts}? There are {len(combined)} such cells; say it by "
        f"reader.separator {_quoted(word)} or reader.separator never"
    )


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"\w+|[,+/]", word) else f"'{word}'"
