"""PASCAL VOC's lists of one class, such as ImageSets/Main/cat_train.txt: which images show the class."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swtformer.datasets.problems import Problems
from swtformer.datasets.rows import read_lines

_LINE = re.compile(r"(\S+)\s+(-1|0|1)")
_START_BYTES = 1000


@dataclass(frozen=True)
class ClassLists:
    """What the lists of a folder say.

    Attributes:
        classes: names of the classes, sorted.
        labels: classes by image, those of difficult objects included.
        splits: lines of each split as (image, file:line), of the first class's list.
    """

    classes: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]
    splits: Mapping[str, Sequence[tuple[str, str]]]


def is_class_list(file: Path) -> bool:
    """Whether a list holds one class's verdicts ("2008_000002 -1"), and is named by class and split."""
    if "_" not in file.stem:
        return False
    with file.open("rb") as stream:
        start = stream.readline(_START_BYTES).decode("utf-8", errors="replace").strip()
    return _LINE.fullmatch(start) is not None


def class_and_split(file: Path) -> tuple[str, str]:
    """The class and the split that a list is of, by its name."""
    name, _, split = file.stem.rpartition("_")
    return name, split


def read_class_lists(
    files: Iterable[Path],
    chosen: Collection[str] | None,
    problems: Problems,
    *,
    must_be_complete: bool = True,
) -> ClassLists:
    """Read the lists of all classes and splits.

    A line holds an image and 1 (the class is there), 0 (all its objects are difficult) or -1. 0 counts as
    there, as difficult objects do in the XML files.

    Args:
        files: `<class>_<split>.txt` each.
        chosen: the classes to read; None reads all.
        problems: gets lines of another form, and images that some classes have no verdict on or two.
        must_be_complete: whether an image that some class has no verdict on is fatal. If not, the lists say
            nothing of it, with a warning.
    """
    verdicts: dict[str, dict[str, bool]] = defaultdict(dict)
    splits: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(dict)
    faults: list[str] = []
    difficult: Counter[str] = Counter()
    for file in sorted(files):
        name, split = class_and_split(file)
        if chosen is not None and name not in chosen:
            continue
        listed = splits[split].setdefault(name, [])
        for number, text in read_lines(file):
            source = f"{file}:{number}"
            match = _LINE.fullmatch(text)
            if match is None:
                faults.append(f"{source}: expected an image and 1, 0 or -1, got {text!r:.60}.")
                continue
            id, is_there = match[1], match[2] != "-1"
            if verdicts[id].setdefault(name, is_there) != is_there:
                faults.append(f"{source}: {id} has another value than in the other list of {name!r}.")
            difficult[file.name] += match[2] == "0"
            listed.append((id, source))
    classes = tuple(sorted({name for lists in splits.values() for name in lists}))
    missing = _missing(classes, verdicts, splits)
    advice = "Complete the list, or name the classes in `data.classes`."
    if must_be_complete or faults:
        problems.fatal_once("class_list", faults or [f"{message} {advice}" for message in missing.values()])
    elif missing:
        without = "1 image is" if len(missing) == 1 else f"{len(missing)} images are"
        problems.warn(
            "class_list",
            f"{next(iter(missing.values()))} {without} not in the lists of all classes and left to other "
            f"sources of labels, such as masks. {advice}",
        )
    if count := difficult.total():
        first = next(name for name in difficult if difficult[name])
        problems.warn(
            "difficult", f"{first}: 0 (difficult) counts as present, as 1 does; {count} lines hold it."
        )
    return ClassLists(
        classes,
        {
            id: tuple(name for name in classes if own.get(name))
            for id, own in verdicts.items()
            if id not in missing
        },
        {split: next(iter(lists.values())) for split, lists in splits.items()},
    )


def _missing(
    classes: Sequence[str],
    verdicts: Mapping[str, Mapping[str, bool]],
    splits: Mapping[str, Mapping[str, Sequence[tuple[str, str]]]],
) -> dict[str, str]:
    """Images that some class has no verdict on, with a message for each."""
    return {
        id: f"{source}: {id} is not in the list {name}_{split}.txt."
        for split, lists in splits.items()
        for id, source in dict(line for listed in lists.values() for line in listed).items()
        for name in [name for name in classes if name not in verdicts[id]][:1]
    }
