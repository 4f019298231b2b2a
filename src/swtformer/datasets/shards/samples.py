"""One shard on this disk becomes an image set: what tar and Parquet shards share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from swtformer.datasets.paths import is_image_name
from swtformer.datasets.records import ImageSet, Record
from swtformer.datasets.shards.labels import present_in
from swtformer.errors import DataError
from swtformer.safe_names import safe_name


@dataclass(frozen=True)
class Sample:
    """What a shard holds under one key.

    Attributes:
        key: relative POSIX path without extension; a file of a result is called <key>.<ending>.
        name: what messages call the image.
        image: content of its file; None where there is none.
        labels: what is said of its classes: a number, a name, a list of these, or an object that holds
            labels; None where nothing is said.
        fault: why it cannot be used.
    """

    key: str
    name: str
    image: bytes | None = None
    labels: object = None
    fault: str = ""


@dataclass(frozen=True)
class Unpacked:
    """Images of a shard on this disk.

    Attributes:
        images: records are called by numbers, since keys of unknown origin make no safe file names.
        keys: key of each record, by its id.
        names: what messages call each record, by its id.
        faults: key and reason of each sample that cannot be used.
    """

    images: ImageSet
    keys: dict[str, str]
    names: dict[str, str]
    faults: tuple[tuple[str, str], ...]


def unpack(
    samples: Iterable[Sample], folder: Path, *, shown: str, classes: tuple[str, ...], labelled: bool
) -> Unpacked:
    """Write the images of a shard into a folder.

    Args:
        samples: what the shard holds.
        folder: a new folder.
        shown: what messages call the shard.
        classes: those of the model.
        labelled: read the labels, and leave out images without any; else they are not looked at.

    Raises:
        DataError: the shard is damaged, holds no image or, where they are wanted, no labels.
    """
    records: list[Record] = []
    keys: dict[str, str] = {}
    names: dict[str, str] = {}
    faults: list[tuple[str, str]] = []
    without_labels = 0
    folder.mkdir()
    for number, sample in enumerate(_checked(samples, shown)):
        id = f"{number:09}"
        if sample.fault or sample.image is None:
            faults.append((sample.key, sample.fault or f"{sample.name}: has no image"))
            continue
        present = None
        if labelled:
            try:
                present = present_in(sample.labels, classes)
            except ValueError as error:
                faults.append((sample.key, f"{sample.name}: {error}"))
                continue
            if present is None:
                without_labels += 1
                faults.append((sample.key, f"{sample.name}: has no labels"))
                continue
        path = folder / (id + (Path(sample.name).suffix.lower() if is_image_name(sample.name) else ""))
        path.write_bytes(sample.image)
        records.append(Record(id, path, present))
        keys[id], names[id] = sample.key, sample.name
    if without_labels and not records:
        raise DataError(
            f"{shown}: holds no labels, in tar files <key>.cls or <key>.json, in Parquet files a column such "
            "as labels. Use localize.classes predicted to let the model choose the classes."
        )
    if not records and not faults:
        raise DataError(f"{shown}: holds no images.")
    images = ImageSet(shown, "shard", folder, classes, tuple(records), labels_from=shown if labelled else "")
    return Unpacked(images, keys, names, tuple(faults))


def _checked(samples: Iterable[Sample], shown: str) -> Iterator[Sample]:
    """The samples, without those whose key another one has, or would lead out of a folder."""
    seen: set[str] = set()
    for sample in samples:
        try:
            key = safe_name(sample.key)
        except ValueError as error:
            yield Sample(sample.key, sample.name, fault=f"{sample.name}: {error}")
            continue
        if key in seen:
            raise DataError(
                f"{shown}: holds the key {key!r} twice, and one result would replace the other. Give every "
                "image a key of its own."
            )
        seen.add(key)
        yield sample


def one_of(names: Sequence[str], *, where: str, what: str) -> str:
    """The only name.

    Raises:
        ValueError: there are several.
    """
    if len(names) > 1:
        raise ValueError(f"{where}: has {len(names)} {what}, {' and '.join(map(repr, names[:5]))}")
    return names[0]
