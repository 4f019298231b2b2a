"""Tar files with the naming of WebDataset: <key>.<ending>; the key ends at the first dot of the name."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from swtformer.datasets.paths import is_image_name
from swtformer.datasets.pixels.opened_files import MAX_BYTES
from swtformer.datasets.rows import parse_json
from swtformer.datasets.shards.labels import of_text
from swtformer.datasets.shards.samples import Sample, one_of
from swtformer.errors import DataError

LABELS = ("cls", "json")
"""Endings of the labels, in the order in which they are looked for."""
MOST_LABEL_BYTES = 1 << 20
_BLOCK = 1 << 20


def read_tar(path: Path, shown: str, *, labelled: bool) -> Iterator[Sample]:
    """The samples of a tar file, in its order.

    The image is the field with an image ending, such as <key>.jpg or <key>.input.jpg; one without further
    dots comes first, so that <key>.seg.png can lie beside it.

    Args:
        path: the file.
        shown: what messages call it.
        labelled: read the labels.

    Raises:
        DataError: it is not a whole, uncompressed tar file.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            samples = _fields(archive)
            _require_end(path, archive.offset)
            for key, fields in samples.items():
                yield _sample(archive, key, fields, labelled=labelled)
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
        raise DataError(f"{shown}: is damaged, or not an uncompressed tar file ({error}).") from None


def _fields(archive: tarfile.TarFile) -> dict[str, dict[str, list[tarfile.TarInfo]]]:
    """Members by key and ending (lower case)."""
    samples: dict[str, dict[str, list[tarfile.TarInfo]]] = {}
    for member in archive:
        folder, slash, base = member.name.removeprefix("./").rpartition("/")
        stem, _, ending = base.partition(".")
        if member.isdir() or not stem or base.startswith("__"):
            continue  # hidden, or a note of the archive's maker
        samples.setdefault(f"{folder}{slash}{stem}", {}).setdefault(ending.lower(), []).append(member)
    return samples


def _require_end(path: Path, offset: int) -> None:
    """Refuse what does not end as tar files do: tarfile takes a damaged header for the end.

    Raises:
        ValueError: there is no empty block at the end, or something else follows.
    """
    with path.open("rb") as stream:
        stream.seek(offset)
        rest = stream.read(_BLOCK)
        if len(rest) < tarfile.BLOCKSIZE:
            raise ValueError("it ends in the middle")
        while rest:
            if rest.count(0) != len(rest):
                raise ValueError(f"byte {offset:,} begins neither a file nor the end")
            rest = stream.read(_BLOCK)


def _sample(
    archive: tarfile.TarFile, key: str, fields: dict[str, list[tarfile.TarInfo]], *, labelled: bool
) -> Sample:
    name = key
    try:
        pictures = [ending for ending in fields if is_image_name(f"_.{ending}")]
        plain = [ending for ending in pictures if "." not in ending]
        image = None
        if pictures:
            ending = one_of(plain or pictures, where=key, what="images")
            image = _content(archive, key, fields[ending], MAX_BYTES)
            name = fields[ending][0].name
        return Sample(key, name, image, _labels(archive, key, fields) if labelled else None)
    except ValueError as error:
        return Sample(key, name, fault=str(error))


def _labels(archive: tarfile.TarFile, key: str, fields: dict[str, list[tarfile.TarInfo]]) -> object:
    ending = next((ending for ending in LABELS if ending in fields), None)
    if ending is None:
        return None
    content = _content(archive, key, fields[ending], MOST_LABEL_BYTES)
    try:
        text = content.decode("utf-8-sig")
        return of_text(text) if ending == "cls" else parse_json(text)
    except ValueError as error:
        raise ValueError(f"{key}.{ending}: {error}") from None


def _content(archive: tarfile.TarFile, key: str, members: list[tarfile.TarInfo], most_bytes: int) -> bytes:
    one_of([member.name for member in members], where=key, what="files of one ending")
    member = members[0]
    if not member.isreg() or member.issparse():
        raise ValueError(f"{member.name}: is a link or no regular file")
    if member.size > most_bytes:
        raise ValueError(f"{member.name}: has {member.size:,} bytes; at most {most_bytes:,} are read")
    stream = archive.extractfile(member)
    return b"" if stream is None else stream.read()
