"""Parquet files with one image per row, as Hugging Face data sets write them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swtformer.datasets.files import BOMB_BYTES, BOMB_TIMES
from swtformer.datasets.paths import record_id
from swtformer.datasets.shards.samples import Sample, one_of
from swtformer.datasets.tables.label_cells import NAME_KEYS
from swtformer.errors import DataError, SwtformerError
from swtformer.safe_names import safe_name

KEYS = ("__key__", "key")
"""Columns of the key, in the order in which they are looked for."""
ROWS = 32
"""Rows that are in memory at once."""


def read_parquet(path: Path, shown: str, *, labelled: bool) -> Iterator[Sample]:
    """The samples of a Parquet file, in its order.

    The image is the column of bytes, or of structs of bytes and path; where there are several, the one called
    image. Keys are the column __key__ or key, else the paths beside the bytes, else numbers of rows. Numbers
    of classes are those of the names that Hugging Face's features give, where the file has them.

    Args:
        path: the file.
        shown: what messages call it.
        labelled: read the labels.

    Raises:
        DataError: it is not a whole Parquet file, or it is not clear which column holds the images.
        SwtformerError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise SwtformerError(
            f"{shown}: Parquet files need pyarrow; install it with pip install 'swtformer[remote]'."
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            yield from _samples(file, path.stat().st_size, labelled=labelled)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{shown}: cannot be read as Parquet with images ({error}).") from None


def _samples(file: Any, packed_bytes: int, *, labelled: bool) -> Iterator[Sample]:
    import pyarrow

    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    if size > max(BOMB_BYTES, BOMB_TIMES * packed_bytes):
        raise ValueError(f"it unpacks to {size:,} bytes, more than {BOMB_TIMES} times its size")
    columns = {field.name: field.type for field in file.schema_arrow}
    images = [name for name, kind in columns.items() if _holds_files(kind)]
    if not images:
        raise ValueError(f"no column of bytes among {', '.join(columns)}")
    image = "image" if "image" in images else one_of(images, where="the file", what="columns of bytes")
    key = next((name for name in KEYS if name in columns), None)
    label = next((name for name in NAME_KEYS if labelled and name in columns), None)
    names = _class_names(file.schema_arrow.metadata or {}, label)
    kind = columns[image]
    has_paths = pyarrow.types.is_struct(kind) and kind.get_field_index("path") >= 0
    keys = _paths(file, image) if key is None and has_paths else None
    wanted = [name for name in (image, key, label) if name is not None]
    for number, row in enumerate(_rows(file, wanted)):
        content = row[image]
        own = row[key] if key is not None else keys[number] if keys else None
        if own is None:
            own = f"{number:06}"
        labels = row[label] if label is not None else None
        if isinstance(content, dict):
            content = content["bytes"]
        yield Sample(str(own), f"row {number}, {own}", content, _named(labels, names))


def _rows(file: Any, columns: list[str]) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(batch_size=ROWS, columns=columns):
        yield from batch.to_pylist()


def _holds_files(kind: Any) -> bool:
    import pyarrow

    if pyarrow.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return bool(place >= 0 and _holds_files(kind.field(place).type))
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def _paths(file: Any, image: str) -> list[str] | None:
    """Keys by the paths beside the images; None unless every image has one of its own."""
    keys = []
    for row in _rows(file, [f"{image}.path"]):
        path = (row[image] or {}).get("path")
        try:
            keys.append(record_id(safe_name(path or "")))
        except ValueError:
            return None
    return keys if len(set(keys)) == len(keys) else None


def _class_names(metadata: dict[bytes, bytes], label: str | None) -> list[str] | None:
    """Names of the class numbers in a column, from the features of a Hugging Face data set."""
    try:
        feature = json.loads(metadata[b"huggingface"])["info"]["features"][label]
    except (KeyError, TypeError, ValueError):
        return None
    while isinstance(feature, dict | list) and feature:
        if isinstance(feature, list):
            feature = feature[0]
        elif "names" in feature:
            return list(feature["names"])
        else:
            feature = feature.get("feature")  # of a list
    return None


def _named(labels: Any, names: list[str] | None) -> Any:
    if names is None or labels is None:
        return labels
    items = labels if isinstance(labels, list) else [labels]
    return [names[item] if isinstance(item, int) and 0 <= item < len(names) else item for item in items]
