"""Shards one after the other: fetched, worked on, put away, and not made again while nothing has changed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import torch

from swtformer.datasets.records import ImageSet, Record
from swtformer.datasets.shards.fetch_ahead import Fetch, fetched_ahead
from swtformer.datasets.shards.samples import unpack
from swtformer.datasets.shards.sources import Source, find_sources
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
from swtformer.store.remote import RemoteFolder
from swtformer.store.scratch import scratch_folder
from swtformer.store.shard_notes import ENDING, ShardNotes, SkippedImage, is_noted, shard_notes

FACTS = "shards.json"
"""What made the shards that lie beside it, and the classes of their maps or masks."""
FAILURES = "failures.csv"
"""The images of all shards that were skipped, as in a run; it is there once all shards are."""

REPEAT = "Repeat the command: shards of the former model are made again."


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


def over_shards(job: Job, shards: str | Sequence[str], to: str, *, progress: Progress) -> ShardsResult:
    """Do a job on all shards that are not done; processes of torchrun or srun divide them by their numbers.

    Args:
        job: what to do.
        shards: patterns and addresses (`find_sources`).
        to: address or path of the folder of the results.
        progress: called after every image.

    Raises:
        DataError: there are no shards, two would have one name, or one would be overwritten.
        SwtformerError: results cannot be put away, or this disk is full.
    """
    out = RemoteFolder(to)
    sources = _find([shards] if isinstance(shards, str) else shards, out)
    made_by = {name: digest(job.made_by, source.stamp) for name, source in sources.items()}
    own = list(sources)[process_number() :: launched_processes()]
    notes = shard_notes(out, {name: made_by[name] for name in own})
    todo = [name for name in own if name not in notes or notes[name].fault]
    for name in todo:
        if name in notes:  # an old fault must not be taken for a result of this call
            out.remove(f"{name}{ENDING}")
    if todo:
        out.remove(FAILURES)
    watch = progress if is_main_process() else silent
    with scratch_folder() as scratch, without_launcher():
        text = scratch / "text"
        write_json(text, job.facts)
        out.put(text, FACTS)
        done, made = len(own) - len(todo), 0
        watch(job.stage, done, len(own))
        for fetched in fetched_ahead([sources[name] for name in todo], scratch):
            name = fetched.source.name
            seen = _Seen(watch, job.stage, done, len(own), name)
            try:
                with TemporaryDirectory(dir=scratch) as folder:
                    noted = _work(job, fetched, Path(folder), out, made_by[name], seen)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise SwtformerError(
                    f"{scratch}: {error.strerror or error}. Shards are worked on in the folder that TMPDIR "
                    "names; it needs room for two of them, and for one unpacked."
                ) from error
            write_json(text, noted.model_dump())
            out.put(text, f"{name}{ENDING}")
            notes[name] = noted
            made += not noted.fault
            done += 1
            watch(job.stage, done, len(own))
        counted = {name: notes[name] for name in own}
        if own and len(own) < len(sources) and is_noted(out, list(sources)):
            all_notes = shard_notes(out, made_by)  # those of the other processes as well
            # To a process without work, a fault may be an old one that its owner has only begun to try again.
            is_settled = bool(todo) or not any(each.fault for each in all_notes.values())
            if is_settled and len(all_notes) == len(sources):
                counted = {name: all_notes[name] for name in sources}
        is_whole = len(counted) == len(sources)
        failures = tuple(_failures(job.stage, sources, counted))
        if is_whole:
            write_rows(text, COLUMNS, map(asdict, failures))
            out.put(text, FAILURES)
    return ShardsResult(
        out=out.address,
        failures_file=out.file(FAILURES),
        is_whole=is_whole,
        shards=len(counted),
        made=made,
        kept=len(own) - len(todo),
        images=sum(each.images for each in counted.values()),
        failures=failures,
    )


def use_own_gpu() -> None:
    """Take the GPU of this process's number, before anything is loaded."""
    if torch.cuda.is_available():
        torch.cuda.set_device(local_number() % torch.cuda.device_count())


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


def _find(patterns: Iterable[str], out: RemoteFolder) -> dict[str, Source]:
    """The shards by name.

    Raises:
        DataError: there are none, two have one name, or one would be overwritten.
    """
    found: dict[str, Source] = {}
    for pattern in patterns:
        for source in find_sources(pattern, results=out.file("")):
            target = out.file(source.name)
            known = found.setdefault(source.name, source)
            if known.files != source.files:
                raise DataError(
                    f"{known.address} and {source.address} would both become {target}. Name them by a "
                    "pattern with a wildcard for their folders, or in separate calls with an `out` each."
                )
            if os.path.realpath(source.address) == os.path.realpath(target):
                raise DataError(f"{source.address}: its result would overwrite it. Name another `out`.")
    return found


def _work(
    job: Job,
    fetched: Fetch,
    folder: Path,
    out: RemoteFolder,
    made_by: str,
    progress: Progress,
) -> ShardNotes:
    """Make the results of a shard and put them away; what the notes beside them say."""
    source, labelled = fetched.source, job.labelled
    out.remove(f"{source.name}{ENDING}")
    records: Mapping[str, Record] = {}
    names: Mapping[str, str] = {}

    def told(fault: str) -> str:
        """A fault with the names that images have in the shard."""
        for id, record in records.items():
            fault = fault.replace(str(record.image), f"{source.address}: {names[id]}")
        return fault

    try:
        try:
            samples = source.samples(fetched.result(), labelled=labelled)
            unpacked = unpack(
                samples, folder / "images", shown=source.address, classes=job.classes, labelled=labelled
            )
        finally:
            fetched.remove()
        records, names = {record.id: record for record in unpacked.images.records}, unpacked.names
        made = job.make(unpacked.images, folder, progress) if records else Made((), ())
    except DataError as error:
        out.remove(source.name)
        return ShardNotes(made_by=made_by, fault=told(str(error)))
    skipped = [SkippedImage(key=key, reason=reason) for key, reason in unpacked.faults]
    for failure in made.failures:
        skipped.append(SkippedImage(key=unpacked.keys[failure.id], reason=told(failure.reason)))
    images = 0

    def files() -> Iterator[tuple[str, Mapping[str, bytes]]]:
        nonlocal images
        for id, contents in made.files:
            images += 1
            yield unpacked.keys[id], contents

    packed = folder / f"packed{PurePosixPath(source.name).suffix}"
    pack(files(), packed, job.endings)
    out.put(packed, source.name)
    return ShardNotes(made_by=made_by, size=packed.stat().st_size, images=images, skipped=tuple(skipped))


def _failures(
    stage: str, sources: Mapping[str, Source], notes: Mapping[str, ShardNotes]
) -> Iterator[Failure]:
    for name, each in notes.items():
        address = sources[name].address
        if each.fault:
            yield Failure(name, stage, address, each.fault)
        for image in each.skipped:
            yield Failure(image.key, stage, address, image.reason)
