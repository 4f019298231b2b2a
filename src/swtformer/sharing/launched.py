"""The processes that torchrun or srun launched, connected by gloo."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from itertools import zip_longest
from typing import Any, final

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from swtformer.errors import SwtformerError
from swtformer.processes import launched_processes, local_number
from swtformer.sharing.base import Advance, Decision, Item, Result, Team, Work, unseen

MEETING = timedelta(minutes=10)
"""How long processes wait for all to be there."""
WAIT = timedelta(days=7)
"""How long one waits for the others' images. One that is killed closes its connections, and is noticed at
once."""


@final
class Launched(Team):
    """Process r of W does every W-th image, from the r-th on."""

    def __init__(self, *, accelerator: str) -> None:
        if accelerator in ("auto", "gpu") and torch.cuda.is_available():
            torch.cuda.set_device(local_number() % torch.cuda.device_count())
        self._group = _everybody()
        self._number, self._count = dist.get_rank(), dist.get_world_size()

    def agreed(self, decide: Callable[[], Decision]) -> Decision:
        """See `Team`."""
        box: list[Any] = [decide() if self._number == 0 else None]
        with _noticing_lost():
            dist.broadcast_object_list(box, src=0, group=self._group)
        decision: Decision = box[0]
        return decision

    def divided(
        self, work: Work[Item, Result], items: Sequence[Item], advance: Advance = unseen
    ) -> Iterator[Result]:
        """See `Team`; `advance` is told of the first process's images, times the processes."""
        is_first = self._number == 0
        size = work.gathered * self._count
        for start in range(0, self.agreed(lambda: len(items)), size):
            part = self._part(items, start, size)
            own: list[Result] = []
            for result in work(part[self._number :: self._count]):
                own.append(result)
                if is_first:
                    advance(start + min(len(own) * self._count, len(part)))
            shares: list[Any] | None = [None] * self._count if is_first else None
            with _noticing_lost():
                dist.gather_object(own, shares, dst=0, group=self._group)
            if shares is not None:
                in_order = [result for turn in zip_longest(*shares, fillvalue=_NOTHING) for result in turn]
                yield from (result for result in in_order if result is not _NOTHING)

    def _part(self, items: Sequence[Item], start: int, size: int) -> Sequence[Item]:
        return self.agreed(lambda: items[start : start + size])


_NOTHING: Any = object()


@cache
def _everybody() -> Any:
    """The group of all processes, kept until this one ends."""
    try:
        if not dist.is_initialized():  # by a training in the same script
            dist.init_process_group("gloo", timeout=MEETING, **_meeting_place())
            atexit.register(_leave)
        return dist.new_group(timeout=WAIT, backend="gloo")
    except (RuntimeError, ValueError) as error:
        raise SwtformerError(
            f"{launched_processes()} processes were launched, but they did not find one another: {error}"
        ) from error


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _meeting_place() -> dict[str, Any]:
    """Where processes tell their addresses: by torchrun's variables or, of srun, by what Lightning knows."""
    if "RANK" in os.environ:
        store, number, count = next(rendezvous("env://", timeout=MEETING))
        # Processes that torchrun starts again find the addresses of those that were killed in its store.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return {"store": PrefixStore(attempt, store), "rank": number, "world_size": count}
    if "SLURM_PROCID" not in os.environ:
        raise ValueError(
            "neither RANK nor SLURM_PROCID says which one this is. Unset WORLD_SIZE for one process."
        )
    from lightning.fabric.plugins.environments import SLURMEnvironment

    place = SLURMEnvironment()
    return {
        "init_method": f"tcp://{place.main_address}:{place.main_port}",
        "rank": place.global_rank(),
        "world_size": launched_processes(),
    }


@contextmanager
def _noticing_lost() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise SwtformerError(
            "Another process of this command has ended. Its own message says why; fix that, and repeat the "
            "command: what was made is kept."
        ) from error
