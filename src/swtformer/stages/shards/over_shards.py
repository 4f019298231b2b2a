"""Shards one after the other: fetched, worked on, put away, and not made again while nothing has changed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import torch

from swtformer.datasets.records import ImageSet
from swtformer.datasets.shards.parquets import read_parquet
from swtformer.datasets.shards.samples import unpack
from swtformer.datasets.shards.tars import read_tar
from swtformer.datasets.value_range import settle
from swtformer.errors import DataError, SettingsError, SwtformerError
from swtformer.processes import (
    is_main_process,
    launched_processes,
    local_number,
    process_number,
    without_launcher,
)
from swtformer.progress import Progress, silent
from swtformer.settings import UNDECIDED, ImageSettings
from swtformer.short_repr import ShortRepr
from swtformer.store.failures import COLUMNS, Failure
from swtformer.store.files import digest, write_json, write_rows
from swtformer.store.packed import pack
from swtformer.store.remote import RemoteFile, RemoteFolder, find_files
from swtformer.store.scratch import scratch_folder
from swtformer.store.shard_names import PARQUET, is_shard
from swtformer.store.shard_notes import ENDING, ShardNotes, SkippedImage, shard_notes

FACTS = "shards.json"
"""What made the shards that lie beside it, and the classes of their maps or masks."""
FAILURES = "failures.csv"
"""The images of all shards that were skipped, as in a run; it is there once all shards are."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, repr=False)
class ShardsResult(ShortRepr):
    """What was done with shards.

    Attributes:
        out: where the results are.
        failures_file: where `failures` are listed, once `is_whole`.
        is_whole: whether all shards have been worked on; of several processes, the last one sees it.
        shards: shards that are counted here: all if `is_whole`, else those of this process.
        made: shards that this process made now.
        kept: shards of this process that were there before.
        images: images with results in the shards that are counted.
        failures: images of these shards that were skipped, and shards that cannot be used.
    """

    out: str
    failures_file: str
    is_whole: bool
    shards: int
    made: int
    kept: int
    images: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class Made:
    """Results of the images of a shard.

    Attributes:
        files: content of the files of each image by ending, with the record's id.
        failures: images that were skipped.
    """

    files: Iterable[tuple[str, Mapping[str, bytes]]]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class Job:
    """What is done with every shard.

    Attributes:
        stage: its name.
        classes: of the model.
        labelled: whether labels are read.
        made_by: fingerprint of model and settings.
        endings: all that the files of an image may have.
        facts: what `FACTS` says.
        make: called with the images and a folder to work in.
    """

    stage: str
    classes: tuple[str, ...]
    labelled: bool
    made_by: str
    endings: tuple[str, ...]
    facts: Mapping[str, Any]
    make: Callable[[ImageSet, Path, Progress], Made]


def over_shards(job: Job, patterns: Iterable[str], out: RemoteFolder, *, progress: Progress) -> ShardsResult:
    """Do a job on all shards that are not done; processes of torchrun or srun divide them by their numbers.

    Raises:
        DataError: there are no shards, two would have one name, or one would be overwritten.
        SwtformerError: results cannot be put away, or this disk is full.
    """
    shards = _find(patterns, out)
    made_by = {name: digest(job.made_by, file.stamp) for name, file in shards.items()}
    own = list(shards)[process_number() :: launched_processes()]
    notes = shard_notes(out, {name: made_by[name] for name in own})
    todo = [name for name in own if name not in notes or notes[name].fault]
    watch = progress if is_main_process() else silent
    if torch.cuda.is_available():
        torch.cuda.set_device(local_number() % torch.cuda.device_count())
    with scratch_folder() as scratch, without_launcher():
        text = scratch / "text"
        write_json(text, job.facts)
        out.put(text, FACTS)
        done = len(own) - len(todo)
        watch(job.stage, done, len(own))
        for file, fetched in _fetched_ahead([shards[name] for name in todo], scratch):
            seen = _Seen(watch, job.stage, done, len(own), file.name)
            with TemporaryDirectory(dir=scratch) as folder:
                made = _work(job, file, fetched, Path(folder), out, made_by[file.name], seen)
            write_json(text, made.model_dump())
            out.put(text, f"{file.name}{ENDING}")
            notes[file.name] = made
            done += 1
            watch(job.stage, done, len(own))
        everything = shard_notes(out, made_by)
        is_whole = len(everything) == len(shards)
        counted = everything if is_whole else notes
        failures = tuple(_failures(job.stage, shards, counted))
        if is_whole:
            write_rows(text, COLUMNS, map(asdict, failures))
            out.put(text, FAILURES)
    return ShardsResult(
        out=out.address,
        failures_file=out.file(FAILURES),
        is_whole=is_whole,
        shards=len(counted),
        made=sum(not notes[name].fault for name in todo),
        kept=len(own) - len(todo),
        images=sum(each.images for each in counted.values()),
        failures=failures,
    )


def require_range(data: ImageSet, settings: ImageSettings, name: str) -> None:
    """Refuse images whose black and white would be decided for each shard by itself.

    Args:
        data: the images of a shard.
        settings: how they are read.
        name: the setting that decides.

    Raises:
        SettingsError: there are such images, and the settings leave it open.
    """
    if settings.range not in UNDECIDED:
        return
    decided, _ = settle([record.image for record in data.records], settings)
    if decided.range != settings.range:
        raise SettingsError(
            f"{data.name}: holds images of more than 8 bits. Shards are seen one by one, so say which values "
            f"are black and white in all of them, with {name} LOW,HIGH or full."
        )


@dataclass(frozen=True)
class _Seen:
    """Progress of a shard's images as part of that of all shards."""

    progress: Progress
    stage: str
    done: int
    of: int
    shard: str

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.progress(self.stage, self.done, self.of, f"{self.shard}: {done}/{total}")


def _find(patterns: Iterable[str], out: RemoteFolder) -> dict[str, RemoteFile]:
    """The shards by name.

    Raises:
        DataError: there are none, two have one name, or one would be overwritten.
    """
    found: dict[str, RemoteFile] = {}
    for pattern in patterns:
        for file in find_files(pattern):
            if not is_shard(file.name):
                raise DataError(f"{file.address}: is no shard; expected files named *.tar or *.parquet.")
            target = out.file(file.name)
            known = found.setdefault(file.name, file)
            if known.address != file.address:
                raise DataError(
                    f"{known.address} and {file.address} would both become {target}. Name them by a pattern "
                    "with a wildcard for their folders, or in separate calls with an `out` each."
                )
            if os.path.realpath(file.address) == os.path.realpath(target):
                raise DataError(f"{file.address}: its result would overwrite it. Name another `out`.")
    return found


class _Fetch(Thread):
    """Copies a shard to this disk. As a daemon it holds up nobody who stops the program."""

    def __init__(self, file: RemoteFile, target: Path) -> None:
        super().__init__(daemon=True)
        self._file, self._target, self._error = file, target, SwtformerError("")
        self._failed = True
        self.start()

    def run(self) -> None:
        """See `Thread`."""
        try:
            self._file.fetch(self._target)
            self._failed = False
        except SwtformerError as error:
            self._error = error

    def result(self) -> Path:
        """The copy, once it is there.

        Raises:
            DataError: the shard cannot be read.
            SwtformerError: this disk is full.
        """
        self.join()
        if not self._failed:
            return self._target
        self._target.unlink(missing_ok=True)
        if getattr(self._error.__cause__, "errno", None) in FULL:
            raise SwtformerError(
                f"{self._target.parent}: no space left for a shard; set TMPDIR to a folder on a larger disk."
            )
        raise DataError(str(self._error))


def _fetched_ahead(files: list[RemoteFile], folder: Path) -> Iterator[tuple[RemoteFile, _Fetch]]:
    """Every shard, while the next one, and no more, is on its way."""
    following: _Fetch | None = None
    for number, file in enumerate(files):
        fetch = following or _Fetch(file, folder / f"{number}")
        fetch.join()
        following = None
        if number + 1 < len(files):
            following = _Fetch(files[number + 1], folder / f"{number + 1}")
        yield file, fetch


def _work(
    job: Job,
    file: RemoteFile,
    fetched: _Fetch,
    folder: Path,
    out: RemoteFolder,
    made_by: str,
    progress: Progress,
) -> ShardNotes:
    """Make the results of a shard and put them away; what the notes beside them say."""
    out.remove(f"{file.name}{ENDING}")
    kind = PurePosixPath(file.name).suffix
    try:
        shard = fetched.result()
        read = read_parquet if kind == PARQUET else read_tar
        samples = read(shard, file.address, labelled=job.labelled)
        unpacked = unpack(
            samples, folder / "images", shown=file.address, classes=job.classes, labelled=job.labelled
        )
        shard.unlink()
        records = {record.id: record for record in unpacked.images.records}
        made = job.make(unpacked.images, folder, progress) if records else Made((), ())
    except DataError as error:
        out.remove(file.name)
        return ShardNotes(made_by=made_by, fault=str(error))
    skipped = [SkippedImage(key=key, reason=reason) for key, reason in unpacked.faults]
    for failure in made.failures:
        name = f"{file.address}: {unpacked.names[failure.id]}"
        reason = failure.reason.replace(str(records[failure.id].image), name)
        skipped.append(SkippedImage(key=unpacked.keys[failure.id], reason=reason))
    images = 0

    def files() -> Iterator[tuple[str, Mapping[str, bytes]]]:
        nonlocal images
        for id, contents in made.files:
            images += 1
            yield unpacked.keys[id], contents

    packed = folder / f"packed{kind}"
    pack(files(), packed, job.endings)
    out.put(packed, file.name)
    return ShardNotes(made_by=made_by, size=packed.stat().st_size, images=images, skipped=tuple(skipped))


def _failures(
    stage: str, shards: Mapping[str, RemoteFile], notes: Mapping[str, ShardNotes]
) -> Iterator[Failure]:
    for name, each in notes.items():
        address = shards[name].address
        if each.fault:
            yield Failure(name, stage, address, each.fault)
        for image in each.skipped:
            yield Failure(image.key, stage, address, image.reason)
