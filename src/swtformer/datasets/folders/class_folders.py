"""Doubts about whether the sub-folders of a folder are named after classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from swtformer.datasets.background import is_background, sounds_like_nothing
from swtformer.datasets.folders.folder_names import (
    usually_holds_images,
    usually_holds_masks,
    usually_is_part,
)
from swtformer.datasets.splits import is_split, split_within


def image_folders(names: Sequence[str]) -> list[str]:
    """Top folders of images, sorted.

    Args:
        names: paths of the images below the data set.
    """
    return sorted({name.partition("/")[0] for name in names if "/" in name})


def doubts(names: Sequence[str], declared: Collection[str]) -> Iterator[str]:
    """What speaks against folders of classes, as ends of messages.

    Args:
        names: paths of the images below the data set, or below its splits.
        declared: class names that the user gave, which are beyond doubt.
    """
    below: dict[str, set[str]] = defaultdict(set)
    stems: dict[str, set[str]] = defaultdict(set)
    direct: set[str] = set()
    for name in names:
        folder, *rest = name.split("/")
        if not rest:
            continue
        stems[folder].add(PurePosixPath(rest[-1]).stem)
        if len(rest) > 1:
            below[folder].add(rest[0])
        else:
            direct.add(folder)
    classes = [name for name in stems if name not in declared and not is_background(name)]
    if not classes:
        return
    shown = ", ".join(sorted(classes)[:5])
    if all(usually_holds_images(name) or usually_holds_masks(name) for name in classes):
        yield _no_classes(shown, below[classes[0]] if len(classes) == 1 else set())
        return
    if len(classes) > 1 and all(map(usually_is_part, classes)):
        yield (
            f"the folders {shown} look like patients, dates, bands or other parts, not like classes. "
            "Add a table labels.csv with the columns image,labels, or name the classes in `data.classes`."
        )
        return
    if len(classes) == 1 and len(stems) == 1 and classes[0] not in direct and len(below[classes[0]]) > 1:
        inner = ", ".join(sorted(below[classes[0]])[:5])
        yield (
            f"the only folder is {shown}, with the folders {inner} in it. If those are the classes, give "
            f"the path of {shown}; if {shown} is the only class, name it in `data.classes`."
        )
    if len({split_within(name) for name in classes} - {None}) > 1 and not any(map(is_split, classes)):
        yield f"the folders {shown} look like splits. Name them train, val and test, or open one of them."
    splits = sorted(name for name in classes if is_split(name))
    if len(splits) > 1 or (splits and len(classes) > 1 and not set(splits) & direct):
        beside = sorted(set(stems) - set(splits))
        others = ", ".join(beside[:5])
        if beside and all(map(usually_holds_masks, beside)):
            advice = f"and {others} like masks; name that folder in `data.masks`."
            good = set().union(*(below[name] for name in splits if split_within(name) == "train"))
            if good and all(map(sounds_like_nothing, good)):  # MVTec AD
                advice += (
                    f" The training images are all {', '.join(sorted(good))}: read the split test "
                    "(`data.split`) or all, with that folder as background (`reader.nothing`)."
                )
            yield f"the folders {', '.join(splits)} look like splits, {advice}"
        else:
            yield (
                f"the folders {', '.join(splits)} look like splits, but not {others} beside them. Move what "
                "is no split elsewhere; class folders belong into the splits."
            )
    yield from _repeated(classes, below, direct)
    for name in sorted(classes):
        inside = sorted(item for item in below[name] if is_split(item))
        if len(inside) > 1:
            yield f"{name} holds the splits {', '.join(inside)}; put the class folders into the splits."
            return
    for name in sorted(classes):
        elsewhere = set().union(*(found for other, found in stems.items() if other != name))
        if usually_holds_masks(name) and 2 * len(stems[name] & elsewhere) > len(stems[name]):
            yield (
                f"the folder {name} holds files named like the other images, as masks are. Move it out of "
                "the data set, and name it in `data.masks`."
            )


def _repeated(
    classes: Sequence[str], below: Mapping[str, Collection[str]], direct: Collection[str]
) -> Iterator[str]:
    """Folders within class folders that are the classes: renderings of one set, or a copy of it."""
    first = set(below[classes[0]])
    if len(classes) > 1 and len(first) > 1 and not direct and all(set(below[n]) == first for n in classes):
        shown, inner = ", ".join(sorted(classes)[:5]), ", ".join(sorted(first)[:5])
        yield (
            f"the folders {shown} all hold the folders {inner}. If those are the classes, give the path of "
            "one of the upper folders; if not, name the upper ones in `data.classes`."
        )
        return
    for name in classes:
        same = sorted(set(below[name]) & set(classes) - {name})
        if len(same) > 1:
            yield (
                f"the folder {name} holds the folders {', '.join(same[:5])}, which lie beside it as well. "
                "Move it out of the data set, or name the classes in `data.classes`."
            )


def _no_classes(shown: str, inner: Collection[str]) -> str:
    if len(inner) > 1:
        inside = ", ".join(sorted(inner)[:5])
        return f"{shown} is not the name of a class. If {inside} in it are classes, give the path of {shown}."
    return (
        f"all images lie in {shown}, not in folders named after classes, and no labels were found. Add a "
        "table labels.csv with the columns image,labels, or read labels from file names with `data.pattern`. "
        "For photographs without labels, give the path of the folder that they lie in."
    )
