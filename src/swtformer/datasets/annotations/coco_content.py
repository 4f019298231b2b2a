"""What a COCO file says: its categories as classes, its images, and the classes in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swtformer.datasets.annotations.coco_categories import Id, as_id, named_by_user, read_categories
from swtformer.datasets.annotations.json_files import looks_like, read_json
from swtformer.datasets.annotations.references import Reference
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError

LISTS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class CocoContent:
    """A COCO file.

    Attributes:
        classes: names in the order of their category ids.
        images: by id, in the order of the file.
        labels: class names by image id, each once; None, or no such id, where they are not known.
        without: ids of the images that no annotation is about, where there are annotations.
        is_outlined: whether any object has an outline or a mask.
    """

    classes: tuple[str, ...]
    images: Mapping[Id, Reference]
    labels: Mapping[Id, tuple[str, ...] | None]
    without: Mapping[Id, None]
    is_outlined: bool


def looks_like_coco(value: Any) -> bool:
    """Whether a JSON value, or what is known of its beginning, is a COCO file."""
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("images"), list) and ("annotations" in value or "categories" in value):
        return True
    keys = {"images": {"id", "file_name"}, "annotations": {"image_id"}, "categories": {"id", "name"}}
    firsts = {name: value[name][0] for name in keys if isinstance(value.get(name), list) and value[name]}
    return any(isinstance(first, dict) and keys[name] <= first.keys() for name, first in firsts.items())


def read_coco(
    file: Path, names: Sequence[str] | None, problems: Problems, *, drop_strays: bool
) -> CocoContent:
    """Read a COCO file: instances, keypoints, panoptic segments or LVIS.

    Args:
        file: the file.
        names: class names that the user declared; they name the categories of a file that names none.
        problems: collects what is wrong with the contents.
        drop_strays: whether annotations of unlisted images may be dropped although listed images have none.

    Raises:
        DataError: it is no COCO file.
    """
    content = read_json(file)
    lists = {"annotations": [], "categories": [], **content} if isinstance(content, dict) else {}
    if not looks_like_coco(content) or not all(isinstance(lists.get(key), list) for key in LISTS):
        raise DataError(
            f"{file}: is not a COCO file; expected the lists {', '.join(LISTS)}, got {looks_like(content)}."
        )
    annotations = lists["annotations"]
    used = {as_id(part.get("category_id")) for item in annotations for part in _parts(item)}
    if not lists["categories"] and used - {None}:
        categories = named_by_user(used - {None}, names, file, problems)
    else:
        categories = read_categories(lists["categories"], used, file, problems)
    images = _images(lists["images"], file, problems)
    labels: dict[Id, tuple[str, ...] | None] = {}
    if "annotations" in content:
        labels = _labels(annotations, images, categories, file, problems, drop_strays=drop_strays)
    annotated = {as_id(item.get("image_id")) for item in annotations if isinstance(item, dict)}
    return CocoContent(
        tuple(dict.fromkeys(name for name in categories.values() if name is not None)),
        images,
        labels,
        dict.fromkeys(id for id in labels if id not in annotated),
        any(_is_outlined(item) for item in annotations),
    )


def _parts(annotation: Any) -> list[Mapping[str, Any]]:
    """What has categories in an annotation: its segments (panoptic), nothing (a caption), else itself."""
    if not isinstance(annotation, dict):
        return []
    segments = annotation.get("segments_info")
    if isinstance(segments, list):
        return [segment if isinstance(segment, dict) else {} for segment in segments]
    return [] if _is_caption(annotation) else [annotation]


def _is_caption(annotation: Mapping[str, Any]) -> bool:
    return "caption" in annotation and annotation.get("category_id") is None


def _is_outlined(annotation: Any) -> bool:
    """Whether an object has a polygon or a mask; neither is read."""
    return isinstance(annotation, dict) and bool(
        annotation.get("segmentation") or annotation.get("segments_info")
    )


def _images(images: Sequence[Any], file: Path, problems: Problems) -> dict[Id, Reference]:
    """Images by id, in the order of the file."""
    listed: dict[Id, Reference] = {}
    faults = []
    partly = 0
    for index, image in enumerate(images):
        source = f"{file}: images[{index}]"
        fields = image if isinstance(image, dict) else {}
        id = as_id(fields.get("id"))
        name = fields.get("file_name") or fields.get("coco_url") or fields.get("path")
        if id is None or not isinstance(name, str):
            faults.append(f"{source}: needs an id and a file_name, got {image!r:.80}.")
        elif id in listed:
            faults.append(f"{source}: id {id!r} appears twice; give each image its own.")
        else:
            extra = fields.get("extra")
            other = extra.get("name") if isinstance(extra, dict) else None
            listed[id] = Reference(name, source, other if isinstance(other, str) else None)
            partly += "neg_category_ids" in fields
    problems.fatal_once("coco_image", faults)
    if partly:
        problems.warn(
            "partly_labelled",
            f"{file}: {partly} images are annotated for some of the classes alone (neg_category_ids, as in "
            "LVIS); classes that are not annotated count as absent.",
        )
    return listed


def _labels(
    annotations: Sequence[Any],
    images: Mapping[Id, Reference],
    categories: Mapping[Id, str | None],
    file: Path,
    problems: Problems,
    *,
    drop_strays: bool,
) -> dict[Id, tuple[str, ...] | None]:
    """Class names by image id, each once; an image without annotations has none."""
    found: dict[Id, dict[str, None]] = {id: {} for id in images}
    faults: list[str] = []
    unknown: Counter[str] = Counter()
    strays: Counter[str] = Counter()
    first: dict[str, str] = {}
    captions: set[Id] = set()
    for index, annotation in enumerate(annotations):
        if not isinstance(annotation, dict):
            faults.append(f"{file}: annotations[{index}]: expected an object, got {annotation!r:.80}.")
            continue
        image = as_id(annotation.get("image_id"))
        if image is None or image not in images:
            strays[f"{annotation.get('image_id')!r:.40}"] += 1
            first.setdefault("image", f"{file}: annotations[{index}]")
            continue
        if _is_caption(annotation):
            captions.add(image)
        for part in _parts(annotation):
            category = as_id(part.get("category_id"))
            if category is None or category not in categories:
                unknown[f"{part.get('category_id')!r:.40}"] += 1
                first.setdefault("category", f"{file}: annotations[{index}] ({images[image].name})")
            elif (name := categories[category]) is not None:
                found[image][name] = None
    problems.fatal_once("coco_annotation", faults)
    if unknown:
        problems.fatal(
            "coco_annotation",
            f"{first['category']}: category_id {_counted(unknown)} not in categories. Add these categories.",
        )
    if strays:
        message = f"{first['image']}: image_id {_counted(strays)} not in images"
        empty = sum(not labels for labels in found.values())
        _tell_strays(message, len(annotations) - strays.total(), 0 if drop_strays else empty, problems)
    scored = sum(isinstance(item, dict) and item.get("score") is not None for item in annotations)
    if scored:
        problems.warn(
            "scored_annotation",
            f"{file}: {scored} of {len(annotations)} annotations have a score, as predictions do. They "
            "count like drawn ones, whatever it is.",
        )
    if captions:
        alone = {image for image in captions if not found[image]}
        problems.warn(
            "coco_caption",
            f"{file}: captions are passed over. {len(alone)} of {len(captions)} images with captions have no "
            "object, so their labels are not known.",
        )
        if not any(found.values()):
            problems.fatal("coco_caption", f"{file}: holds captions alone, so there are no labels in it.")
        return {id: None if id in alone else tuple(labels) for id, labels in found.items()}
    return {id: tuple(labels) for id, labels in found.items()}


def _tell_strays(message: str, others: int, empty: int, problems: Problems) -> None:
    """Say that annotations are of unlisted images; fatal if all are, or if they may be of listed ones.

    Args:
        message: which annotations.
        others: number of annotations of listed images.
        empty: number of listed images without annotations.
        problems: collects the problem.
    """
    if not others:
        problems.fatal("coco_annotation", f"{message}. None fits an image; are they of another file?")
    elif empty:
        problems.fatal(
            "coco_annotation",
            f"{message}. They may belong to images without annotations ({empty} are listed): mend the ids, "
            "or leave them out with reader.strays drop, and these images are as reader.empty says.",
        )
    else:
        problems.warn("coco_annotation", f"{message}; left out.")


def _counted(unknown: Counter[str]) -> str:
    """The first unknown ids with their numbers of annotations, as the subject of a sentence."""
    counts = list(unknown.items())
    told = ", ".join(f"{id} ({count} annotations)" if count > 1 else id for id, count in counts[:5])
    if len(counts) > 5:
        told += f" and {len(counts) - 5} more ids ({unknown.total()} annotations in all)"
    return f"{told} {'is' if len(counts) == 1 else 'are'}"
