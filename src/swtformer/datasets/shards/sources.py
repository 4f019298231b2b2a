"""What counts as one shard: a tar or Parquet file, or some of the images of a folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import final

from swtformer.datasets.paths import is_image_name, record_id
from swtformer.datasets.shards.parquets import read_parquet
from swtformer.datasets.shards.samples import Sample
from swtformer.datasets.shards.tars import read_tar
from swtformer.errors import DataError, SwtformerError
from swtformer.in_order import work_ahead
from swtformer.store.files import digest
from swtformer.store.remote import DiskFullError, RemoteFile, find_files
from swtformer.store.shard_names import PARQUET, TAR, is_shard

GROUPED = 1000
"""Images of a folder that count as one shard."""
THREADS = 8
"""Images of a folder that are fetched at once."""


@dataclass(frozen=True)
class Source(ABC):
    """A shard where it lies.

    Attributes:
        address: what messages call it.
        name: of its result, a relative path that ends with .tar or .parquet.
        stamp: equal while its content is what it was.
        files: what it consists of.
    """

    address: str
    name: str
    stamp: str
    files: tuple[RemoteFile, ...]

    @abstractmethod
    def fetch(self, target: Path) -> None:
        """Copy it to this disk.

        Raises:
            SwtformerError: it cannot be read, or the disk is full.
        """

    @abstractmethod
    def samples(self, fetched: Path, *, labelled: bool) -> Iterator[Sample]:
        """What the copy holds.

        Args:
            fetched: `target` of `fetch`.
            labelled: read the labels.

        Raises:
            DataError: it is damaged.
        """


@final
class Archive(Source):
    """A tar or Parquet file."""

    def fetch(self, target: Path) -> None:
        """See `Source`."""
        self.files[0].fetch(target)

    def samples(self, fetched: Path, *, labelled: bool) -> Iterator[Sample]:
        """See `Source`."""
        read = read_parquet if PurePosixPath(self.name).suffix == PARQUET else read_tar
        return read(fetched, self.address, labelled=labelled)


@final
class Group(Source):
    """Images of a folder, without labels. The key of an image is its path without extension."""

    def fetch(self, target: Path) -> None:
        """See `Source`; `samples` reports an image that cannot be fetched."""
        target.mkdir()

        def fetch_one(numbered: tuple[int, RemoteFile]) -> None:
            number, file = numbered
            try:
                file.fetch(target / f"{number}")
            except DiskFullError:
                raise
            except SwtformerError as error:
                (target / f"{number}").unlink(missing_ok=True)
                (target / f"{number}.fault").write_text(str(error))

        for _ in work_ahead(fetch_one, enumerate(self.files), threads=THREADS):
            pass

    def samples(self, fetched: Path, *, labelled: bool) -> Iterator[Sample]:
        """See `Source`."""
        for number, file in enumerate(self.files):
            path = fetched / f"{number}"
            key = record_id(file.name)
            if path.is_file():
                yield Sample(key, file.name, path.read_bytes())
            else:
                yield Sample(key, file.name, fault=path.with_suffix(".fault").read_text())


def find_sources(pattern: str, *, results: str) -> list[Source]:
    """The shards that an address or a pattern names, in order.

    A folder stands for all that lies below it: its tar and Parquet files or, if it has none, its images,
    `GROUPED` to a shard.

    Args:
        pattern: the address or pattern.
        results: address of the folder of the results; what lies there is left out, if it is a folder below
            the one that is searched.

    Raises:
        DataError: there is neither a shard nor an image, or there are both.
        SwtformerError: there is nothing, or the place cannot be reached.
    """
    found = [file for file in find_files(pattern) if not _is_result(file, f"{results.rstrip('/')}/")]
    if not found:
        raise DataError(f"{pattern}: holds nothing but results.")
    archives = [file for file in found if is_shard(file.name)]
    images = [file for file in found if is_image_name(file.name.rpartition("/")[2])]
    if archives and images:
        raise DataError(
            f"{pattern}: {archives[0].address} is a shard and {images[0].address} an image. Name either by a "
            "pattern, such as *.tar."
        )
    if not archives and not images:
        raise DataError(
            f"{pattern}: {found[0].address} is neither a shard (.tar, .parquet) nor an image, by its name."
        )
    if archives:
        return [Archive(file.address, file.name, file.stamp, (file,)) for file in archives]
    base = images[0].address.removesuffix(images[0].name).rstrip("/")
    groups = [tuple(images[start : start + GROUPED]) for start in range(0, len(images), GROUPED)]
    return [
        Group(
            address=base,
            name=f"{PurePosixPath(base).name}-{number:06}{TAR}",
            stamp=digest(*((file.name, file.stamp) for file in group)),
            files=group,
        )
        for number, group in enumerate(groups)
    ]


def _is_result(file: RemoteFile, results: str) -> bool:
    """Whether a file lies in a folder of results below the one that was searched."""
    searched = file.address.removesuffix(file.name)
    return file.address.startswith(results) and len(searched) < len(results)
