"""The workers of a Ray cluster (extra `ray`), fed by Ray Data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

from swtformer.errors import SwtformerError
from swtformer.sharing.base import Advance, Decision, Item, Result, Team, Work, unseen

LOCAL = "local"
"""Address that means a cluster of this machine alone, which ends with the process."""
CHUNK = 64
"""Images of a task at most. What a killed worker had made of one is made again by another."""
TASKS = 32
"""Tasks that images are divided into where there are few."""


@final
class OverRay(Team):
    """This process decides and sees results; the images are divided over actors, which see its folders.

    Ray Data adds actors while the cluster grows, and gives the tasks of those that end to others.
    """

    def __init__(self, address: str, *, accelerator: str) -> None:
        """Connect to a cluster.

        Raises:
            SwtformerError: Ray is not installed, or not reached.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
        try:
            import ray.data
        except ImportError:
            raise SwtformerError(
                "Ray is not installed; install it with pip install 'swtformer[ray]'."
            ) from None
        if not ray.is_initialized():
            options = {"include_dashboard": False} if address == LOCAL else {}
            try:
                ray.init(address=address, log_to_driver=False, logging_level="ERROR", **options)
            except (ConnectionError, ValueError) as error:
                raise SwtformerError(f"No Ray cluster is reached at {address!r}: {error}") from None
        has_gpus = accelerator == "gpu" or (accelerator == "auto" and "GPU" in ray.cluster_resources())
        self._resources = {"num_cpus": 1, "num_gpus": 1 if has_gpus else 0}

    def agreed(self, decide: Callable[[], Decision]) -> Decision:
        """See `Team`."""
        return decide()

    def divided(
        self, work: Work[Item, Result], items: Sequence[Item], advance: Advance = unseen
    ) -> Iterator[Result]:
        """See `Team`; `advance` is called task by task."""
        if not items:
            return
        from ray import data

        size = min(CHUNK, -(-len(items) // TASKS))
        tasks = [{"task": _Task(items[at : at + size])} for at in range(0, len(items), size)]
        results = data.from_items(tasks, override_num_blocks=len(tasks)).map(
            _Worker,
            fn_constructor_args=(work, os.getcwd()),
            compute=data.ActorPoolStrategy(min_size=1),
            **self._resources,
        )
        # Of this pipeline alone: one of the user's own in the same script keeps its settings.
        results.context.enable_progress_bars = False
        results.context.execution_options.preserve_order = True
        done = 0
        for row in results.iter_rows():
            made: _Made = row["made"]
            yield from made.results
            if made.error is not None:
                raise made.error
            done += len(made.results)
            advance(done)


@dataclass(frozen=True)
class _Task:
    """Items of a task; as an object of its own, Ray leaves its types as they are."""

    items: Sequence[Any]


@dataclass(frozen=True)
class _Made:
    """What a worker made of a task, and the error that stopped it."""

    results: list[Any]
    error: SwtformerError | None


class _Worker:
    """An actor, which does the work on one task after the other."""

    def __init__(self, work: Work[Any, Any], folder: str) -> None:
        os.chdir(folder)  # relative paths mean the same as in the first process
        self._work = work

    def __call__(self, row: dict[str, _Task]) -> dict[str, _Made]:
        made: list[Any] = []
        try:
            made.extend(self._work(row["task"].items))
        except SwtformerError as error:
            return {"made": _Made(made, error)}
        except (OSError, MemoryError) as error:  # a full disk, say: one line, as without Ray
            return {"made": _Made(made, SwtformerError(f"A worker of the Ray cluster failed: {error}"))}
        return {"made": _Made(made, None)}
